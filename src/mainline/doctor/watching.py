"""Whether anybody watches production, and what is open."""

from __future__ import annotations

from mainline.ci.heartbeat import judge
from mainline.ci.labels import LABELS
from mainline.ci.monitor_state import last_beat
from mainline.doctor.found import Check, Found, NotSeen, broken, gap, ok, optional
from mainline.doctor.releases import told
from mainline.doctor.sight import Sight
from mainline.monitor.blind import MARK
from mainline.monitor.tracker import FOLDER, Issue
from mainline.monitor.tracker_github import GitHubTracker
from mainline.monitor.tracker_local import LocalTracker
from mainline.release.ledger import Deploy

AREA = "watching production"
LOG = "MAINLINE_LOG"
CHECK_LOG = "`log variable`"
GENERAL = "Settings, Actions, General"


def watched(sight: Sight) -> bool:
    """Return whether the repository variable names a log; what cannot be seen counts as not set."""
    try:
        return sight.hub.ask(f"actions/variables/{LOG}", absent="none") is not None
    except NotSeen:
        return False


def log_variable(sight: Sight) -> Found:
    """The repository variable that names the log is set; without it nothing is watched."""
    if sight.hub.ask(f"actions/variables/{LOG}", absent="none") is None:
        return optional(f"the variable {LOG} is not set: nothing is watched", f"gh variable set {LOG} --body ADDRESS")
    return ok(f"the variable {LOG} is set")


def issues_on(sight: Sight) -> Found:
    """Issues are on; an alarm is an issue."""
    if not sight.facts.get("has_issues", True):
        missing = gap if watched(sight) else optional
        return missing("issues are off: an alarm has no place to go", "Settings, General, Features, Issues")
    return ok("issues are on")


def labels(sight: Sight) -> Found:
    """The labels by which a person answers an issue exist."""
    known = {str(item.get("name")).lower() for item in sight.hub.entries("labels")}
    lacking = [name for name in LABELS if name not in known]
    if lacking:
        missing = gap if watched(sight) else optional
        return missing(f"no label {', '.join(lacking)}", "mainline github labels")
    return ok(", ".join(LABELS))


def proposals(sight: Sight) -> Found:
    """A workflow may open pull requests; retraining needs that."""
    found = sight.hub.ask("actions/permissions/workflow")
    if not isinstance(found, dict) or not found.get("can_approve_pull_request_reviews"):
        missing = gap if watched(sight) else optional
        return missing(
            "Actions may not open pull requests: a retraining ends before its own",
            f"{GENERAL}: Allow GitHub Actions to create and approve pull requests",
        )
    return ok("Actions may open pull requests")


def beat(sight: Sight, deploy: Deploy) -> Found:
    """A run of the workflow monitor came to its end lately."""
    last, on = last_beat(deploy), watched(sight)
    if last is None and not on:
        return optional("nothing is watched, so no run of the workflow monitor is due", f"the step {CHECK_LOG}")
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
        return optional(
            f"{len(found)} open: {some}", "decide each: correct it upstream, label retrain-approved, or label mute"
        )
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
    Check("log variable", AREA, log_variable, "the workflows know where production's predictions are"),
    Check("issues", AREA, issues_on, "each alarm is one issue"),
    Check("labels", AREA, labels, "the labels by which a person answers an alarm"),
    Check("proposals", AREA, proposals, "an approved retraining becomes a pull request"),
    Check("heartbeat", AREA, told(beat), "the monitor ran lately"),
    Check("blind", AREA, blind, "the monitor sees what it is there to see"),
    Check("alarms", AREA, alarms, "what waits for a person"),
)
