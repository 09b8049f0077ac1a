"""How far the repository has come: five levels, each a list of checks that must all be ok, and those below it too."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mainline.doctor.found import Finding


@dataclass(frozen=True)
class Level:
    """One level and the checks that it asks for."""

    number: int
    name: str
    checks: tuple[str, ...]


LEVELS = (
    Level(0, "by hand", ()),
    Level(1, "reproducible pipeline", ("params", "git", "lock", "champion", "objects")),
    Level(
        2,
        "gated pull requests",
        ("origin", "GitHub", "actions", "default branch", "pinned actions", "workflow pull-request", "workflow report",
         "code owners", "rules of main", "merge queue", "secrets"),
    ),
    Level(
        3,
        "releases through canary",
        ("workflow release", "workflow rollback", "rules of deploy", "environments", "first release", "stable",
         "canary", "way back", "rollout"),
    ),
    Level(
        4,
        "watched, with retraining",
        ("workflow monitor", "workflow heartbeat", "workflow retrain", "log variable", "issues", "labels", "proposals",
         "heartbeat", "blind"),
    ),
)  # fmt: skip


def reached(findings: Iterable[Finding]) -> Level:
    """Return the highest level whose checks, and those of all levels below it, are ok; "unknown" is not ok."""
    fine = {finding.check for finding in findings if finding.status == "ok"}
    found = LEVELS[0]
    for level in LEVELS[1:]:
        if not fine.issuperset(level.checks):
            break
        found = level
    return found


def lacking(findings: Iterable[Finding]) -> tuple[Level, list[Finding]] | None:
    """Return the level after the one that is reached, and what stands in its way; None: there is none."""
    known = list(findings)
    number = reached(known).number + 1
    if number == len(LEVELS):
        return None
    level = LEVELS[number]
    return level, [finding for finding in known if finding.check in level.checks and finding.status != "ok"]
