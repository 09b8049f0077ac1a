from __future__ import annotations

import numpy as np
import pandas as pd

from mainline.evaluate.fairness import fairness

GROUP = {"g": lambda rows: rows["g"]}


def two_groups(first: int, second: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Return rows of groups a and b with 40 and ``first`` / ``second`` positives in front."""
    frame = pd.DataFrame({"g": ["a"] * 100 + ["b"] * 100})
    y = np.zeros(200, dtype=int)
    y[:first] = 1
    y[100 : 100 + second] = 1
    return frame, y


def test_the_gap_is_that_of_the_true_positive_rates() -> None:
    # given 40 positives in each group, of whom 30 and 10 are found
    frame, y = two_groups(40, 40)
    score = np.zeros(200)
    score[:30] = score[100:110] = 0.6
    # when
    (entry,) = fairness(frame, y, score, "binary", GROUP, threshold=0.5, min_rows=100)
    # then
    assert (entry["column"], entry["metric"], entry["gap"]) == ("g", "true positive rate", 0.5)
    a, b = entry["groups"]
    assert (a["value"], b["value"], a["selected"], b["selected"]) == (0.75, 0.25, 0.3, 0.1)
    assert (a["rows"], a["positives"], a["judged"]) == (100, 40, True)


def test_the_threshold_decides_who_is_selected() -> None:
    frame, y = two_groups(40, 40)
    score = np.r_[np.full(100, 0.3), np.full(100, 0.2)]
    assert fairness(frame, y, score, "binary", GROUP, 0.25, 100)[0]["gap"] == 1.0
    assert fairness(frame, y, score, "binary", GROUP, 0.1, 100)[0]["gap"] == 0.0


def test_too_few_rows_or_positives_in_one_of_two_groups_leave_no_gap() -> None:
    frame, y = two_groups(40, 19)
    (entry,) = fairness(frame, y, np.zeros(200), "binary", GROUP, 0.5, 100)
    assert [group["judged"] for group in entry["groups"]] == [True, False] and entry["gap"] is None
    frame, y = two_groups(40, 40)
    assert fairness(frame, y, np.zeros(200), "binary", GROUP, 0.5, 101)[0]["gap"] is None


def test_a_prediction_that_is_no_number_leaves_no_gap() -> None:
    frame, y = two_groups(40, 40)
    score = np.full(200, 0.9)
    score[0] = np.nan
    assert fairness(frame, y, score, "binary", GROUP, 0.5, 100)[0]["gap"] is None


def test_a_regression_compares_mean_errors_in_standard_deviations() -> None:
    frame, _ = two_groups(0, 0)
    y = np.tile([0.0, 4.0], 100)  # standard deviation 2
    score = y + np.r_[np.full(100, 1.0), np.full(100, -1.0)]
    (entry,) = fairness(frame, y, score, "regression", GROUP, 0.5, 100)
    assert entry["gap"] == 1.0
    assert [group["value"] for group in entry["groups"]] == [0.5, -0.5]
    assert entry["groups"][0]["positives"] is None


def test_classes_compare_accuracy() -> None:
    frame, _ = two_groups(0, 0)
    score = np.tile([0.6, 0.3, 0.1], (200, 1))
    y = np.r_[np.zeros(100, dtype=int), np.tile([0, 1], 50)]
    (entry,) = fairness(frame, y, score, "multiclass", GROUP, 0.5, 100)
    assert (entry["metric"], entry["gap"]) == ("accuracy", 0.5)
