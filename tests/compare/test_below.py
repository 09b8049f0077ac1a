"""A bound that champion and challenger both miss keeps the champion only where it is not proven to be the worse one."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from mainline.compare.bound import Bound
from mainline.compare.gates import absolute
from mainline.compare.measured import champion_evaluation
from mainline.compare.paired import compared
from mainline.compare.report import render
from mainline.compare.verdict import ALWAYS, COMPARED, decide
from mainline.config import Compare, Settings
from mainline.evaluate.gates import Gate, model_gates
from mainline.project import Project

PRIMARY = "log_loss"
BETTER = {"value": -0.05, "low": -0.08, "high": -0.03}
UNCLEAR = {"value": 0.004, "low": -0.01, "high": 0.02}
WORSE = {"value": 0.03, "low": 0.01, "high": 0.05}


def ends(low: float, high: float) -> dict[str, float]:
    return {"low": low, "high": high, "held": high}


def retired(champion: Any, challenger: Any, worse: Any = UNCLEAR) -> dict[str, Any]:
    floor = {"metric": "roc_auc", "champion": champion, "challenger": challenger, "worse": worse}
    return {"slice": "job", "group": "retired", "judged": True, "floors": [floor]}


OTHER = {"metric": "average_precision", "champion": None, "challenger": ends(0.1, 0.2), "worse": WORSE}
FOUND: dict[str, Any] = {
    "metrics": [{"metric": PRIMARY, "worse": BETTER}, {"metric": "roc_auc", "worse": UNCLEAR}],
    "slices": [retired(ends(0.3, 0.4), ends(0.31, 0.41))],
}
GATES = {
    "floor: roc_auc": (0.55, 0.56, 0.60, ">="),
    "floor: log_loss": (0.69, 0.74, 0.45, "<="),
    "calibration_error": (0.13, 0.12, 0.05, "<="),
    "fairness_gap": (0.5, 0.42, 0.35, "<="),
    "slice floor: roc_auc": (0.41, 0.40, 0.50, ">="),
}


def missed(gate: str, value: float | None = None, passed: bool = False) -> Gate:
    mine, _, bound, way = GATES.get(gate, (9.0, 9.0, 5.0, "<="))
    return Gate(gate, mine if value is None else value, bound, way, passed, "")  # type: ignore[arg-type]


def judged(gate: str, found: dict[str, Any] | None = None, rules: Compare | None = None, **mine: Any) -> Bound:
    """Return what becomes of ``gate``, which both models miss."""
    other = missed(gate, GATES.get(gate, (9.0, 9.0))[1])
    (bound,) = absolute([missed(gate, **mine)], [other], FOUND if found is None else found, rules or Compare(), PRIMARY)
    return bound


def with_worse(metric: str, worse: Any) -> dict[str, Any]:
    changed = copy.deepcopy(FOUND)
    for entry in changed["metrics"]:
        if entry["metric"] == metric:
            entry["worse"] = worse
    return changed


@pytest.mark.parametrize("gate", GATES)
def test_the_better_model_is_not_kept_out_by_a_bound_that_the_champion_misses(gate: str) -> None:
    found = judged(gate)
    assert (found.passed, found.level) == (False, "note")
    assert "the champion misses it too, with" in found.note


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize(
    "worse", [UNCLEAR, WORSE, {"value": -0.01, "low": -0.02, "high": 0.0}, None, BETTER | {"high": float("nan")}]
)
def test_a_model_that_is_not_proven_better_is_held(gate: str, worse: Any) -> None:
    assert judged(gate, with_worse(PRIMARY, worse)).level == "hold"


@pytest.mark.parametrize("rule", ["non_inferior", "superior"])
def test_the_rule_of_the_comparison_changes_nothing(rule: Any) -> None:
    wide = Compare(rule=rule, margin=9.0)
    assert judged("floor: roc_auc", rules=wide).level == "note"
    assert judged("floor: roc_auc", with_worse(PRIMARY, UNCLEAR), wide).level == "hold"


@pytest.mark.parametrize("worse", [WORSE, None, {"value": 0.01, "low": 1e-6, "high": 0.02}])
def test_a_floor_by_which_it_is_surely_worse_or_unknown_holds(worse: Any) -> None:
    found = judged("floor: roc_auc", with_worse("roc_auc", worse))
    assert found.level == "hold" and "not shown to be as good" in found.note


@pytest.mark.parametrize(
    ("gate", "champion", "margin"), [("calibration_error", 0.12, 0.02), ("fairness_gap", 0.42, 0.1)]
)
def test_without_an_interval_the_margin_of_the_comparison_decides(gate: str, champion: float, margin: float) -> None:
    assert judged(gate, value=champion + margin - 1e-9).level == "note"
    assert judged(gate, value=champion + margin + 1e-6).level == "hold"
    off = Compare(calibration_margin=None, fairness_margin=None)
    assert judged(gate, rules=off, value=champion).level == "note"
    assert judged(gate, rules=off, value=champion + 1e-6).level == "hold"


def test_a_bound_that_the_champion_keeps_rejects_the_best_of_challengers() -> None:
    for gate in GATES:
        (bound,) = absolute([missed(gate)], [missed(gate, passed=True)], FOUND, Compare(), PRIMARY)
        assert bound.level == "reject", gate


@pytest.mark.parametrize(
    ("slices", "level"),
    [
        ([retired(ends(0.3, 0.4), ends(0.31, 0.41), WORSE)], "hold"),
        ([retired(ends(0.3, 0.4), ends(0.31, 0.41), None)], "hold"),
        # the champion misses the bound in another slice, and keeps it in this one
        ([retired(None, ends(0.31, 0.41))], "reject"),
        ([retired(ends(0.4, 0.6), ends(0.31, 0.41))], "reject"),
        # the challenger's miss may be noise: nothing to answer for
        ([retired(None, ends(0.4, 0.6), WORSE)], "note"),
        ([retired(None, ends(0.31, 0.41)) | {"judged": False}], "note"),
        # a floor of another metric has a gate of its own
        ([retired(None, ends(0.31, 0.41)) | {"floors": [OTHER]}], "note"),
    ],
)
def test_a_slice_floor_is_asked_slice_by_slice(slices: list[dict[str, Any]], level: str) -> None:
    found = judged("slice floor: roc_auc", FOUND | {"slices": slices})
    assert found.level == level
    assert level != "reject" or "job = retired" in found.note


@pytest.mark.parametrize("gate", ["size_mb", "latency_ms", "behaviour: a loan lowers the score"])
def test_how_a_model_behaves_is_its_own_doing(gate: str) -> None:
    assert judged(gate).level == "hold"
    assert absolute([missed(gate)], [], FOUND, Compare(), PRIMARY)[0].level == "reject"
    assert absolute([missed(gate)], same=True)[0].level == "reject"


def test_a_model_and_numbers_that_main_already_has_are_not_rejected_for_them() -> None:
    for gate in GATES:
        assert absolute([missed(gate)], same=True)[0].level == "note"
        assert absolute([missed(gate)], same=False)[0].level == "reject"


def test_a_bound_that_was_not_computed_is_never_passed_over() -> None:
    lost = Gate("floor: roc_auc", None, 0.6, ">=", False, "")
    for other in (lost, missed("floor: roc_auc")):
        assert absolute([lost], [other], FOUND, Compare(), PRIMARY, same=True)[0].level == "hold"
    assert absolute([missed("floor: roc_auc")], [lost], FOUND, Compare(), PRIMARY)[0].level == "reject"


def verdict(*levels: str | None) -> Any:
    names = [f"{name}: {PRIMARY}" if name in ("primary", "slices") else name for name in (*ALWAYS, *COMPARED)]
    rows = [Bound(name, 1.0, 2.0, "<=", True, "", None) for name in names]
    rows += [Bound(f"floor {i}", 0.5, 0.6, ">=", False, "the champion too", level) for i, level in enumerate(levels)]  # type: ignore[arg-type]
    return decide("compared", "better", rows), [row.row() for row in rows]


def test_what_is_passed_over_is_said_with_the_promotion_and_changes_no_other_verdict() -> None:
    assert verdict()[0].reason == "better"
    found, _ = verdict("note", "note")
    assert (found.verdict, found.exit_code) == ("promote", 0)
    assert found.reason == "better; below 2 bounds as the champion is: floor 0, floor 1"
    assert verdict("note")[0].reason.endswith("below a bound as the champion is: floor 0")
    held, _ = verdict("note", "hold")
    assert (held.verdict, [item.level for item in held.reasons]) == ("hold", ["hold", "note"])
    assert verdict("note", "hold", "reject")[0].verdict == "reject"


@pytest.mark.parametrize("kind", [0, 1])
def test_the_report_says_it_at_the_top(kind: int) -> None:
    found, rows = verdict("note")
    document = {"verdict": found.verdict, "reason": found.reason, "reasons": [r.row() for r in found.reasons]}
    page = render(document | {"gates": rows}, {})[kind]
    warning, said = page.index("The model is below 1 bound of params.yaml, and so is the champion."), "passed over"
    assert warning < page.index("Gates</h2>" if kind else "## Gates")
    assert said in page and "1 missed, as by the champion" in page
    assert "1 fail" not in page and "All 15" not in page
    # said once: the reasons do not repeat it
    assert page.count("0.5, must be") == 1
    quiet = render(document | {"gates": verdict()[1]}, {})[kind]
    assert "below 1 bound of" not in quiet


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """Numbers of two models of which the champion has lost slice "a" for certain, the challenger "b" by chance."""
    import numpy as np
    import pandas as pd

    generator = np.random.default_rng(3)
    frame = pd.DataFrame({"g": ["a"] * 400 + ["b"] * 400 + ["c"] * 400})
    y = generator.integers(0, 2, len(frame))
    good = np.clip(0.3 + 0.4 * y + generator.normal(0, 0.2, len(y)), 0.01, 0.99)
    champion = np.where(frame["g"] == "a", 1 - good, good)
    challenger = np.where(frame["g"] == "b", generator.uniform(0.45, 0.55, len(y)), good)
    return compared(frame, y, champion, challenger, toy(), settings())


def settings() -> Settings:
    params = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8"))
    params["data"]["time"] = params["data"]["as_of"] = None
    params["evaluate"]["resamples"] = 200
    params["gates"]["slice_floors"] = {"roc_auc": 0.52}
    return Settings.model_validate(params)


def toy() -> Project:
    slices = {"g": lambda rows: rows["g"]}
    return Project("toy", None, {}, (), None, None, {}, slices, {}, (), None)  # type: ignore[arg-type]


def test_the_floors_of_both_models_and_their_difference_are_in_the_numbers(found: dict[str, Any]) -> None:
    a, b, c = found["slices"]
    assert c["floors"] == []
    assert a["floors"][0]["challenger"] is None and a["floors"][0]["champion"]["held"] < 0.52
    assert b["floors"][0]["champion"] is None and b["floors"][0]["challenger"]["low"] < 0.52
    assert a["floors"][0]["worse"]["high"] < 0 < b["floors"][0]["worse"]["low"]


def test_the_champion_is_judged_by_the_same_rule(found: dict[str, Any]) -> None:
    document = champion_evaluation(found | {"size": {"champion_mb": 0.1}}, "binary")
    (gate,) = [gate for gate in model_gates(document, settings().gates) if gate.gate == "slice floor: roc_auc"]
    assert not gate.passed and gate.note.startswith("worst of 3: g = a") and gate.value < 0.52
    assert gate.value == found["slices"][0]["floors"][0]["champion"]["held"]
