"""Whether somebody watches: a check that does not hang on the monitor, and the switch that GitHub turns off by itself.

GitHub switches the schedules of a public repository off after 60 days without activity; to enable a workflow through
the API begins the 60 days anew.
"""

from __future__ import annotations

import datetime as dt

from mainline.ci.monitor_state import Beat
from mainline.console import say, warn
from mainline.github import GitHub

WORKFLOWS = ("monitor.yml", "heartbeat.yml")
ACTIVE = ("active", "disabled_inactivity")
AHEAD = dt.timedelta(hours=1)  # that the clocks of two runners may differ


def judge(beat: Beat | None, now: dt.datetime, hours: float) -> tuple[bool, str]:
    """Return whether a run came to its end within the last ``hours``, and what is known, in words."""
    if beat is None:
        return False, "no run of the workflow monitor has ever come to its end: start it once by hand"
    age, page = now - beat.time, f" ({beat.run})" if beat.run else ""
    if age < -AHEAD:
        return False, f"the last beat is of {beat.time.isoformat()}, which is in the future{page}: is a clock wrong?"
    since = f"the last run of the workflow monitor that came to its end was {age.total_seconds() / 3600:.1f} hours ago"
    return age <= dt.timedelta(hours=hours), f"{since}{page}; {hours:g} are allowed (monitor.max_beat_hours)"


def keep_enabled(server: GitHub) -> list[str]:
    """Enable both workflows, so that GitHub's 60 days begin anew; return those that a person has switched off.

    What a person has switched off stays so.

    Raises:
        UserError: GitHub does not let us.
    """
    off = []
    for name in WORKFLOWS:
        found = server.call("GET", f"actions/workflows/{name}")
        state = str(found.get("state")) if isinstance(found, dict) else "unknown"
        if state in ACTIVE:
            server.call("PUT", f"actions/workflows/{name}/enable")
            say(f"{name} is enabled" + ("" if state == "active" else " again: GitHub had switched it off"), "pass")
        else:
            warn(f"{name}: {state}; it was not us who switched it off: Actions, {name}, Enable workflow")
            off.append(name)
    return off
