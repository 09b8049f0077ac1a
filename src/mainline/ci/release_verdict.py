"""The verdict that a merge was allowed by: the status ``mainline/verdict`` on the head of its pull request.

The build of a release has no verdict of its own: the comparison ran before the merge, on another runner. Without one
that says promote, nothing is released unless a person asks for it by hand.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainline.compare.champion import pinned
from mainline.compare.git import git
from mainline.console import say, warn
from mainline.errors import UserError
from mainline.github import GitHub
from mainline.release.build import NOT_FOUND

WORDS = re.compile(r"(promote|hold|reject): (.*)", re.DOTALL)
HASH = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
BOT = "github-actions[bot]"
# What a release serves follows from these paths of its commit (see mainline.release.identity.covered).
SERVED = (":(top,glob)*.py", "src", "bentofile.yaml", "requirements.lock", "params.yaml", "dvc.lock")
MOST = 100  # commits after the stable release that are asked about


class _Missing(Exception):
    """There is no verdict on what ``commit`` holds; the text says why."""

    def __init__(self, why: str, number: int | None = None) -> None:
        super().__init__(why)
        self.number = number


@dataclass(frozen=True)
class Judged:
    """The verdict on a commit of main, and the pull request that it was given to."""

    number: int
    verdict: str
    reason: str
    source: str


def merged_verdict(commit: str, server: GitHub, root: Path = Path(), waived: str = "") -> dict[str, Any]:
    """Return ``verdict``, ``reason``, ``source`` and ``pull_request`` for the ledger.

    Asked about is the newest commit up to ``commit`` that changed what is served. A verdict that cannot be had begins
    "not found: "; ``waived`` says why the release may go without, and is then part of what the ledger gets.
    """
    newest = (_changes("", commit, root, 1) or [commit])[0]
    note = f" ({waived})" if waived else ""
    try:
        found = judged(newest, server, root)
    except (_Missing, UserError) as error:
        why = error.problem if isinstance(error, UserError) else str(error)
        warn(f"the verdict on {newest[:12]} was not found: {why}")
        number = error.number if isinstance(error, _Missing) else None
        return {"verdict": f"{NOT_FOUND}{why}{note}", "reason": f"{why}{note}", "source": "", "pull_request": number}
    say(f"verdict: {found.verdict} ({found.source})", "pass" if found.verdict == "promote" else "warn")
    reason = found.reason + ("" if found.verdict == "promote" else note)
    return {"verdict": found.verdict, "reason": reason, "source": found.source, "pull_request": found.number}


def unjudged(since: str, server: GitHub, root: Path = Path()) -> str:
    """Return the first commit after ``since`` that changes what is served without the verdict promote, and why.

    All of them count: a model that was merged against its verdict is in what the next one was compared with. But what
    was taken back counts no more: the count begins anew at a commit that serves the same as ``since``, which is empty
    before the first release; the very first commit of a repository then needs no verdict. The result is empty when
    every one was judged.

    Raises:
        UserError: GitHub does not answer.
    """
    commits = _changes(since, "HEAD", root, MOST + 1)
    if len(commits) > MOST:
        return f"more than {MOST} commits change what is served since the stable release"
    for commit in reversed(list(itertools.takewhile(lambda commit: _differs(since, commit, root), commits))):
        if not since and not git("rev-list", "--min-parents=1", "--max-count=1", commit, root=root):
            continue
        try:
            found = judged(commit, server, root)
        except _Missing as missing:
            return f"{commit[:12]}: {missing}"
        if found.verdict != "promote":
            return f"{commit[:12]}: the verdict on #{found.number} is {found.verdict}: {found.reason}"
    return ""


def _differs(since: str, commit: str, root: Path) -> bool:
    return not since or bool(git("diff", "--name-only", "--no-renames", since, commit, "--", *SERVED, root=root))


def judged(commit: str, server: GitHub, root: Path = Path()) -> Judged:
    """Return the verdict on a commit of main.

    A status says nothing of a model that it was not set for: the pull request must have been merged as this very
    commit (or have it among its own, after a rebase merge), the lock of its head must pin the same model, and GitHub
    Actions must have set the status: anybody who may write can set one of that name.

    Raises:
        _Missing: there is none.
        UserError: GitHub does not answer.
    """
    number, head, merge = _merged(commit, server, root)
    status = server.verdict_status(head)
    if status is None:
        raise _Missing(f"#{number} has no status mainline/verdict on its head {head[:12]}", number)
    who = str((status.get("creator") or {}).get("login") or "somebody")
    if who != BOT:
        raise _Missing(f"the status mainline/verdict of #{number} was set by {who}, not by a workflow", number)
    said = WORDS.fullmatch(str(status.get("description") or ""))
    if said is None:
        raise _Missing(f"the status of #{number} is {status.get('state')}: {status.get('description')}", number)
    if (said[1] == "promote") != (status.get("state") == "success"):
        raise _Missing(f"the status of #{number} contradicts itself: {status.get('state')}, {said[1]}", number)
    _same_model(number, head, merge, root)
    return Judged(number, said[1], said[2], f"status mainline/verdict on {head} of #{number}, set by {who}")


def _merged(commit: str, server: GitHub, root: Path) -> tuple[int, str, str]:
    """Return number, head and resulting commit of the pull request that brought ``commit`` to main."""
    for entry in server.pulls_of(commit):
        known = server.pull_request(int(entry["number"]))
        head, merge = str((known.get("head") or {}).get("sha", "")), str(known.get("merge_commit_sha") or "")
        if not known.get("merged") or not HASH.fullmatch(head) or not HASH.fullmatch(merge):
            continue
        if commit in _of_merge(merge, int(known.get("commits") or 1), root):
            return int(entry["number"]), head, merge
    raise _Missing("GitHub knows of no pull request that was merged as this commit")


def _of_merge(merge: str, commits: int, root: Path) -> list[str]:
    """Return the commits of main that a merge may have made: one, or after a rebase as many as it had."""
    one = git("rev-list", "--max-count=1", "--min-parents=2", merge, root=root, check=False) == merge
    count = "1" if one else str(max(1, min(commits, MOST)))
    return git("rev-list", "--first-parent", f"--max-count={count}", merge, root=root, check=False).split()


def _changes(since: str, until: str, root: Path, most: int) -> list[str]:
    """Return the commits of main's own line in ``since..until`` that change what is served, newest first."""
    span = f"{since}..{until}" if since else until
    listed = git("rev-list", "--first-parent", f"--max-count={most}", span, "--", *SERVED, root=root)
    return listed.split()


def _same_model(number: int, head: str, merge: str, root: Path) -> None:
    if not git("rev-parse", "--verify", "--quiet", f"{head}^{{commit}}", root=root, check=False):
        git("fetch", "--quiet", "origin", head, root=root)
    judged_model, released = pinned(head, root), pinned(merge, root)
    if judged_model is None or released is None or judged_model.model != released.model:
        raise _Missing(f"the verdict on #{number} is about another model than the merge holds", number)
