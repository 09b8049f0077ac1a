"""A bound that champion and challenger both miss: may it keep the champion? (docs/decisions/0008-verdict.md)

It may not if the challenger is proven to be the better model and is not surely worse by that bound's own measure. Then
the bound is passed over, loudly. Only bounds on the metrics of the rows are asked this; how a model behaves, its size
and its latency are its own doing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mainline.compare.bound import Level, is_number, usable
from mainline.config import Compare
from mainline.evaluate.gates import Gate, kept

LOOK = "a person has to decide on the bound"


def both_miss(gate: Gate, other: Gate, found: Mapping[str, Any], rules: Compare, primary: str) -> tuple[Level, str]:
    """Return level and note of ``gate``, which the challenger misses, and the champion (``other``) too.

    ``found`` holds metrics, slices, calibration and fairness of verdict.json; without it nothing is proven.
    """
    missed = f"the champion misses it too, with {other.value:.4g}"
    kind, _, name = gate.gate.partition(": ")
    if kind == "slice floor" and (spared := _spared(gate, found, name)):
        return "reject", f"the champion keeps it in {spared}"
    worse = _worse(found, primary)
    if not usable(worse) or worse["high"] >= 0:
        return "hold", f"{missed}, and {primary or 'the primary metric'} is not proven better: {LOOK}"
    if not _as_good(kind, name, gate, other, found, rules):
        return "hold", f"{missed}, but by this measure the challenger is not shown to be as good: {LOOK}"
    return "note", f"{missed}, and by {primary} it is the worse model for certain"


def unchanged(gate: Gate) -> tuple[Level, str]:
    """Return level and note of a missed bound where model, rows and numbers are those that main already has."""
    if not of_rows(gate):
        return "reject", ""
    return "note", "main misses it too, with this very model on these very rows"


def of_rows(gate: Gate) -> bool:
    """Return whether ``gate`` is on a metric of the test rows."""
    return gate.gate.partition(": ")[0] in ("floor", "slice floor", "calibration_error", "fairness_gap")


def _as_good(kind: str, name: str, gate: Gate, other: Gate, found: Mapping[str, Any], rules: Compare) -> bool:
    """Return whether the challenger is not surely worse: by the paired interval, else by the margin of the measure."""
    if kind == "floor":
        return _not_surely(_worse(found, name))
    if kind == "slice floor":
        return all(_not_surely(floor["worse"]) for _, floor in _missing(gate, found, name))
    margins = {"calibration_error": rules.calibration_margin, "fairness_gap": rules.fairness_margin}
    if kind not in margins or gate.value is None or other.value is None:
        return False
    return gate.value - other.value <= (margins[kind] or 0.0)  # a margin that is off excuses nothing


def _not_surely(worse: Mapping[str, Any] | None) -> bool:
    return usable(worse) and worse is not None and worse["low"] <= 0


def _worse(found: Mapping[str, Any], name: str) -> Any:
    return next((entry["worse"] for entry in found.get("metrics", []) if entry["metric"] == name), None)


def _missing(gate: Gate, found: Mapping[str, Any], name: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Return name and floor of each slice in which the challenger misses the bound for certain."""
    return [
        (f"{entry['slice']} = {entry['group']}", floor)
        for entry in found.get("slices", [])
        if entry["judged"]
        for floor in entry.get("floors", [])
        if floor["metric"] == name and _misses(gate, floor["challenger"])
    ]


def _spared(gate: Gate, found: Mapping[str, Any], name: str) -> str:
    """Return the slices in which the challenger misses the bound for certain, and the champion does not."""
    return ", ".join(where for where, floor in _missing(gate, found, name) if not _misses(gate, floor["champion"]))


def _misses(gate: Gate, side: Mapping[str, Any] | None) -> bool:
    held = (side or {}).get("held")
    return is_number(held) and gate.bound is not None and not kept(float(held or 0.0), gate.bound, gate.direction)
