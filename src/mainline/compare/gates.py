"""Bounds on the challenger against the champion, and on what the comparison stands on.

Each gate has a number, a bound and a direction. One that could not be computed is not passed. Where there is an
interval, a challenger is turned away only if the whole interval is beyond the bound: noise is no reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mainline.compare.below import both_miss, unchanged
from mainline.compare.bound import Bound, Level, is_number, usable
from mainline.compare.integrity import Finding
from mainline.config import Compare
from mainline.evaluate.gates import OFF, Gate
from mainline.evaluate.metrics import rounded

MANY = 3  # names in a sentence; the rest is counted


def absolute(
    gates: Sequence[Gate],
    champion: Sequence[Gate] = (),
    found: Mapping[str, Any] | None = None,
    rules: Compare | None = None,
    primary: str = "",
    same: bool = False,
) -> list[Bound]:
    """Return the gates on the challenger alone: a missed bound rejects, one that was not computed holds.

    ``champion`` are the same gates on the champion, on the same rows. Where it misses the bound too, rejecting would
    keep a model that is no better: ``found`` (of verdict.json) then tells whether the bound holds or is passed over
    (see :mod:`mainline.compare.below`). ``same``: model and numbers are the champion's.
    """
    theirs = {gate.gate: gate for gate in champion}
    return [_absolute(gate, theirs.get(gate.gate), found or {}, rules or Compare(), primary, same) for gate in gates]


def _absolute(
    gate: Gate, other: Gate | None, found: Mapping[str, Any], rules: Compare, primary: str, same: bool
) -> Bound:
    level: Level | None = None if gate.passed else "hold" if gate.value is None else "reject"
    said = ""
    if level == "reject" and same:
        level, said = unchanged(gate)
    elif level == "reject" and other is not None and not other.passed and other.value is not None:
        level, said = both_miss(gate, other, found, rules, primary)
    note = "; ".join(filter(None, (gate.note, said)))
    return Bound(gate.gate, gate.value, gate.bound, gate.direction, gate.passed, note, level)


def relative(found: Mapping[str, Any], rules: Compare, primary: str, enough: bool = True) -> list[Bound]:
    """Return the gates on the difference between challenger and champion.

    ``found`` holds metrics, slices, calibration, fairness, value, latency and size of verdict.json. With too few rows
    (``enough`` false) a difference can only hold, not reject.
    """
    entries = {entry["metric"]: entry for entry in found["metrics"]}
    of_rows = [
        primary_gate(entries.get(primary, {}).get("worse"), rules, primary),
        slices_gate(found["slices"], rules.slice_margin, primary),
        calibration_gate(found["calibration"], rules.calibration_margin),
        fairness_gate(found["fairness"], rules.fairness_margin),
        value_gate(found["value"], rules.value_margin),
    ]
    if not enough:
        of_rows = [replace(gate, level="hold") if gate.level else gate for gate in of_rows]
    latency, size = found["latency"] or {}, found["size"] or {}
    return [
        *of_rows,
        ratio_gate("latency ratio", latency.get("champion_ms"), latency.get("challenger_ms"), rules.latency_ratio),
        ratio_gate("size ratio", size.get("champion_mb"), size.get("challenger_mb"), rules.size_ratio),
    ]


def primary_gate(worse: Mapping[str, float] | None, rules: Compare, primary: str) -> Bound:
    """Return the gate of the primary metric; ``worse`` is how much worse the challenger is, with its interval.

    non_inferior: passed if the whole interval is within the margin, rejected if it is wholly beyond, else held.
    superior: the same with a margin of 0, and 0 itself is not passed.
    """
    gate, bound = f"primary: {primary}", rules.margin if rules.rule == "non_inferior" else 0.0
    if not usable(worse):
        return _lost(gate, bound, "the difference could not be computed on these rows")
    assert worse is not None
    passed = worse["high"] <= bound if rules.rule == "non_inferior" else worse["high"] < bound
    level: Level | None = None if passed else "reject" if worse["low"] > bound else "hold"
    if rules.rule == "superior" and worse["low"] == worse["high"] == 0:
        level = "reject"  # the same predictions are not better ones, however many rows there are
    telling = {None: rules.rule.replace("_", "-"), "reject": "worse beyond the bound", "hold": "cannot be told"}[level]
    note = f"{telling}: worse by {worse['value']:.4f}, interval {worse['low']:.4f} to {worse['high']:.4f}"
    value = worse["low"] if level == "reject" else worse["high"]
    return Bound(gate, rounded(value), bound, "<=", passed, note, level)


def slices_gate(slices: Sequence[Mapping[str, Any]], margin: float | None, primary: str) -> Bound:
    """Return the gate of the slice that got worse for certain by most: the lower end of its interval is held."""
    gate = f"slices: {primary}"
    if margin is None:
        return _off(gate)
    judged = [entry for entry in slices if entry["judged"]]
    if not judged:
        return _lost(gate, margin, "no slice has evaluate.min_rows rows (not wanted: compare.slice_margin: null)")
    lost = [_name(entry) for entry in judged if not usable(entry["worse"])]
    known = [entry for entry in judged if usable(entry["worse"])]
    beyond = [entry for entry in known if entry["worse"]["low"] > margin]
    if beyond or not lost:
        worst = max(beyond or known, key=lambda entry: float(entry["worse"]["low"]))
        span = f"worse by {worst['worse']['value']:.4f}, at least {worst['worse']['low']:.4f}"
        note = f"worst of {len(judged)}: {_name(worst)}, {span}"
        return Bound(gate, rounded(worst["worse"]["low"]), margin, "<=", not beyond, note, "reject" if beyond else None)
    return _lost(gate, margin, f"the difference could not be computed for {_some(lost)}")


def calibration_gate(found: Mapping[str, Any], margin: float | None) -> Bound:
    """Return the gate on how much larger the expected calibration error is."""
    before, after = ((found[side] or {}).get("error") for side in ("champion", "challenger"))
    why = "no calibration error of both models (no probabilities: compare.calibration_margin: null)"
    return _grown("calibration error", before, after, margin, why)


def fairness_gate(found: Mapping[str, Any], margin: float | None) -> Bound:
    """Return the gate on the declared grouping whose gap has grown most."""
    gate = "fairness gap"
    if margin is None:
        return _off(gate)
    columns = found.get("columns") or []
    lost = [
        entry["column"] for entry in columns if not (is_number(entry["champion"]) and is_number(entry["challenger"]))
    ]
    if not columns or lost:
        why = f"no gap of both models for {_some(lost)}" if lost else "no group is declared"
        return _lost(gate, margin, f"{why} (not wanted: compare.fairness_margin: null)")
    worst = max(columns, key=lambda entry: float(entry["challenger"] - entry["champion"]))
    grown = _grown(gate, worst["champion"], worst["challenger"], margin, "")
    return replace(grown, note=f"{worst['column']}: {grown.note}")


def value_gate(found: Mapping[str, Any], margin: float | None) -> Bound:
    """Return the gate on the business value of a row; a loss counts when its whole interval is beyond the margin."""
    gate = "business value"
    if margin is None:
        return _off(gate)
    span = found.get("difference")
    if not usable(span):
        return _lost(gate, margin, "no value of both models (none is declared: compare.value_margin: null)")
    assert span is not None
    least = -span["high"]
    note = f"a row brings {span['value']:+.4f}, interval {span['low']:+.4f} to {span['high']:+.4f}; held: the sure loss"
    passed = least <= margin
    return Bound(gate, rounded(least), margin, "<=", passed, note, None if passed else "reject")


def ratio_gate(gate: str, before: float | None, after: float | None, bound: float | None) -> Bound:
    """Return the gate on ``after / before``."""
    if bound is None:
        return _off(gate)
    if not (is_number(before) and is_number(after)) or not before or before < 0:
        return _lost(gate, bound, "not measured for both models")
    assert after is not None
    ratio = after / before
    passed = ratio <= bound
    note = f"champion {before:g}, challenger {after:g}"
    return Bound(gate, rounded(ratio), bound, "<=", passed, note, None if passed else "reject")


def rows_gate(rows: int, least: int) -> Bound:
    """Return the gate on the size of the test window."""
    passed = rows >= least
    fix = "widen data.test_window_days (without a time: raise data.test_share) or deliver more batches"
    note = "" if passed else f"too few to tell: {fix}"
    return Bound("test rows", rows, least, ">=", passed, note, None if passed else "hold")


def unseen_gate(seen: int | None, note: str) -> Bound:
    """Return the gate on test rows that the champion was trained on; ``seen`` None: it cannot be known."""
    gate = "rows seen by the champion"
    if seen is None:
        return _lost(gate, 0, note)
    return Bound(gate, seen, 0, "<=", seen == 0, note, None if seen == 0 else "reject")


def data_gate(validation: Mapping[str, Any]) -> Bound:
    """Return the gate on the data verdict: the number of errors in reports/validation.json."""
    errors = sum(item.get("level", "error") == "error" for item in validation.get("violations", []))
    passed = validation.get("passed") is True and errors == 0
    note = "" if passed else "reports/validation.json does not say that the batches passed"
    return Bound("data", errors, 0, "<=", passed, note, None if passed else "reject")


def finding_gate(gate: str, found: Finding, level: Level = "reject") -> Bound:
    """Return the gate on the faults of an integrity check, the first of them named."""
    if not found.known:
        return _lost(gate, 0, "; ".join(found.faults) or "could not be looked at")
    count = len(found.faults)
    note = _some(found.faults) if count else found.note
    return Bound(gate, count, 0, "<=", count == 0, note, level if count else None)


def held_scores(here: Any, served: Any, trouble: str) -> Bound:
    """Return the gate on the largest difference between the predictions that were measured and those of
    ``mainline predict``, which sees no label and no column that is known only afterwards.
    """
    import numpy as np

    gate, bound = "scores", 1e-9
    if served is None:
        # Not a hold: the model was asked for predictions in the way that every user asks, and gave none.
        note = f"the challenger gives no predictions without what is known only afterwards: {trouble}"
        return Bound(gate, None, bound, "<=", False, note, "reject")
    here = here[:, 1] if here.ndim == 2 and here.shape[1] == 2 and served.ndim == 1 else here
    if here.shape != served.shape or not (np.isfinite(here).all() and np.isfinite(served).all()):
        return _lost(gate, bound, "some predictions are missing or not finite numbers")
    apart = float(np.abs(here - served).max(initial=0.0))
    passed = apart <= bound
    note = "predictions without the label and what is known only afterwards are the same" if passed else (
        "predictions change when the label and what is known only afterwards are taken away"
    )  # fmt: skip
    return Bound(gate, apart, bound, "<=", passed, note, None if passed else "reject")


def _grown(gate: str, before: Any, after: Any, margin: float | None, why: str) -> Bound:
    if margin is None:
        return _off(gate)
    if not (is_number(before) and is_number(after)):
        return _lost(gate, margin, why)
    grown = rounded(after - before)
    assert grown is not None
    passed = grown <= margin
    note = f"champion {before:.4f}, challenger {after:.4f}; held: the growth"
    return Bound(gate, grown, margin, "<=", passed, note, None if passed else "reject")


def _lost(gate: str, bound: float, why: str) -> Bound:
    return Bound(gate, None, bound, "<=", False, f"could not be computed: {why}", "hold")


def _off(gate: str) -> Bound:
    return Bound(gate, None, None, "<=", True, OFF, None)


def _name(entry: Mapping[str, Any]) -> str:
    return f"{entry['slice']} = {entry['group']}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MANY} more" if len(names) > MANY else ""
    return ", ".join(names[:MANY]) + more
