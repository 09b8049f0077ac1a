"""Batch scoring on a trained scratch project: the service's verdicts, the same bytes whatever happens."""

from __future__ import annotations

import csv
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pytest
import yaml
from pyarrow import parquet
from typer.testing import CliRunner

from mainline.cli import app
from mainline.errors import UserError
from mainline.serve.batch_model import fingerprint, load_batch_model

ROOT = Path(__file__).parents[2]
SMALL = 0.005  # of a MB: about sixty rows of the example a part
LATER = ["duration", "y"]


def invoke(*arguments: object) -> tuple[int, str]:
    """Return exit code and output of ``mainline``; a traceback fails the test."""
    result = CliRunner().invoke(app, [str(item) for item in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, outputs: Path) -> Path:
    """A project after its pipeline, with a batch of 3,600 sound rows to score in ``rows.csv``."""
    folder = tmp_path_factory.mktemp("trained") / "project"
    shutil.copytree(outputs, folder)
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    params["score"]["chunk_mb"] = SMALL
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    evaluation = json.loads((folder / "reports/evaluation.json").read_text(encoding="utf-8"))
    evaluation["threshold"]["value"] = 0.4  # so that both decisions occur
    (folder / "reports/evaluation.json").write_text(json.dumps(evaluation), encoding="utf-8")
    batches = [pd.read_csv(path) for path in sorted((folder / "data").iterdir())]
    rows = pd.concat(batches * 3, ignore_index=True).drop(columns=LATER)
    rows["row_id"] = np.arange(10_001, 10_001 + len(rows))
    rows.to_csv(folder / "rows.csv", index=False)
    return folder


@pytest.fixture
def here(trained: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The trained project as working directory; outputs go to the folder that is returned."""
    monkeypatch.chdir(trained)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.delenv("MAINLINE_RELEASE", raising=False)
    kept = Path("params.yaml").read_bytes()
    yield tmp_path
    Path("params.yaml").write_bytes(kept)


@pytest.fixture
def rows(trained: Path) -> pd.DataFrame:
    return pd.read_csv(trained / "rows.csv")


@pytest.fixture(scope="module")
def expected(trained: Path) -> dict[str, bytes]:
    """The bytes of an undisturbed run, by ending."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(trained)
        made = {}
        for ending in ("csv", "parquet"):
            code, said = invoke("score", "rows.csv", f"undisturbed.{ending}")
            assert code == 0, said
            made[ending] = Path(f"undisturbed.{ending}").read_bytes()
    return made


def rejects(output: Path) -> list[dict[str, str]]:
    with Path(f"{output}.rejected.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_row_in_order_with_id_decision_and_release(here: Path, rows, expected, monkeypatch) -> None:
    model = load_batch_model(fingerprint())
    monkeypatch.setenv("MAINLINE_RELEASE", "bank-0123456789ab")
    code, said = invoke("score", "rows.csv", here / "out.parquet")
    assert (code, "3,600 of 3,600 rows scored" in said) == (0, True)
    found = pd.read_parquet(here / "out.parquet")
    assert list(found.columns) == ["row_id", "probability", "decision", "release"]
    assert found["row_id"].tolist() == rows["row_id"].tolist()
    assert (found["decision"] == (found["probability"] >= model.threshold)).all()
    assert found["decision"].nunique() == 2
    assert set(found["release"]) == {"bank-0123456789ab"}
    assert not list(here.glob("*.parts")) and not list(here.glob("*.rejected.csv"))
    frame = rows[[item["name"] for item in model.scorer.inputs]]
    assert np.abs(found["probability"] - model.scorer.score(frame)).max() <= 1e-6
    (here / "plain.csv").write_bytes(expected["csv"])
    plain = pd.read_csv(here / "plain.csv")
    assert plain["probability"].tolist() == found["probability"].tolist()


FAULTS: list[tuple[str, str]] = [
    ("age", "17"), ("age", "101"), ("age", "abc"), ("age", ""), ("age", "30.0"), ("age", "30.5"), ("age", " 31 "),
    ("age", "1e2"), ("age", "nan"), ("age", "0x20"), ("age", "9" * 30), ("age", "inf"), ("age", "1_0"),
    ("balance", "1,5"), ("balance", "-100000"), ("balance", "-100001"), ("balance", "+7"), ("job", ""),
    ("poutcome", "SUCCESS"), ("poutcome", "success "), ("contact", "CELLULAR"), ("contact", "fax"),
    ("contact_date", "2009-02-30"), ("contact_date", "2009-02-03T04:05:06"), ("contact_date", "soon"),
    ("row_id", "0"), ("row_id", ""), ("housing", "1"), ("month", "JAN"), ("job", "Zürich"), ("job", "a\nb"),
]  # fmt: skip


@pytest.mark.parametrize("accept", [[], ["contact", "age", "job"]], ids=["strict", "accepting"])
def test_a_row_fares_as_in_the_service(here: Path, rows, accept: list[str]) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    params["serve"]["accept"] = accept
    params["score"]["max_rejected"] = 1.0
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    model = load_batch_model(fingerprint())
    text = rows.head(200).astype("str")
    for index, (column, value) in enumerate(FAULTS):
        text.loc[5 * index + 1, column] = value
    text.to_csv(here / "in.csv", index=False)
    code, said = invoke("score", here / "in.csv", here / "out.parquet")
    assert code == 0, said

    kinds = {name: rule.kind for name, rule in model.checker.rules.items()}
    bad, scores = {}, {}
    for index, given in _given(text, kinds).items():
        found = model.checker.check([given])
        if found.problems:
            bad[index] = {(item["field"], item["problem"]) for item in found.problems}
        else:
            scores[index] = model.scorer.score_rows(found.rows)[0]
    assert 8 < len(bad) < len(FAULTS) - 4

    odd = [model.checker.check([row]) for row in _given(text, kinds).values()]
    for name in ("contact", "age", "job"):
        count = sum(item.unseen[name] + item.missing[name] for item in odd if not item.problems)
        words = f"{name}: {count} rows scored with a value that the schema does not allow"
        assert (words in said) == (count > 0) == (name in accept), said
    made = pd.read_parquet(here / "out.parquet")
    assert np.abs(made["probability"] - list(scores.values())).max() <= 1e-6
    lines = _first_lines(here / "in.csv")
    told: dict[int, set[tuple[str, str]]] = {}
    for item in rejects(here / "out.parquet"):
        told.setdefault(lines[int(item["line"])], set()).add((item["column"], item["reason"].partition(";")[0]))
    assert told == bad


def _given(text: pd.DataFrame, kinds: dict[str, str]) -> dict[int, dict[str, Any]]:
    """Return what a client of the service would send for each line."""
    return {
        index: {name: None if value == "" else _json(value, kinds[name]) for name, value in row.items()}
        for index, row in enumerate(text.to_dict("records"))
    }


def _json(text: str, kind: str) -> Any:
    """Return what a careful client makes of a cell; a text that is no number stays a text."""
    bare = text.strip()
    if kind in ("integer", "number") and bare.lower() not in ("nan", "inf") and "_" not in bare:
        for read in (int, float):
            try:
                return read(bare)
            except ValueError:
                continue
    return text


def _first_lines(path: Path) -> dict[int, int]:
    """Return the row by the line that it begins in."""
    with path.open(encoding="utf-8", newline="") as stream:
        reader = csv.reader(stream)
        next(reader)
        found, line = {}, 2
        for index, _ in enumerate(reader):
            found[line] = index
            line = reader.line_num + 1
    return found


def test_the_running_service_gives_the_same_answers(serve, outputs: Path, monkeypatch, tmp_path: Path) -> None:
    served = serve()
    monkeypatch.chdir(outputs)
    rows = pd.read_csv("data/2009-05.csv").drop(columns=LATER)
    rows.loc[17, "poutcome"], rows.loc[99, "age"] = "SUCCESS", 7
    rows.to_csv(tmp_path / "in.csv", index=False)
    code, said = invoke("score", tmp_path / "in.csv", tmp_path / "out.parquet")
    assert code == 0, said
    found = pd.read_parquet(tmp_path / "out.parquet").set_index("row_id")
    status, _, answer = served.ask("/predict", {"rows": json.loads(rows.to_json(orient="records"))})
    assert status == 422
    problems = [(item["row"] + 2, item["field"], item["problem"]) for item in answer["problems"]]
    told = [(int(item["line"]), item["column"], item["reason"].partition(";")[0])
            for item in rejects(tmp_path / "out.parquet")]  # fmt: skip
    assert told == problems and len(told) == 2
    good = rows.drop(index=[17, 99])
    status, _, answer = served.ask("/predict", {"rows": json.loads(good.to_json(orient="records"))})
    assert status == 200 and len(answer["predictions"]) == len(found) == 238
    for row_id, prediction in zip(good["row_id"], answer["predictions"], strict=True):
        assert found.loc[row_id, "probability"] == pytest.approx(prediction["probability"], abs=1e-6)
        assert found.loc[row_id, "decision"] == prediction["decision"]


def test_a_model_that_does_not_convert_is_scored_by_the_exact_path(here: Path, expected, trained: Path) -> None:
    file = Path("artifacts/serving/serving.json")
    kept = file.read_text()
    file.write_text(json.dumps(json.loads(kept) | {"path": "exact"}))
    try:
        code, said = invoke("score", "rows.csv", here / "out.csv")
    finally:
        file.write_text(kept)
    assert code == 0, said
    exact, fast = pd.read_csv(here / "out.csv"), pd.read_csv("undisturbed.csv")
    assert 0 < np.abs(exact["probability"] - fast["probability"]).max() <= 1e-6
    assert exact["decision"].equals(fast["decision"])


def test_parquet_fares_as_csv(here: Path, rows, expected) -> None:
    typed = rows.assign(
        contact_date=pd.to_datetime(rows["contact_date"]), job=rows["job"].astype("category"),
        age=rows["age"].astype("float64"), campaign=rows["campaign"].astype("int16"),
    )  # fmt: skip
    typed.to_parquet(here / "in.parquet", row_group_size=700)
    code, said = invoke("score", here / "in.parquet", here / "out.csv")
    assert code == 0, said
    assert (here / "out.csv").read_bytes() == expected["csv"]
    typed.loc[7, "age"] = np.nan
    typed.loc[3000, "age"] = 17
    typed.to_parquet(here / "in.parquet", row_group_size=700)
    code, said = invoke("score", here / "in.parquet", here / "out.csv")
    assert code == 0, said
    told = [(item["line"], item["column"], item["reason"]) for item in rejects(here / "out.csv")]
    assert told == [("8", "age", "is missing: the value is null"), ("3001", "age", "is below 18")]


def test_refused_rows_go_to_a_side_file_with_line_value_and_hint(here: Path, rows) -> None:
    text = rows.head(300).astype("str")
    text["job"] = text["job"].astype(object)
    text.loc[100, "job"] = "two\nlines"
    text.loc[150, "poutcome"] = "SUCCESS"
    text.loc[200, "balance"] = "1,5"
    text.loc[250, "row_id"] = "-5"
    text.to_csv(here / "in.csv", index=False)
    lines = (here / "in.csv").read_text().splitlines()
    lines[280] += ",more"
    lines[290] = ""
    (here / "in.csv").write_text("\n".join(lines) + "\n")
    code, said = invoke("score", here / "in.csv", here / "out.csv")
    assert code == 1 and "6 of the rows (2.00%) refused" in said and "score.max_rejected is 1.00%" in said
    assert "294 of 300 rows scored" in said
    told = {
        int(item["line"]): item
        for item in rejects(here / "out.csv")
        if item["column"] in ("", "job", "poutcome", "balance", "row_id")
    }
    assert told[102]["value"] == "two\nlines" and told[102]["reason"] == "is not allowed"
    assert told[153]["reason"] == "is not allowed; did you mean 'success'?"
    assert told[203]["value"] == "1,5" and told[203]["reason"].endswith("a decimal comma? write a point")
    assert told[253]["value"].startswith("sha256:") and told[253]["reason"] == "is below 1"
    assert told[281]["reason"] == "has 18 fields, and the header 17"
    assert "missing" in told[291]["reason"]
    assert len(pd.read_csv(here / "out.csv")) == 294


@pytest.mark.parametrize("change", ["bom", "crlf", "gzip", "order", "folder", "glob"])
def test_what_is_accepted_scores_the_same(change: str, here: Path, expected) -> None:
    text, source = Path("rows.csv").read_bytes(), here / "in.csv"
    if change == "bom":
        text = b"\xef\xbb\xbf" + text
    elif change == "crlf":
        text = text.replace(b"\n", b"\r\n")
    elif change == "order":
        shuffled = pd.read_csv("rows.csv")
        text = shuffled[[*reversed(shuffled.columns)]].to_csv(index=False).encode()
    elif change == "gzip":
        text, source = gzip.compress(text), here / "in.csv.gz"
    where: Path | str = source
    if change in ("folder", "glob"):
        lines = text.splitlines(keepends=True)
        (here / "in").mkdir()
        (here / "in" / "b.csv").write_bytes(lines[0] + b"".join(lines[2000:]))
        (here / "in" / "a.csv").write_bytes(b"".join(lines[:2000]))
        where = here / "in" if change == "folder" else f"{here}/in/*.csv"
    else:
        source.write_bytes(text)
    code, said = invoke("score", where, here / "out.csv")
    assert code == 0, said
    assert (here / "out.csv").read_bytes() == expected["csv"]


def test_rows_without_an_id_are_named_by_file_and_line(here: Path, rows) -> None:
    rows.head(100).drop(columns="row_id").to_csv(here / "in.csv", index=False)
    code, said = invoke("score", here / "in.csv", here / "out.csv")
    assert code == 0, said
    found = pd.read_csv(here / "out.csv")
    assert found["line"].tolist() == list(range(2, 102)) and set(found["file"]) == {str(here / "in.csv")}


def test_what_is_known_only_afterwards_is_left_out_and_said(here: Path, rows, expected) -> None:
    rows.assign(duration=1, y="yes").to_csv(here / "in.csv", index=False)
    code, said = invoke("score", here / "in.csv", here / "out.csv")
    assert code == 0 and "left out, because it is known only after the event: duration, y" in said
    assert (here / "out.csv").read_bytes() == expected["csv"]


def test_a_file_without_rows_gives_a_file_without_rows(here: Path, rows) -> None:
    rows.head(0).to_csv(here / "in.csv", index=False)
    code, said = invoke("score", here / "in.csv", here / "out.csv")
    assert code == 0 and "0 of 0 rows scored" in said
    assert (here / "out.csv").read_text().count("\n") == 1


HEADER = "row_id,age"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "in.csv: is empty"),
        ("a,b\n1,2\n".encode("utf-16"), "in.csv:1: is UTF-16 or binary"),
        (b"row_id;age\n1;30\n", "in.csv:1: fields are separated by semicolons"),
        (b"row_id,age\r1,30\r", "in.csv:1: lines end in CR alone"),
        (b"row_id,age,age\n1,30,30\n", "in.csv:1: column 'age' appears twice"),
        (b"HEAD\n" + b"x\n" * 5000 + "Jürgen\n".encode("latin-1"), "in.csv:5002: byte 0xfc is not UTF-8"),
        (b"HEAD\n" + b"x\n" * 5000 + b'"open\n' + b"y\n" * 3000, "in.csv:5002: a quote is opened and never closed"),
        (b"row_id,age\n1,30\n", "in.csv:1: no column balance, campaign"),
        (b"HEAD,shoe\n1,30\n", "in.csv:1: column 'shoe' is not in the schema"),
    ],
)
def test_a_fault_of_the_file_stops_before_anything_is_scored(content: bytes, words: str, here: Path, rows) -> None:
    head = ",".join(rows.columns).encode()
    (here / "in.csv").write_bytes(content.replace(b"HEAD", head))
    code, said = invoke("score", here / "in.csv", here / "out.csv")
    assert code == 1 and words in said, said
    assert not (here / "out.csv").exists()


