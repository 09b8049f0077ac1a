"""What a run of the workflow ``release`` has to do, decided from the commit, branch ``deploy`` and the verdicts."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mainline.ci.event import git
from mainline.ci.release_verdict import unjudged
from mainline.config import load_settings
from mainline.errors import UserError
from mainline.files import sha256
from mainline.github import GitHub
from mainline.release.identity import covered, of
from mainline.release.ledger import Deploy, Entry
from mainline.release.state import State

# What is known of a release without its outputs: data and model follow from the lock, which is one of these.
SOURCES = ("code", "params", "lock", "environment")
GIVEN_UP = ("abort", "rollback")
WAITS = {"waits": "approval"}  # the evidence of a hold that only a person's start ends
AT_WORK = ("queued", "requested", "pending", "waiting", "in_progress")
UNCONFIGURED = (
    "nothing is released by itself before the first release. Configure the repository (docs/first-hour.md), then start "
    "the workflow `release` by hand, or set the repository variable MAINLINE_RELEASES to true"
)
Running = Callable[[Entry], int]


@dataclass(frozen=True)
class Plan:
    """``release`` is empty for one that nobody has built yet; ``go`` is false when there is nothing to do.

    ``waived`` says for the ledger why the release needs no verdict; empty when it has one.
    """

    go: bool
    release: str
    why: str
    waived: str = ""


@dataclass(frozen=True)
class Start:
    """What started the run: by hand or by a push, who, and what was asked for."""

    by_hand: bool
    who: str
    asked: str = ""
    without_verdict: bool = False
    allowed: bool = False  # releases may begin by themselves
    run: int = 0

    @classmethod
    def read(cls, asked: str, environment: Mapping[str, str] = os.environ) -> Start:
        """Return it from the environment of a workflow's step."""
        number = environment.get("GITHUB_RUN_ID", "")
        return cls(
            environment.get("GITHUB_EVENT_NAME") == "workflow_dispatch",
            environment.get("GITHUB_TRIGGERING_ACTOR") or environment.get("GITHUB_ACTOR") or "somebody",
            asked.strip(),
            environment.get("WITHOUT_VERDICT", "").lower() == "true",
            environment.get("MAINLINE_RELEASES", "").lower() in ("true", "1", "yes", "on"),
            int(number) if number.isdigit() else 0,
        )


def sources(root: Path = Path()) -> dict[str, str]:
    """Return the digests named in ``SOURCES`` of the commit that is checked out, as a release has them."""
    lines = git(["ls-tree", "HEAD"], root=root).splitlines()
    tree = (line.split(maxsplit=3) for line in lines)
    return {
        "code": of({name: hashed for _, _, hashed, name in tree if covered(name)}),
        "params": sha256(root / "params.yaml"),
        "lock": sha256(root / "dvc.lock"),
        "environment": sha256(root / "requirements.lock"),
    }


def decide(deploy: Deploy | None, server: GitHub, start: Start, root: Path = Path()) -> Plan:
    """Return what the run has to do.

    Raises:
        UserError: another release is being tried, the ledger does not know what was asked for, or what main holds has
            no verdict that lets it be released.
    """
    known = deploy.releases() if deploy else []
    if not known and not start.by_hand and not start.allowed:
        return Plan(False, "", UNCONFIGURED)
    if not start.asked and (ahead := moved_on(root)):
        return Plan(False, "", ahead)
    stable = deploy.state("production").stable if deploy else None
    since = _commit_of(deploy, stable, root) if deploy and stable else ""
    plan = make_plan(
        deploy,
        sources(root),
        start.asked,
        resume=start.by_hand,
        running=lambda entry: working_on(entry, server, start.run),
    )
    trying = deploy.state("production").candidate if deploy else None
    needed = load_settings(root / "params.yaml").release.require_verdict
    if not plan.go or (trying and plan.release == trying) or not needed:
        return plan
    if start.by_hand and (start.asked or start.without_verdict or not stable):
        return replace(plan, waived=f"released by hand by {start.who}, run {start.run}")
    if missing := unjudged(since, server, root):
        raise UserError(
            f"nothing is released: no verdict that says promote: {missing}",
            "start the workflow `release` by hand with `without_verdict`, which puts your name into the ledger; "
            "release.require_verdict: false asks for no verdict at all",
        )
    one = git(["rev-list", "--count", "HEAD"], root=root).strip() == "1"
    return replace(plan, waived="the first commit of the repository" if one else "")


