"""Whether the workflows can run: Actions, the list of allowed actions, their pins, each workflow, their branches."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from mainline.ci.pins import USES, pins
from mainline.doctor.found import Check, Found, NotSeen, broken, gap, ok, optional
from mainline.doctor.hub import PATIENCE, within
from mainline.doctor.sight import Sight
from mainline.errors import UserError

AREA = "workflows"
WORKFLOWS = ("pull-request", "report", "comment", "release", "rollback", "monitor", "heartbeat", "retrain")
JUDGES = ("pull-request", "report")  # without these two nothing is judged
SPARE = "comment"  # what CML posts there `report` has commented already
COMMIT = re.compile(r"[0-9a-f]{40}")
MANY = 20  # calls at most, one an action
GENERAL = "Settings, Actions, General, Actions permissions"
OWNED = ("actions/", "github/")


def allowed(sight: Sight) -> Found:
    """Actions are on, and every action that a workflow uses is allowed here."""
    found = sight.hub.ask("actions/permissions")
    if not isinstance(found, dict) or not found.get("enabled"):
        return gap("Actions are switched off: no workflow runs", f"{GENERAL}: Allow")
    policy, used = str(found.get("allowed_actions") or "all"), used_actions(sight.root)
    if policy == "all":
        return ok(f"on, every action is allowed; {_words(used)}")
    if policy == "local_only":
        return broken("only actions of the owner are allowed: each run fails at once", f"{GENERAL}: allow actions/*")
    answer = sight.hub.ask("actions/permissions/selected-actions")
    chosen: dict[str, Any] = answer if isinstance(answer, dict) else {}
    outside = {name: files for name, files in used.items() if not _is_allowed(name, chosen)}
    if not outside:
        return ok(f"on, selected actions are allowed; {_words(used)}")
    return _outside(sight, outside, verified=bool(chosen.get("verified_allowed")))


def _outside(sight: Sight, outside: dict[str, set[str]], *, verified: bool) -> Found:
    """Return what becomes of workflows that use an action which is not on the list of allowed ones."""
    text = f"not on the list of allowed actions: {', '.join(sorted(outside)[:3])}"
    if all(files == {f"{SPARE}.yml"} for files in outside.values()):
        if _state(sight, f".github/workflows/{SPARE}.yml") in ("disabled_manually", ""):
            return ok(f"on, selected actions are allowed; {SPARE}.yml, which needs another one, is off")
        return optional(
            f"{text}: {SPARE}.yml cannot start, and `report` comments without it",
            f"gh workflow disable {SPARE}.yml; or allow {sorted(outside)[0].partition('@')[0]}@*",
        )
    fix = f"{GENERAL}: allow actions created by GitHub, or ask the organisation's owner; or leave them out"
    if verified and not any(name.startswith(OWNED) for name in outside):
        return optional(f"{text}, unless GitHub has verified their makers", fix)
    return broken(f"{text}: a run that uses one fails at once, with no job", fix)


def _words(used: dict[str, set[str]]) -> str:
    others = sorted(f"{name.partition('@')[0]} in {', '.join(sorted(files))}" for name, files in used.items()
                    if not name.startswith("actions/"))  # fmt: skip
    return f"{', '.join(others)}; all others are actions/*" if others else "all are actions/*"


def used_actions(root: Path) -> dict[str, set[str]]:
    """Return the files that use each action, by owner/name@ref; those of the repository itself are left out."""
    used: dict[str, set[str]] = {}
    for file in yml(root):
        for _, action, folder, ref, _, _ in USES.findall(file.read_text(encoding="utf-8")):
            used.setdefault(f"{action}{folder}@{ref}", set()).add(file.name)
    return used


def _is_allowed(name: str, chosen: dict[str, Any]) -> bool:
    if chosen.get("github_owned_allowed") and name.startswith(OWNED):
        return True
    return any(fnmatch.fnmatchcase(name, str(item)) for item in chosen.get("patterns_allowed") or [])


def pinned(sight: Sight) -> Found:
    """Every action that a workflow uses is the commit of the version that its comment names."""
    used = sorted(used_actions(sight.root))
    if not used:
        return gap(".github: no workflow uses an action", "git checkout main -- .github")
    loose = [name for name in used if not COMMIT.fullmatch(name.partition("@")[2])]
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


def branches(sight: Sight) -> Found:
    """The workflows that run on a push to the default branch name it."""
    name = sight.default_branch
    deaf = sorted(file.name for file in yml(sight.root) if not _hears(file, name))
    if deaf:
        return gap(
            f"the default branch is {name!r}, and {', '.join(deaf)} runs for other branches only",
            f"add {name} to on.push.branches there; or rename it: Settings, General, Default branch: main",
        )
    return ok(f"{name}, and the workflows run for it")


def _hears(file: Path, branch: str) -> bool:
    """Return whether each event of a workflow that names branches names ``branch``."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError:
        return True  # GitHub says so itself, on the page of the run
    events = content.get(True, content.get("on")) if isinstance(content, dict) else None  # YAML 1.1 reads on as true
    for event in (events or {}).values() if isinstance(events, dict) else ():
        named = event.get("branches") if isinstance(event, dict) else None
        if named and not any(fnmatch.fnmatchcase(branch, str(item)) for item in named):
            return False
    return True


def workflow(name: str) -> Callable[[Sight], Found]:
    """Return the check that the workflow ``name`` is on GitHub and switched on."""
    missing = gap if name in JUDGES else optional

    def check(sight: Sight) -> Found:
        path = f".github/workflows/{name}.yml"
        if not (sight.root / path).is_file():
            return missing(f"{path} is not there", f"git checkout main -- {path}")
        state = _state(sight, path)
        if not state:
            return gap("GitHub does not know it yet", f"git push origin {sight.default_branch}")
        if state == "active":
            return ok("enabled")
        enable = f"gh workflow enable {name}.yml"
        if state == "disabled_inactivity":
            return broken("GitHub has switched it off (60 days without activity)", enable)
        if state == "disabled_fork":
            return gap("off, as all workflows of a new fork", f"tab Actions: enable them; or {enable}")
        return missing(state, enable)

    return check


def _state(sight: Sight, path: str) -> str:
    """Return GitHub's word for a workflow, an empty text when it knows none of that path."""
    found = sight.hub.entries("actions/workflows", "workflows")
    return next((str(item.get("state")) for item in found if item.get("path") == path), "")


def yml(root: Path) -> Iterator[Path]:
    """Yield the files of workflows and actions."""
    yield from sorted((root / ".github").rglob("*.yml"))


GIVES = {
    "pull-request": "trains and compares each pull request",
    "report": "sets the verdict and comments, with main's own code",
    "comment": "lets CML post the report; `report` has commented it before",
    "release": "builds and rolls out what was merged",
    "rollback": "the way back by one button",
    "monitor": "looks at production every day",
    "heartbeat": "notices a monitor that no longer runs",
    "retrain": "answers the label retrain-approved",
}
CHECKS = (
    Check("actions", AREA, allowed, "workflows can run at all"),
    Check("default branch", AREA, branches, "a merge starts the workflows"),
    Check("pinned actions", AREA, pinned, "no one else changes what your workflows run"),
    *(Check(f"workflow {name}", AREA, workflow(name), GIVES[name]) for name in WORKFLOWS),
)
