"""From a run of the workflow `pull request` that has ended to the verdict on its pull request.

The run executed the pull request's code. What it has uploaded is a claim; what decides beside it comes from git and
from GitHub: which pull request it is, what its branch holds, and where the default branch is.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mainline.ci import artifact, lock_check
from mainline.ci.begin import WORDS
from mainline.ci.event import HASH, read_event
from mainline.ci.here import Here, MovedOn
from mainline.ci.words import judges
from mainline.console import say
from mainline.errors import UserError
from mainline.github import State
from mainline.github_call import Unanswered
from mainline.markdown import block, code

WORKFLOW = ".github/workflows/pull-request.yml"
NAME = "report"
LIMITS = {"verdict.json": 4 * 1024 * 1024, "report.md": 256 * 1024, "lock.json": 12 * 1024 * 1024}
QUEUE = re.compile(r"gh-readonly-queue/(?P<target>.+)/pr-(?P<number>\d{1,9})-[0-9a-f]{40,64}")
CLAIM = (
    "> Made by the run of a fork, with the fork's own code and workflow: a claim, not a verdict. "
    "Push its head to a branch of this repository to have `mainline/verdict` decided.\n\n"
)
SHOWN = 10


@dataclass(frozen=True)
class Run:
    """The run that ended, as GitHub itself describes it in the ``workflow_run`` event."""

    number: int
    event: str
    head: str
    branch: str
    home: str
    conclusion: str
    url: str = ""
    started: str = ""


@dataclass(frozen=True)
class Finding:
    """What is to be told: a status on ``commit``, and a text for the pull request ``number``."""

    commit: str
    state: State
    description: str
    number: int = 0
    text: str = ""
    keep: bool = False  # a verdict that is there stays
    claim: bool = False  # made of what a fork says


def finished_run(environment: Mapping[str, str] = os.environ) -> Run | None:
    """Return the run that started this workflow, None when it is one of another workflow.

    Raises:
        UserError: GITHUB_EVENT_PATH names no ``workflow_run`` event.
    """
    try:
        found = read_event(environment)["workflow_run"]
        run = Run(
            number=int(found["id"]),
            event=str(found["event"]),
            head=str(found["head_sha"]),
            branch=str(found["head_branch"] or ""),
            home=str((found["head_repository"] or {}).get("full_name", "")),
            conclusion=str(found["conclusion"]),
            url=str(found.get("html_url") or ""),
            started=str(found.get("run_started_at") or ""),
        )
        path = str(found.get("path") or WORKFLOW).partition("@")[0]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError("the event is not that of a finished run", "this command belongs in report.yml") from error
    if not HASH.fullmatch(run.head):
        raise UserError(f"{run.head[:80]!r} is not a commit's hash", "run the workflow again")
    # Any file of any branch may give its workflow our workflow's name.
    return run if path == WORKFLOW else None


def decide(run: Run, here: Here) -> Finding | None:
    """Return what is to be told about the run, None for nothing. A lock that the run has made is committed here.

    Raises:
        UserError: GitHub or git refuse.
    """
    if run.event == "merge_group":
        return _group(run, here)
    if run.conclusion in ("action_required", "skipped"):
        say(f"nothing to tell: the run is {run.conclusion}")
        return None
    pull = here.pull_of(run.home, run.branch)
    if pull is None:
        say(f"nothing to tell: {run.branch[:100]} has no open pull request into {here.default}")
        return None
    number, head = int(pull["number"]), str(pull["head"]["sha"])
    here.fetch(run.head)
    names = here.changed(run.head)
    if here.words_only(names):
        return Finding(run.head, "success", WORDS, number)
    if run.conclusion == "cancelled":
        return Finding(
            run.head, "pending", "the run was cancelled; a newer one decides, or run it again", number, keep=True
        )
    try:
        found = _take(run, here)
    except artifact.Unfit as error:
        return Finding(run.head, "failure", f"no verdict: {error.problem}", number, code(str(error), 2000))
    if run.home != here.server.repository:
        return _fork(run, number, found)
    finding = _judge(run, here, number, head, found)
    changes = judges(names)
    return replace(finding, text=_judges_text(changes) + finding.text) if changes and finding.text else finding


def _take(run: Run, here: Here) -> dict[str, bytes]:
    """Return what the run has uploaded, empty if nothing.

    Raises:
        Unfit: it is not what our workflow makes.
        UserError: GitHub does not give it.
    """
    # Those of an earlier attempt say nothing about this one.
    there = [
        item
        for item in here.server.run_artifacts(run.number, NAME)
        if str(item.get("created_at", run.started)) >= run.started
    ]
    if not there:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "report.zip")
        here.server.download(int(there[0]["id"]), file, artifact.LARGEST)
        return artifact.unpack(file, LIMITS)


def _judge(run: Run, here: Here, number: int, head: str, found: Mapping[str, bytes]) -> Finding:
    """Return the finding about a run of this repository's own branch."""
    nothing = Finding(run.head, "failure", "", number)
    try:
        report = artifact.text(found, "report.md") or ""
        verdict, claim = artifact.document(found, "verdict.json"), artifact.document(found, "lock.json")
        nothing = replace(nothing, text=report)
        if verdict is None or claim is None:
            return replace(nothing, description=_stopped(run, found))
        judged, against = (verdict.get(key) or {} for key in ("head", "against"))
        if judged.get("dirty") is not False:
            return replace(nothing, description="no verdict: a step of the run changed files that are committed")
        if here.moved_on(run.head, str(against.get("commit"))):
            words = f"update the branch: {here.default} has changed since it was judged"
            return replace(nothing, state="pending", description=words)
        locked = lock_check.parse(claim)
        lock_check.check(locked, run.head, here.root)
        if lock_check.tree_with(locked, run.head, here.root) != judged.get("tree"):
            return replace(nothing, description="no verdict: what was judged is not what the branch holds")
        commit = _resulting(run, here, head, locked, str(judged["tree"]))
    except MovedOn:
        words = f"{run.branch[:60]} has moved on: its newer run decides"
        return replace(nothing, state="pending", description=words, text="", keep=True)
    except Unanswered:
        raise  # nothing is wrong with the pull request: this run is repeated
    except UserError as error:
        return replace(nothing, description=f"no verdict: {error.problem}", text=code(str(error), 2000))
    state, description = word_of(run, verdict)
    return replace(nothing, commit=commit, state=state, description=description)


