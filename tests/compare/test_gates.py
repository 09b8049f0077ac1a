"""Each gate of the comparison with the fault that it must stop, and that all others let through."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from mainline.compare.gates import (
    Bound,
    absolute,
    data_gate,
    finding_gate,
    held_scores,
    relative,
    rows_gate,
    unseen_gate,
)
from mainline.compare.integrity import Finding
from mainline.compare.measured import same_evaluation, same_metrics
from mainline.config import Compare
from mainline.evaluate.gates import Gate


def span(value: float, half: float = 0.002) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half}


def part(group: str, worse: Any, judged: bool = True) -> dict[str, Any]:
    return {"slice": "job", "group": group, "judged": judged, "worse": worse}


SOUND: dict[str, Any] = {
    "metrics": [{"metric": "log_loss", "worse": span(0.001)}, {"metric": "roc_auc", "worse": span(0.5)}],
    "slices": [part("maid", span(0.01, 0.03)), part("clerk", span(-0.01)), part("tiny", span(9.0), judged=False)],
    "calibration": {"champion": {"error": 0.010}, "challenger": {"error": 0.012}},
    "fairness": {
        "columns": [
            {"column": "age", "champion": 0.10, "challenger": 0.12},
            {"column": "marital", "champion": 0.20, "challenger": 0.19},
        ]
    },
    "value": {"difference": span(-0.05, 0.1)},
    "latency": {"champion_ms": 10.0, "challenger_ms": 12.0},
    "size": {"champion_mb": 0.1, "challenger_mb": 0.1},
}
RULES = Compare()


def put(found: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return a copy of ``found`` with ``value`` at the dotted ``path``."""
    made = copy.deepcopy(found)
    *rooms, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    room: Any = made
    for key in rooms:
        room = room[key]
    room[last] = value
    return made


def blocked(gates: list[Bound]) -> dict[str, str | None]:
    assert all((gate.level is None) == gate.passed for gate in gates)
    return {gate.gate: gate.level for gate in gates if not gate.passed}


def test_a_sound_challenger_passes_all() -> None:
    gates = relative(SOUND, RULES, "log_loss")
    assert blocked(gates) == {}
    assert len(gates) == 7
    assert all(gate.value is not None and gate.bound is not None for gate in gates)