def test_mistakes_of_the_call_are_told(here: Path, rows, monkeypatch) -> None:
    monkeypatch.setattr("mainline.serve.batch_workers.ANSWER_SECONDS", 0.5)
    for arguments, words in (
        ((here / "none.csv", here / "out.csv"), "no such file"),
        (("rows.csv", here / "out.xlsx"), "neither *.csv nor *.parquet"),
        (("rows.csv", "rows.csv"), "is the input"),
        ((f"file://{Path('rows.csv').resolve()}", "rows.csv"), "is the input"),
        (("rows.csv", f"file://{Path('rows.csv').resolve()}"), "is the input"),
        (("data", "data/out.csv"), "lies in the folder that is read"),
        (("params.yaml", here / "out.csv"), "its name must end in"),
        (("what://x/y.csv", here / "out.csv"), "cannot be reached"),
        (("rows.csv", here / "out.csv", "--dask", "tcp://127.0.0.1:9"), "no Dask scheduler answers"),
    ):
        code, said = invoke("score", *arguments)
        assert code == 1 and words in said, said
    (here / "in.csv.gz").write_bytes(gzip.compress(b"a" * 100_000)[:-20])
    code, said = invoke("score", here / "in.csv.gz", here / "out.csv")
    assert code == 1 and "in.csv.gz: damaged gzip file" in said
    (here / "in.parquet").write_bytes(b"PAR1 nothing")
    code, said = invoke("score", here / "in.parquet", here / "out.csv")
    assert code == 1 and "in.parquet: not readable as Parquet" in said
    arrow = pa.Table.from_pandas(rows.head(9), preserve_index=False)
    place = arrow.column_names.index("job")
    parquet.write_table(arrow.set_column(place, "job", pa.array([["admin."]] * 9)), here / "in.parquet")
    code, said = invoke("score", here / "in.parquet", here / "out.csv")
    assert code == 1 and "9 of the rows (100.00%) refused" in said
    whole = (here / "in.parquet").read_bytes()
    (here / "in.parquet").write_bytes(whole[:100] + bytes(600) + whole[700:])
    code, said = invoke("score", here / "in.parquet", here / "out.csv")
    assert code == 1 and "in.parquet: damaged from row 1 on" in said
    (here / "in").mkdir()
    rows.head(9).to_csv(here / "in" / "a.csv", index=False)
    rows.head(9).drop(columns="row_id").to_csv(here / "in" / "b.csv", index=False)
    code, said = invoke("score", here / "in", here / "out.csv")
    assert code == 1 and "b.csv: has no column row_id" in said


