"""``mainline log``: show, export, expire; and ship, to a folder and to a real S3 server on loopback."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mainline.errors import UserError
from mainline.serve.log import PredictionLog, read
from mainline.serve.log_read import find, newest, read_between
from mainline.serve.log_ship import Shipper, open_log, ship

KEY, SECRET = "test-key", "test-secret"


def record(request: str, time: str, kind: str = "prediction", **more: Any) -> dict[str, Any]:
    usual = {"score": 0.25, "decision": True, "latency_ms": 0.5, "release": "bank-1", "track": "stable",
             "features": {"age": 30, "job": "admin."}} if kind == "prediction" else {"outcome": "yes"}  # fmt: skip
    return {"kind": kind, "time": f"2009-06-{time}.000Z", "request_id": request, "row": 0, **usual, **more}


def write(folder: Path, name: str, *records: dict[str, Any], tail: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("".join(json.dumps(item) + "\n" for item in records) + tail, encoding="utf-8")
    return path


@pytest.fixture
def log(scratch, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log of two processes in the scratch project's own place: June 1st to 3rd 2009, one torn line."""
    monkeypatch.delenv("MAINLINE_LOG", raising=False)
    folder = scratch.folder / ".mainline" / "log"
    write(
        folder, "20090601T080000-1-aaaa.jsonl",
        record("a", "01T08:00:01"), record("b", "01T09:00:00", score=0.75, track="canary", release="bank-2"),
        record("a", "02T08:00:00", kind="feedback"),
    )  # fmt: skip
    write(
        folder, "20090602T080000-2-bbbb.jsonl.open",
        record("c", "02T08:30:00", track="shadow"),
        record("d", "03T08:00:00", features={"age": None, "job": "student"}),
        tail='{"kind": "pred',
    )  # fmt: skip
    (folder / "README.txt").write_text("not a log")
    return folder


def test_show_gives_the_newest_of_a_release_and_a_track(scratch, log: Path) -> None:
    code, said = scratch.run("log", "show")
    assert code == 0
    order = [said.index(f" {name} ") for name in "abcd"]
    assert order == sorted(order) and "0.7500" in said and "feedback" not in said
    _, said = scratch.run("log", "show", "--last", "1")
    assert " d " in said and " c " not in said
    _, said = scratch.run("log", "show", "--track", "canary")
    assert " b " in said and " a " not in said
    code, said = scratch.run("log", "show", "--release", "bank-9")
    assert code == 0 and "no prediction of that kind" in said
    code, said = scratch.run("log", "show", "--log", "elsewhere")
    assert code == 0 and "no prediction of that kind in elsewhere" in said
    code, said = scratch.run("log", "show", "--log", "params.yaml")
    assert code == 1 and "is a file" in said


def test_show_looks_where_the_service_writes(scratch, log: Path, monkeypatch) -> None:
    write(scratch.folder / "other", "20090601T080000-1-aaaa.jsonl", record("z", "01T08:00:01"))
    monkeypatch.setenv("MAINLINE_LOG", "other")
    assert " z " in scratch.run("log", "show")[1]


def test_the_newest_are_found_although_files_overlap(tmp_path: Path) -> None:
    write(tmp_path, "20090601T000000-1-a.jsonl", *(record(f"a{n}", f"01T00:{n:02d}:00") for n in range(0, 60, 2)))
    write(tmp_path, "20090601T000001-2-b.jsonl", *(record(f"b{n}", f"01T00:{n:02d}:00") for n in range(1, 60, 2)))
    write(tmp_path, "20090501T000001-2-b.jsonl", record("old", "01T00:00:00") | {"time": "2009-05-01T00:00:00.000Z"})
    assert [item["request_id"] for item in newest(tmp_path, 4)] == ["a56", "b57", "a58", "b59"]
    assert len(newest(tmp_path, 100)) == 61


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_export_is_one_row_a_record_with_a_column_a_feature(ending: str, scratch, log: Path) -> None:
    code, said = scratch.run("log", "export", f"out.{ending}")
    assert code == 0 and "5 records" in said and "1 torn line" in said
    found = pd.read_parquet("out.parquet") if ending == "parquet" else pd.read_csv("out.csv")
    assert found["request_id"].tolist() == ["a", "b", "a", "c", "d"]
    assert found["kind"].tolist()[2] == "feedback" and found["outcome"].tolist()[2] == "yes"
    assert found["features.age"].isna().tolist() == [False, False, True, False, True]
    assert found["score"].dtype == "float64" and found["features.job"].tolist()[4] == "student"


def test_export_between_two_times_takes_the_first_and_leaves_the_last(scratch, log: Path) -> None:
    for bounds, expected in (
        (("--from", "2009-06-02"), ["a", "c", "d"]),
        (("--to", "2009-06-02T08:30"), ["a", "b", "a"]),
        (("--from", "2009-06-01T09:00:00+00:00", "--to", "2009-06-02T08:00:01"), ["b", "a"]),
        (("--from", "2009-06-02T10:30:00+02:00", "--to", "2009-06-03"), ["c"]),
    ):
        assert scratch.run("log", "export", "out.parquet", *bounds)[0] == 0
        assert pd.read_parquet("out.parquet")["request_id"].tolist() == expected
    code, said = scratch.run("log", "export", "out.parquet", "--from", "June")
    assert code == 1 and "--from June: is no time" in said
    code, said = scratch.run("log", "export", "out.xlsx")
    assert code == 1 and "out.xlsx" in said


