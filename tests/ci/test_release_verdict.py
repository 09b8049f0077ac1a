"""The verdict of a merge, asked of the stand-in for GitHub: the right one, or the reason why there is none."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mainline.ci import release_build
from mainline.ci.release_verdict import merged_verdict, unjudged
from mainline.errors import UserError
from mainline.github import GitHub

ROOT = Path(__file__).parents[2]
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
        add(hub, 7, found.head, found.commit)
        return found

    return make


def add(hub: Any, number: int, head: str, merge: str, *brought: str) -> None:
    """Let GitHub know of a merged pull request."""
    facts = {"number": number, "merged": True, "merge_commit_sha": merge, "head": {"sha": head}}
    hub.pulls[number] = facts | {"brought": brought or (merge,), "commits": len(brought) or 1}


def say(
    hub: Any, commit: str, description: str, state: str = "success", context: str = "mainline/verdict", by: Any = None
) -> None:
    said = {"sha": commit, "state": state, "description": description, "context": context, "creator": by or BOT}
    hub.statuses.append(said)


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
        "pull_request": 7,
    }


def test_a_merge_against_the_verdict_is_told_as_it_is(merged: Callable[..., Merge], hub: Any, server: GitHub) -> None:
    merge = merged()
    say(hub, merge.head, "hold: too few rows", "failure")
    assert merged_verdict(merge.commit, server, merge.root)["verdict"] == "hold"


Plant = Callable[[Any, Merge], object]
MISSING: list[tuple[dict[str, str], Plant, str]] = [
    ({}, lambda hub, merge: hub.pulls[7].update(brought=()), "GitHub knows of no pull request that was merged"),
    ({}, lambda hub, merge: say(hub, merge.head, "promote: x", by={"login": "eve", "type": "User"}), "set by eve"),
    ({}, lambda hub, merge: hub.statuses.clear(), "no status mainline/verdict"),
    ({}, lambda hub, merge: say(hub, merge.head, "documentation only: nothing to train"), "documentation only"),
    ({}, lambda hub, merge: say(hub, merge.head, "promote: x", "pending"), "contradicts itself: pending, promote"),
    ({}, lambda hub, merge: say(hub, merge.head, "reject: x"), "contradicts itself: success, reject"),
    ({}, lambda hub, merge: hub.pulls[7].update(merged=False), "no pull request that was merged as this commit"),
    ({}, lambda hub, merge: hub.pulls[7].update(merge_commit_sha="c" * 40), "that was merged as this commit"),
    ({}, lambda hub, merge: hub.refuse.update({"/pulls/7": 403}), "GET pulls/7"),
    ({}, lambda hub, merge: hub.refuse.update({f"/commits/{merge.commit}/pulls": 403}), "403"),
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

    (merge.root / "params.yaml").write_text((ROOT / "params.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    done = subprocess.CompletedProcess([], 0)
    monkeypatch.setattr(release_build, "outputs", lambda root, *, other_bytes: None)
    monkeypatch.setattr(release_build.subprocess, "run", lambda *_, **__: done)
    monkeypatch.setattr(release_build, "build", built)
    say(hub, merge.head, "promote: better")
    with pytest.raises(InterruptedError):
        release_build.make(None, server, merge.root)  # type: ignore[arg-type]
    assert got[0]["verdict"] == "promote"


def test_the_number_needs_no_subject(merged: Callable[..., Merge], hub: Any, server: GitHub) -> None:
    """After a rebase merge the subject is the author's own."""
    merge = merged(subject="Work")
    say(hub, merge.head, "promote: better")
    assert merged_verdict(merge.commit, server, merge.root)["pull_request"] == 7


@dataclass
class Line:
    """A clone whose main grows commit by commit."""

    root: Path
    hub: Any

    def add(self, name: str = "dvc.lock", *, number: int = 0, said: str = "promote: x", state: str = "success") -> str:
        """Commit a change of ``name``; with ``number`` it came by a pull request with that verdict."""
        text = LOCK.format(len(list(self.root.iterdir())) + self._count()) if name == "dvc.lock" else str(self._count())
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text, encoding="utf-8")
        git(self.root, "add", "--all")
        git(self.root, "commit", "--quiet", f"--message={name}")
        commit = git(self.root, "rev-parse", "HEAD")
        if number:
            add(self.hub, number, commit, commit)
            say(self.hub, commit, said, state)
        return commit

    def _count(self) -> int:
        return int(git(self.root, "rev-list", "--count", "--all") or 0)


