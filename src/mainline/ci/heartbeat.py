"""Whether the monitor runs: a check that does not depend on it, and the switch that GitHub turns off by itself.

Nothing here loads NumPy: the workflow `heartbeat` installs only what its commands need.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping

from mainline.ci.event import append
from mainline.ci.monitor_state import Beat
from mainline.console import annotate, say, warn
from mainline.github import GitHub, fit

WORKFLOWS = ("monitor.yml", "heartbeat.yml")
QUIET = "disabled_inactivity"  # GitHub's own doing, after 60 days without activity in a public repository
AHEAD = dt.timedelta(hours=1)  # that the clocks of two runners may differ
UNCONFIGURED = (
    "not configured: the repository variable MAINLINE_LOG names no prediction log, so nothing is watched "
    "(docs/operations.md, Monitoring in the repository)"
)
LIMIT = 1024 * 1024 - 1024


def is_configured(log: str) -> bool:
    """Return whether there is a log to watch; say so on the run's page if there is none."""
    if log.strip():
        return True
    say(UNCONFIGURED)
    annotate("notice", UNCONFIGURED)
    summary(f"## Monitoring\n\n{UNCONFIGURED}.\n")
    return False


def summary(text: str, environment: Mapping[str, str] = os.environ) -> None:
    """Put ``text`` on the run's page."""
    append(environment.get("GITHUB_STEP_SUMMARY", ""), fit(text, LIMIT) + "\n")


def judge(beat: Beat | None, now: dt.datetime, hours: float) -> tuple[bool, str]:
    """Return whether a run came to its end within the last ``hours``, and what is known, in words."""
    if beat is None:
        return False, "no run of the workflow monitor has ever come to its end: start it once by hand"
    age, page = now - beat.time, f" ({beat.run})" if beat.run else ""
    if age < -AHEAD:
        return False, f"the last beat is of {beat.time.isoformat()}, which is in the future{page}: is a clock wrong?"
    since = f"the last run of the workflow monitor that came to its end was {age.total_seconds() / 3600:.1f} hours ago"
    return age <= dt.timedelta(hours=hours), f"{since}{page}; {hours:g} are allowed (monitor.max_beat_hours)"


def enable_again(server: GitHub) -> list[str]:
    """Enable what GitHub has switched off for inactivity; return those that a person has switched off.

    An active workflow is left alone: to enable it again and again would only feign activity, which GitHub's terms do
    not allow. What a person has switched off stays so.

    Raises:
        UserError: GitHub does not let us.
    """
    off = []
    for name in WORKFLOWS:
        found = server.call("GET", f"actions/workflows/{name}")
        state = str(found.get("state")) if isinstance(found, dict) else "unknown"
        if state == QUIET:
            server.call("PUT", f"actions/workflows/{name}/enable")
            say(f"{name} is enabled again: GitHub had switched it off after 60 quiet days", "pass")
        elif state == "active":
            say(f"{name} is enabled", "pass")
        else:
            warn(f"{name}: {state}; a person switched it off: Actions, {name}, Enable workflow")
            off.append(name)
    return off