FAULTS = {
    "worse": ("metrics.0.worse", span(0.02), {"primary: log_loss": "reject"}),
    "cannot be told": ("metrics.0.worse", span(0.009), {"primary: log_loss": "hold"}),
    "primary null": ("metrics.0.worse", None, {"primary: log_loss": "hold"}),
    "primary NaN": ("metrics.0.worse", span(float("nan")), {"primary: log_loss": "hold"}),
    "primary missing": ("metrics.0.metric", "brier", {"primary: log_loss": "hold"}),
    "one slice ruined": ("slices.1.worse", span(0.06), {"slices: log_loss": "reject"}),
    "slice null": ("slices.1.worse", None, {"slices: log_loss": "hold"}),
    "no slice": ("slices", [], {"slices: log_loss": "hold"}),
    "no slice judged": ("slices", [part("tiny", span(9.0), judged=False)], {"slices: log_loss": "hold"}),
    "badly calibrated": ("calibration.challenger", {"error": 0.031}, {"calibration error": "reject"}),
    "calibration null": ("calibration.champion", None, {"calibration error": "hold"}),
    "calibration NaN": ("calibration.challenger.error", float("nan"), {"calibration error": "hold"}),
    "less fair": ("fairness.columns.0.challenger", 0.21, {"fairness gap": "reject"}),
    "less fair to others": ("fairness.columns.1.challenger", 0.31, {"fairness gap": "reject"}),
    "gap null": ("fairness.columns.0.challenger", None, {"fairness gap": "hold"}),
    "no groups": ("fairness.columns", [], {"fairness gap": "hold"}),
    "less valuable": ("value.difference", span(-0.3, 0.1), {"business value": "reject"}),
    "value null": ("value.difference", None, {"business value": "hold"}),
    "slow": ("latency.challenger_ms", 30.1, {"latency ratio": "reject"}),
    "latency null": ("latency.challenger_ms", None, {"latency ratio": "hold"}),
    "latency of nothing": ("latency.champion_ms", 0.0, {"latency ratio": "hold"}),
    "latency missing": ("latency", None, {"latency ratio": "hold"}),
    "large": ("size.challenger_mb", 0.301, {"size ratio": "reject"}),
    "size null": ("size.champion_mb", None, {"size ratio": "hold"}),
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_fault_is_stopped_by_exactly_its_gate(what: str) -> None:
    path, value, expected = FAULTS[what]
    assert blocked(relative(put(SOUND, path, value), RULES, "log_loss")) == expected


ON_THE_BOUND = {
    "metrics.0.worse": span(0.008),
    "slices.1.worse": {"value": 0.06, "low": 0.05, "high": 0.07},
    "calibration.challenger": {"error": 0.030},
    "fairness.columns.0.challenger": 0.2,
    "value.difference": span(-0.2, 0.1),
    "latency.challenger_ms": 30.0,
    "size.challenger_mb": 0.3,
}


@pytest.mark.parametrize("path", ON_THE_BOUND)
def test_the_bound_itself_is_kept(path: str) -> None:
    found = put(SOUND, path, ON_THE_BOUND[path])
    assert blocked(relative(found, RULES, "log_loss")) == {}


def test_the_number_shown_is_the_end_that_decided() -> None:
    for worse, expected in ((span(0.02), 0.018), (span(0.009), 0.011), (span(0.001), 0.003)):
        gate = relative(put(SOUND, "metrics.0.worse", worse), RULES, "log_loss")[0]
        assert gate.value == pytest.approx(expected)


def test_noise_in_a_slice_does_not_reject() -> None:
    assert blocked(relative(put(SOUND, "slices.0.worse", span(0.08, 0.05)), RULES, "log_loss")) == {}


def test_the_worst_slice_is_named() -> None:
    gates = relative(put(SOUND, "slices.1.worse", span(0.06)), RULES, "log_loss")
    (gate,) = [gate for gate in gates if not gate.passed]
    assert "job = clerk" in gate.sentence() and "must be <= 0.05" in gate.sentence()


def test_too_few_rows_hold_and_never_reject_a_difference() -> None:
    worse = put(put(SOUND, "metrics.0.worse", span(0.02)), "slices.1.worse", span(0.06))
    found = blocked(relative(worse, RULES, "log_loss", enough=False))
    assert found == {"primary: log_loss": "hold", "slices: log_loss": "hold"}


@pytest.mark.parametrize(
    ("worse", "level"),
    [
        (span(-0.003), None),
        (span(-0.001), "hold"),
        (span(0.003), "reject"),
        ({"value": -0.001, "low": -0.002, "high": 0.0}, "hold"),
        (span(0.0, 0.0), "reject"),
    ],
)
def test_superior_must_be_proven(worse: dict[str, float], level: str | None) -> None:
    rules = Compare(rule="superior")
    found = blocked(relative(put(SOUND, "metrics.0.worse", worse), rules, "log_loss"))
    assert found == ({"primary: log_loss": level} if level else {})


def test_null_switches_off_and_is_listed() -> None:
    names = ("slice_margin", "calibration_margin", "fairness_margin", "value_margin", "latency_ratio", "size_ratio")
    rules = Compare(**dict.fromkeys(names))
    nothing = {"metrics": SOUND["metrics"], "slices": [], "calibration": {"champion": None, "challenger": None},
               "fairness": {}, "value": {}, "latency": None, "size": None}  # fmt: skip
    gates = relative(nothing, rules, "log_loss")
    assert blocked(gates) == {}
    assert [gate.note for gate in gates[1:]] == ["switched off in params.yaml"] * 6


def gate(passed: bool, value: float | None = 1.0) -> Gate:
    return Gate("floor: roc_auc", value, 0.6, ">=", passed, "")


def test_a_missed_floor_rejects_and_one_not_computed_holds() -> None:
    assert blocked(absolute([gate(True)])) == {}
    assert blocked(absolute([gate(False, 0.5)])) == {"floor: roc_auc": "reject"}
    assert blocked(absolute([gate(False, None)])) == {"floor: roc_auc": "hold"}


def test_a_floor_that_both_miss_needs_a_person() -> None:
    (found,) = absolute([gate(False, 0.5)], [gate(False, 0.55)])
    assert (found.passed, found.level) == (False, "hold")
    assert "the champion misses it too, with 0.55" in found.note
    assert blocked(absolute([gate(False, 0.5)], [gate(True, 0.7)])) == {"floor: roc_auc": "reject"}
    assert blocked(absolute([gate(False, 0.5)], [gate(False, None)])) == {"floor: roc_auc": "reject"}


def test_what_the_comparison_stands_on() -> None:
    assert blocked([rows_gate(500, 500)]) == {}
    assert blocked([rows_gate(499, 500)]) == {"test rows": "hold"}
    assert blocked([unseen_gate(0, "")]) == {}
    assert blocked([unseen_gate(1, "")]) == {"rows seen by the champion": "reject"}
    assert blocked([unseen_gate(None, "unknown")]) == {"rows seen by the champion": "hold"}
    assert blocked([data_gate({"passed": True, "violations": [{"level": "warning"}]})]) == {}
    assert blocked([data_gate({"passed": False})]) == {"data": "reject"}
    assert blocked([data_gate({"passed": True, "violations": [{"level": "error"}]})]) == {"data": "reject"}
    assert blocked([data_gate({})]) == {"data": "reject"}
    assert blocked([finding_gate("lock", Finding())]) == {}
    assert blocked([finding_gate("lock", Finding(("a changed",)))]) == {"lock": "reject"}
    assert blocked([finding_gate("remote", Finding(("no answer",), known=False))]) == {"remote": "hold"}


def test_scores_that_need_the_label() -> None:
    here = np.array([0.1, 0.2, 0.3])
    assert blocked([held_scores(here, here.copy(), "")]) == {}
    assert blocked([held_scores(np.array([0.0]), np.array([1e-9]), "")]) == {}
    assert blocked([held_scores(here, here + 1e-6, "")]) == {"scores": "reject"}
    assert blocked([held_scores(here, None, "columns are missing: {'duration'}")]) == {"scores": "reject"}
    assert blocked([held_scores(here * np.nan, here, "")]) == {"scores": "hold"}
    assert blocked([held_scores(here, here[:2], "")]) == {"scores": "hold"}


def test_an_evaluation_edited_by_hand() -> None:
    fresh = {"metrics": {"roc_auc": {"value": 0.66, "low": 0.6}}, "slices": [{"rows": 5}], "resamples": 100}
    file = copy.deepcopy(fresh) | {"resamples": 1000}
    file["metrics"]["roc_auc"]["low"] = 0.61
    assert same_evaluation(fresh, file).faults == ()
    file["metrics"]["roc_auc"]["value"] = 0.7
    (fault,) = same_evaluation(fresh, file).faults
    assert fault.startswith("metrics.roc_auc.value: reports/evaluation.json says 0.7, measured again it is 0.66")
    assert same_evaluation(fresh, {}).faults != ()


def test_metrics_edited_by_hand() -> None:
    measured = {
        "metrics": {"roc_auc": {"value": 0.66}}, "calibration": None, "threshold": None, "fairness": [], "size_mb": 0.01
    }  # fmt: skip
    assert same_metrics(measured, {"roc_auc": 0.66, "size_mb": 0.01}).faults == ()
    (fault,) = same_metrics(measured, {"roc_auc": 0.9, "size_mb": 0.01}).faults
    assert fault == "roc_auc: reports/metrics.json says 0.9, measured again it is 0.66"
    assert same_metrics(measured, {"roc_auc": 0.66, "size_mb": 0.01, "accuracy": 1.0}).faults != ()
