"""The first word on a pull request, from the default branch's own code: words alone pass, everything else waits.

It runs for `pull_request_target` and sets the status of forks, too, so that a job of the name `mainline/verdict` in a
pull request's own workflow is never the only one of that name.
"""

from __future__ import annotations

from mainline.ci.event import PullRequest
from mainline.ci.here import Here
from mainline.console import say
from mainline.errors import UserError
from mainline.github import State

WORDS = "only words changed: nothing to train, nothing to compare"
WAITING = "waiting for the run of workflow `pull request`"
# After these a verdict that is there counts no more: it was about another target, or main has moved on since.
ANEW = ("edited", "reopened")


def begin(found: PullRequest, action: str, here: Here) -> tuple[State, str] | None:
    """Set ``mainline/verdict`` on the head of a pull request; return what was set, None if a verdict was there.

    Raises:
        UserError: the head is not to be had, or GitHub refuses.
    """
    state, description = decide(found, here)
    if state == "pending" and action not in ANEW and here.verdict(found.head) in ("success", "failure"):
        say(f"{found.head[:7]} has a verdict: it stays")
        return None
    here.server.set_status(found.head, state, description)
    say(f"mainline/verdict is {state} on {found.head[:7]} of #{found.number}: {description}", "pass")
    return state, description


def decide(found: PullRequest, here: Here) -> tuple[State, str]:
    """Return the first status of a pull request."""
    if found.target != here.default:
        return "pending", f"judged when it targets {here.default}"
    here.fetch(found.head)
    try:
        names = here.changed(found.head)
    except UserError as error:  # no common history: GitHub cannot merge it either
        return "failure", f"no verdict: {error.problem}"
    return ("success", WORDS) if here.words_only(names) else ("pending", WAITING)
