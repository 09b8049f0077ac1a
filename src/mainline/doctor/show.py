"""What ``mainline doctor`` prints."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mainline import console
from mainline.doctor.found import Finding, Status
from mainline.doctor.levels import LEVELS, lacking, reached

SIGNS: dict[Status, str] = {"ok": "✓", "gap": "!", "broken": "✗", "unknown": "?"}


def facts(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return everything as one JSON value."""
    level, missing = reached(findings), lacking(findings)
    return {
        "level": level.number,
        "name": level.name,
        "next": None
        if missing is None
        else {"level": missing[0].number, "name": missing[0].name, "needs": [item.check for item in missing[1]]},
        "counts": {status: sum(item.status == status for item in findings) for status in SIGNS},
        "checks": [
            {"check": item.check, "area": item.area, "status": item.status, "found": item.text, "fix": item.fix}
            for item in findings
        ],
    }


def show(findings: Sequence[Finding], *, as_json: bool) -> int:
    """Print the findings; return the exit code: 1 if something is broken."""
    code = 1 if any(item.status == "broken" for item in findings) else 0
    if as_json:
        print(json.dumps(facts(findings), indent=2, sort_keys=True, ensure_ascii=False))
        return code
    for area in dict.fromkeys(item.area for item in findings):
        rows = [row for item in _together(findings, area) for row in _rows(item)]
        console.table("", ("", area, ""), rows)
    for item in findings:
        if item.status == "broken":
            console.annotate("error", f"{item.check}: {item.text}")
    counted = Counter(item.status for item in findings)
    console.say(", ".join(f"{counted[status]} {status}" for status in SIGNS))
    level, missing = reached(findings), lacking(findings)
    console.say(f"level {level.number} of {LEVELS[-1].number}: {level.name}", "pass" if level.number else "none")
    if missing is not None:
        needs = ", ".join(item.check for item in missing[1])
        console.say(f"level {missing[0].number}, {missing[0].name}, needs: {needs} (docs/doctor.md)")
    return code


def _together(findings: Sequence[Finding], area: str) -> list[Finding]:
    """Return the findings of an area; those that could not be looked at for one reason are one line."""
    kept: dict[str, list[Finding]] = {}
    for item in findings:
        if item.area == area:
            kept.setdefault(item.text if item.status == "unknown" else item.check, []).append(item)
    return [same[0] if len(same) == 1 else _merged(same) for same in kept.values()]


def _merged(same: Sequence[Finding]) -> Finding:
    names = ", ".join(item.check for item in same)
    return replace(same[0], check=f"{len(same)} checks", text=f"{same[0].text}: {names}")


def _rows(item: Finding) -> list[tuple[str, str, str]]:
    """Return the finding in a line, and below it what mends it."""
    lines = [(SIGNS[item.status], item.check, " ".join(item.text.split()))]
    return lines + ([("", "", f"→ {' '.join(item.fix.split())}")] if item.fix else [])
