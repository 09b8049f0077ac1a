from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mainline.ci.event import PullRequest
from mainline.ci.train import train
from mainline.errors import UserError
from mainline.objects import place

pytestmark = pytest.mark.usefixtures("quick")

PIPELINE = """
stages:
  only:
    cmd: python step.py
    deps: [data, step.py]
    params: [speed]
    outs: [out.txt]
"""
STEP = """
import os
assert not [key for key in ("GITHUB_TOKEN", "REPO_TOKEN") if key in os.environ], "a stage saw a token"
open("out.txt", "w").write(open("data/1.csv").read() + open("params.yaml").read())
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, git: Callable[..., str], dvc: Callable[..., str]) -> Path:
    """A clone on the branch topic, a bare origin and a DVC remote side by side; nothing is stale."""
    top = tmp_path_factory.mktemp("made")
    folder = top / "work"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "1.csv").write_text("1\n")
    (folder / "params.yaml").write_text("speed: 1\n")
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "step.py").write_text(STEP)
    git(folder, "init", "--quiet", "--initial-branch=topic")
    git(folder, "init", "--quiet", "--bare", "../origin.git")
    git(folder, "remote", "add", "origin", "../origin.git")
    dvc(folder, "init", "--quiet")
    dvc(folder, "remote", "add", "--default", "storage", "../storage")
    dvc(folder, "add", "--quiet", "data")
    dvc(folder, "repro", "--quiet")
    dvc(folder, "push", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=Start")
    git(folder, "push", "--quiet", "origin", "topic")
    git(folder, "branch", "main")
    return top


@pytest.fixture
def clone(made: Path, tmp_path: Path, event: Callable[..., PullRequest]) -> Path:
    """A copy of the clone that a test may change; the working folder is in it."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True, symlinks=True)
    return Path.cwd()


def stored(tmp_path: Path) -> int:
    return sum(item.is_file() for item in (tmp_path / "storage").rglob("*"))


def written() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("reports/reproduction.json").read_text())
    return found


def test_a_lock_that_fits_changes_nothing(clone: Path) -> None:
    assert train("main") is False
    assert written()["case"] == "by hash"


