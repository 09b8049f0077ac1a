"""Whether anybody watches production, and what is open."""

from __future__ import annotations

from mainline.ci.heartbeat import judge
from mainline.ci.monitor_state import last_beat
from mainline.doctor.found import Check, Found, NotSeen, broken, gap, ok
from mainline.doctor.releases import told
from mainline.doctor.sight import Sight
from mainline.monitor.blind import MARK
from mainline.monitor.tracker import FOLDER, Issue
from mainline.monitor.tracker_github import GitHubTracker
from mainline.monitor.tracker_local import LocalTracker
from mainline.release.ledger import Deploy

AREA = "watching"


def beat(sight: Sight, deploy: Deploy) -> Found:
    """A run of the workflow monitor came to its end lately."""
    last = last_beat(deploy)
    if last is None:
        return gap("no run of the workflow monitor has ever come to its end", "gh workflow run monitor.yml")
    alive, why = judge(last, sight.now, sight.settings.monitor.max_beat_hours)
    return ok(why) if alive else broken(why, "gh workflow run monitor.yml, and read its log")


def blind(sight: Sight) -> Found:
    """No issue says that monitoring is blind."""
    found = [issue for issue in issues(sight) if issue.open and issue.body.startswith(MARK)]
    if found:
        return broken(f"#{found[0].number} is open: monitoring is blind", f"it says why: {found[0].url or 'see there'}")
    return ok("no issue says that monitoring is blind")


def alarms(sight: Sight) -> Found:
    """No alarm waits for a person."""
    found = [issue for issue in issues(sight) if issue.open and not issue.body.startswith(MARK)]
    if found:
        some = ", ".join(f"#{issue.number}" for issue in found[:5]) + (" …" if len(found) > 5 else "")
        return gap(f"{len(found)} open: {some}", "decide each: mend upstream, label retrain-approved, or label mute")
    return ok("no alarm is open")


def issues(sight: Sight) -> list[Issue]:
    """Return the monitor's issues: GitHub's where there is a repository, else those of this machine.

    Raises:
        NotSeen: GitHub cannot be asked.
    """
    if not sight.origin and not sight.environment.get("GITHUB_REPOSITORY"):
        return LocalTracker(sight.root / FOLDER).all()
    sight.hub.entries("actions/workflows", "workflows")  # raises where GitHub cannot be asked
    if sight.hub.server is None:
        raise NotSeen(sight.hub.silent)
    return GitHubTracker(sight.hub.server).all()


CHECKS = (
    Check("heartbeat", AREA, told(beat)),
    Check("blind", AREA, blind),
    Check("alarms", AREA, alarms),
)