def test_files_that_end_before_the_times_are_opened_for_their_end_alone(log: Path, monkeypatch) -> None:
    opened = []
    stored = find(log)
    real = type(stored[0].fs).open

    def spy(self: Any, path: str, *arguments: Any, **options: Any) -> Any:
        opened.append(path.rsplit("/", 1)[-1])
        return real(self, path, *arguments, **options)

    monkeypatch.setattr(type(stored[0].fs), "open", spy)
    assert [item["request_id"] for item in read_between(log, since="2009-06-02T08:15:00.000Z")] == ["c", "d"]
    assert opened == ["20090601T080000-1-aaaa.jsonl", "20090602T080000-2-bbbb.jsonl.open"]


def test_an_outcome_belongs_to_the_time_that_it_tells_of_whenever_it_came(scratch, log: Path) -> None:
    write(log, "20090901T080000-3-cccc.jsonl", record("late", "02T00:00:00", kind="feedback"))
    assert [item["request_id"] for item in read_between(log, until="2009-06-02T08:00:00.000Z")] == ["a", "b", "late"]


def test_a_file_that_ends_with_a_long_record_or_many_outcomes_is_found_by_its_time(tmp_path: Path) -> None:
    long, many = record("long", "02T08:00:00", features={"note": "x" * 200_000}), record("p", "02T09:00:00")
    write(tmp_path, "20090602T080000-1-aaaa.jsonl", long)
    dump = [record(f"o{number}", "01T00:00:00", kind="feedback") for number in range(2000)]
    write(tmp_path, "20090602T080000-2-bbbb.jsonl", many, *dump)
    assert [item["request_id"] for item in read_between(tmp_path, since="2009-06-02T00:00:00.000Z")] == ["long", "p"]
    assert [item["request_id"] for item in newest(tmp_path, 5)] == ["long", "p"]


@pytest.mark.parametrize(
    ("predicted", "outcome", "gone"),
    [("2009-06-01", "9999-12-31", True), ("now", "1990-01-01", False), ("", "1990-01-01", False)],
    ids=["future", "past", "outcomes alone"],
)
def test_the_time_of_an_outcome_neither_keeps_a_file_nor_loses_one(
    scratch, predicted: str, outcome: str, gone: bool
) -> None:
    folder, now = scratch.folder / "other", time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    began = "20090601T000000" if gone else time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    made = (
        [record("a", "") | {"time": now if predicted == "now" else f"{predicted}T00:00:00.000Z"}] if predicted else []
    )
    write(folder, f"{began}-1-aaaa.jsonl", *made, record("a", "", "feedback") | {"time": f"{outcome}T00:00:00.000Z"})
    assert scratch.run("log", "expire", "--log", "other")[0] == 0
    assert list(folder.iterdir()) == [] if gone else len(list(folder.iterdir())) == 1


def test_a_column_of_mixed_types_becomes_text(tmp_path: Path) -> None:
    from mainline.serve.log_export import write_table

    write(
        tmp_path / "log", "20090601T000000-1-a.jsonl",
        record("a", "01T00:00:00", score=[0.25, 0.75], features={"x": 1}),
        record("b", "01T00:00:01", score=[0.5, 0.5], features={"x": "one"}),
    )  # fmt: skip
    assert write_table(lambda: read(tmp_path / "log"), tmp_path / "out.parquet") == (2, 0)
    found = pd.read_parquet(tmp_path / "out.parquet")
    assert found["features.x"].tolist() == ["1", "one"] and found["score"].tolist() == ["[0.25, 0.75]", "[0.5, 0.5]"]


def test_expire_deletes_whole_files_past_the_limit_and_rewrites_none(scratch, log: Path) -> None:
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    young = write(log, "20090601T000000-3-cccc.jsonl", record("old", "01T08:00:01"), record("new", "") | {"time": now})
    bytes_before = young.read_bytes()
    names = {path.name for path in log.iterdir()}
    code, said = scratch.run("log", "expire", "--dry-run")
    assert code == 0 and "would delete 20090601T080000-1-aaaa.jsonl: newest prediction 2009-06-01T09:00:00.000Z" in said
    assert "2 file(s) to delete" in said and len(list(log.iterdir())) == len(names)
    code, said = scratch.run("log", "expire")
    assert code == 0 and "2 file(s) deleted" in said
    assert sorted(path.name for path in log.iterdir()) == [young.name, "README.txt"]
    assert young.read_bytes() == bytes_before


