"""What a batch file may look like, and what each cell becomes."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pandas as pd
import pandera.pandas as pa
import pytest

from mainline.data.batches import Batch, combine, find_batches, read_batch
from mainline.errors import UserError
from mainline.project import column


class Row(pa.DataFrameModel):
    key: int = column()
    when: pd.Timestamp = column()
    size: float = column(nullable=True)
    flag: bool = column()
    word: str = column(nullable=True)


HEADER = "key,when,size,flag,word\n"


@pytest.fixture
def typed(tmp_path: Path):
    """Return a function from CSV lines below the header to (typed rows, violations)."""

    def read(*lines: str) -> tuple[pd.DataFrame, list]:
        path = tmp_path / "a.csv"
        path.write_text(HEADER + "".join(f"{line}\n" for line in lines), encoding="utf-8")
        return combine([read_batch(path)], Row.to_schema())

    return read


def batch(name: str, **columns: list) -> Batch:
    rows = pd.DataFrame(columns, dtype=pd.StringDtype(na_value=float("nan")))
    rows.index = pd.RangeIndex(2, len(rows) + 2)
    return Batch(name, "", rows)


def test_find_batches_are_in_order_of_name_without_readmes(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv.gz", "README.md", ".hidden.csv"):
        (tmp_path / name).write_text("x")
    assert [path.name for path in find_batches(tmp_path)] == ["a.csv.gz", "b.csv"]


def test_find_batches_says_what_is_wrong_with_the_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder .*data.batches"):
        find_batches(tmp_path / "absent")
    with pytest.raises(UserError, match="holds no batch"):
        find_batches(tmp_path)
    (tmp_path / "a.parquet").write_text("x")
    with pytest.raises(UserError, match=r"a\.parquet: not a batch.*\.csv or \.csv\.gz"):
        find_batches(tmp_path)


def test_read_batch_keeps_text_as_it_is_and_counts_lines_from_the_header(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('key,word\n007,"Ruiz, Ana"\n1.50,NA\n,\n')
    found = read_batch(path)
    assert found.file == "a.csv"
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert list(found.rows.index) == [2, 3, 4]
    assert found.rows.loc[2].tolist() == ["007", "Ruiz, Ana"]
    assert found.rows.loc[3].tolist() == ["1.50", "NA"], "the two letters NA are a value"
    assert found.rows.loc[4].isna().all(), "an empty field is missing"


def corrupted(at: int) -> bytes:
    packed = bytearray(gzip.compress(b"a,b\n" + b"".join(b"%d,%d\n" % (n, n * 7919 % 1000) for n in range(3000))))
    packed[at : at + 200] = bytes(byte ^ 0x5A for byte in packed[at : at + 200])
    return bytes(packed)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (corrupted(200), "damaged gzip file"),
        (corrupted(3000), "damaged gzip file"),
        (b"a,a\n1,2\n", "a.csv:1: column 'a' appears twice"),
        (b"a\tb\n1\t2\n", "separated by tabs"),
        (b"a|b\n1|2\n", "separated by bars"),
        (b"a,b\n1,2\n1,2,3\n4\n", r"a.csv:3: 3 fields where the header has 2 \(2 such line"),
        (b"a,b\n" + b"x" * 3_000_000 + b",2\n", "not readable as CSV"),
        ("a,b\n1,2\n".encode("utf-16"), "a.csv:1: byte 0xff is not UTF-8"),
        (b"a,b\n1,2\n1,\xe9\n", "a.csv:3: byte 0xe9"),
    ],
)
def test_read_batch_refuses(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(UserError, match=words):
        read_batch(tmp_path / "a.csv")


def test_combine_gives_schema_order_types_and_lineage() -> None:
    first = batch("a.csv", word=["x"], flag=["true"], size=["1.5"], when=["2020-01-31"], key=["1"])
    second = batch("b.csv", key=["2"], when=["2020-02-01"], size=[None], flag=["0"], word=[None])
    rows, violations = combine([first, second], Row.to_schema())
    assert violations == []
    assert list(rows.columns) == ["key", "when", "size", "flag", "word", "_batch", "_line"]
    assert [str(rows[name].dtype) for name in ("key", "when", "size")] == ["int64", "datetime64[us]", "float64"]
    assert rows["flag"].tolist() == [True, False]
    assert rows[["_batch", "_line"]].values.tolist() == [["a.csv", 2], ["b.csv", 2]]


def test_combine_reports_missing_and_extra_columns() -> None:
    odd = batch("a.csv", key=["1"], when=["2020-01-31"], size=["1"], flag=["true"], colour=["red"])
    _, violations = combine([odd], Row.to_schema())
    assert [(item.column, item.check, item.batch) for item in violations] == [
        ("word", "column is missing", "a.csv"),
        ("colour", "column is not in the schema", "a.csv"),
    ]


@pytest.mark.parametrize(
    ("column_name", "values", "shown", "words"),
    [
        ("key", ["7", "1e3", "4.0", " 5 "], [7, 1000, 4, 5], None),
        ("key", ["7", "4.5"], [7, None], "is not a whole number"),
        ("key", ["7", "inf"], [7, None], "is not a whole number"),
        ("key", ["7", "1e30"], [7, None], "is not a whole number"),
        ("key", ["7", "18446744073709551615"], [7, None], "is not a whole number"),
        ("key", ["7", "nan"], [7, None], "is not a whole number"),
        ("key", ["7", "0x10"], [7, None], "is not a whole number"),
        ("size", ["1.5", "-Infinity"], [1.5, None], "is not a number"),
        ("size", ["1.5", "1,5"], [1.5, None], "is not a number"),
        ("when", ["2020-01-31", "2020-01-31T23:59:59"], ["2020-01-31", "2020-01-31 23:59:59"], None),
        ("when", ["2020-01-31", "2020-02-30"], ["2020-01-31", None], "is not a date like"),
        ("when", ["2020-01-31T23:00:00Z", "2020-01-31T23:00:00-02:00"], ["2020-01-31 23:00", "2020-02-01 01:00"], None),
        ("flag", ["TRUE", "0"], [True, False], None),
        ("flag", ["true", "ja"], [True, None], "is not true or false"),
    ],
)
def test_each_cell_becomes_its_type_or_is_reported(column_name, values, shown, words) -> None:
    sound = {"key": "1", "when": "2020-01-31", "size": "1", "flag": "true", "word": "x"}
    cells = {name: [value] * len(values) for name, value in sound.items()} | {column_name: values}
    rows, violations = combine([batch("a.csv", **cells)], Row.to_schema())
    wanted = [pd.Timestamp(value) if column_name == "when" and value else value for value in shown]
    assert [None if pd.isna(value) else value for value in rows[column_name]] == wanted
    if words is None:
        assert violations == []
    else:
        assert [item.check.startswith(words) for item in violations] == [True]
        assert (violations[0].line, violations[0].examples[0]["value"]) == (3, values[1])


def test_long_ids_stay_exact(typed) -> None:
    # Neighbours above 2**53 are one and the same number to a float64.
    rows, violations = typed(*(f"{2**53 + step},2020-01-31,1,true,x" for step in range(3)))
    assert violations == []
    assert rows["key"].tolist() == [2**53, 2**53 + 1, 2**53 + 2]


def test_times_with_and_without_a_zone_do_not_mix() -> None:
    def found(*whens: list[str]) -> list:
        made = [
            batch(f"{number}.csv", key=["1"] * len(when), when=when, size=["1"] * len(when), flag=["true"] * len(when),
                  word=["a"] * len(when))
            for number, when in enumerate(whens)
        ]  # fmt: skip
        return combine(made, Row.to_schema())[1]

    plain, zoned = "2024-03-31 01:00:00", "2024-03-31T01:00:00+02:00"
    assert found([plain, "2024-03-31"]) == found([zoned, "2024-10-27 02:00Z"]) == []
    (mixed,) = found([plain, plain, zoned])
    assert (mixed.level, mixed.count, mixed.line) == ("error", 1, 4) and "some have none" in mixed.check
    (across,) = found([plain], [zoned, zoned])
    assert (across.level, across.count, across.batch) == ("warning", 2, "1.csv")
