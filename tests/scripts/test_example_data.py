"""The example's batches: split by month, byte for byte the same every time."""

from __future__ import annotations

import csv
import gzip
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
HEADER = "row_id,contact_date,note,y"
ROWS = ("1,2008-05-05,a,no", '2,2009-05-29,"b, c",yes', "3,2009-06-01,d,no", "4,2008-05-06,e,no")


def split(source: Path, into: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TOP / "scripts/example_data.py"), str(source), "--into", str(into)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def source(folder: Path, header: str = HEADER, rows: Sequence[str] = ROWS, end: str = "\n") -> Path:
    file = folder / "source.csv.gz"
    file.write_bytes(gzip.compress((end.join([header, *rows]) + end).encode()))
    return file


def test_rows_go_to_the_batch_of_their_month(tmp_path: Path) -> None:
    done = split(source(tmp_path, end="\r\n"), tmp_path)
    assert done.returncode == 0, done.stderr
    found = {str(file.relative_to(tmp_path)): file.read_bytes() for file in tmp_path.rglob("*.csv")}
    assert found == {
        "data/2008-05.csv": b"row_id,contact_date,note,y\n1,2008-05-05,a,no\n4,2008-05-06,e,no\n",
        "data/2009-05.csv": b'row_id,contact_date,note,y\n2,2009-05-29,"b, c",yes\n',
        "replay/2009-06.csv": b"row_id,contact_date,note,y\n3,2009-06-01,d,no\n",
    }


@pytest.mark.parametrize(
    ("header", "rows", "expected"),
    [
        ("row_id,date,note,y", ROWS, "column contact_date is missing"),
        (HEADER, ["1,05/05/2008,a,no"], "line 2: column contact_date: '05/05/2008' is no date"),
        (HEADER, ["1,2008-05-05,a"], "line 2: 3 values for 4 columns"),
    ],
)
def test_a_bad_source_is_explained_and_nothing_is_written(
    tmp_path: Path, header: str, rows: Sequence[str], expected: str
) -> None:
    done = split(source(tmp_path, header, rows), tmp_path)
    assert done.returncode == 1
    assert expected in done.stderr
    assert "fix:" in done.stderr
    assert not list(tmp_path.rglob("*.csv"))


def test_an_absent_or_damaged_source_is_explained(tmp_path: Path) -> None:
    assert "not there" in split(tmp_path / "none.csv.gz", tmp_path).stderr
    damaged = source(tmp_path)
    damaged.write_bytes(damaged.read_bytes()[:-12])
    done = split(damaged, tmp_path)
    assert done.returncode == 1
    assert "cannot be read" in done.stderr
    assert "Traceback" not in done.stderr


def embedded() -> dict[str, Path]:
    """The example's batches as they are committed, keyed by their path in the work tree."""
    from mainline.objects import EMBEDDED, data_outputs, expand, place

    folder = TOP / EMBEDDED
    found = expand(data_outputs(TOP), folder)
    return {path: place(folder, oid) for oid, path in found.items() if not oid.endswith(".dir")}


@pytest.mark.skipif(not (TOP / ".dvc" / "embedded").is_dir(), reason="the example's data has been taken out")
def test_the_example_is_whole_and_splits_into_itself(tmp_path: Path) -> None:
    batches = embedded()
    rows: list[list[str]] = []
    for path, file in sorted(batches.items(), key=lambda item: Path(item[0]).name):
        header, *batch = list(csv.reader(file.read_text(encoding="utf-8").splitlines()))
        assert {row[header.index("contact_date")][:7] for row in batch} == {Path(path).stem}
        rows += batch
    assert len(rows) == 45_211
    assert [int(row[0]) for row in rows] == list(range(1, 45_212))
    assert sum(row[-1] == "yes" for row in rows) == 5_289
    assert len([path for path in batches if path.startswith("data/")]) == 12
    assert len([path for path in batches if path.startswith("replay/")]) == 18
    assert "data/2008-09.csv" not in batches
    again = tmp_path / "all.csv"
    with again.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    assert split(again, tmp_path).returncode == 0
    for path, file in batches.items():
        assert (tmp_path / path).read_bytes() == file.read_bytes(), path
