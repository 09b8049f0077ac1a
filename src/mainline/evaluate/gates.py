"""Absolute bounds on one model. A gate that cannot be computed is not passed; a bound of null is off, and says so."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from mainline.config import Gates
from mainline.evaluate.metrics import Metric, metric_named, rounded

OFF = "switched off in params.yaml"


@dataclass(frozen=True)
class Gate:
    """One bound and whether the model keeps it; ``value`` is None if it could not be computed."""

    gate: str
    value: float | None
    bound: float | None
    direction: Literal["<=", ">="]
    passed: bool
    note: str

    def row(self) -> dict[str, Any]:
        """Return the gate as a row of a report."""
        return asdict(self)


def held(gate: str, value: float | None, bound: float | None, direction: Literal["<=", ">="], note: str = "") -> Gate:
    """Hold ``value`` against ``bound``. None, NaN and infinity never pass, whichever the direction."""
    value = rounded(value)
    if bound is None:
        return Gate(gate, value, None, direction, True, OFF)
    if value is None:
        return Gate(gate, None, bound, direction, False, note or "could not be computed")
    return Gate(gate, value, bound, direction, kept(value, bound, direction), note)


def kept(value: float, bound: float, direction: Literal["<=", ">="]) -> bool:
    """Return whether ``value`` keeps ``bound``; the bound itself does, NaN never."""
    return value <= bound if direction == "<=" else value >= bound


def absolute_gates(evaluation: Mapping[str, Any], gates: Gates, latency_ms: float | None) -> list[Gate]:
    """Return every gate of params.yaml and of the project's behaviours, in the order of the report.

    ``evaluation`` is the content of evaluation.json; ``latency_ms`` the measured median of one row, None if not.

    Raises:
        UserError: a floor names a metric that the task does not have.
    """
    note = "" if latency_ms is not None else "not measured: run `mainline latency`"
    return [*model_gates(evaluation, gates), held("latency_ms", latency_ms, gates.latency_ms, "<=", note)]


def model_gates(evaluation: Mapping[str, Any], gates: Gates) -> list[Gate]:
    """Return all gates but the latency's: those with the same result on every machine.

    Raises:
        UserError: as :func:`absolute_gates`.
    """
    return [
        *_floors(evaluation, gates),
        *_slice_floors(evaluation, gates),
        _calibration(evaluation, gates),
        *_behaviours(evaluation),
        _fairness(evaluation, gates),
        held("size_mb", evaluation.get("size_mb"), gates.size_mb, "<="),
    ]


def _way(metric: Metric) -> Literal["<=", ">="]:
    return ">=" if metric.better == "higher" else "<="


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def _floors(evaluation: Mapping[str, Any], gates: Gates) -> Iterator[Gate]:
    for name, bound in gates.floors.items():
        metric = metric_named(evaluation["task"], name, "gates.floors")
        value = _number(evaluation.get("metrics", {}).get(name, {}).get("value"))
        if value is None:
            yield held(f"floor: {name}", None, bound, _way(metric), "could not be computed on the test window")
        else:
            note = f"size of {name} {value:g}" if metric.signed else ""
            yield held(f"floor: {name}", metric.judged(value), bound, _way(metric), note)
    if not gates.floors:
        yield held("floors", None, None, ">=")


def _slice_floors(evaluation: Mapping[str, Any], gates: Gates) -> Iterator[Gate]:
    """Yield the gate of each floor, held against the worst slice.

    A slice is small, so its noise is large: it misses only if its whole interval does, and what is held against the
    bound is then the better end of it.
    """
    judged = [entry for entry in evaluation.get("slices", []) if entry["judged"]]
    for name, bound in gates.slice_floors.items():
        metric = metric_named(evaluation["task"], name, "gates.slice_floors")
        gate, way = f"slice floor: {name}", _way(metric)
        found = [_slice(entry, name, metric, bound) for entry in judged]
        undefined = [item.where for item in found if item.held is None]
        if not found:
            note = "could not be computed: no slice has evaluate.min_rows rows (not wanted: gates.slice_floors: {})"
            yield held(gate, None, bound, way, note)
        elif undefined:
            note = f"could not be computed for {', '.join(undefined)}: one class only or no finite prediction"
            yield held(gate, None, bound, way, f"{note} (too small a slice: raise evaluate.min_rows)")
        else:
            beyond = [item for item in found if not kept(item.held or 0.0, bound, way)]
            pick = min if way == ">=" else max
            worst = pick(beyond, key=lambda item: item.held) if beyond else pick(found, key=lambda item: item.value)
            yield held(gate, worst.held, bound, way, f"worst of {len(found)}: {worst.where}{worst.note}")
    if not gates.slice_floors:
        yield held("slice floors", None, None, ">=")


@dataclass(frozen=True)
class _Slice:
    """Where, the metric itself (its size if signed), and the number that is held against the floor."""

    where: str
    value: Any
    held: Any
    note: str = ""


def _slice(entry: Mapping[str, Any], name: str, metric: Metric, bound: float) -> _Slice:
    where, value = f"{entry['slice']} = {entry['group']}", _number(entry["metrics"].get(name))
    judged = None if value is None else metric.judged(value)
    if value is None or judged is None or kept(judged, bound, _way(metric)):
        return _Slice(where, judged, judged)
    ends = entry.get("intervals", {}).get(name) or {}
    low, high, better = (_number(ends.get(key)) for key in ("low", "high", "held"))
    if low is None or high is None or better is None:
        return _Slice(f"the interval of {where}", judged, None)
    note = f", {value:.4g}, interval {low:.4g} to {high:.4g}; held: its better end"
    return _Slice(where, judged, better, note)


def _calibration(evaluation: Mapping[str, Any], gates: Gates) -> Gate:
    error = _number((evaluation.get("calibration") or {}).get("error"))
    note = "could not be computed"
    if evaluation["task"] == "regression":
        note += ": a regression has no probabilities (set gates.calibration_error to null)"
    return held("calibration_error", error, gates.calibration_error, "<=", "" if error is not None else note)


def _behaviours(evaluation: Mapping[str, Any]) -> Iterator[Gate]:
    if "behaviours" not in evaluation:
        yield Gate("behaviours", None, None, ">=", False, "could not be computed: evaluation.json has none")
    for entry in evaluation.get("behaviours", []):
        value = _number(entry["value"])
        # The verdict was reached before rounding; a value that is missing cannot have passed.
        passed = entry["passed"] is True and value is not None
        yield Gate(f"behaviour: {entry['name']}", value, entry["bound"], entry["direction"], passed, entry["detail"])


def _fairness(evaluation: Mapping[str, Any], gates: Gates) -> Gate:
    entries = [(_number(entry["gap"]), entry["column"]) for entry in evaluation.get("fairness", [])]
    undefined = [column for gap, column in entries if gap is None]
    if undefined or not entries:
        why = f"fewer than two groups of {', '.join(undefined)} can be judged" if undefined else "no group is declared"
        note = f"could not be computed: {why} (no such gate wanted: set gates.fairness_gap to null)"
        return held("fairness_gap", None, gates.fairness_gap, "<=", note)
    worst, column = max((pair for pair in entries if pair[0] is not None), key=lambda pair: pair[0] or 0.0)
    return held("fairness_gap", worst, gates.fairness_gap, "<=", f"largest: {column}")
