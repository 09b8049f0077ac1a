"""The prediction log: whole lines, counted losses, nothing that a request would notice."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mainline.project import Marks
from mainline.serve.log import PredictionLog, log_columns, read, sampled, stamp
from mainline.serve.log_files import seal_orphans

ROOT = Path(__file__).parents[2]


def record(number: int = 0, **changes: Any) -> dict[str, Any]:
    usual = {
        "kind": "prediction", "request_id": f"r{number}", "row": 0, "score": 0.25, "decision": True, "latency_ms": 0.5,
        "features": {"age": 30, "job": "admin."},
    }  # fmt: skip
    return {**usual, **changes}


@pytest.fixture
def open_log(tmp_path: Path) -> Iterator[Callable[..., PredictionLog]]:
    logs = []

    def make(**changes: Any) -> PredictionLog:
        usual: dict[str, Any] = {
            "folder": tmp_path / "log", "release": "r", "track": "stable", "columns": {"age": "keep", "job": "keep"},
            "flush_ms": 5.0,
        }  # fmt: skip
        logs.append(PredictionLog(**{**usual, **changes}))
        return logs[-1]

    yield make
    for log in logs:
        log.close()


def wait_for(what: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.005)


def test_every_record_is_read_back_in_order(open_log, tmp_path: Path) -> None:
    log = open_log(track="canary", release="bank-0123456789ab")
    before = stamp()
    for number in range(1000):
        log.put(record(number))
    log.put({"kind": "feedback", "request_id": "r1", "row": 0, "outcome": "yes", "time": "2009-06-01T00:00:00.000Z"})
    log.put(record(1000, track="shadow"))
    log.close()
    found = list(read(tmp_path / "log"))
    assert [item["request_id"] for item in found[:1000]] == [f"r{number}" for number in range(1000)]
    assert found[7] == record(7, release="bank-0123456789ab", track="canary", time=found[7]["time"])
    assert before <= found[0]["time"] <= stamp()
    assert found[1000]["outcome"] == "yes" and "release" not in found[1000]
    assert found[1001]["track"] == "shadow"
    assert (log.written, log.dropped) == (1002, 0)
    (file,) = (tmp_path / "log").iterdir()
    assert file.suffix == ".jsonl" and file.stat().st_mode & 0o777 == 0o640


def test_only_allowed_columns_are_written_and_personal_ones_never_as_they_are(open_log, tmp_path: Path) -> None:
    log = open_log(columns={"age": "keep", "name": "hash", "phone": "drop"})
    log.put(record(features={"age": 30, "name": "Ada", "phone": "555", "address": "nowhere"}))
    log.close()
    (file,) = (tmp_path / "log").iterdir()
    text = file.read_text()
    features = json.loads(text)["features"]
    assert features == {"age": 30, "name": features["name"], "phone": None}
    assert features["name"].startswith("sha256:")
    assert not any(word in text for word in ("Ada", "555", "nowhere"))


def test_the_columns_are_the_models_and_the_id_without_what_is_marked_drop(settings_for) -> None:
    marks = {name: Marks(pii=pii) for name, pii in (("row_id", "hash"), ("a", "keep"), ("b", "drop"), ("c", "keep"))}
    assert log_columns(("a", "b"), settings_for().data, marks) == {"a": "keep", "row_id": "hash"}
    assert log_columns(("a",), settings_for(data__id=None).data, marks) == {"a": "keep"}


def test_sampling_keeps_whole_requests_and_the_same_ones_everywhere(open_log, tmp_path: Path) -> None:
    stable, shadow = open_log(sample=0.3), open_log(sample=0.3, folder=tmp_path / "shadow")
    for number in range(2000):
        for log in (stable, shadow):
            log.put(record(number, row=0))
            log.put(record(number, row=1))
    stable.close()
    shadow.close()
    kept = [(item["request_id"], item["row"]) for item in read(tmp_path / "log")]
    assert kept == [(item["request_id"], item["row"]) for item in read(tmp_path / "shadow")]
    assert 500 < len({name for name, _ in kept}) < 700 and len(kept) == 2 * len({name for name, _ in kept})
    assert stable.dropped == 0
    assert not any(sampled(f"r{number}", 0.0) for number in range(100))
    assert all(sampled(f"r{number}", 1.0) for number in range(100))


def test_awkward_values_become_json_and_impossible_ones_cost_only_themselves(open_log, tmp_path: Path) -> None:
    log = open_log()
    log.put(record(0, score=float("nan"), features={"age": np.int64(3), "job": "Z\ud800\n\u2028"}))
    log.put(record(1, score=np.float64("inf"), decision=np.bool_(True)))
    log.put(record(2, score=np.array([0.5, 0.25])))
    circle: list[Any] = []
    circle.append(circle)
    log.put(record(3, decision=circle))
    log.put(None)  # type: ignore[arg-type]
    log.put(record(4))
    log.close()
    found = {item["request_id"]: item for item in read(tmp_path / "log")}
    assert set(found) == {"r0", "r1", "r2", "r4"} and log.dropped == 2
    assert found["r0"]["score"] is None and found["r0"]["features"] == {"age": 3, "job": "Z\ud800\n\u2028"}
    assert found["r1"]["score"] is None and found["r1"]["decision"] is True
    assert found["r2"]["score"] == [0.5, 0.25]


def test_many_threads_lose_nothing(open_log, tmp_path: Path) -> None:
    log = open_log(limit=100_000)
    threads = [
        threading.Thread(target=lambda start=start: [log.put(record(start + n)) for n in range(500)])
        for start in range(0, 4000, 500)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    log.close(30)
    assert {item["request_id"] for item in read(tmp_path / "log")} == {f"r{n}" for n in range(4000)}


def test_files_rotate_by_size_and_by_age_and_keep_every_record(open_log, tmp_path: Path) -> None:
    closed: list[Path] = []
    log = open_log(rotate_mb=0.02, sealed=closed.append)
    for number in range(1000):
        log.put(record(number))
    log.close()
    assert len(closed) > 5 and sorted(closed) == sorted((tmp_path / "log").iterdir())
    assert max(path.stat().st_size for path in closed) < 40_000
    assert {item["request_id"] for item in read(tmp_path / "log")} == {f"r{n}" for n in range(1000)}
    aged = open_log(folder=tmp_path / "aged", rotate_minutes=0.05 / 60)
    aged.put(record())
    wait_for(lambda: len(list((tmp_path / "aged").glob("*.jsonl"))) == 1)


def test_a_full_queue_drops_and_counts_and_put_does_not_wait(open_log, tmp_path: Path) -> None:
    log = open_log(limit=100, flush_ms=60_000.0)
    for number in range(250):
        log.put(record(number))
    assert log.dropped == 150
    log.close()
    assert len(list(read(tmp_path / "log"))) == 100
    log.put(record(1000))
    assert log.dropped == 151, "after close"


# What a machine can do to it.


def test_kill_9_keeps_what_was_acknowledged_and_tears_nothing(tmp_path: Path) -> None:
    program = """
