"""What a run of the workflow ``release`` has to do, decided from the commit and from branch ``deploy`` alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mainline.ci.event import git
from mainline.errors import UserError
from mainline.files import sha256
from mainline.release.identity import covered, of
from mainline.release.ledger import Deploy, Entry
from mainline.release.state import State

# What is known of a release without its outputs: data and model follow from the lock, which is one of these.
SOURCES = ("code", "params", "lock", "environment")
GIVEN_UP = ("abort", "rollback")


@dataclass(frozen=True)
class Plan:
    """``release`` is empty for one that nobody has built yet; ``go`` is false when there is nothing to do."""

    go: bool
    release: str
    why: str


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


def make_plan(deploy: Deploy | None, found: Mapping[str, str], asked: str = "", *, resume: bool = False) -> Plan:
    """Return what to do for a commit with the digests ``found``, or for the release ``asked`` of the ledger.

    Args:
        deploy: None before the first release.
        resume: whether an interrupted rollout of another release than this commit's is to go on, as it is when a person
            starts the workflow without naming a release.

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
        return _interrupted(state, known, asked=bool(asked), resume=resume)
    if known is None:
        return Plan(True, "", f"what would be served differs from {state.stable or 'nothing'}, which is stable")
    if known.release == state.stable:
        return Plan(False, known.release, f"{known.release} is stable already: nothing that is served has changed")
    if not asked and (last := known.transitions[-1:]) and last[0].event in GIVEN_UP:
        why = f"{known.release} had its try: {last[0].event} in {last[0].environment} ({last[0].why[:200]})"
        return Plan(False, known.release, f"{why}; to try it again, start the workflow with this id")
    return Plan(True, known.release, "it is in the ledger and not stable" + (": asked for" if asked else ""))


def _same(deploy: Deploy, found: Mapping[str, str], state: State) -> Entry | None:
    """Return the ledger's newest release with these digests; the stable one goes before others."""
    entries = [deploy.entry(name) for name in deploy.releases()]
    same = [item for item in entries if all(item.digests.get(key) == found[key] for key in SOURCES)]
    ranked = sorted(same, key=lambda item: (item.release == state.stable, _time(item)))
    return ranked[-1] if ranked else None


def _time(entry: Entry) -> str:
    return (entry.transitions[-1].time or "") if entry.transitions else ""


def _interrupted(state: State, known: Entry | None, *, asked: bool, resume: bool) -> Plan:
    """Return the plan while a release is being tried: its own goes on, any other is refused."""
    candidate = state.candidate or ""
    where = f"{state.phase or 'starting'}, {state.weight} % of the users, since {state.started or '?'}"
    if (known is not None and known.release == candidate) or (resume and not asked):
        return Plan(True, candidate, f"its rollout was interrupted and goes on ({where})")
    raise UserError(
        f"production: {candidate} is being tried already ({where}): there is one rollout at a time",
        "let its run end; if it was cancelled, start the workflow `release` without an id to go on with it, or the "
        "workflow `rollback` with `abort` to drop it",
    )
