"""The verdict of a merge, asked of the stand-in for GitHub: the right one, or the reason why there is none."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mainline.ci import release_build
from mainline.ci.release_verdict import merged_verdict
from mainline.github import GitHub

LOCK = "stages:\n  train:\n    outs:\n    - path: artifacts/model.skops\n      md5: {}\n"
SUBJECT = "Merge pull request #7 from ada/topic"
BOT = {"login": "github-actions[bot]", "type": "Bot"}


def git(root: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


@dataclass
class Merge:
    """A clone at a merge commit; the head that was merged is known to its origin alone."""

    root: Path
    head: str
    commit: str


@pytest.fixture
def merged(tmp_path: Path, hub: Any) -> Callable[..., Merge]:
    """Return a function that squashes a branch, whose lock pins model ``judged``, into a commit that pins another."""

    def make(judged: str = "a", released: str = "a", subject: str = SUBJECT) -> Merge:
        origin, clone = tmp_path / "origin", tmp_path / "clone"
        git(tmp_path, "init", "--quiet", "--initial-branch=main", str(origin))
        git(origin, "commit", "--quiet", "--allow-empty", "--message=begin")
        git(tmp_path, "clone", "--quiet", str(origin), str(clone))
        git(origin, "switch", "--quiet", "--create", "topic")
        for branch, model, message in (("topic", judged, "work"), ("main", released, subject)):
            git(origin, "switch", "--quiet", branch)
            (origin / "dvc.lock").write_text(LOCK.format(model), encoding="utf-8")
            git(origin, "add", "--all")
            git(origin, "commit", "--quiet", f"--message={message}")
        found = Merge(clone, git(origin, "rev-parse", "topic"), git(origin, "rev-parse", "main"))
        git(clone, "pull", "--quiet", "origin", "main")
        hub.pulls[7] = {"number": 7, "merged": True, "merge_commit_sha": found.commit, "head": {"sha": found.head}}
        return found

    return make


def say(hub: Any, commit: str, description: str, state: str = "success", context: str = "mainline/verdict") -> None:
    hub.statuses.append({"sha": commit, "state": state, "description": description, "context": context, "creator": BOT})


def test_the_newest_status_on_the_merged_head_is_the_verdict(
    merged: Callable[..., Merge], hub: Any, server: GitHub
) -> None:
    merge = merged()
    say(hub, merge.head, "reject: worse", "failure")
    say(hub, merge.head, "promote: better: log_loss 0.31")
    say(hub, merge.head, "reject: of another check", "failure", context="other")
    say(hub, merge.commit, "hold: on the merge itself", "failure")
    assert merged_verdict(merge.commit, server, merge.root) == {
        "verdict": "promote",
        "reason": "better: log_loss 0.31",
        "source": f"status mainline/verdict on {merge.head} of #7, set by github-actions[bot]",
    }


def test_a_merge_against_the_verdict_is_told_as_it_is(merged: Callable[..., Merge], hub: Any, server: GitHub) -> None:
    merge = merged()
    say(hub, merge.head, "hold: too few rows", "failure")
    assert merged_verdict(merge.commit, server, merge.root)["verdict"] == "hold"


Plant = Callable[[Any, Merge], object]
MISSING: list[tuple[dict[str, str], Plant, str]] = [
    ({"subject": "Work"}, lambda hub, merge: None, "the commit names no pull request"),
    ({}, lambda hub, merge: hub.statuses.clear(), "no status mainline/verdict"),
    ({}, lambda hub, merge: say(hub, merge.head, "documentation only: nothing to train"), "documentation only"),
    ({}, lambda hub, merge: say(hub, merge.head, "promote: x", "pending"), "contradicts itself: pending, promote"),
    ({}, lambda hub, merge: say(hub, merge.head, "reject: x"), "contradicts itself: success, reject"),
    ({}, lambda hub, merge: hub.pulls[7].update(merged=False), "does not say that #7 was merged as this commit"),
    ({}, lambda hub, merge: hub.pulls[7].update(merge_commit_sha="c" * 40), "was merged as this commit"),
    ({}, lambda hub, merge: hub.pulls.clear(), "GET pulls/7"),
    ({}, lambda hub, merge: hub.refuse.update({"/statuses": 403}), "403"),
    ({"judged": "b"}, lambda hub, merge: None, "is about another model"),
    ({}, lambda hub, merge: git(merge.root, "remote", "set-url", "origin", "/nowhere"), "git fetch"),
]


@pytest.mark.parametrize(("made", "plant", "words"), MISSING, ids=[item[2][:30] for item in MISSING])
def test_without_one_the_ledger_says_why(
    merged: Callable[..., Merge], hub: Any, server: GitHub, made: dict[str, str], plant: Plant, words: str
) -> None:
    merge = merged(**made)
    say(hub, merge.head, "promote: better")
    plant(hub, merge)
    found = merged_verdict(merge.commit, server, merge.root)
    assert found["verdict"].startswith("not found: ") and words in found["verdict"], found


def test_the_build_in_the_workflow_asks_for_it(
    merged: Callable[..., Merge], hub: Any, server: GitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    merge, got = merged(), []

    def built(root: Path, where: Path, deploy: Any, ask: Any) -> Any:
        got.append(ask(merge.commit))
        raise InterruptedError

    done = subprocess.CompletedProcess([], 0)
    monkeypatch.setattr(release_build, "outputs", lambda root: None)
    monkeypatch.setattr(release_build.subprocess, "run", lambda *_, **__: done)
    monkeypatch.setattr(release_build, "build", built)
    say(hub, merge.head, "promote: better")
    with pytest.raises(InterruptedError):
        release_build.make(None, server, merge.root)  # type: ignore[arg-type]
    assert got[0]["verdict"] == "promote"