@pytest.fixture
def line(tmp_path: Path, hub: Any) -> Line:
    (tmp_path / "line").mkdir()
    git(tmp_path / "line", "init", "--quiet", "--initial-branch=main")
    made = Line(tmp_path / "line", hub)
    made.add()
    return made


def test_every_change_since_stable_needs_a_verdict(line: Line, server: GitHub) -> None:
    stable = line.add(number=1)
    assert unjudged(stable, server, line.root) == ""
    line.add("README.md")
    assert unjudged(stable, server, line.root) == "", "words need none"
    line.add(number=2)
    line.add(number=3)
    assert unjudged(stable, server, line.root) == ""
    bad = line.add(number=4, said="reject: worse", state="failure")
    line.add("README.md", number=5, said="documentation only: nothing to train")
    line.add(number=6)  # judged against the bad one, which was main's by then
    found = unjudged(stable, server, line.root)
    assert found == f"{bad[:12]}: the verdict on #4 is reject: worse"


def test_what_was_taken_back_counts_no_more(line: Line, server: GitHub) -> None:
    stable = line.add(number=1)
    line.add(number=2, said="reject: worse", state="failure")
    assert "reject: worse" in unjudged(stable, server, line.root)
    git(line.root, "revert", "--no-edit", "HEAD")
    assert unjudged(stable, server, line.root) == "", "main serves what stable does"
    line.add(number=3)
    assert unjudged(stable, server, line.root) == ""


@pytest.mark.parametrize(
    "name", ["params.yaml", "src/bank/model.py", "service.py", "requirements.lock", "bentofile.yaml"]
)
def test_a_status_for_words_lets_nothing_else_through(line: Line, server: GitHub, name: str) -> None:
    stable = line.add(number=1)
    line.add(name, number=2, said="documentation only: nothing to train, nothing to compare")
    assert "documentation only" in unjudged(stable, server, line.root)
    line.add(name)
    assert unjudged(stable, server, line.root)


def test_the_first_commit_of_a_copy_needs_none_and_the_second_does(line: Line, server: GitHub) -> None:
    assert unjudged("", server, line.root) == ""
    pushed = line.add()
    assert unjudged("", server, line.root).startswith(f"{pushed[:12]}: GitHub knows of no pull request")


def test_of_a_rebase_merge_each_commit_counts_and_no_other(line: Line, server: GitHub, hub: Any) -> None:
    stable = line.add(number=1)
    before = line.add()
    first, last = line.add(), line.add()
    add(hub, 2, last, last, first, last)
    say(hub, last, "promote: better")
    assert unjudged(before, server, line.root) == ""
    hub.pulls[2]["brought"] = (before, first, last)  # GitHub would have to be wrong: the pull request had two commits
    assert unjudged(stable, server, line.root).startswith(f"{before[:12]}: GitHub knows of no pull request")


def test_silence_of_github_is_an_error_not_a_verdict(line: Line, server: GitHub, hub: Any) -> None:
    stable = line.add(number=1)
    line.add(number=2)
    hub.refuse["/statuses"] = 403
    with pytest.raises(UserError, match="403"):
        unjudged(stable, server, line.root)


def test_a_build_without_a_verdict_is_refused_unless_a_person_answers_for_it(
    merged: Callable[..., Merge], hub: Any, server: GitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    merge = merged()
    (merge.root / "params.yaml").write_text((ROOT / "params.yaml").read_text(encoding="utf-8"), encoding="utf-8")

    def built(root: Path, where: Path, deploy: Any, ask: Any) -> Any:
        raise InterruptedError(ask(merge.commit)["reason"])

    monkeypatch.setattr(release_build, "outputs", lambda root, *, other_bytes: None)
    monkeypatch.setattr(release_build.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0))
    monkeypatch.setattr(release_build, "build", built)
    say(hub, merge.head, "hold: too few rows", "failure")
    with pytest.raises(UserError, match="has no verdict that says promote: too few rows"):
        release_build.make(None, server, merge.root)  # type: ignore[arg-type]
    with pytest.raises(InterruptedError, match="released by hand by ada"):
        release_build.make(None, server, merge.root, waived="released by hand by ada, run 12")  # type: ignore[arg-type]