import sys, time
from mainline.serve.log import PredictionLog
log = PredictionLog(sys.argv[1], release="r", track="stable", columns={"age": "keep"}, flush_ms=5)
for number in range(10**9):
    log.put({"kind": "prediction", "request_id": f"r{number}", "row": 0, "features": {"age": number}, "score": 0.5})
    if number % 50 == 49:
        print(log.written, flush=True)
        time.sleep(0.001)
"""
    command = [sys.executable, "-c", program, str(tmp_path / "log")]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT / "src")}
    )
    assert process.stdout is not None
    acknowledged = 0
    for line in process.stdout:
        acknowledged = int(line)
        if acknowledged > 3000:
            process.kill()
            break
    rest = process.stdout.read().split()
    acknowledged = int(rest[-1]) if rest else acknowledged
    assert process.wait(20) == -signal.SIGKILL
    (left,) = (tmp_path / "log").iterdir()
    assert left.name.endswith(".jsonl.open"), "nobody had the time to close it"
    records = read(tmp_path / "log")
    numbers = [item["features"]["age"] for item in records]
    assert numbers == list(range(len(numbers))) and len(numbers) >= acknowledged
    assert records.torn == 0


def test_the_next_process_closes_what_a_killed_one_left_and_nobody_elses(open_log, tmp_path: Path) -> None:
    living = open_log()
    living.put(record(1))
    wait_for(lambda: living.written == 1)
    folder = tmp_path / "log"
    (folder / "20090601T000000-1-aa.jsonl.open").write_text(json.dumps(record(2)) + '\n{"kind": "predi')
    (folder / "20090601T000000-1-bb.jsonl.open").write_text("")
    other = open_log()
    other.put(record(3))
    wait_for(lambda: other.written == 1)
    names = sorted(path.name for path in folder.iterdir())
    assert names[0] == "20090601T000000-1-aa.jsonl" and len(names) == 3
    assert sum(name.endswith(".open") for name in names) == 2, "both writers live"
    assert seal_orphans(folder) == []
    records = read(folder)
    assert sorted(item["request_id"] for item in records) == ["r1", "r2", "r3"] and records.torn == 1


def test_a_removed_folder_comes_back_with_the_next_record(open_log, tmp_path: Path) -> None:
    log = open_log()
    log.put(record(1))
    wait_for(lambda: log.written == 1)
    for path in (tmp_path / "log").iterdir():
        path.unlink()
    (tmp_path / "log").rmdir()
    log.put(record(2))
    wait_for(lambda: log.written == 2)
    assert [item["request_id"] for item in read(tmp_path / "log")] == ["r2"]


@pytest.mark.parametrize("fault", ["file in the way", "read-only"])
def test_a_folder_that_cannot_be_written_costs_nothing_until_the_queue_is_full(
    fault: str, open_log, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("mainline.serve.log.RETRY_SECONDS", 0.02)
    if fault == "read-only" and os.geteuid() == 0:
        pytest.skip("nothing is read-only for root")
    (tmp_path / "above").mkdir()
    if fault == "read-only":
        (tmp_path / "above").chmod(0o500)
    else:
        (tmp_path / "above" / "log").write_text("in the way")
    log = open_log(folder=tmp_path / "above" / "log", limit=500)
    for number in range(100):
        log.put(record(number))
    wait_for(lambda: bool(log.failing))
    for number in range(100, 1000):
        log.put(record(number))
    assert log.written == 0 and 0 < log.dropped < 600
    dropped = log.dropped
    (tmp_path / "above").chmod(0o700)
    (tmp_path / "above" / "log").unlink(missing_ok=True)
    wait_for(lambda: log.written == 1000 - dropped)
    assert not log.failing
    log.put(record(1000))
    log.close()
    found = [item["request_id"] for item in read(tmp_path / "above" / "log")]
    assert found == [f"r{n}" for n in range(len(found) - 1)] + ["r1000"] and len(found) == 1001 - dropped


def test_a_disk_that_fills_up_leaves_no_half_line_and_goes_on_when_there_is_space(tmp_path: Path) -> None:
    # The limit on a file's size does what a full disk does: a write is cut short, then refused.
    program = """