def test_a_worker_with_another_model_is_refused(here: Path) -> None:
    with pytest.raises(UserError, match="holds another model or code"):
        load_batch_model("0" * 64)


def test_a_bucket_can_be_input_and_output(here: Path, expected) -> None:
    # fsspec's memory is a remote like any other: nothing of it can be opened as a local file.
    import fsspec

    fs = fsspec.filesystem("memory")
    fs.pipe_file("/bucket/in/rows.csv", Path("rows.csv").read_bytes())
    code, said = invoke("score", "memory://bucket/in/", "memory://bucket/out.csv")
    assert code == 0, said
    assert fs.cat_file("/bucket/out.csv") == expected["csv"]
    assert not list(Path(".mainline/score").glob("*"))
    fs.pipe_file("/bucket/in/rows.csv", Path("rows.csv").read_bytes().replace(b"unknown", b"UNKNOWN", 1))
    code, said = invoke("score", "memory://bucket/in/", "memory://bucket/out.csv")
    assert code == 0 and b"bucket/in/rows.csv,2,contact,UNKNOWN" in fs.cat_file("/bucket/out.csv.rejected.csv"), said


# From here on: what happens when something dies.


def start(*arguments: object, cwd: Path | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", *(str(item) for item in arguments)]
    # So long does Dask try to reach a worker that was killed.
    environment = os.environ | {
        "PYTHONPATH": str(ROOT / "src"), "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "3s",
    }  # fmt: skip
    return subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def when_done(folder: Path, parts: int, act: Callable[[], None]) -> threading.Thread:
    """Call ``act`` as soon as so many parts are complete."""

    def watch() -> None:
        for _ in range(20_000):
            if len(list(folder.glob("0*.json"))) >= parts:
                act()
                return
            time.sleep(0.002)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


@pytest.mark.slow
def test_after_kill_9_the_same_command_goes_on_and_ends_with_the_same_bytes(here: Path, expected) -> None:
    for ending, arguments in (("csv", []), ("parquet", ["--workers", "2"])):
        output = here / f"out.{ending}"
        process = start("mainline.cli", "score", "rows.csv", output, *arguments)
        workers: list[psutil.Process] = []

        def kill(process: subprocess.Popen[str] = process, workers: list[psutil.Process] = workers) -> None:
            workers += psutil.Process(process.pid).children()
            process.kill()

        when_done(here / f"out.{ending}.parts", 4, kill).join(60)
        assert process.wait(60) == -signal.SIGKILL and not output.exists()
        # A worker that nobody hears goes on to hold its memory, and the next run has to share the processors with it.
        assert len(workers) == (3 if arguments else 0), "two workers, and what cleans up after them"
        left_over = psutil.wait_procs(workers, timeout=10)[1]
        assert not [worker for worker in left_over if worker.status() != psutil.STATUS_ZOMBIE]
        left = {path: path.stat().st_mtime_ns for path in (here / f"out.{ending}.parts").glob("0*.arrow")}
        assert 4 <= len(left) < 50
        done = {path for path in left if path.with_suffix(".json").exists()}
        written = watch_writes(here / f"out.{ending}.parts")
        code, said = invoke("score", "rows.csv", output)
        assert code == 0 and "going on with" in said
        assert output.read_bytes() == expected[ending]
        assert not done & written()


def watch_writes(folder: Path) -> Callable[[], set[Path]]:
    """Return a function that gives the parts that were written since now."""
    before = {path: path.stat().st_mtime_ns for path in folder.glob("0*.arrow")}
    seen: set[Path] = set()
    going = threading.Event()

    def watch() -> None:
        while not going.wait(0.005):
            for path in folder.glob("0*.arrow"):
                try:
                    if before.get(path) != path.stat().st_mtime_ns:
                        seen.add(path)
                except FileNotFoundError:
                    continue

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()

    def stop() -> set[Path]:
        going.set()
        thread.join(10)
        assert seen, "the watch itself"
        return seen

    return stop


def test_parts_of_another_run_are_not_taken_over(here: Path, rows, monkeypatch, expected) -> None:
    process = start("mainline.cli", "score", "rows.csv", here / "out.csv")
    when_done(here / "out.csv.parts", 4, process.kill).join(60)
    process.wait(60)
    monkeypatch.setenv("MAINLINE_RELEASE", "other")
    code, said = invoke("score", "rows.csv", here / "out.csv")
    assert code == 0 and "going on with" not in said
    assert (here / "out.csv").read_bytes() == expected["csv"].replace(b"unreleased", b"other")


def test_a_full_disk_is_told_and_the_same_command_goes_on_when_there_is_space(here: Path, expected) -> None:
    # No file may grow beyond 40 kB: parts fit, the output does not.
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000));"
        "from mainline.cli import app; app(['score', *sys.argv[1:]])"
    )
    command = [sys.executable, "-c", limited, "rows.csv", str(here / "out.csv")]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "out.csv: could not be written" in done.stderr, done.stderr
    assert "free disk space" in done.stderr and "Traceback" not in done.stderr
    assert [path.name for path in here.iterdir()] == ["out.csv.parts"]
    code, said = invoke("score", "rows.csv", here / "out.csv")
    assert code == 0 and "going on with" in said
    assert (here / "out.csv").read_bytes() == expected["csv"]


