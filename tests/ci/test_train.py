from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mainline.ci.event import PullRequest
from mainline.ci.train import train
from mainline.errors import UserError

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
    return top


@pytest.fixture
def clone(made: Path, tmp_path: Path, event: Callable[..., PullRequest]) -> Path:
    """A copy of the clone that a test may change; the working folder is in it."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True, symlinks=True)
    return Path.cwd()


def stored(tmp_path: Path) -> int:
    return sum(item.is_file() for item in (tmp_path / "storage").rglob("*"))


def test_a_lock_that_fits_changes_nothing(clone: Path) -> None:
    assert train(push=True) is False


def test_a_changed_param_trains_and_pushes(
    clone: Path, tmp_path: Path, git: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPO_TOKEN", "secret")
    before = stored(tmp_path)
    (clone / "params.yaml").write_text("speed: 2\n")
    git(clone, "commit", "--quiet", "--all", "--message=Faster")
    assert train(push=True) is True
    assert stored(tmp_path) == before + 1


def test_a_lock_edited_by_hand_is_not_reproducible(clone: Path) -> None:
    lock = (clone / "dvc.lock").read_text()
    md5 = [line.split()[-1] for line in lock.splitlines() if line.strip().startswith("md5:")][-1]
    (clone / "dvc.lock").write_text(lock.replace(md5, "f" * 32))
    with pytest.raises(UserError, match=r"not reproducible.*out\.txt"):
        train(push=True)


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
    assert train(push=True) is False
    assert (clone / "out.txt").read_text() == "1\nspeed: 1\n"


def test_batches_that_the_remote_lacks_are_named(clone: Path, tmp_path: Path) -> None:
    for folder in (tmp_path / "storage", clone / ".dvc" / "cache"):
        for item in folder.rglob("*"):
            if item.is_file() and item.read_bytes() == b"1\n":
                item.unlink()
    (clone / "data" / "1.csv").unlink()
    names = r"data\.dvc: the batches are not all in the remote: data/1\.csv \(b026324c6904b2a9cb4b88d6d61c81d1\)$"
    with pytest.raises(UserError) as caught:
        train(push=True)
    assert re.search(names, caught.value.problem)
    assert re.search(names, json.loads((clone / "reports" / "stopped.json").read_text())["problem"])


def test_a_folder_whose_list_the_remote_lacks_is_named(clone: Path, tmp_path: Path) -> None:
    lists = [item for folder in (tmp_path / "storage", clone / ".dvc" / "cache") for item in folder.rglob("*.dir")]
    assert len(lists) == 2
    for item in lists:
        item.unlink()
    shutil.rmtree(clone / "data")
    with pytest.raises(UserError, match=r"not all in the remote: data \(\w{32}\.dir\)\n") as caught:
        train(push=True)
    assert "dvc push" in caught.value.fix


def test_what_stopped_an_earlier_run_is_forgotten(clone: Path) -> None:
    (clone / "reports").mkdir()
    (clone / "reports" / "stopped.json").write_text("{}")
    train(push=True)
    assert not (clone / "reports" / "stopped.json").exists()


def test_a_stage_that_fails_leaves_no_verdict_behind(clone: Path) -> None:
    (clone / "reports").mkdir()
    (clone / "reports" / "verdict.json").write_text('{"verdict": "promote"}')
    (clone / "step.py").write_text("raise SystemExit(3)")
    with pytest.raises(UserError, match="pipeline stopped"):
        train(push=True)
    assert not (clone / "reports" / "verdict.json").exists()