import json, resource, sys, time
from mainline.serve import log as module
module.RETRY_SECONDS = 0.05
log = module.PredictionLog(sys.argv[1], release="r", track="stable", columns={}, flush_ms=2, limit=200)
number = 0
def put():
    global number
    log.put({"kind": "prediction", "request_id": f"r{number}", "row": 0, "score": 0.5}); number += 1
for _ in range(100): put()
while log.written < 100: time.sleep(0.001)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
while not log.failing:
    put(); time.sleep(0.0005)
full = log.written
for _ in range(500): put()
dropped = log.dropped
time.sleep(0.2)
still = log.written
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
while log.failing: time.sleep(0.001)
put()
log.close()
found = {"full": full, "still": still, "dropped": dropped, "end": log.dropped, "put": number, "written": log.written}
print(json.dumps(found))
"""
    command = [sys.executable, "-c", program, str(tmp_path / "log")]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["full"] == facts["still"] and facts["dropped"] == facts["end"] > 0
    records = read(tmp_path / "log")
    names = [item["request_id"] for item in records]
    assert records.torn == 0 and len(names) == len(set(names)) == facts["written"] == facts["put"] - facts["dropped"]
    assert names[-1] == f"r{facts['put'] - 1}"
    assert "prediction log" in done.stderr and "request_id" not in done.stderr


def test_a_process_that_ends_by_itself_writes_the_last_records(tmp_path: Path) -> None:
    program = (
        "import sys; from mainline.serve.log import PredictionLog;"
        "log = PredictionLog(sys.argv[1], release='r', track='stable', columns={}, flush_ms=60000);"
        "log.put({'request_id': 'last'})"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "log")]
    subprocess.run(command, check=True, timeout=60, env=os.environ | {"PYTHONPATH": str(ROOT / "src")})
    assert [item["request_id"] for item in read(tmp_path / "log")] == ["last"]
    assert [path.suffix for path in (tmp_path / "log").iterdir()] == [".jsonl"]


def test_the_log_holds_three_thousand_records_a_second_without_a_drop(open_log, tmp_path: Path) -> None:
    log = open_log(flush_ms=100.0)
    before = resource.getrusage(resource.RUSAGE_SELF)
    for number in range(6000):
        log.put(record(number))
        if number % 300 == 299:
            time.sleep(0.05)  # 6,000 a second at most, in bursts
    log.close(30)
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert (log.written, log.dropped) == (6000, 0)
    # Processor time, not the clock: a busy machine must not decide.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2.0
