"""The repository's settings on GitHub: rules, pinned actions, workflows, environments, labels, secrets by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from mainline.ci.pins import USES, pins
from mainline.doctor.found import Check, Found, NotSeen, broken, gap, ok
from mainline.doctor.hub import PATIENCE, within
from mainline.doctor.sight import Sight
from mainline.doctor.storage import default_remote
from mainline.errors import UserError
from mainline.files import read_json
from mainline.monitor.issue_words import APPROVED
from mainline.monitor.lifecycle import MUTE
from mainline.monitor.tracker import LABEL
from mainline.plugins import PLUGINS

AREA = "on GitHub"
STATUS = "mainline/verdict"
WORKFLOWS = ("pull-request", "report", "release", "rollback", "monitor", "heartbeat", "retrain")
LABELS = (LABEL, APPROVED, MUTE)
ENVIRONMENTS = ("staging", "production")
COMMIT = re.compile(r"[0-9a-f]{40}")
MANY = 20  # calls at most, one an action


def github(sight: Sight) -> Found:
    """GitHub answers, and the token is one."""
    try:
        sight.hub.entries("actions/workflows", "workflows")
    except NotSeen:
        if sight.hub.refused:
            return broken("the token was refused (401)", "export GITHUB_TOKEN=$(gh auth token)")
        server = sight.hub.server
        if server is not None and not sight.hub.silent:
            return broken(f"{server.repository}: the token may not see it", "check GITHUB_REPOSITORY and the token")
        raise
    return ok(f"{sight.hub.server.repository if sight.hub.server else ''} answers")


def rules(sight: Sight) -> Found:
    """Nothing is merged to main without the status mainline/verdict; the committed rules are all in force."""
    found = sight.hub.entries("rules/branches/main")
    asked = {
        str(item.get("context"))
        for rule in found
        if rule.get("type") == "required_status_checks"
        for item in (rule.get("parameters") or {}).get("required_status_checks") or []
    }
    if STATUS not in asked:
        return gap(f"main: {STATUS} is no condition of a merge", "mainline github ruleset")
    file = sight.root / ".github" / "ruleset.json"
    wanted = {str(rule["type"]) for rule in read_json(file)["rules"]} if file.is_file() else set()
    lacking = sorted(wanted - {str(rule.get("type")) for rule in found})
    if lacking:
        return gap(f"main: not in force: {', '.join(lacking)} (.github/ruleset.json)", "mainline github ruleset")
    return ok(f"main: {STATUS} is a condition of every merge, with {len(found) - 1} more rules")


def pinned(sight: Sight) -> Found:
    """Every action that a workflow uses is the commit of the version that its comment names."""
    uses = [match for file in _yml(sight.root) for match in USES.findall(file.read_text(encoding="utf-8"))]
    if not uses:
        return gap(".github: no workflow uses an action", "git checkout main -- .github")
    loose = sorted({f"{action}@{ref}" for _, action, _, ref, _, _ in uses if not COMMIT.fullmatch(ref)})
    if loose:
        return gap(f"not pinned to a commit: {', '.join(loose[:3])}", "mainline github pins --write")
    sight.hub.entries("actions/workflows", "workflows")  # raises where GitHub cannot be asked
    if (server := sight.hub.server) is None:
        raise NotSeen(sight.hub.silent)
    try:
        found = within(MANY * PATIENCE, lambda: list(pins(sight.root, lambda name: replace(server, repository=name))),
                       "GitHub")  # fmt: skip
    except UserError as error:
        raise NotSeen(f"pinned to commits, which were not compared with their versions: {error.problem}") from error
    wrong = sorted({f"{pin.action}@{pin.ref[:12]} is not {pin.version}" for pin in found if not pin.sound})
    if wrong:
        return broken("; ".join(wrong[:3]), "mainline github pins")
    return ok(f"{len({pin.action for pin in found})} actions are the commits that they claim")


def workflow(name: str) -> Callable[[Sight], Found]:
    """Return the check that the workflow ``name`` is on GitHub and switched on."""

    def check(sight: Sight) -> Found:
        path = f".github/workflows/{name}.yml"
        if not (sight.root / path).is_file():
            return gap(f"{path} is not there", f"git checkout main -- {path}")
        found = sight.hub.entries("actions/workflows", "workflows")
        state = next((str(item.get("state")) for item in found if item.get("path") == path), "")
        if not state:
            return gap("GitHub does not know it yet", "push main")
        if state == "active":
            return ok("enabled")
        words = "GitHub has switched it off (60 days without activity)" if state == "disabled_inactivity" else state
        found_off = broken if state == "disabled_inactivity" else gap
        return found_off(words, f"gh workflow enable {name}.yml")

    return check


def environments(sight: Sight) -> Found:
    """Staging and production are environments that only main may deploy to."""
    known = {str(item.get("name")): item for item in sight.hub.entries("environments", "environments")}
    lacking = [name for name in ENVIRONMENTS if name not in known]
    if lacking:
        return gap(f"there is no environment {' or '.join(lacking)}", "Settings, Environments, New environment")
    free = [name for name in ENVIRONMENTS if not known[name].get("deployment_branch_policy")]
    if free:
        return gap(f"any branch may deploy to {', '.join(free)}", "Settings, Environments, Deployment branches: main")
    return ok(f"{' and '.join(ENVIRONMENTS)}, not for every branch")


def reviewers(sight: Sight) -> Found:
    """A person is asked before production."""
    known = {str(item.get("name")): item for item in sight.hub.entries("environments", "environments")}
    asked = [
        reviewer
        for rule in known.get("production", {}).get("protection_rules") or []
        if rule.get("type") == "required_reviewers"
        for reviewer in rule.get("reviewers") or []
    ]
    if not asked:
        return gap("production asks nobody", "Settings, Environments, production, Required reviewers")
    return ok(f"production asks {len(asked)} reviewer{'s' if len(asked) > 1 else ''}")


def labels(sight: Sight) -> Found:
    """The labels by which a person answers an issue exist."""
    known = {str(item.get("name")) for item in sight.hub.entries("labels")}
    lacking = [name for name in LABELS if name not in known]
    if lacking:
        return gap(f"no label {', '.join(lacking)}", " && ".join(f"gh label create {name}" for name in lacking))
    return ok(", ".join(LABELS))


def watched_log(sight: Sight) -> Found:
    """The repository variable that names the log is set; without it nothing is watched."""
    if sight.hub.ask("actions/variables/MAINLINE_LOG", absent="none") is None:
        return gap("the variable MAINLINE_LOG is not set: nothing is watched", "gh variable set MAINLINE_LOG")
    return ok("the variable MAINLINE_LOG is set")


def secrets(sight: Sight) -> Found:
    """Every secret that a workflow names exists; storage of one's own is given one."""
    texts = [file.read_text(encoding="utf-8") for file in _yml(sight.root)]
    wanted = sorted({name for text in texts for name in re.findall(r"\bsecrets\.(\w+)", text)} - {"GITHUB_TOKEN"})
    scheme = str(default_remote(sight.root)[1].get("url", "")).partition("://")[0]
    keyless = any(re.search(r"uses:\s*\S*(configure-aws-credentials|/auth@|azure/login)", text) for text in texts)
    if not wanted:
        if scheme in PLUGINS and not keyless:
            return gap(f"no workflow gives a key to {scheme}://", "docs/operations.md, On GitHub: storage of your own")
        return ok("none is needed")
    known = {str(item.get("name")) for item in sight.hub.entries("actions/secrets", "secrets")}
    if not known.issuperset(wanted):
        shared = sight.hub.ask("actions/organization-secrets?per_page=100", absent="none") or {}
        known |= {str(item.get("name")) for item in shared.get("secrets") or []}
    lacking = [name for name in wanted if name not in known]
    if lacking:
        fix = " && ".join(f"gh secret set {name}" for name in lacking)
        return broken(f"a workflow uses {', '.join(lacking)}, which is not set", fix)
    return ok(f"{', '.join(wanted)} {'is' if len(wanted) == 1 else 'are'} set")


def proposals(sight: Sight) -> Found:
    """A workflow may open pull requests; retraining needs that."""
    found = sight.hub.ask("actions/permissions/workflow")
    if not isinstance(found, dict) or not found.get("can_approve_pull_request_reviews"):
        return gap(
            "Actions may not open pull requests: a retraining ends before its own",
            "Settings, Actions, General, Allow GitHub Actions to create and approve pull requests",
        )
    return ok("Actions may open pull requests")


def _yml(root: Path) -> Iterator[Path]:
    yield from sorted((root / ".github").rglob("*.yml"))


CHECKS = (
    Check("GitHub", AREA, github),
    Check("rules of main", AREA, rules),
    Check("pinned actions", AREA, pinned),
    Check("secrets", AREA, secrets),
    *(Check(f"workflow {name}", AREA, workflow(name)) for name in WORKFLOWS),
    Check("environments", AREA, environments),
    Check("reviewers", AREA, reviewers),
    Check("labels", AREA, labels),
    Check("log variable", AREA, watched_log),
    Check("proposals", AREA, proposals),
)
