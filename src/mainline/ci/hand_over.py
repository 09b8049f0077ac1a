"""Whether a promoted model's outputs must reach storage of one's own before its status is set."""

from __future__ import annotations

from dataclasses import replace

from mainline.ci.begin import WORDS
from mainline.ci.event import BOT
from mainline.ci.here import Here
from mainline.ci.lock import LOCK
from mainline.ci.report import Finding
from mainline.remote import is_embedded

WAITING = "promote: its outputs go to storage first, in the job `push` of workflow `report`"

FAILED = "the outputs are not in storage"


def hand_over(finding: Finding, here: Here) -> Finding | None:
    """Return the finding to tell while the job `push` is at work; None when nothing is to be pushed.

    Only a success of this repository's own branch is handed over, and only when the lock is another than main's: the
    outputs of main's lock are there.
    """
    ours = finding.state == "success" and finding.number and not finding.claim and finding.description != WORDS
    if not ours or is_embedded(here.root) or LOCK not in here.changed(finding.commit):
        return None
    return replace(finding, state="pending", description=WAITING)


def still_waits(commit: str, here: Here) -> bool:
    """Return whether the newest status of ``commit`` is that of a push under way, or of one that failed.

    A push that took long must not pass a pull request that was given another target meanwhile.
    """
    found = here.server.verdict_status(commit) or {}
    ours = (found.get("creator") or {}).get("login") == BOT["name"]
    return ours and str(found.get("description")).startswith((WAITING, FAILED))
