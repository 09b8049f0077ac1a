from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mainline.errors import UserError
from mainline.evaluate.bootstrap import intervals
from mainline.evaluate.metrics import metrics_for
from mainline.evaluate.slices import Floors, by_month, by_slice, labels

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


def test_a_slice_has_an_interval_only_where_it_misses_its_floor(monkeypatch) -> None:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"g": ["calm"] * 300 + ["noisy"] * 300 + ["tiny"] * 20})
    y = generator.integers(0, 2, len(frame))
    score = np.where(frame["g"] == "calm", 0.2 + 0.6 * y, generator.random(len(frame)))
    asked = []

    def counted(outcomes, *rest):
        asked.append(len(outcomes))
        return intervals(outcomes, *rest)

    monkeypatch.setattr("mainline.evaluate.slices.intervals", counted)
    floors = Floors({"roc_auc": 0.6, "brier": 0.9}, 200, 0.95, 7)
    first, again = (by_slice(frame, y, score, METRICS, {"g": lambda f: f["g"]}, 100, floors) for _ in range(2))
    assert first == again
    assert asked == [300, 300]  # one slice, in each of two runs: calm and small ones cost nothing
    calm, noisy, tiny = first
    assert (calm["intervals"], tiny["intervals"]) == ({}, {})
    assert list(noisy["intervals"]) == ["roc_auc"]
    ends = noisy["intervals"]["roc_auc"]
    chosen = frame["g"] == "noisy"
    expected = intervals(y[chosen], score[chosen], {"roc_auc": METRICS["roc_auc"]}, 200, 0.95, 7)["roc_auc"]
    assert (ends["low"], ends["high"]) == pytest.approx(expected, abs=1e-6)
    assert ends["held"] == ends["high"]


@pytest.mark.parametrize(("shift", "held"), [(2.0, "low"), (-2.0, "high"), (0.0, None)])
def test_of_a_signed_metric_the_end_nearest_to_nothing_is_held(shift: float, held: str | None) -> None:
    generator = np.random.default_rng(1)
    y = generator.normal(size=200)
    score = y + shift + generator.normal(0, 0.1, 200)
    bound = -1.0 if held is None else 1.0  # nothing keeps a size below zero
    floors = Floors({"bias": bound}, 200, 0.95, 7)
    rows = pd.DataFrame({"g": ["a"] * 200})
    (entry,) = by_slice(rows, y, score, metrics_for("regression"), {"g": lambda f: f["g"]}, 1, floors)
    ends = entry["intervals"]["bias"]
    assert ends["held"] == (abs(ends[held]) if held else 0.0)


def test_an_interval_that_is_not_defined_is_none() -> None:
    y, score = np.r_[1, np.zeros(149)].astype(int), np.r_[0.1, np.full(149, 0.5)]
    floors = Floors({"roc_auc": 0.6}, 200, 0.95, 7)
    (entry,) = by_slice(pd.DataFrame({"g": ["a"] * 150}), y, score, METRICS, {"g": lambda f: f["g"]}, 100, floors)
    assert entry["intervals"] == {"roc_auc": {"low": None, "high": None, "held": None}}
