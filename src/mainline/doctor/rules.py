"""Who decides: rules of the default branch and of ``deploy``, code owners, environments, reviewers."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mainline.doctor.found import Check, Found, NotInPlan, NotSeen, broken, gap, ok, optional
from mainline.doctor.sight import Sight
from mainline.files import read_json
from mainline.release.repo import BRANCH

AREA = "who decides"
STATUS = "mainline/verdict"
ACTIONS = 15368  # GitHub Actions, as an app: only a workflow can set a status in its name
RULESET = "mainline github ruleset"
PLACEHOLDER = "@your-org/"
OWNERS = (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS")
ENVIRONMENTS = ("staging", "production")
KEPT = {"deletion", "non_fast_forward"}
# What GitHub demands of a push and a workflow's push cannot have.
STOPS = {"pull_request", "required_status_checks", "required_signatures", "update", "creation", "merge_queue"}
UPGRADE = "a public repository, or GitHub Pro or Team (docs/first-hour.md, Plans)"


def owners(sight: Sight) -> Found:
    """Every code owner exists, and none is the template's placeholder."""
    file = next((name for name in OWNERS if (sight.root / name).is_file()), "")
    missing = gap if sight.required else optional
    if not file:
        return missing("there is no CODEOWNERS: no owner is asked to agree to a change", f"write {OWNERS[0]}")
    lines = (sight.root / file).read_text(encoding="utf-8").splitlines()
    words = {word for line in lines if not line.lstrip().startswith("#") for word in line.split()[1:]}
    placeholders = sorted(word for word in words if word.startswith(PLACEHOLDER))
    if placeholders:
        return missing(
            f"{file} names {placeholders[0]}, the template's placeholder: no owner is asked",
            f"put your team, or your own @name, in its place in {file}; commit and push",
        )
    found = sight.hub.ask("codeowners/errors")
    errors = [entry for entry in (found.get("errors") or [] if isinstance(found, dict) else [])]
    if errors:
        first = errors[0]
        words_of = f"{first.get('path') or file}, line {first.get('line')}: {first.get('kind')}"
        said = " ".join(str(first.get("suggestion") or "").split())
        return missing(f"{len(errors)} errors on {sight.default_branch}: {words_of}", said or f"correct {file}")
    return ok(f"{file}: {len(words)} owners, all known to GitHub")


def rules_of_main(sight: Sight) -> Found:
    """Nothing is merged without the status mainline/verdict of GitHub Actions; the committed rules are in force."""
    branch = sight.default_branch
    try:
        found = sight.rules(branch)
    except NotInPlan as reason:
        text = f"{reason}: {STATUS} advises; `release.require_verdict` stops the release of a commit without it"
        return optional(text, UPGRADE)
    asked = _asked(found)
    if not asked:
        return gap(f"{branch}: {STATUS} is not a condition of a merge", RULESET)
    if all(item.get("integration_id") != ACTIONS for item in asked):
        return gap(f"{branch}: {STATUS} may be set by anybody who can write here: the rule names no app", RULESET)
    lacking = sorted(_wanted(sight.root / ".github" / "ruleset.json") - {str(rule.get("type")) for rule in found})
    if lacking:
        return gap(f"{branch}: not in force: {', '.join(lacking)} (.github/ruleset.json)", RULESET)
    return _locked_out(sight, found) or ok(
        f"{branch}: {STATUS} is a condition of every merge, with {len(found) - 1} more rules"
    )


