"""The repository on GitHub: whether it can be asked, and what its plan has."""

from __future__ import annotations

from urllib.parse import urlsplit

from mainline.doctor.found import Check, Found, NotInPlan, NotSeen, broken, ok, optional
from mainline.doctor.rules import UPGRADE
from mainline.doctor.sight import Sight

AREA = "on GitHub"
TOKEN = "export GITHUB_TOKEN=$(gh auth token)"  # noqa: S105 - the command, not a token


def github(sight: Sight) -> Found:
    """GitHub answers, and the token is one."""
    try:
        sight.hub.entries("actions/workflows", "workflows")
    except NotSeen as reason:
        if sight.hub.refused:
            return broken("the token was refused (401)", TOKEN)
        server = sight.hub.server
        if server is not None and "renamed" in str(reason):
            return broken(f"{server.repository}: {reason}", "git remote set-url origin ADDRESS, GITHUB_REPOSITORY")
        if server is not None and not sight.hub.silent:
            return broken(f"{server.repository}: the token may not see it", "check GITHUB_REPOSITORY and the token")
        raise
    return ok(f"{sight.hub.server.repository if sight.hub.server else ''} answers")


def plan(sight: Sight) -> Found:
    """Which of rulesets, environments and reviewers the repository can have."""
    host = urlsplit(sight.environment.get("GITHUB_SERVER_URL") or "https://github.com").hostname or ""
    if host != "github.com" and not host.endswith(".ghe.com"):
        return broken(
            f"{host} is a GitHub Enterprise Server, which lacks the artifacts that the workflows hand on",
            "use github.com (docs/first-hour.md, Limits)",
        )
    facts = sight.facts
    if facts.get("archived"):
        return broken("the repository is archived: nothing in it can change", "Settings, General, Unarchive")
    fork = "; a fork: Actions are off until you enable them in the tab Actions" if facts.get("fork") else ""
    seen = str(facts.get("visibility") or ("private" if facts.get("private") else "public"))
    if seen == "public":
        return ok(f"public: rulesets, environments, reviewers, attestations{fork}")
    try:
        sight.rules(sight.default_branch)
    except NotInPlan:
        return optional(
            f"{seen}, on a plan without rulesets, environments and reviewers: gates advise, they do not block{fork}",
            UPGRADE,
        )
    return ok(f"{seen}, with rulesets and environments; required reviewers need Enterprise Cloud{fork}")


CHECKS = (
    Check("GitHub", AREA, github, "the token that lets this list see the settings"),
    Check("plan", AREA, plan, "what your plan can enforce, and what stays advice"),
)
