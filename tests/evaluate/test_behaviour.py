from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mainline.evaluate.behaviour import behaviours
from mainline.evaluate.metrics import metrics_for
from mainline.project import Direction, Invariance, Minimum, Robustness, scores


class Linear:
    """P = 0.1 + 0.1 a + 0.2 b; ``c`` is not looked at."""

    def predict_proba(self, rows: pd.DataFrame) -> np.ndarray:
        chance = (0.1 + 0.1 * rows["a"] + 0.2 * rows["b"]).to_numpy(dtype=float)
        return np.column_stack([1 - chance, chance])


ROWS = pd.DataFrame({"a": [0, 1, 2, 3] * 5, "b": [0, 1] * 10, "c": list("pq") * 10})
Y = np.array([0, 0, 1, 1] * 5)


def run(
    item: Any, model: Any = None, rows: pd.DataFrame = ROWS, y: np.ndarray = Y, task: Any = "binary"
) -> dict[str, Any]:
    model = model or Linear()
    primary = metrics_for(task)["mae" if task == "regression" else "log_loss"]
    (entry,) = behaviours(rows, y, scores(model, rows), model, [item], task, primary, seed=3)
    json.dumps(entry, allow_nan=False)
    assert set(entry) == {"kind", "name", "value", "bound", "direction", "passed", "detail"}
    return entry


def test_invariance_holds_for_a_column_that_is_not_looked_at_and_breaks_for_one_that_is() -> None:
    holds = run(Invariance("c", lambda rows: rows.assign(c="z")))
    assert (holds["kind"], holds["passed"], holds["value"], holds["direction"]) == ("invariance", True, 0.0, "<=")
    breaks = run(Invariance("a", lambda rows: rows.assign(a=0)))
    assert (breaks["passed"], breaks["value"]) == (False, 0.3)
    assert breaks["detail"] == "15 of 20 predictions moved, by up to 0.3"


def test_a_move_below_the_last_shown_digit_still_breaks_invariance() -> None:
    entry = run(Invariance("a", lambda rows: rows.assign(a=rows["a"] + 1e-7)))
    assert (entry["passed"], entry["value"]) == (False, 0.0)
    assert "1e-08" in entry["detail"]


def test_direction_counts_only_the_rows_that_the_change_changes() -> None:
    # given that b is 1 already in half of the rows, which therefore cannot move
    entry = run(Direction("b", lambda rows: rows.assign(b=1), up=True, share=1.0))
    assert (entry["passed"], entry["value"], entry["direction"]) == (True, 1.0, ">=")
    assert entry["detail"] == "10 of 10 changed rows moved up"


def test_direction_the_wrong_way_or_not_at_all_fails() -> None:
    assert run(Direction("b", lambda rows: rows.assign(b=1), up=False))["value"] == 0.0
    assert run(Direction("c", lambda rows: rows.assign(c="z"), up=True))["passed"] is False


def test_direction_for_too_few_rows_fails() -> None:
    class Half(Linear):
        def predict_proba(self, rows: pd.DataFrame) -> np.ndarray:
            return super().predict_proba(rows.assign(b=rows["b"].where(rows["a"] == 0, 0)))

    entry = run(Direction("b", lambda rows: rows.assign(b=1), up=True, share=0.95), Half())
    assert (entry["passed"], entry["value"]) == (False, 0.5)


def test_minimum_needs_its_margin() -> None:
    def test(margin: float) -> dict[str, Any]:
        return run(Minimum("b", lambda rows: rows.assign(b=1), lambda rows: rows.assign(b=0), margin))

    assert (test(0.19)["passed"], test(0.19)["value"]) == (True, 0.2)
    assert test(0.21)["passed"] is False


def test_minimum_with_a_margin_of_0_does_not_pass_a_model_that_sees_no_difference() -> None:
    entry = run(Minimum("c", lambda rows: rows.assign(c="y"), lambda rows: rows.assign(c="z"), 0.0))
    assert (entry["passed"], entry["value"]) == (False, 0.0)


def shake(rows: pd.DataFrame, generator: np.random.Generator) -> pd.DataFrame:
    return rows.assign(a=generator.permutation(rows["a"].to_numpy()))


def test_robustness_loss_is_positive_when_the_damage_hurts_and_is_repeatable() -> None:
    entry = run(Robustness("a", shake, max_loss=0.01))
    assert entry["value"] > 0.01 and entry["passed"] is False
    assert run(Robustness("a", shake, max_loss=10.0))["passed"] is True
    assert run(Robustness("a", shake, max_loss=0.01)) == entry


