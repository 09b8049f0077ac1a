"""What the ledger says: what serves, how it came to serve, what is being tried, whether there is a way back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from mainline.ci.release_plan import Start
from mainline.doctor.found import Check, Found, NotSeen, ok, optional
from mainline.doctor.found import broken as wrong
from mainline.doctor.sight import Sight
from mainline.errors import UserError
from mainline.release.ledger import Deploy

AREA = "the first release"
RELEASES = "MAINLINE_RELEASES"
RELEASE = "on this machine: make run; on GitHub: the step `first release`"


def told(look: Callable[[Sight, Deploy], Found]) -> Callable[[Sight], Found]:
    """Return a check on the ledger; from one that may not be the one that counts, its answer is "unknown"."""

    def check(sight: Sight) -> Found:
        ledger = sight.ledger()
        if ledger.deploy is None:
            return optional("there is no ledger yet", RELEASE)
        try:
            found = look(sight, ledger.deploy)
        except UserError as error:
            found = wrong(error.problem, error.fix)
        if ledger.doubt:
            raise NotSeen(f"{ledger.doubt}; on this machine: {found.text}")
        return found

    return check


def stable(sight: Sight, deploy: Deploy) -> Found:
    """A release serves in production."""
    release = deploy.state("production").stable
    if release is None:
        return optional("no release is stable in production", RELEASE)
    entry = deploy.entry(release)
    promoted = [item for item in entry.transitions if item.environment == "production" and item.event == "promote"]
    since = f" since {promoted[-1].time}" if promoted else ""
    return ok(f"{release}{since}, of commit {entry.commit[:12]}, verdict {entry.verdict or 'none'}")


def canary(sight: Sight, deploy: Deploy) -> Found:
    """What serves was held against the release before it, with a part of the requests."""
    release = deploy.state("production").stable
    if release is None:
        return optional("no release is stable in production", RELEASE)
    events = [item for item in deploy.entry(release).transitions if item.environment == "production"]
    steps = [item for item in events if item.event in ("shadow", "step") and (item.weight or 0) < 100]
    if not steps or not any(item.event == "promote" for item in events):
        return optional(f"{release} became stable without shadow or canary", "the next release takes the whole way")
    weights = ", ".join(f"{item.weight} %" if item.weight else "shadow" for item in steps)
    return ok(f"{release} came by {weights}")


def way_back(sight: Sight, deploy: Deploy) -> Found:
    """There is an earlier release that a rollback would put back in."""
    state = deploy.state("production")
    if not state.previous:
        return optional("there is no earlier stable release to go back to", "the next release makes one")
    missing = [name for name in state.previous[:1] if name not in deploy.releases()]
    if missing:
        return wrong(f"{missing[0]}, to go back to, is not in the ledger", "mainline release list")
    return ok(f"mainline rollback puts {state.previous[0]} back")


def under_way(sight: Sight, deploy: Deploy) -> Found:
    """No rollout stands still."""
    state = deploy.state("production")
    if state.candidate is None:
        return ok("none")
    most = sight.settings.rollout.max_seconds
    words = f"{state.candidate} is being tried: {state.phase or 'not begun'}, {state.weight} % of the users"
    if state.started is None:
        return ok(words)
    begun = dt.datetime.fromisoformat(state.started)
    seconds = (sight.now - (begun if begun.tzinfo else begun.replace(tzinfo=dt.UTC))).total_seconds()
    if seconds > most:
        return wrong(
            f"{words}; nothing has moved for {seconds / 3600:.1f} hours (rollout.max_seconds allows {most / 3600:.1f})",
            "mainline rollout status; on GitHub: workflow release without an id, or rollback with abort",
        )
    return ok(f"{words}, for {seconds / 60:.0f} minutes")


def first(sight: Sight) -> Found:
    """Releases are on: there is a ledger, or the variable MAINLINE_RELEASES lets the next merge begin one."""
    if not sight.origin:
        return optional("no origin: `make run` releases on this machine alone", "gh repo create --source . --push")
    try:
        begun = bool(sight.asked())
    except UserError as error:
        raise NotSeen(f"branch deploy of origin: {error.problem}") from error
    if begun:
        return _kept(sight)
    try:
        found = sight.hub.ask(f"actions/variables/{RELEASES}", absent="none") or {}
    except NotSeen as reason:
        raise NotSeen(f"no branch deploy yet; the variable {RELEASES}: {reason}") from reason
    if Start.read("", {RELEASES: str(found.get("value", ""))}).allowed:
        return ok(f"the variable {RELEASES} is set: the next merge makes the first release")
    return optional(
        "nothing is released yet, and a push releases nothing",
        f"gh workflow run release.yml (once, by hand); or gh variable set {RELEASES} --body true",
    )


def _kept(sight: Sight) -> Found:
    ledger = sight.ledger()
    if ledger.deploy is None or ledger.doubt:
        raise NotSeen(ledger.doubt or "branch deploy of origin: not fetched")
    try:
        ledger.deploy.state("production")
    except UserError as error:
        return wrong(
            f"branch deploy of origin holds no ledger of this project: {error.problem}",
            "it came with the template, or is yours: git push origin --delete deploy, or rename yours",
        )
    return ok("branch deploy holds the ledger")


CHECKS = (
    Check("first release", AREA, first, "a push of a new copy releases nothing until you say so"),
    Check("stable", AREA, told(stable), "which release serves"),
    Check("canary", AREA, told(canary), "it was compared with the release before it on a part of the requests"),
    Check("way back", AREA, told(way_back), "the release to which `rollback` goes"),
    Check("rollout", AREA, told(under_way), "whether a release is being tried, and still moves"),
)
