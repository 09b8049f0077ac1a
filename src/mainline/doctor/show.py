"""What ``mainline doctor`` prints: the steps of the first hour in their order, and what comes next."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mainline import console
from mainline.doctor.found import Finding, Status
from mainline.doctor.levels import LEVELS, lacking, reached

SIGNS: dict[Status, str] = {"ok": "✓", "gap": "!", "broken": "✗", "optional": "·", "unknown": "?"}
WORDS: dict[Status, str] = {
    "ok": "done", "gap": "to do", "broken": "broken", "optional": "optional or waiting", "unknown": "cannot be seen",
}  # fmt: skip
FAULTS: tuple[Status, ...] = ("gap", "broken")


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
            {"check": item.check, "area": item.area, "status": item.status, "found": item.text, "fix": item.fix,
             "gives": item.gives, "step": item.step}
            for item in findings
        ],
    }  # fmt: skip


def show(findings: Sequence[Finding], *, as_json: bool) -> int:
    """Print the findings; return the exit code: 1 if something required is missing, or something is broken."""
    faults = [item for item in findings if item.status in FAULTS]
    code = 1 if faults else 0
    if as_json:
        print(json.dumps(facts(findings), indent=2, sort_keys=True, ensure_ascii=False))
        return code
    for area in dict.fromkeys(item.area for item in findings):
        rows = [row for item in _together(findings, area) for row in _rows(item)]
        console.table("", ("", "", area, ""), rows, right=(1,))
    for item in faults:
        console.annotate("error", f"{item.check}: {item.text}")
    counted = Counter(item.status for item in findings)
    console.say(", ".join(f"{counted[status]} {WORDS[status]}" for status in SIGNS))
    level, missing = reached(findings), lacking(findings)
    console.say(f"level {level.number} of {LEVELS[-1].number}: {level.name}", "pass" if level.number else "none")
    if missing is not None:
        needs = ", ".join(item.check for item in missing[1])
        console.say(f"level {missing[0].number}, {missing[0].name}, needs: {needs} (docs/doctor.md)")
    if faults:
        first = faults[0]
        console.say(f"next: step {first.step}, {first.check} → {' '.join(first.fix.split())}", "warn")
    else:
        console.say("nothing required is missing (docs/first-hour.md)", "pass")
    return code


def _together(findings: Sequence[Finding], area: str) -> list[Finding]:
    """Return the findings of an area; those that are not done for one and the same reason are one line."""
    kept: dict[str, list[Finding]] = {}
    for item in findings:
        if item.area == area:
            same = item.text if item.status in ("unknown", "optional") else item.check
            kept.setdefault(same, []).append(item)
    return [same[0] if len(same) == 1 else _merged(same) for same in kept.values()]


def _merged(same: Sequence[Finding]) -> Finding:
    names = ", ".join(item.check for item in same)
    return replace(same[0], check=f"{len(same)} checks", text=f"{same[0].text}: {names}", gives="")


def _rows(item: Finding) -> list[tuple[str, str, str, str]]:
    """Return the finding in a line; below it, unless it is done, what it is good for and what closes it."""
    step = str(item.step or "")
    lines = [(SIGNS[item.status], step, item.check, " ".join(item.text.split()))]
    if item.status != "ok" and item.gives:
        lines.append(("", "", "", f"for: {item.gives}"))
    return lines + ([("", "", "", f"→ {' '.join(item.fix.split())}")] if item.fix else [])
