"""The verdict that a merge was allowed by: the status ``mainline/verdict`` on the head of its pull request.

The build of a release has no verdict of its own: the comparison ran before the merge, on another runner.
"""

from __future__ import annotations

import re
from pathlib import Path

from mainline.compare.champion import pinned
from mainline.compare.git import git
from mainline.console import say, warn
from mainline.errors import UserError
from mainline.github import GitHub
from mainline.release.build import NOT_FOUND, pull_request

WORDS = re.compile(r"(promote|hold|reject): (.*)", re.DOTALL)


class _Missing(Exception):
    """There is no verdict on what ``commit`` holds; the text says why."""


def merged_verdict(commit: str, server: GitHub, root: Path = Path()) -> dict[str, str]:
    """Return ``verdict``, ``reason`` and ``source`` for the ledger; a verdict that cannot be had begins "not found: ".

    A status says nothing of a model that it was not set for: the pull request must have been merged as this very
    commit, and the lock of its head must pin the same model. Nothing that goes wrong here is an error: what may be
    merged was decided before, and the ledger only keeps it.
    """
    try:
        word, reason, source = _find(commit, server, root)
    except (_Missing, UserError) as error:
        why = error.problem if isinstance(error, UserError) else str(error)
        warn(f"the verdict on {commit[:12]} was not found: {why}")
        return {"verdict": f"{NOT_FOUND}{why}", "reason": why, "source": ""}
    say(f"verdict: {word} ({source})", "pass" if word == "promote" else "warn")
    return {"verdict": word, "reason": reason, "source": source}


def _find(commit: str, server: GitHub, root: Path) -> tuple[str, str, str]:
    subject = git("show", "--no-patch", "--format=%s", commit, root=root)
    number = pull_request(subject)
    if number is None:
        raise _Missing("the commit names no pull request")
    known = server.pull_request(number)
    head = str((known.get("head") or {}).get("sha", ""))
    if not known.get("merged") or known.get("merge_commit_sha") != commit or not re.fullmatch(r"[0-9a-f]{40,64}", head):
        raise _Missing(f"GitHub does not say that #{number} was merged as this commit")
    status = server.verdict_status(head)
    if status is None:
        raise _Missing(f"#{number} has no status mainline/verdict on its head {head[:12]}")
    said = WORDS.fullmatch(str(status.get("description") or ""))
    if said is None:
        raise _Missing(f"the status of #{number} is {status.get('state')}: {status.get('description')}")
    if (said[1] == "promote") != (status.get("state") == "success"):
        raise _Missing(f"the status of #{number} contradicts itself: {status.get('state')}, {said[1]}")
    _same_model(number, head, commit, root)
    who = str((status.get("creator") or {}).get("login") or "somebody")
    return said[1], said[2], f"status mainline/verdict on {head} of #{number}, set by {who}"


def _same_model(number: int, head: str, commit: str, root: Path) -> None:
    if not git("rev-parse", "--verify", "--quiet", f"{head}^{{commit}}", root=root, check=False):
        git("fetch", "--quiet", "origin", head, root=root)
    judged, released = pinned(head, root), pinned(commit, root)
    if judged is None or released is None or judged.model != released.model:
        raise _Missing(f"the verdict on #{number} is about another model than the merge holds")