def word_of(run: Run, verdict: Mapping[str, Any]) -> tuple[State, str]:
    """Return state and description for a verdict on the commit that the branch is at."""
    word, reason = str(verdict.get("verdict")), str(verdict.get("reason", ""))
    if word not in ("promote", "hold", "reject"):
        return "failure", f"no verdict: {word[:40]!r} is not one"
    if word == "promote" and run.conclusion != "success":
        return "failure", "promote does not count: a step of the run failed"
    return ("success" if word == "promote" else "failure"), f"{word}: {reason}"


def _resulting(run: Run, here: Here, head: str, locked: lock_check.Locked, tree: str) -> str:
    """Return the commit of the branch that has the judged tree; it is made if there is something to lock.

    Raises:
        MovedOn: the branch is at another commit that does not hold the same.
        UserError: GitHub has made another tree.
    """
    if head != run.head:
        here.fetch(head)
        # The run was repeated, and its first attempt has committed the same lock.
        if here.follows(head, run.head) and here.tree(head) == tree:
            return head
        raise MovedOn(f"{run.branch} is at {head[:12]}")
    if not locked:
        return head
    made = here.commit(locked, run.branch, head)
    here.fetch(made)
    if here.tree(made) != tree:
        raise UserError(f"{made[:12]} does not hold what was judged", "run the workflow again")
    say(f"dvc.lock committed to {run.branch} as {made[:7]}", "pass")
    return made


def _fork(run: Run, number: int, found: Mapping[str, bytes]) -> Finding:
    """Return the finding about a fork's run: it can fail its own pull request, never pass it."""
    try:
        report, verdict = artifact.text(found, "report.md"), artifact.document(found, "verdict.json") or {}
    except artifact.Unfit as error:
        return Finding(run.head, "failure", f"the fork's own run: {error.problem}", number)
    text = CLAIM + block(report) if report else ""
    if run.conclusion == "success":
        words = "the fork's own run passed; to decide, push its head to a branch of this repository"
        return Finding(run.head, "pending", words, number, text, claim=True)
    word = verdict.get("verdict")
    words = f"the fork's own run failed{f' ({word})' if word in ('hold', 'reject') else ''}"
    return Finding(run.head, "failure", words, number, text, claim=True)


def _group(run: Run, here: Here) -> Finding:
    """Return the finding about a commit of the merge queue: it passes when it is a judged head, byte for byte."""
    named = QUEUE.fullmatch(run.branch)
    what = "not judged as it would be merged: update the branch of each pull request, and queue it alone"
    if named is None or named["target"] != here.default or run.home != here.server.repository:
        return Finding(run.head, "failure", what)
    number = int(named["number"])
    head = str((here.server.pull_request(number).get("head") or {}).get("sha", ""))
    if here.verdict(head) == "success":
        here.fetch(run.head)
        here.fetch(head)
        if here.tree(run.head) == here.tree(head):
            return Finding(run.head, "success", f"the files are those of #{number}, which has a verdict")
    return Finding(run.head, "failure", what)


def _stopped(run: Run, found: Mapping[str, bytes]) -> str:
    if not found:
        return f"no verdict: the run ended as {run.conclusion} and left no report"
    return "no verdict: the run stopped before the comparison, see its report"


def _judges_text(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    shown = ", ".join(code(name, 100) for name in names[:SHOWN]) + more
    return (
        f"> This pull request changes code that takes part in its own verdict: {shown}. Its owners must look at it.\n\n"
    )
