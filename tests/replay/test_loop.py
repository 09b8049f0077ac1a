"""The whole loop with the real parts, and what it must leave alone."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from mainline.compare.integrity import remote_integrity
from mainline.errors import UserError
from mainline.monitor.tracker_local import LocalTracker
from mainline.release.ledger import Deploy
from mainline.replay.loop import _champion, windows
from mainline.replay.stage import PLACE, PORT, make_stage
from mainline.serve.log_read import read

ROOT = Path(__file__).parents[2]


def test_the_first_windows_after_the_clock(settings_for: Callable[..., Any]) -> None:
    first, second = windows(settings_for())
    assert (first.name, second.name) == ("2009-06", "2009-07")
    first, second = windows(settings_for(monitor__window="week"))
    assert first.start == dt.datetime(2009, 6, 1, tzinfo=dt.UTC) and second.name == "2009-W24"
    with pytest.raises(UserError, match="as_of is null"):
        windows(settings_for(data__as_of=None))


def test_only_the_port_of_the_proxy_is_changed() -> None:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    before, after = yaml.safe_load(text), yaml.safe_load(PORT.sub(r"\g<1>0", text))
    assert before["rollout"]["proxy"]["port"] == 10000 and after["rollout"]["proxy"]["port"] == 0
    after["rollout"]["proxy"]["port"] = 10000
    assert after == before


def test_a_lock_that_does_not_fit_is_told_before_anything_is_built() -> None:
    """The clone's own `dvc.lock` would differ from what is committed, which is of no use to a person out here."""
    built: list[str] = []
    stage = SimpleNamespace(storage="", dvc=lambda *_: None, git=lambda *_: " M dvc.lock",
                            mainline=lambda *arguments: built.append(arguments[0]))  # fmt: skip
    with pytest.raises(UserError, match=r"dvc\.lock of the newest commit does not fit") as caught:
        _champion(stage)  # type: ignore[arg-type]
    assert "make run" in caught.value.fix and built == []


@pytest.mark.slow
@pytest.mark.parametrize("url", ["../store", "{store}"])
def test_a_replay_writes_nothing_to_storage_and_finds_its_new_data_all_the_same(
    finished_copy: Any, tmp_path: Path, url: str
) -> None:
    clone, store = finished_copy, tmp_path / "store"
    store.mkdir()
    clone.run(*clone.program("mainline"), "remote", url.format(store=store))
    clone.run("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-am", "Move the data")
    before = sorted(store.rglob("*"))
    assert len(before) > 20

    stage = make_stage(clone.folder)
    assert stage.storage == "storage" and stage.git("status", "--porcelain") == ""
    stage.dvc("pull", "--quiet", "--remote", stage.storage, "data.dvc", "replay.dvc")
    shutil.copy(stage.folder / "replay" / "2009-06.csv", stage.folder / "data")
    stage.dvc("add", "--quiet", "data")
    found = remote_integrity(stage.folder)
    assert (found.faults, found.known) == ((), True)
    # A work tree of the retraining has the same remote; the person's storage and configuration are as they were
    assert "remote = replay" in stage.git("show", "main:.dvc/config")
    assert sorted(store.rglob("*")) == before and clone.run("git", "status", "--porcelain") == ""


@pytest.mark.slow
def test_june_2009_goes_the_whole_way_round_and_touches_nothing_else(finished_copy: Any) -> None:
    clone = finished_copy
    path: Path = clone.folder / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    params["rollout"]["rehearsal"] |= {"rate": 60, "pairs": 60, "requests": 5, "seconds": 0.5}
    params["rollout"]["weights"] = [20, 100]
    params["rollout"]["proxy"]["port"] = 0
    path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    clone.dvc("pull", "--quiet", "replay.dvc")
    clone.run("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-am", "Shorten it")
    state = [clone.run("git", *command) for command in (("show-ref",), ("status", "--porcelain"), ("worktree", "list"))]

    # A service for the time being writes the rows' own time
    said = clone.run(*clone.program("mainline"), "replay", "--start", "--until", "2009-06-02", "--rate", "1000")
    times = [item["time"] for item in read(clone.folder / ".mainline" / "replay" / "log")]
    assert times and all("2009-06-01" <= time < "2009-06-02" for time in times), said

    said = clone.run(*clone.program("mainline"), "replay", "--loop", "--approve", "Ada")
    stage = clone.folder / PLACE
    # Drift was found, outcomes confirmed it, and an issue was opened and approved
    assert "2009-06: DRIFT, 642 rows" in said and "WORSE: log_loss" in said, said
    issues = LocalTracker(stage / ".mainline" / "issues").all()
    (approved,) = [item for item in issues if "retrain-approved" in item.labels]
    assert "performance" in approved.labels
    # The new champion was compared, released and rolled out with no request lost
    verdict = json.loads((stage / "reports" / "verdict.json").read_text(encoding="utf-8"))
    assert verdict["verdict"] == "promote", said
    deploy = Deploy.open(stage / ".mainline" / "deploy")
    now = deploy.state("production")
    assert now.stable and len(now.previous) == 1 and ", 0 failed" in said
    assert f"predicted by {now.stable}" in said and f"predicted by {now.previous[0]}" in said
    # The next window was watched against the new champion, and what it says stands there
    assert "2009-07: " in said and "2009-07, new champion" in said
    assert ("not calm" in said) == (now.stable != "" and approved.open)
    # The person's repository is what it was
    assert state == [
        clone.run("git", *command) for command in (("show-ref",), ("status", "--porcelain"), ("worktree", "list"))
    ]
    assert not (clone.folder / ".mainline" / "deploy").exists()
    assert not (clone.folder / ".mainline" / "issues").exists()
