from __future__ import annotations

import numpy as np
import pytest

from mainline.evaluate.calibration import calibration, equal_count_bins


def test_the_error_is_what_a_hand_computes() -> None:
    # given two bins: mean 0.2 with half of them true, mean 0.8 with all of them true
    score, y = np.array([0.1, 0.3, 0.7, 0.9]), np.array([0, 1, 1, 1])
    # when, then |0.2 - 0.5| / 2 + |0.8 - 1| / 2
    found = calibration(y, score, "binary", bins=2)
    assert found is not None and found["error"] == pytest.approx(0.25)
    assert found["bins"][0] == {"low": 0.1, "high": 0.3, "rows": 2, "mean_score": 0.2, "mean_label": 0.5}


def test_a_sound_model_is_near_zero_and_halved_chances_are_not() -> None:
    generator = np.random.default_rng(1)
    score = generator.random(20_000)
    y = (generator.random(20_000) < score).astype(int)
    sound, halved = calibration(y, score, "binary"), calibration(y, score / 2, "binary")
    assert sound is not None and sound["error"] < 0.02
    assert halved is not None and halved["error"] == pytest.approx(0.25, abs=0.01)


def test_bins_have_equal_counts_and_equal_scores_share_one() -> None:
    assert list(np.bincount(equal_count_bins(np.random.default_rng(2).random(1000), 10))) == [100] * 10
    score = np.r_[np.full(700, 0.5), np.linspace(0.6, 0.9, 300)]
    which = equal_count_bins(score, 10)
    assert len(set(which[:700])) == 1 and which[0] < which[700]
    assert set(equal_count_bins(np.full(50, 0.3), 10)) == {5}


def test_the_order_of_the_rows_does_not_matter() -> None:
    generator = np.random.default_rng(3)
    score = generator.random(500).round(2)
    y = generator.integers(2, size=500)
    order = generator.permutation(500)
    assert calibration(y, score, "binary") == calibration(y[order], score[order], "binary")


def test_classes_use_the_confidence_in_the_top_one() -> None:
    score = np.tile([0.8, 0.1, 0.1], (10, 1))
    found = calibration(np.array([0] * 5 + [1] * 5), score, "multiclass")
    assert found is not None and found["error"] == pytest.approx(0.3)


def test_a_regression_and_a_prediction_that_is_no_number_have_none() -> None:
    assert calibration(np.zeros(3), np.zeros(3), "regression") is None
    assert calibration(np.zeros(3), np.array([0.1, np.nan, 0.2]), "binary") is None
