"""The issue that says that nothing is being watched: a monitor that fails must not look like a calm one."""

from __future__ import annotations

import re

from mainline.console import say
from mainline.errors import UserError
from mainline.markdown import code
from mainline.monitor.issue_body import REPORT, compose, same
from mainline.monitor.tracker import LABEL, Issue, Tracker

# Without the model's name: it must be writable when params.yaml cannot be read.
MARK = "<!-- mainline:monitor:blind -->"
LABELS = (LABEL, "monitoring-blind")
TITLE = "Monitoring is blind"


def blind(tracker: Tracker, why: str, url: str = "") -> Issue:
    """Open, reopen or bring up to date the issue, and return it; the same reason changes nothing.

    Raises:
        UserError: no reason, or ``url`` is no address, or the tracker fails.
    """
    if not why.strip():
        raise UserError("--why: no reason", "say in a sentence what failed")
    if url and not re.fullmatch(r"https?://[^\s<>]+", url):
        raise UserError(f"--url: {url!r} is no address", "write the whole address of the run's page")
    issue = tracker.find(MARK)
    lines = [MARK, "**Nobody knows how the model is doing**: the monitor did not come to an end.", "", code(why, 2_000)]
    lines += ["", "1. Read the run's log, and mend what it names (`mainline monitor run` shows the same on a laptop).",
              "2. Start the workflow `monitor`: it catches up with the windows since, and none is lost.",
              "", "This issue closes itself with the next run that sees.", ""]  # fmt: skip
    lines += [f"{REPORT}<{url}>", ""] if url else []
    text = compose("\n".join(lines), issue.body if issue else "")
    if issue is None:
        issue = tracker.create(TITLE, text, LABELS)
    elif not issue.open or not same(text, issue.body):
        issue = tracker.update(issue.number, body=text, open=True)
    say(f"#{issue.number} {TITLE}: {why}", "fail")
    return issue


def clear(tracker: Tracker, why: str = "") -> Issue | None:
    """Close the issue if it is open; return it, or None."""
    issue = tracker.find(MARK)
    if issue is None or not issue.open:
        return None
    tracker.comment(issue.number, f"The monitor sees again. {code(why)}".strip())
    issue = tracker.update(issue.number, open=False)
    say(f"#{issue.number} {TITLE}: closed", "pass")
    return issue
