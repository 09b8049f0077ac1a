from __future__ import annotations

import numpy as np
import pytest

from mainline.errors import UserError
from mainline.evaluate.threshold import value_curve, value_report, value_threshold
from mainline.project import Value

Y = np.array([1, 0, 1, 0, 0])
SCORE = np.array([0.9, 0.6, 0.3, 0.2, 0.1])


def test_every_number_is_what_a_hand_computes() -> None:
    found = value_report(Y, SCORE, Value(gain=10, cost=5, unit="EUR"))
    assert found == {
        "value": 0.5, "unit": "EUR", "gain": 10, "cost": 5, "acted": 2, "total": 0.0, "per_row": 0.0,
        "act_on_all": -5.0, "act_on_none": 0.0, "best_value": 0.9, "best_total": 5.0, "precision": 0.5, "recall": 0.5,
    }  # fmt: skip


def test_a_score_equal_to_the_threshold_acts() -> None:
    assert value_report(np.array([1]), np.array([0.1]), Value(gain=80, cost=8))["acted"] == 1


def test_the_threshold_is_the_best_one_for_calibrated_chances() -> None:
    generator = np.random.default_rng(1)
    score = generator.random(50_000)
    y = (generator.random(50_000) < score).astype(int)
    found = value_report(y, score, Value(gain=10, cost=3))
    assert found["value"] == 0.3
    assert found["total"] >= 0.995 * found["best_total"]
    assert found["total"] > found["act_on_all"]


def test_the_outcomes_have_no_say_in_the_threshold() -> None:
    value = Value(gain=10, cost=3)
    assert (
        value_report(Y, SCORE, value)["value"] == value_report(1 - Y, SCORE, value)["value"] == value_threshold(value)
    )


def test_when_acting_never_pays_no_row_is_acted_on() -> None:
    found = value_report(Y, SCORE, Value(gain=10, cost=11))
    assert (found["acted"], found["total"], found["precision"], found["recall"]) == (0, 0.0, None, 0.0)
    assert (found["best_value"], found["best_total"]) == (None, 0.0)


def test_the_curve_agrees_with_the_report_at_each_score() -> None:
    curve = value_curve(Y, SCORE, Value(gain=10, cost=5))
    assert list(curve["total"]) == [5.0, 0.0, 5.0, 0.0, -5.0]
    assert list(curve["acted"]) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("gain", "cost"), [(0, 1), (-1, 1), (1, -1), (float("nan"), 1)])
def test_a_value_that_means_nothing_is_refused(gain, cost) -> None:
    with pytest.raises(UserError, match="VALUE"):
        value_threshold(Value(gain=gain, cost=cost))


def test_a_prediction_that_is_no_number_gives_no_value() -> None:
    found = value_report(Y, np.array([0.9, np.nan, 0.3, 0.2, 0.1]), Value(gain=10, cost=5))
    assert found["total"] is None and found["best_total"] is None
