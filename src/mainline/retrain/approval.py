"""Who approved it: nothing retrains because a number moved, a person has to want it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mainline.errors import UserError

if TYPE_CHECKING:
    from mainline.monitor.tracker import Issue, Tracker

LABEL = "retrain-approved"


@dataclass(frozen=True)
class Approval:
    """Who wants the retraining, since when (ISO, UTC; empty: now), and for which issue."""

    by: str
    when: str = ""
    issue: int | None = None


class NotApproved(UserError):
    """Nobody who may has approved it.

    Attributes:
        issue: the issue with the label that does not count, None if there is no label to take off.
        by: who put it there.
    """

    def __init__(self, problem: str, fix: str = "", *, issue: Issue | None = None, by: str = "") -> None:
        super().__init__(problem, fix)
        self.issue = issue
        self.by = by


def approved(tracker: Tracker, number: int) -> Approval:
    """Return the approval on issue ``number``, as the tracker knows it.

    Raises:
        NotApproved: it is no open issue of the monitor's, has no label, or has it from somebody who may not write.
    """
    issue = next((item for item in tracker.all() if item.number == number), None)
    if issue is None:
        raise NotApproved(f"issue #{number}: none of the monitor's", "name an issue with the label `monitoring`")
    if not issue.open:
        raise NotApproved(f"issue #{number}: is closed", "open it again, or name another")
    fix = f"a person who may write to the repository puts the label `{LABEL}` on it"
    found = tracker.labelled_by(number, LABEL) if LABEL in issue.labels else None
    if found is None:
        raise NotApproved(f"issue #{number}: nobody has approved a retraining", fix)
    by, when = found
    if not tracker.may_write(by):
        raise NotApproved(
            f"issue #{number}: {by} put the label `{LABEL}` on, who may not write here", fix, issue=issue, by=by
        )
    return Approval(by, when, number)
