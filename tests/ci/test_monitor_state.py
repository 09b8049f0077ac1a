"""Windows on branch deploy: none lost, none counted twice, beside a rollout that writes there, too."""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mainline.ci.monitor_state import Beat, last_beat, put_beat, restore, save
from mainline.config import Monitor
from mainline.data.profile import Profile, count, make_bins
from mainline.errors import UserError
from mainline.files import write_json
from mainline.monitor.build import Scan
from mainline.monitor.store import Store
from mainline.monitor.watch import watch
from mainline.release.ledger import Deploy

pytestmark = pytest.mark.usefixtures("quick")

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
DAYS, KILLS = 33, 10
Git = Callable[..., str]


@pytest.fixture
def bare(tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bare origin whose own processes live on when a run is killed, as those of a server do."""
    git(tmp_path, "init", "--quiet", "--bare", "origin.git")
    for name, value in (
        ("COUNT", "2"),
        ("KEY_0", "remote.origin.receivepack"), ("VALUE_0", "setsid git-receive-pack"),
        ("KEY_1", "remote.origin.uploadpack"), ("VALUE_1", "setsid git-upload-pack"),
    ):  # fmt: skip
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    return tmp_path / "origin.git"


def opened(bare: Path, folder: Path) -> Deploy:
    return Deploy.open(folder, str(bare))


def window(folder: Path, name: str, text: str = "{}\n") -> Path:
    path = folder / "windows" / "ref-day-all" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    write_json(folder / "report.json", {"of": name})
    return path


@pytest.fixture(scope="module")
def reference() -> Profile:
    rows = pd.DataFrame({"age": np.random.default_rng(0).normal(40, 10, 5000)})
    return count(rows, make_bins(rows, ["age"], 20, 0.25))


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int]]:
    """A log of some predictions a day, and how many of them each day has; one day has none."""
    generator, lines, sizes = np.random.default_rng(1), [], {}
    for day in range(DAYS):
        date = START + dt.timedelta(days=day)
        sizes[f"{date:%Y-%m-%d}"] = size = 0 if day == 7 else int(generator.integers(5, 40))
        for number in range(size):
            lines.append({
                "kind": "prediction", "time": f"{date + dt.timedelta(minutes=number):%Y-%m-%dT%H:%M:%S}.000Z",
                "request_id": f"{day}-{number}", "row": 0, "release": "r", "track": "stable",
                "features": {"age": float(generator.normal(40, 10))}, "score": None, "decision": None,
                "latency_ms": None,
            })  # fmt: skip
    folder = tmp_path_factory.mktemp("log")
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return folder, sizes


def one_run(bare: Path, work: Path, log: Path, reference: Profile, days: int) -> None:
    """Do what a run of the workflow does, on a machine that knows nothing."""
    deploy, folder, until = opened(bare, work / "deploy"), work / "monitor", START + dt.timedelta(days=days)
    restore(deploy, "log", folder)
    store = Store(folder, "ref", "day")
    done = watch(str(log), reference, store, Monitor(), Scan(bins=reference.bins, length="day"), until)
    write_json(folder / "report.json", {"windows": [kept.judged.to_dict() for kept in done]})
    save(deploy, "log", folder)
    put_beat(deploy, "log", Beat(until, f"run {days}", 0))


def begun(run: Callable[[], None]) -> int:
    """Start ``run`` in a process of its own, with a group of its own."""
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        code = 1
        try:
            run()
            code = 0
        finally:
            os._exit(code)
    os.setpgid(pid, pid)  # here too: whoever is first, its group is there before it is killed
    return pid


def test_runs_that_are_killed_at_any_moment_lose_no_window_and_count_none_twice(
    bare: Path, tmp_path: Path, git: Git, reference: Profile, rows: tuple[Path, dict[str, int]]
) -> None:
    log, sizes = rows
    whole = time.monotonic()
    assert os.waitpid(begun(lambda: one_run(bare, tmp_path / "first", log, reference, 1)), 0)[1] == 0
    whole = time.monotonic() - whole
    dice, killed, tries = random.Random(20260101), 0, 0
    while killed < KILLS:  # a run that came to its end before its kill does not count
        days, tries = 2 + 3 * killed, tries + 1
        assert tries <= 5 * KILLS, f"{killed} of {tries} runs were killed"
        pid = begun(lambda n=tries, d=days: one_run(bare, tmp_path / f"run-{n}", log, reference, d))  # type: ignore[misc]
        time.sleep(dice.uniform(0, whole))
        if os.waitpid(pid, os.WNOHANG) == (0, 0):
            os.killpg(pid, signal.SIGKILL)
            killed += os.WIFSIGNALED(os.waitpid(pid, 0)[1])
    one_run(bare, tmp_path / "last", log, reference, DAYS)

    place = "monitor/log/windows/ref-day-all"
    kept = {
        Path(path).stem: json.loads(git(bare, "show", f"deploy:{path}"))["judged"]["rows"]
        for path in git(bare, "ls-tree", "-r", "--name-only", "deploy", place).splitlines()
    }
    assert kept == sizes  # lost 0
    history = git(bare, "log", "--format=", "--name-status", "deploy", "--", place).splitlines()
    assert sorted(line.split("\t")[0] for line in history) == ["A"] * DAYS  # counted twice 0
    beat = last_beat(opened(bare, tmp_path / "look"))
    assert beat is not None and beat.run == f"run {DAYS}"


def test_the_next_machine_knows_what_the_last_one_watched(bare: Path, tmp_path: Path) -> None:
    deploy, folder = opened(bare, tmp_path / "a"), tmp_path / "monitor"
    window(folder, "2026-01-01")
    assert save(deploy, "log", folder) == 1
    head = deploy.head()
    assert save(deploy, "log", folder) == 0 and deploy.head() == head  # nothing new, no commit
    there = tmp_path / "there"
    assert restore(opened(bare, tmp_path / "b"), "log", there) == 1
    assert (there / "report.json").read_bytes() == (folder / "report.json").read_bytes()
    # A demonstration is another story.
    assert restore(opened(bare, tmp_path / "b"), "demo", tmp_path / "demo") == 0
    # People look at this folder: thousands of windows are not for them, and no change either.
    assert not (tmp_path / "b" / "monitor").exists()
    assert deploy.repo.git("status", "--porcelain").strip() == ""


def test_of_two_runs_at_once_the_first_one_counts(
    bare: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = opened(bare, tmp_path / "a"), opened(bare, tmp_path / "b")
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    window(mine, "2026-01-01", '{"rows": 1}\n')
    assert save(one, "log", mine) == 1
    twice = window(theirs, "2026-01-01", '{"rows": 2}\n')
    window(theirs, "2026-01-02")
    assert save(other, "log", theirs) == 1
    assert "another run has watched this window" in capsys.readouterr().out
    assert twice.read_text() == '{"rows": 1}\n'
    assert other.repo.read("monitor/log/windows/ref-day-all/2026-01-01.json") == '{"rows": 1}\n'


def test_a_window_that_was_watched_again_replaces_the_one_on_the_branch(bare: Path, tmp_path: Path, git: Git) -> None:
    one, folder = opened(bare, tmp_path / "a"), tmp_path / "mine"
    window(folder, "2026-01-01", '{"rows": 1}\n')
    assert save(one, "log", folder) == 1
    window(folder, "2026-01-01", '{"again": 1, "rows": 2}\n')
    assert save(one, "log", folder) == 0
    assert one.repo.read("monitor/log/windows/ref-day-all/2026-01-01.json") == '{"again": 1, "rows": 2}\n'
    assert "0 windows watched, 1 again" in git(bare, "log", "-1", "--format=%s", "deploy")
    # A run that knows only the first version takes nothing back
    old = tmp_path / "old"
    path = window(old, "2026-01-01", '{"rows": 1}\n')
    save(opened(bare, tmp_path / "b"), "log", old)
    assert json.loads(path.read_text()) == {"again": 1, "rows": 2}


def test_a_run_that_was_overtaken_looks_again(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = opened(bare, tmp_path / "a"), opened(bare, tmp_path / "b")
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    window(mine, "2026-01-01", '{"rows": 1}\n')
    window(theirs, "2026-01-01", '{"rows": 2}\n')
    refresh, late = Deploy.refresh, [theirs]

    def overtaken(self: Deploy) -> str:
        head = refresh(self)
        if self is one and late:
            save(other, "log", late.pop())
        return head

    monkeypatch.setattr(Deploy, "refresh", overtaken)
    assert save(one, "log", mine) == 0
    assert one.repo.read("monitor/log/windows/ref-day-all/2026-01-01.json") == '{"rows": 2}\n'


def test_a_beat_is_read_as_it_was_written_and_rubbish_is_an_error(bare: Path, tmp_path: Path) -> None:
    deploy = opened(bare, tmp_path / "a")
    assert last_beat(deploy) is None and last_beat(None) is None
    put_beat(deploy, "demo", Beat(START, "demo", 1))
    assert last_beat(deploy) is None  # production is not watched by a demonstration
    put_beat(deploy, "log", Beat(START, "https://example.org/1", 3))
    assert last_beat(opened(bare, tmp_path / "b")) == Beat(START, "https://example.org/1", 3)
    deploy.keep("rubbish", {"monitor/log/beat.json": "{}"}, expect=deploy.head())
    with pytest.raises(UserError, match="is no beat"):
        last_beat(deploy)


def test_without_a_report_nothing_is_kept(bare: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"report\.json: not there"):
        save(opened(bare, tmp_path / "a"), "log", tmp_path / "empty")