def test_a_changed_param_trains_and_locks_and_pushes_nothing(
    clone: Path, tmp_path: Path, git: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPO_TOKEN", "secret")
    before = stored(tmp_path)
    (clone / "params.yaml").write_text("speed: 2\n")
    git(clone, "commit", "--quiet", "--all", "--message=Faster")
    assert train("main") is True
    assert stored(tmp_path) == before
    assert written()["case"] == "trained" and written()["stale"] == ["only"]


def forged(clone: Path, git: Callable[..., str]) -> str:
    """Commit a lock that claims other outputs; return the lock that is true."""
    lock = (clone / "dvc.lock").read_text()
    md5 = [line.split()[-1] for line in lock.splitlines() if line.strip().startswith("md5:")][-1]
    (clone / "dvc.lock").write_text(lock.replace(md5, "f" * 32))
    git(clone, "commit", "--quiet", "--all", "--message=A claim")
    return lock


def test_a_lock_edited_by_hand_is_replaced_by_what_the_run_made(clone: Path, git: Callable[..., str]) -> None:
    true = forged(clone, git)
    assert train("main") is True
    assert (clone / "dvc.lock").read_text() == true
    assert (written()["case"], written()["changed"]) == ("not compared", ["out.txt"])


def test_mains_own_lock_that_cannot_be_made_again_stops_the_run(clone: Path, git: Callable[..., str]) -> None:
    forged(clone, git)
    git(clone, "branch", "--force", "main")
    names = r"not reproducible: outputs that main's own lock.*out\.txt \(f{32} → \w{32}\); .*names no artifacts/check"
    with pytest.raises(UserError, match=names) as caught:
        train("main")
    assert json.loads((clone / "reports" / "stopped.json").read_text())["problem"] == caught.value.problem


@pytest.mark.parametrize("frozen", [False, True], ids=["plain", "frozen"])
def test_a_lock_that_is_brought_along_is_run_again_whatever_the_remote_holds(
    frozen: bool, clone: Path, git: Callable[..., str], dvc: Callable[..., str], tmp_path: Path
) -> None:
    """Security H5: outputs of other code, committed and pushed; code, data and params give others."""
    (clone / "out.txt").write_text("forged")
    if frozen:
        (clone / "dvc.yaml").write_text(PIPELINE + "    frozen: true\n")
    dvc(clone, "commit", "--quiet", "--force")
    dvc(clone, "push", "--quiet")
    git(clone, "commit", "--quiet", "--all", "--message=A claim")
    shutil.rmtree(clone / ".dvc" / "cache")
    (clone / "out.txt").unlink()
    if frozen:  # DVC would never run it
        with pytest.raises(UserError, match=r"dvc\.yaml: stage only is frozen"):
            train("main")
        return
    assert train("main") is True
    assert (clone / "out.txt").read_text() == "1\nspeed: 1\n"


def test_a_run_that_dvc_remembers_does_not_count(clone: Path, git: Callable[..., str], dvc: Callable[..., str]) -> None:
    """DVC's record of earlier runs may come from another pull request's code."""
    (clone / "params.yaml").write_text("speed: 2\n")
    dvc(clone, "repro", "--quiet")
    true = hashlib.md5(b"1\nspeed: 2\n").hexdigest()
    (record,) = [item for item in (clone / ".dvc/cache/runs").rglob("*") if item.is_file() and true in item.read_text()]
    oid = hashlib.md5(b"forged").hexdigest()
    place(clone / ".dvc/cache", oid).parent.mkdir(exist_ok=True)
    place(clone / ".dvc/cache", oid).write_bytes(b"forged")
    record.write_text(record.read_text().replace(true, oid))

    def forget() -> None:
        git(clone, "checkout", "--quiet", "dvc.lock")
        (clone / "out.txt").unlink()

    forget()
    dvc(clone, "repro", "--quiet")
    assert (clone / "out.txt").read_text() == "forged"
    forget()
    assert train("main") is True
    assert (clone / "out.txt").read_text() == "1\nspeed: 2\n"


def test_outputs_that_the_remote_lacks_are_made_again(clone: Path, tmp_path: Path, dvc: Callable[..., str]) -> None:
    (clone / "out.txt").unlink()
    md5 = dvc(clone, "status", "--cloud", "--json")
    assert md5.strip() == "{}"
    for item in (tmp_path / "storage").rglob("*"):
        if item.is_file() and item.read_bytes() == b"1\nspeed: 1\n":
            item.unlink()
    for item in (clone / ".dvc" / "cache").rglob("*"):
        if item.is_file() and item.read_bytes() == b"1\nspeed: 1\n":
            item.unlink()
    assert train("main") is False
    assert (clone / "out.txt").read_text() == "1\nspeed: 1\n"
    assert written()["case"] == "byte for byte"


def test_batches_that_the_remote_lacks_are_named(clone: Path, tmp_path: Path) -> None:
    for folder in (tmp_path / "storage", clone / ".dvc" / "cache"):
        for item in folder.rglob("*"):
            if item.is_file() and item.read_bytes() == b"1\n":
                item.unlink()
    (clone / "data" / "1.csv").unlink()
    names = r"data\.dvc: the batches are not all in the remote: data/1\.csv \(b026324c6904b2a9cb4b88d6d61c81d1\)$"
    with pytest.raises(UserError) as caught:
        train("main")
    assert re.search(names, caught.value.problem)
    assert re.search(names, json.loads((clone / "reports" / "stopped.json").read_text())["problem"])


def test_a_folder_whose_list_the_remote_lacks_is_named(clone: Path, tmp_path: Path) -> None:
    lists = [item for folder in (tmp_path / "storage", clone / ".dvc" / "cache") for item in folder.rglob("*.dir")]
    assert len(lists) == 2
    for item in lists:
        item.unlink()
    shutil.rmtree(clone / "data")
    with pytest.raises(UserError, match=r"not all in the remote: data \(\w{32}\.dir\)\n") as caught:
        train("main")
    assert "dvc push" in caught.value.fix


def test_a_base_that_is_not_here_is_named(clone: Path) -> None:
    with pytest.raises(UserError, match="base commit bbbbbbbbbbbb is not here") as caught:
        train("b" * 40)
    assert "fetch-depth" in caught.value.fix


def test_what_stopped_an_earlier_run_is_forgotten(clone: Path) -> None:
    (clone / "reports").mkdir()
    (clone / "reports" / "stopped.json").write_text("{}")
    train("main")
    assert not (clone / "reports" / "stopped.json").exists()


def test_a_stage_that_fails_leaves_no_verdict_behind(clone: Path) -> None:
    (clone / "reports").mkdir()
    (clone / "reports" / "verdict.json").write_text('{"verdict": "promote"}')
    (clone / "step.py").write_text("raise SystemExit(3)")
    with pytest.raises(UserError, match="pipeline stopped"):
        train("main")
    assert not (clone / "reports" / "verdict.json").exists()