def test_robustness_loss_has_the_same_sign_for_a_metric_that_is_better_when_higher() -> None:
    model, metric = Linear(), metrics_for("binary")["roc_auc"]
    (entry,) = behaviours(ROWS, Y, scores(model, ROWS), model, [Robustness("a", shake, 0.01)], "binary", metric, 3)
    assert entry["value"] > 0.01 and entry["passed"] is False


def refuse(rows: pd.DataFrame) -> pd.DataFrame:
    raise RuntimeError("object at 0x7f00aa in /home/some/one.py\nsecond line")


CHANGES = {
    "raises": (refuse, "the change fails (RuntimeError: object at (address) in (path))"),
    "reads an absent column": (lambda rows: rows.assign(a=rows["zip"]), "KeyError: 'zip'"),
    "writes an absent column": (lambda rows: rows.assign(zip=1), "a column that the rows do not have: zip"),
    "drops a column": (lambda rows: rows.drop(columns="c"), "loses columns: c"),
    "drops rows": (lambda rows: rows.head(3), "returned other rows"),
    "returns no frame": (lambda rows: None, "returned NoneType"),
    "changes nothing": (lambda rows: rows, "changes no row"),
    "breaks the model": (lambda rows: rows.assign(a="text"), "the model fails on the changed rows"),
    "makes predictions NaN": (lambda rows: rows.assign(a=np.nan), "not a finite number"),
}


@pytest.mark.parametrize("kind", ["invariance", "direction", "minimum", "robustness"])
@pytest.mark.parametrize("what", CHANGES)
def test_what_cannot_be_computed_is_not_passed_and_says_why(kind, what) -> None:
    change, said = CHANGES[what]
    item = {
        "invariance": Invariance("n", change, tolerance=1e9),
        "direction": Direction("n", change, up=True, share=0.0),
        "minimum": Minimum("n", change, lambda rows: rows, margin=-1e9),
        "robustness": Robustness("n", lambda rows, generator: change(rows), max_loss=1e9),
    }[kind]
    entry = run(item)
    assert (entry["passed"], entry["value"]) == (False, None)
    assert entry["detail"].startswith("could not be computed: ") and said in entry["detail"]


def test_a_change_that_works_in_place_does_not_spoil_the_next_test() -> None:
    def spoil(rows: pd.DataFrame) -> pd.DataFrame:
        rows["b"] = 1
        return rows

    items = [Direction("b", spoil, up=True), Direction("b again", spoil, up=True)]
    model = Linear()
    found = behaviours(ROWS, Y, scores(model, ROWS), model, items, "binary", metrics_for("binary")["brier"], 3)
    assert [entry["passed"] for entry in found] == [True, True]
    assert ROWS["b"].sum() == 10


def test_a_missing_value_that_stays_missing_is_no_change() -> None:
    rows = ROWS.assign(c=None)
    entry = run(Invariance("c", lambda r: r.assign(c=np.nan)), rows=rows)
    assert "changes no row" in entry["detail"]


class Three:
    """Three classes; ``a`` moves chance from the second to the third, so the first does not move."""

    def predict_proba(self, rows: pd.DataFrame) -> np.ndarray:
        move = rows["a"].to_numpy(dtype=float) / 10
        return np.column_stack([np.full(len(rows), 0.2), 0.5 - move, 0.3 + move])


def test_classes_look_at_the_largest_move_of_any_class_and_have_no_direction() -> None:
    y = np.arange(20) % 3
    entry = run(Invariance("a", lambda rows: rows.assign(a=0)), Three(), y=y, task="multiclass")
    assert (entry["passed"], entry["value"]) == (False, 0.3)
    for item in (
        Direction("a", lambda rows: rows.assign(a=9), up=True),
        Minimum("a", lambda rows: rows.assign(a=9), lambda rows: rows.assign(a=0)),
    ):
        entry = run(item, Three(), y=y, task="multiclass")
        assert entry["passed"] is False and "several classes" in entry["detail"]


class Line:
    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        return rows["a"].to_numpy(dtype=float) * 100


def test_a_regression_is_tested_in_units_of_its_target() -> None:
    y = ROWS["a"].to_numpy() * 100.0
    assert run(Invariance("a", lambda rows: rows.assign(a=0), 299), Line(), y=y, task="regression")["value"] == 300.0
    assert run(Direction("a", lambda rows: rows.assign(a=9), up=True), Line(), y=y, task="regression")["passed"] is True
    loss = run(Robustness("a", lambda rows, g: rows.assign(a=rows["a"] + 1), 99), Line(), y=y, task="regression")
    assert (loss["value"], loss["passed"]) == (100.0, False)