def make_plan(
    deploy: Deploy | None,
    found: Mapping[str, str],
    asked: str = "",
    *,
    resume: bool = False,
    running: Running = lambda _: 0,
) -> Plan:
    """Return what to do for a commit with the digests ``found``, or for the release ``asked`` of the ledger.

    Args:
        deploy: None before the first release.
        found: see :func:`sources`.
        asked: a release of the ledger; empty: this commit's.
        resume: whether an interrupted rollout of another release than this commit's is to go on, as it is when a person
            starts the workflow without naming a release.
        running: gives the number of another run that is at work on a release, 0 when there is none.

    Raises:
        UserError: another release is being tried, or the ledger does not know ``asked``.
    """
    if deploy is None:
        if asked:
            raise UserError(
                f"{asked}: there is no branch deploy yet, so no release", "start the workflow without an id"
            )
        return Plan(True, "", "the first release")
    state = deploy.state("production")
    known = deploy.entry(asked) if asked else _same(deploy, found, state)
    if state.candidate:
        return _interrupted(deploy, state, known, running, asked=bool(asked), resume=resume)
    if known is None:
        return Plan(True, "", f"what would be served differs from {state.stable or 'nothing'}, which is stable")
    if known.release == state.stable:
        return Plan(False, known.release, f"{known.release} is stable already: nothing that is served has changed")
    if not asked and (why := _given_up(known)):
        return Plan(False, known.release, f"{why} To try it again, start the workflow with this id")
    if number := running(known):
        return Plan(False, known.release, f"run {number} is at work on {known.release}, or waits for its approval")
    return Plan(True, known.release, "it is in the ledger and not stable" + (": asked for" if asked else ""))


def moved_on(root: Path = Path()) -> str:
    """Return why the commit that is checked out is no longer the default branch's, an empty text when it is.

    A run that is started again has the commit of its first time: it would be a silent way back.

    Raises:
        UserError: the remote does not answer.
    """
    head = git(["rev-parse", "HEAD"], root=root).strip()
    lines = git(["ls-remote", "--symref", "origin", "HEAD"], root=root).splitlines()
    branch = next((line.split()[1].removeprefix("refs/heads/") for line in lines if line.startswith("ref:")), "main")
    tip = next((line.split()[0] for line in lines if line.endswith("\tHEAD") and not line.startswith("ref:")), "")
    if not tip or tip == head:
        return ""
    return f"{branch} has moved on to {tip[:12]}, and this run is about {head[:12]}: the run of that commit decides"


def working_on(entry: Entry, server: GitHub, own: int) -> int:
    """Return the number of another run that is at work on a release, 0 when there is none or GitHub does not tell."""
    last = entry.transitions[-1].by if entry.transitions else ""
    found = re.search(r"\brun (\d+)\b", last)
    number = int(found[1]) if found else 0
    if not number or number == own:
        return 0
    try:
        return number if server.run(number).get("status") in AT_WORK else 0
    except UserError:
        return 0


def _commit_of(deploy: Deploy, release: str, root: Path) -> str:
    commit = deploy.entry(release).commit
    if git(["rev-list", "--max-count=1", "--ignore-missing", commit, "--"], root=root).strip():
        return commit
    raise UserError(
        f"branch deploy: {release} is stable there, and its commit {commit[:12]} is not in this repository",
        "a copy with all branches of the template brings the template's branch deploy along: delete it "
        "(`git push origin --delete deploy`); otherwise fetch the whole history",
    )


def _same(deploy: Deploy, found: Mapping[str, str], state: State) -> Entry | None:
    """Return the ledger's newest release with these digests; the stable one goes before others."""
    entries = [deploy.entry(name) for name in deploy.releases()]
    same = [item for item in entries if all(item.digests.get(key) == found[key] for key in SOURCES)]
    ranked = sorted(same, key=lambda item: (item.release == state.stable, _time(item)))
    return ranked[-1] if ranked else None


def _time(entry: Entry) -> str:
    return (entry.transitions[-1].time or "") if entry.transitions else ""


def _given_up(known: Entry) -> str:
    """Return why a release is not tried by itself again, an empty text when it is."""
    last = known.transitions[-1] if known.transitions else None
    if last is not None and last.event in GIVEN_UP:
        return f"{known.release} had its try: {last.event} in {last.environment} ({last.why[:200]})."
    if last is not None and last.event == "hold" and last.evidence == WAITS:
        return f"{known.release} waits for a person's approval."
    return ""


def _interrupted(
    deploy: Deploy, state: State, known: Entry | None, running: Running, *, asked: bool, resume: bool
) -> Plan:
    """Return the plan while a release is being tried: its own goes on, any other waits for the run or is refused."""
    candidate = state.candidate or ""
    where = f"{state.phase or 'starting'}, {state.weight} % of the users, since {state.started or '?'}"
    number = running(deploy.entry(candidate))
    own = (known is not None and known.release == candidate) or (resume and not asked)
    if own and number:
        return Plan(False, candidate, f"run {number} is at work on {candidate} ({where})")
    if own:
        return Plan(True, candidate, f"its rollout was interrupted and goes on ({where})")
    if number and not asked and known is None:
        return Plan(True, "", f"it is built now; its rollout waits for run {number}, which tries {candidate} ({where})")
    raise UserError(
        f"production: {candidate} is being tried already ({where}): there is one rollout at a time",
        "let its run end; if it was cancelled, start the workflow `release` without an id to go on with it, or the "
        "workflow `rollback` with `abort` to drop it",
    )