def _asked(found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the required checks that are the verdict."""
    return [
        item
        for rule in found
        if rule.get("type") == "required_status_checks"
        for item in (rule.get("parameters") or {}).get("required_status_checks") or []
        if item.get("context") == STATUS
    ]


def _locked_out(sight: Sight, found: Iterable[dict[str, Any]]) -> Found | None:
    """Return that one person is alone and a review is required: the author of a pull request cannot approve it."""
    reviewed = [rule for rule in found if rule.get("type") == "pull_request" and _reviews(rule)]
    if not reviewed:
        return None
    try:
        people = sight.hub.entries("collaborators")
    except NotSeen:
        return None
    writers = [item for item in people if (item.get("permissions") or {}).get("push") and item.get("type") != "Bot"]
    if len(writers) != 1 or all(_may_pass(sight, rule) for rule in reviewed):
        return None
    name = str(writers[0].get("login"))
    return broken(
        f"a review is required and only {name} may write here: no pull request of {name} can be merged",
        f"{RULESET} --reviews 0",
    )


def _reviews(rule: dict[str, Any]) -> bool:
    asked = rule.get("parameters") or {}
    return bool(asked.get("required_approving_review_count") or asked.get("require_code_owner_review"))


def _may_pass(sight: Sight, rule: dict[str, Any]) -> bool:
    """Return whether whoever looks may merge past the rule's ruleset."""
    try:
        found = sight.hub.ask(f"rulesets/{int(rule['ruleset_id'])}", absent="none")
    except (NotSeen, KeyError, TypeError, ValueError):
        return False
    return isinstance(found, dict) and found.get("current_user_can_bypass") in ("always", "pull_requests_only")


def rules_of_deploy(sight: Sight) -> Found:
    """The ledger's branch can be neither deleted nor rewritten, and the release workflow may push to it."""
    try:
        found = {str(rule.get("type")) for rule in sight.rules(BRANCH)}
    except NotInPlan as reason:
        return optional(f"{reason}: who may write can rewrite the ledger", UPGRADE)
    stopping = sorted(found & STOPS)
    if stopping:
        return broken(
            f"{BRANCH}: {', '.join(stopping)} stops the workflows that write the ledger",
            f"Settings, Rules, Rulesets: take {BRANCH} out of that rule",
        )
    lacking = sorted(KEPT - found)
    if lacking:
        return gap(f"{BRANCH}: not in force: {', '.join(lacking)}: the ledger could be rewritten", RULESET)
    return ok(f"{BRANCH} can be neither deleted nor rewritten")


def queue(sight: Sight) -> Found:
    """A merge queue is off, or the workflow answers to it."""
    try:
        on = any(rule.get("type") == "merge_queue" for rule in sight.rules(sight.default_branch))
    except NotInPlan:
        on = False
    if not on:
        return ok("off")
    file = sight.root / ".github" / "workflows" / "pull-request.yml"
    if file.is_file() and re.search(r"^\s*merge_group:", file.read_text(encoding="utf-8"), re.MULTILINE):
        return ok("on, and the workflow `pull request` runs for it")
    return broken(
        f"on, and no workflow sets {STATUS} for it: each group of it waits until it times out",
        f"Settings, Rules, Rulesets: take the merge queue out of the rules of {sight.default_branch}",
    )


def environments(sight: Sight) -> Found:
    """Staging and production are environments to which only the default branch may deploy."""
    if not sight.required:
        sight.hub.ask("")  # raises where GitHub cannot be asked
        return optional("this plan has no rules for environments: the jobs only carry their names", UPGRADE)
    return protected(sight, ENVIRONMENTS)


def protected(sight: Sight, names: Sequence[str]) -> Found:
    """Return whether these environments exist, and only chosen branches may deploy to them."""
    known = {str(item.get("name")): item for item in sight.hub.entries("environments", "environments")}
    lacking = [name for name in names if name not in known]
    place = "Settings, Environments, New environment"
    branch = f"Deployment branches and tags, Selected: {sight.default_branch}"
    if lacking:
        return gap(f"there is no environment {' or '.join(lacking)}", f"{place}: {', '.join(lacking)}; {branch}")
    free = [name for name in names if not known[name].get("deployment_branch_policy")]
    if free:
        return gap(f"any branch may deploy to {', '.join(free)}", f"Settings, Environments, {free[0]}, {branch}")
    for name in names:
        if (known[name]["deployment_branch_policy"] or {}).get("custom_branch_policies"):
            patterns = _patterns(sight, name)
            place = f"Settings, Environments, {name}, {branch}"
            if "*" in patterns:
                return gap(f"any branch may deploy to {name}: it allows *", place)
            if patterns and not any(fnmatch.fnmatchcase(sight.default_branch, item) for item in patterns):
                return gap(f"{sight.default_branch} may not deploy to {name}, only {', '.join(patterns)}", place)
    return ok(f"{' and '.join(names)}: not for every branch")


def _patterns(sight: Sight, environment: str) -> list[str]:
    """Return the patterns of branches that may deploy to an environment; none where GitHub does not tell."""
    path = f"environments/{quote(environment, safe='')}/deployment-branch-policies"
    try:
        return [str(item.get("name")) for item in sight.hub.entries(path, "branch_policies")]
    except NotSeen:
        return []


def reviewers(sight: Sight) -> Found:
    """A person is asked before production, where `rollout.approval` wants that."""
    known = {str(item.get("name")): item for item in sight.hub.entries("environments", "environments")}
    asked = [
        reviewer
        for rule in known.get("production", {}).get("protection_rules") or []
        if rule.get("type") == "required_reviewers"
        for reviewer in rule.get("reviewers") or []
    ]
    if asked:
        return ok(f"production asks {len(asked)} reviewer{'s' if len(asked) > 1 else ''}")
    where = "Settings, Environments, production, Required reviewers (private repositories: Enterprise Cloud only)"
    if sight.settings.rollout.approval == "required":
        return optional(
            "production has no reviewers, so a rollout waits for a start by hand (rollout.approval: required)",
            f"gh workflow run release.yml with the release's id; or {where}",
        )
    return optional("production has no reviewers: no person confirms a promotion (rollout.approval: none)", where)


def _wanted(file: Path) -> set[str]:
    return {str(rule["type"]) for rule in read_json(file)["rules"]} if file.is_file() else set()


CHECKS = (
    Check("code owners", AREA, owners, "people that you name agree to changes of gates, data and workflows"),
    Check("rules of main", AREA, rules_of_main, "no merge without the verdict"),
    Check("rules of deploy", AREA, rules_of_deploy, "no one rewrites the ledger, which says what runs"),
    Check("merge queue", AREA, queue, "a queue merges only what was judged"),
    Check("environments", AREA, environments, "only main's workflows deploy"),
    Check("reviewers", AREA, reviewers, "a person confirms each promotion"),
)
