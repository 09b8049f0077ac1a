"""What a run has locked: a commit in its own clone, and files for the workflow that commits them to the branch."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mainline.ci.event import PullRequest
from mainline.ci.lock import PACKED, commit_lock
from mainline.ci.lock_check import parse, tree_with

OLD, NEW = ".dvc/embedded/files/md5/aa/" + "1" * 30, ".dvc/embedded/files/md5/bb/" + "2" * 30


@pytest.fixture
def clone(tmp_path: Path, git: Callable[..., str], event: Callable[..., PullRequest]) -> Path:
    """The working folder is a clone with a lock and an object."""
    event()
    here = Path.cwd()
    for name in (OLD, "dvc.lock", "params.yaml"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_bytes(b"a\x00\xff\n")
    git(here, "init", "--quiet", "--initial-branch=topic")
    git(here, "add", "--all")
    git(here, "commit", "--quiet", "--message=Start")
    return here


def test_a_lock_that_did_not_change_is_no_commit(
    clone: Path, event: Callable[..., PullRequest], git: Callable[..., str]
) -> None:
    head = git(clone, "rev-parse", "HEAD")
    assert commit_lock(event()) == head
    packed = json.loads((clone / PACKED).read_text())
    assert (packed["additions"], packed["deletions"]) == ([], [])


def test_only_the_lock_and_its_objects_are_committed_and_packed(
    clone: Path, event: Callable[..., PullRequest], git: Callable[..., str]
) -> None:
    head = git(clone, "rev-parse", "HEAD")
    (clone / OLD).unlink()
    (clone / NEW).parent.mkdir(parents=True)
    (clone / NEW).write_bytes(b"\x00\xfe")
    (clone / NEW).chmod(0o444)  # as DVC leaves it
    (clone / "dvc.lock").write_text("new")
    (clone / "params.yaml").write_text("not to be committed")
    (clone / "stray.txt").write_text("not to be committed")
    made = commit_lock(event(head=head))
    assert git(clone, "log", "-1", "--format=%an %s") == f"github-actions[bot] Lock the outputs of {head[:7]}"
    assert git(clone, "diff", "--name-status", "--no-renames", head, made).split() == [
        "D",
        OLD,
        "A",
        NEW,
        "M",
        "dvc.lock",
    ]
    packed = json.loads((clone / PACKED).read_text())
    assert {item["path"]: base64.b64decode(item["contents"]) for item in packed["additions"]} == {
        NEW: b"\x00\xfe", "dvc.lock": b"new"}  # fmt: skip
    assert packed["deletions"] == [{"path": OLD}]
    # What the workflow `report` makes of it, in a clone of its own, is the same tree.
    assert tree_with(parse(packed), head, clone) == git(clone, "rev-parse", f"{made}^{{tree}}")
    assert git(clone, "status", "--porcelain").split() == ["M", "params.yaml", "??", "reports/", "??", "stray.txt"]


def test_a_planted_hook_does_not_run(clone: Path, event: Callable[..., PullRequest]) -> None:
    hook = clone / ".git" / "hooks" / "pre-commit"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    (clone / "dvc.lock").write_text("new")
    commit_lock(event())