def test_two_runs_do_not_share_an_output(here: Path) -> None:
    import fcntl

    (here / "out.csv.parts").mkdir()
    with (here / "out.csv.parts" / "lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        code, said = invoke("score", "rows.csv", here / "out.csv")
    assert code == 1 and "another run writes there" in said


@pytest.mark.slow
def test_a_killed_worker_process_costs_nothing_that_was_done(here: Path, expected) -> None:
    process = start("mainline.cli", "score", "rows.csv", here / "out.csv", "--workers", "2")

    def kill_child() -> None:
        children = psutil.Process(process.pid).children()
        next(child for child in children if "spawn_main" in " ".join(child.cmdline())).kill()

    when_done(here / "out.csv.parts", 4, kill_child).join(60)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1 and "a worker process died" in said and "Traceback" not in said
    code, said = invoke("score", "rows.csv", here / "out.csv")
    assert code == 0 and "going on with" in said
    assert (here / "out.csv").read_bytes() == expected["csv"]


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same_bytes_although_a_worker_is_killed(here: Path, trained: Path, expected) -> None:
    file = here / "scheduler.json"
    quiet = ["--no-dashboard", "--scheduler-file", file]
    cluster = [start("dask", "scheduler", "--host", "127.0.0.1", "--port", "0", *quiet, cwd=trained)]
    try:
        for number in (1, 2):
            place = ["--local-directory", here / f"worker-{number}", "--host", "127.0.0.1"]
            cluster.append(
                start("dask", "worker", *quiet, *place, "--no-nanny", "--nthreads", 1, cwd=trained)
            )  # fmt: skip
        address = _address(file, workers=2)
        left = []

        def kill() -> None:
            cluster[1].kill()
            left.append(60 - len(list((here / "out.csv.parts").glob("0*.json"))))

        watcher = when_done(here / "out.csv.parts", 4, kill)
        code, said = invoke("score", "rows.csv", here / "out.csv", "--dask", address)
        watcher.join(10)
        assert code == 0, said
        assert left and left[0] > 5, "killed midway"
        assert cluster[1].wait(20) == -signal.SIGKILL
        assert (here / "out.csv").read_bytes() == expected["csv"]
    finally:
        for process in reversed(cluster):
            process.kill()
            process.wait(20)


def _address(file: Path, workers: int) -> str:
    """Return the scheduler's address once all workers are there."""
    from distributed import Client

    for _ in range(400):
        if file.exists() and file.stat().st_size:
            break
        time.sleep(0.05)
    address = str(json.loads(file.read_text())["address"])
    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(workers, timeout=30)
    return address
