"""Each gate with the fault that it must stop, and that the other gates let through."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from mainline.errors import UserError
from mainline.evaluate.gates import absolute_gates, held
from mainline.evaluate.run import evaluate

WIDE: dict[str, Any] = {
    "floors": {"roc_auc": 0.0, "log_loss": 99.0},
    "slice_floors": {"roc_auc": 0.0},
    "calibration_error": 1.0,
    "fairness_gap": 1.0,
}


@pytest.fixture
def failing(frame, chance, project_for, settings_for, training):
    """Return a function that evaluates a spoiled model and names the gates that it fails."""

    def run(
        fault=None, latency_ms: float | None = 1.0, size: int = 10**6, spoil=None, project=None, **gates
    ) -> set[str]:
        settings = settings_for(gates=gates)
        model = chance(fault) if fault else chance()
        found = evaluate(frame, model, project_for(**(project or {})), settings, training, size)
        if spoil:
            found = copy.deepcopy(found)
            spoil(found)
        return {gate.gate for gate in absolute_gates(found, settings.gates, latency_ms) if not gate.passed}

    return run


def test_a_sound_model_fails_none(failing) -> None:
    assert failing() == set()


def test_a_floor_missed(failing) -> None:
    def guess(p, rows):
        return 0.5 + (p - 0.5) * np.where(rows["x"].rank() % 2 == 0, 1, -1)

    found = failing(guess, **{**WIDE, "floors": {"roc_auc": 0.7, "log_loss": 99.0}}, project={"behaviours": ()})
    assert found == {"floor: roc_auc"}


def test_a_floor_of_a_metric_that_is_better_when_lower(failing) -> None:
    assert failing(floors={"log_loss": 0.3}) == {"floor: log_loss"}


def test_one_slice_ruined(failing) -> None:
    def ruin(p, rows):
        return np.where(rows["colour"] == "blue", 1 - p, p)

    found = failing(ruin, project={"behaviours": ()}, **{**WIDE, "slice_floors": {"roc_auc": 0.6}})
    assert found == {"slice floor: roc_auc"}


def test_the_ruined_slice_is_named(frame, chance, project_for, settings_for, training) -> None:
    model = chance(lambda p, rows: np.where(rows["colour"] == "blue", 1 - p, p))
    found = evaluate(frame, model, project_for(), settings_for(), training, 1)
    (gate,) = [row for row in found["gates"] if row["gate"] == "slice floor: roc_auc"]
    (blue,) = [entry for entry in found["slices"] if entry["group"] == "blue"]
    ends = blue["intervals"]["roc_auc"]
    assert gate["note"].startswith("worst of 3: colour = blue, 0.1") and "held: its better end" in gate["note"]
    assert ends["low"] < blue["metrics"]["roc_auc"] < ends["high"] == ends["held"] == gate["value"] < 0.5


def slices(*found: tuple[str, float, tuple[float, float] | None], metric: str = "roc_auc") -> dict[str, Any]:
    """Return an evaluation of slices by name, metric and interval."""
    entries = []
    for group, value, limits in found:
        ends = dict(zip(("low", "high"), limits, strict=True)) if limits else {}
        better = ends.get("low" if metric == "log_loss" else "high")
        kept = {metric: ends | {"held": better}} if ends else {}
        entries.append({"slice": "job", "group": group, "judged": True, "metrics": {metric: value}, "intervals": kept})
    return {"task": "binary", "slices": entries}


@pytest.mark.parametrize(
    ("found", "value", "note"),
    [
        # noise: the interval of the worst holds the bound
        ([("a", 0.7, None), ("b", 0.55, (0.48, 0.61))], 0.61, "worst of 2: job = b, 0.55, interval 0.48 to 0.61"),
        ([("a", 0.7, None), ("b", 0.55, (0.48, 0.6))], 0.6, "worst of 2: job = b"),
        # certain: even the better end of the interval is beyond the bound
        ([("a", 0.7, None), ("b", 0.55, (0.51, 0.5999))], 0.5999, "worst of 2: job = b"),
        # a slice that is surely below comes before one that is lower, but may be noise
        ([("a", 0.55, (0.52, 0.58)), ("b", 0.4, (0.1, 0.7))], 0.58, "worst of 2: job = a"),
        ([("a", 0.7, None), ("b", 0.65, None)], 0.65, "worst of 2: job = b"),
    ],
)
def test_a_slice_misses_its_floor_only_with_its_whole_interval(settings_for, found, value, note) -> None:
    gates = absolute_gates(slices(*found), settings_for().gates, 1.0)
    (gate,) = [gate for gate in gates if gate.gate == "slice floor: roc_auc"]
    assert (gate.value, gate.passed) == (value, value >= 0.6)
    assert gate.note.startswith(note)


def test_a_slice_floor_of_a_metric_that_is_better_when_lower(settings_for) -> None:
    rules = settings_for(gates={"slice_floors": {"log_loss": 0.5}}).gates
    for limits, passed in (((0.4, 0.8), True), ((0.5, 0.8), True), ((0.51, 0.8), False)):
        gates = absolute_gates(slices(("a", 0.6, limits), metric="log_loss"), rules, 1.0)
        assert [gate.passed for gate in gates if gate.gate == "slice floor: log_loss"] == [passed]


@pytest.mark.parametrize("limits", [None, (None, None), (float("nan"), float("nan"))])
def test_a_missed_slice_floor_without_an_interval_is_not_a_pass(settings_for, limits) -> None:
    gates = absolute_gates(slices(("a", 0.55, limits)), settings_for().gates, 1.0)
    (gate,) = [gate for gate in gates if gate.gate == "slice floor: roc_auc"]
    assert (gate.passed, gate.value) == (False, None) and "the interval of job = a" in gate.note


def test_chances_halved(failing) -> None:
    found = failing(lambda p, rows: p / 2, floors={"roc_auc": 0.7}, fairness_gap=0.2)
    assert found == {"calibration_error"}


def test_an_invariance_broken(failing) -> None:
    assert failing(lambda p, rows: p * np.where(rows["colour"] == "blue", 0.97, 1.0)) == {
        "behaviour: colour does not matter"
    }


def test_a_direction_broken(failing) -> None:
    def contrary(p, rows):  # luck lowers the highest scores a little: still better on average
        return np.where((rows["lucky"] == "yes") & (rows["x"] > 0.5), p * 0.8, p)

    assert failing(contrary) == {"behaviour: luck raises the score"}


def test_a_minimum_missed(failing, project_for) -> None:
    from mainline.project import Minimum

    wide = Minimum("a lot", lambda rows: rows.assign(lucky="yes"), lambda rows: rows.assign(lucky="no"), 0.9)
    assert failing(project={"behaviours": (wide,)}) == {"behaviour: a lot"}


def test_a_fragile_model(failing) -> None:
    from mainline.project import Robustness

    def hide(rows, generator):
        return rows.assign(x=rows["x"].mask(generator.random(len(rows)) < 0.9))

    assert failing(project={"behaviours": (Robustness("x hidden", hide, 0.01),)}) == {"behaviour: x hidden"}


def test_a_behaviour_that_raises(failing) -> None:
    from mainline.project import Invariance

    broken = Invariance("typo", lambda rows: rows.assign(x=rows["xx"]))
    assert failing(project={"behaviours": (broken,)}) == {"behaviour: typo"}


def test_an_unfair_group(failing) -> None:
    def unfair(p, rows):  # women near the threshold are pushed below it
        return np.where((rows["sex"] == "f") & (p > 0.5) & (p < 0.85), 0.49, p)

    assert failing(unfair, project={"behaviours": ()}, calibration_error=0.3) == {"fairness_gap"}


def test_an_oversize_model(failing) -> None:
    assert failing(size=5_000_001) == {"size_mb"}
    assert failing(size=5_000_000) == set()


def test_a_slow_model(failing) -> None:
    assert failing(latency_ms=50.1) == {"latency_ms"}
    assert failing(latency_ms=50.0) == set()


@pytest.mark.parametrize("latency", [None, float("nan"), float("inf")])
def test_a_latency_that_was_not_measured_is_not_a_pass(failing, latency) -> None:
    assert failing(latency_ms=latency) == {"latency_ms"}


def lose_metric(found: dict[str, Any]) -> None:
    del found["metrics"]["roc_auc"]


def lose_slices(found: dict[str, Any]) -> None:
    found["slices"] = []


def unjudge_slices(found: dict[str, Any]) -> None:
    for entry in found["slices"]:
        entry["judged"] = False


SPOILED = {
    "metric null": (lambda e: e["metrics"]["roc_auc"].update(value=None), "floor: roc_auc"),
    "metric NaN": (lambda e: e["metrics"]["log_loss"].update(value=float("nan")), "floor: log_loss"),
    "metric missing": (lose_metric, "floor: roc_auc"),
    "slice null": (lambda e: e["slices"][0]["metrics"].update(roc_auc=None), "slice floor: roc_auc"),
    "slice NaN": (lambda e: e["slices"][1]["metrics"].update(roc_auc=float("nan")), "slice floor: roc_auc"),
    "slices missing": (lose_slices, "slice floor: roc_auc"),
    "no slice judged": (unjudge_slices, "slice floor: roc_auc"),
    "calibration null": (lambda e: e.update(calibration=None), "calibration_error"),
    "calibration error null": (lambda e: e["calibration"].update(error=None), "calibration_error"),
    "behaviours missing": (lambda e: e.pop("behaviours"), "behaviours"),
    "behaviour null": (lambda e: e["behaviours"][0].update(value=None), "behaviour: colour does not matter"),
    "fairness null": (lambda e: e["fairness"][0].update(gap=None), "fairness_gap"),
    "fairness missing": (lambda e: e.pop("fairness"), "fairness_gap"),
    "size null": (lambda e: e.update(size_mb=None), "size_mb"),
    "size missing": (lambda e: e.pop("size_mb"), "size_mb"),
}


@pytest.mark.parametrize("what", SPOILED)
def test_what_could_not_be_computed_is_not_a_pass(failing, what) -> None:
    spoil, gate = SPOILED[what]
    assert failing(spoil=spoil) == {gate}


def test_nothing_passes_when_every_prediction_is_nan(failing) -> None:
    found = failing(lambda p, rows: p * np.nan)
    assert {"floor: roc_auc", "floor: log_loss", "slice floor: roc_auc", "calibration_error", "fairness_gap"} <= found
    assert sum(name.startswith("behaviour: ") for name in found) == 4


def test_a_null_bound_is_listed_as_switched_off(frame, chance, project_for, settings_for, training) -> None:
    off = {"floors": {}, "slice_floors": {}, "calibration_error": None, "fairness_gap": None, "latency_ms": None}
    settings = settings_for(gates={**off, "size_mb": None})
    halved = chance(lambda p, rows: p / 2)
    gates = absolute_gates(
        evaluate(frame, halved, project_for(behaviours=()), settings, training, 10**9), settings.gates, None
    )
    names = ["floors", "slice floors", "calibration_error", "fairness_gap", "size_mb", "latency_ms"]
    assert [gate.gate for gate in gates] == names
    assert {(gate.passed, gate.note, gate.bound) for gate in gates} == {(True, "switched off in params.yaml", None)}


def test_a_bound_that_is_not_a_number_stops_everything() -> None:
    assert held("g", 1.0, float("nan"), "<=").passed is False
    assert held("g", 1.0, float("nan"), ">=").passed is False


def test_the_size_of_a_bias_is_held_not_its_sign(settings_for) -> None:
    settings = settings_for(
        data={"positive": None},
        model={"task": "regression"},
        evaluate={"primary": "mae"},
        gates={"floors": {"bias": 1.0}, "slice_floors": {}},
    )
    found = {"task": "regression", "metrics": {"bias": {"value": -3.0}}}
    (gate,) = [g for g in absolute_gates(found, settings.gates, 1.0) if g.gate == "floor: bias"]
    assert (gate.value, gate.passed, gate.note) == (3.0, False, "size of bias -3")


@pytest.mark.parametrize("key", ["floors", "slice_floors"])
def test_a_floor_of_an_unknown_metric_lists_the_known(failing, key) -> None:
    with pytest.raises(UserError, match=rf"gates\.{key}: 'auc'") as caught:
        failing(**{key: {"auc": 0.5}})
    assert "roc_auc" in caught.value.fix


def test_fewer_resamples_for_the_metrics_leave_the_slices_and_the_gates_as_they_are(
    frame, chance, project_for, settings_for, training
) -> None:
    model = chance(lambda p, rows: np.where(rows["colour"] == "blue", 1 - p, p))
    settings = settings_for(evaluate={"resamples": 150})
    whole, quick = (evaluate(frame, model, project_for(), settings, training, 1, n) for n in (None, 100))
    assert (whole["resamples"], quick["resamples"]) == (150, 100)
    assert whole["slices"] == quick["slices"] and whole["gates"] == quick["gates"]
