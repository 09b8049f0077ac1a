from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mainline.errors import UserError
from mainline.evaluate.metrics import metrics_for
from mainline.evaluate.slices import by_month, by_slice, labels

METRICS = metrics_for("binary")


def test_each_group_has_its_own_numbers_and_small_ones_are_not_judged() -> None:
    # given a model that is right on a and wrong on b, and a group c of two rows
    frame = pd.DataFrame({"g": ["a"] * 4 + ["b"] * 4 + ["c"] * 2})
    y = np.array([0, 0, 1, 1, 0, 0, 1, 1, 0, 0])
    score = np.array([0.1, 0.2, 0.8, 0.9, 0.9, 0.8, 0.2, 0.1, 0.5, 0.5])
    # when
    a, b, c = by_slice(frame, y, score, METRICS, {"g": lambda rows: rows["g"]}, min_rows=3)
    # then
    assert (a["slice"], a["group"], a["rows"], a["judged"]) == ("g", "a", 4, True)
    assert (a["metrics"]["roc_auc"], b["metrics"]["roc_auc"]) == (1.0, 0.0)
    assert (c["judged"], c["metrics"]["roc_auc"], c["metrics"]["brier"]) == (False, None, 0.25)
    assert (a["mean_score"], a["mean_label"]) == (0.5, 0.5)


def test_months_are_in_order_across_a_new_year() -> None:
    time = pd.Series(pd.to_datetime(["2024-01-02", "2023-12-30", "2023-12-31", "2024-01-05"]))
    found = by_month(time, np.array([1, 0, 1, 1]), np.full(4, 0.5), METRICS, min_rows=3)
    assert [(m["month"], m["rows"], m["judged"], m["mean_label"]) for m in found] == [
        ("2023-12", 2, False, 0.5),
        ("2024-01", 2, False, 1.0),
    ]


def test_a_missing_value_is_a_group_of_its_own() -> None:
    frame = pd.DataFrame({"g": ["a", None, "a"]})
    assert list(labels(frame, lambda rows: rows["g"], "here")) == ["a", "(missing)", "a"]


def test_classes_show_confidence_and_hits() -> None:
    score = np.array([[0.8, 0.1, 0.1], [0.2, 0.6, 0.2]])
    (entry,) = by_slice(
        pd.DataFrame({"g": ["a", "a"]}), np.array([0, 2]), score, metrics_for("multiclass"), {"g": lambda f: f["g"]}, 1
    )
    assert (entry["mean_score"], entry["mean_label"]) == (0.7, 0.5)


@pytest.mark.parametrize(
    ("grouping", "said"),
    [(lambda rows: rows["absent"], "KeyError: 'absent'"), (lambda rows: rows["g"].head(1), "1 values for 3 rows")],
)
def test_a_slice_function_that_fails_is_named(grouping, said) -> None:
    frame = pd.DataFrame({"g": ["a", "b", "c"]})
    with pytest.raises(UserError, match=r"SLICES\['mine'\]") as caught:
        by_slice(frame, np.zeros(3), np.zeros(3), METRICS, {"mine": grouping}, 1)
    assert said in caught.value.problem


def test_a_grouping_that_writes_into_its_rows_leaves_ours_alone() -> None:
    frame = pd.DataFrame({"g": ["a", "b"]})

    def spoil(rows: pd.DataFrame) -> pd.Series:
        rows["g"] = "z"
        rows["extra"] = 1
        return rows["g"]

    labels(frame, spoil, "here")
    assert list(frame["g"]) == ["a", "b"] and list(frame) == ["g"]
