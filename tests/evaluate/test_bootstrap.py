from __future__ import annotations

import time

import numpy as np
import pytest

from mainline.evaluate.bootstrap import draws, interval, intervals, weights
from mainline.evaluate.metrics import metrics_for


def binary(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    score = generator.random(rows)
    return (generator.random(rows) < score).astype(int), score


def test_each_resample_draws_as_many_rows_as_there_are() -> None:
    found = np.concatenate(list(weights(50, 30, seed=1, cells=50 * 7)))
    assert found.shape == (30, 50)
    assert (found.sum(axis=1) == 50).all()
    assert len(np.unique(found, axis=0)) == 30


@pytest.mark.parametrize("task", ["binary", "regression"])
@pytest.mark.parametrize("ties", [False, True])
def test_the_size_of_a_chunk_changes_no_bit(task, ties) -> None:
    y, score = binary(300, 2)
    score = score.round(1) if ties else score
    one, many, all_at_once = (draws(y, [score], metrics_for(task), 60, seed=3, cells=c) for c in (1, 300 * 7, 300 * 60))
    for name in one:
        assert (one[name] == many[name]).all() and (one[name] == all_at_once[name]).all(), name


def test_the_same_seed_gives_the_same_intervals_and_another_seed_others() -> None:
    y, score = binary(300, 2)
    first, second, other = (intervals(y, score, metrics_for("binary"), 100, 0.95, seed) for seed in (1, 1, 2))
    assert first == second
    assert first != other


def test_two_models_are_drawn_the_same_rows() -> None:
    # given a challenger whose squared error is larger by the same amount on each row
    y, score = np.zeros(200), np.linspace(0.1, 0.6, 200)
    worse = np.sqrt(score**2 + 0.1)
    # when both are resampled, then the paired difference has no spread at all, though each by itself has
    found = draws(y, [score, worse], {"brier": metrics_for("binary")["brier"]}, 100, seed=1)["brier"]
    np.testing.assert_allclose(found[1] - found[0], 0.1, atol=1e-12)
    assert found[0].std() > 0.001


def test_a_95_percent_interval_covers_the_true_mean_about_95_times_in_100() -> None:
    generator = np.random.default_rng(5)
    metric = {"bias": metrics_for("regression")["bias"]}
    hits = 0
    for trial in range(200):
        low, high = intervals(np.zeros(150), generator.normal(0.3, 1, 150), metric, 300, 0.95, trial)["bias"] or (0, 0)
        hits += low <= 0.3 <= high
    assert 180 <= hits <= 198  # 190 wanted; three standard errors are 9


def test_the_interval_of_an_auc_covers_too() -> None:
    generator = np.random.default_rng(6)
    metric = {"roc_auc": metrics_for("binary")["roc_auc"]}
    y = np.repeat([0, 1], 100)
    hits = 0
    for trial in range(150):
        # P(N(1,1) > N(0,1)) = Phi(1 / sqrt(2))
        low, high = intervals(y, generator.normal(y, 1.0), metric, 200, 0.9, trial)["roc_auc"] or (0, 0)
        hits += low <= 0.7602499 <= high
    assert 123 <= hits <= 146


def test_a_metric_that_most_resamples_cannot_have_gives_no_interval() -> None:
    y = np.r_[1, np.zeros(30)].astype(int)  # a third of all draws hold no positive row
    found = intervals(y, np.linspace(0.1, 0.9, 31), metrics_for("binary"), 200, 0.95, 1)
    assert found["roc_auc"] is None
    assert found["brier"] is not None
    assert interval(np.array([]), 0.95) is None


def test_no_rows_give_no_interval() -> None:
    assert intervals(np.zeros(0), np.zeros(0), metrics_for("binary"), 100, 0.95, 1)["brier"] is None


def test_a_thousand_resamples_of_ten_thousand_rows_are_quick() -> None:
    y, score = binary(10_000, 4)
    start = time.process_time()
    intervals(y, score, metrics_for("binary"), 1000, 0.95, 1)
    assert time.process_time() - start < 5  # 0.6 s on an idle core