def test_expire_leaves_the_file_of_a_living_writer_and_everything_when_told_so(scratch, log: Path, change) -> None:
    living = PredictionLog(log, release="r", track="stable", columns={}, flush_ms=5)
    living.put(record("living", "01T00:00:00"))
    while living.written < 1:
        time.sleep(0.005)
    (active,) = (path for path in log.glob("*.open") if not path.name.startswith("2009"))
    assert scratch.run("log", "expire")[0] == 0
    assert [path for path in log.glob("20*")] == [active]
    living.close()
    change(serve__log__keep_days=None)
    code, said = scratch.run("log", "expire")
    assert code == 0 and "nothing is ever deleted" in said and len(list(log.glob("20*"))) == 1
    change(serve__log__keep_days=1)
    assert "1 file(s) deleted" in scratch.run("log", "expire")[1], "its record says June 2009"


# Shipping.


@pytest.fixture(scope="module")
def server(s3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """An S3 server: its address, and the folder whose folders are its buckets."""
    with s3.rclone(tmp_path_factory.mktemp("s3"), (KEY, SECRET)) as (address, buckets):
        (buckets / "logs").mkdir()
        yield address, buckets


@pytest.fixture
def bucket(server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    import s3fs

    for name, value in (("ACCESS_KEY_ID", KEY), ("SECRET_ACCESS_KEY", SECRET), ("ENDPOINT_URL", server[0]),
                        ("DEFAULT_REGION", "us-east-1")):  # fmt: skip
        monkeypatch.setenv(f"AWS_{name}", value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    s3fs.S3FileSystem.clear_instance_cache()
    return server[1] / "logs"


def test_closed_files_move_to_a_bucket_and_are_read_from_there(scratch, log: Path, bucket: Path) -> None:
    before = sorted(item["request_id"] for item in read(log))
    code, said = scratch.run("log", "ship", "s3://logs/predictions")
    assert code == 0 and "2 file(s) moved" in said, said
    assert list(log.glob("20*")) == []
    assert len(list((bucket / "predictions").iterdir())) == 2
    there = read("s3://logs/predictions")
    assert sorted(item["request_id"] for item in there) == before and there.torn == 1
    code, said = scratch.run("log", "show", "--log", "s3://logs/predictions")
    assert code == 0 and " d " in said
    code, said = scratch.run("log", "expire", "--log", "s3://logs/predictions")
    assert code == 0 and "2 file(s) deleted" in said, said
    assert not list((bucket / "predictions").glob("20*"))


def test_what_the_store_does_not_take_or_does_not_give_back_stays_here(log: Path, tmp_path: Path, monkeypatch) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("in the way")
    with pytest.raises(UserError, match="could not be shipped"):
        list(ship(log, f"file://{blocked}/there"))
    assert len(list(log.glob("20*.jsonl"))) == 2
    from fsspec.implementations.local import LocalFileSystem

    monkeypatch.setattr(LocalFileSystem, "put_file", lambda self, here, there, **_: Path(there).write_bytes(b"less"))
    with pytest.raises(UserError, match="is not what was put there"):
        list(ship(log, f"file://{tmp_path}/store"))
    assert len(list(log.glob("20*.jsonl"))) == 2
    # Another one is faster, and done with a file when this has just read it back
    monkeypatch.undo()
    real = LocalFileSystem.open

    def late(self: Any, there: str, mode: str = "rb", **more: Any) -> Any:
        (log / Path(there).name).unlink()
        return real(self, there, mode, **more)

    monkeypatch.setattr(LocalFileSystem, "open", late)
    assert len(list(ship(log, f"file://{tmp_path}/store"))) == 2


def test_a_service_with_a_uri_ships_each_closed_file_without_waiting(
    scratch, bucket: Path, settings_for, monkeypatch
) -> None:
    monkeypatch.setenv("MAINLINE_LOG_SPOOL", str(scratch.folder / "spool"))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    settings = settings_for(serve__log__flush_ms=5.0).serve.log
    made = open_log(settings, {"age": "keep"}, release="r", track="stable", place="s3://logs/live")
    made.put(record("shipped", "01T00:00:00"))
    made.close()
    for _ in range(400):
        if (bucket / "live").is_dir() and not list(Path("spool").glob("*.jsonl")):
            break
        time.sleep(0.05)
    assert [item["request_id"] for item in read("s3://logs/live")] == ["shipped"]


def test_without_a_uri_nothing_is_shipped(scratch, settings_for) -> None:
    settings = settings_for().serve.log
    for place, folder in (("", settings.folder), ("mine", "mine")):
        made = open_log(settings, {}, release="r", track="stable", place=place)
        made.put(record("here", "01T00:00:00"))
        made.close()
        assert [item["request_id"] for item in read(folder)] == ["here"]
    assert Shipper(Path("x"), "s3://y")._command[-4:] == ["ship", "s3://y", "--log", "x"]


def test_a_key_in_the_address_is_not_shown() -> None:
    with pytest.raises(UserError, match="cannot be reached") as caught:
        find("what://ann:w@rd@127.0.0.1/log?key=word")
    assert "what://127.0.0.1/log: cannot" in str(caught.value) and "rd@" not in str(caught.value)
