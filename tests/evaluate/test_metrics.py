from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from mainline.errors import UserError
from mainline.evaluate.metrics import metric_named, metrics_for, rounded

BINARY = {
    "log_loss": lambda y, s, w: sk.log_loss(y, s, sample_weight=w, labels=[0, 1]),
    "brier": lambda y, s, w: sk.brier_score_loss(y, s, sample_weight=w),
    "roc_auc": lambda y, s, w: sk.roc_auc_score(y, s, sample_weight=w),
    "average_precision": lambda y, s, w: sk.average_precision_score(y, s, sample_weight=w),
}
MULTICLASS = {
    "log_loss": lambda y, s, w: sk.log_loss(y, s, sample_weight=w, labels=[0, 1, 2]),
    "brier": lambda y, s, w: np.average(((s - np.eye(3)[y]) ** 2).sum(axis=1), weights=w),
    "accuracy": lambda y, s, w: sk.accuracy_score(y, s.argmax(1), sample_weight=w),
    "macro_f1": lambda y, s, w: sk.f1_score(y[w > 0], s.argmax(1)[w > 0], average="macro", sample_weight=w[w > 0]),
}
REGRESSION = {
    "mae": lambda y, s, w: sk.mean_absolute_error(y, s, sample_weight=w),
    "rmse": lambda y, s, w: sk.root_mean_squared_error(y, s, sample_weight=w),
    "r2": lambda y, s, w: sk.r2_score(y, s, sample_weight=w),
    "bias": lambda y, s, w: np.average(s - y, weights=w),
}


def sample(task: str, rows: int, seed: int, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    if task == "binary":
        score = generator.random(rows)
        y = (generator.random(rows) < score).astype(int)
        return y, score.round(1) if ties else score
    if task == "multiclass":
        score = generator.dirichlet(np.ones(3), rows)
        return generator.integers(3, size=rows), score
    y = generator.normal(1e4, 3, rows)
    return y, y + generator.normal(0.2, 1, rows)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(
    ("task", "truth"), [("binary", BINARY), ("multiclass", MULTICLASS), ("regression", REGRESSION)]
)
def test_metrics_equal_scikit_learn_plain_and_weighted(task, truth, ties) -> None:
    for rows, seed in ((13, 0), (400, 1)):
        y, score = sample(task, rows, seed, ties)
        weights = np.random.default_rng(seed).poisson(1.0, (4, rows)).astype(float)
        for name, metric in metrics_for(task).items():
            expected = [truth[name](y, score, line) for line in weights]
            np.testing.assert_allclose(metric.weighted(y, score)(weights), expected, rtol=0, atol=1e-9, err_msg=name)
            assert metric.function(y, score) == pytest.approx(truth[name](y, score, np.ones(rows)), abs=1e-9), name
    assert set(truth) == set(metrics_for(task))


def test_scores_of_0_and_1_that_are_wrong_give_a_finite_log_loss() -> None:
    y, score = np.array([0, 1]), np.array([1.0, 0.0])
    assert metrics_for("binary")["log_loss"].function(y, score) == pytest.approx(sk.log_loss(y, score), abs=1e-9)


@pytest.mark.parametrize("only", [0, 1])
def test_ranking_metrics_are_none_with_one_class(only) -> None:
    found = {name: m.function(np.full(5, only), np.linspace(0.1, 0.9, 5)) for name, m in metrics_for("binary").items()}
    assert found["roc_auc"] is None and found["average_precision"] is None
    assert found["log_loss"] is not None and found["brier"] is not None


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_one_prediction_that_is_no_number_makes_every_metric_none(task, broken) -> None:
    y, score = sample(task, 20, 3, False)
    score[4] = broken
    assert {metric.function(y, score) for metric in metrics_for(task).values()} == {None}


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_no_rows_make_every_metric_none(task) -> None:
    y, score = sample(task, 20, 3, False)
    assert {metric.function(y[:0], score[:0]) for metric in metrics_for(task).values()} == {None}


def test_r2_of_a_constant_target_is_none() -> None:
    assert metrics_for("regression")["r2"].function(np.full(7, 0.1), np.linspace(0, 1, 7)) is None


def test_badness_grows_as_the_model_gets_worse() -> None:
    assert metrics_for("binary")["roc_auc"].badness(0.6) > metrics_for("binary")["roc_auc"].badness(0.9)
    assert metrics_for("binary")["log_loss"].badness(0.6) > metrics_for("binary")["log_loss"].badness(0.3)
    assert metrics_for("regression")["bias"].badness(-5.0) > metrics_for("regression")["bias"].badness(1.0)


def test_an_unknown_name_lists_the_valid_ones() -> None:
    with pytest.raises(UserError, match=r"evaluate\.primary: 'auc'") as caught:
        metric_named("binary", "auc", "evaluate.primary")
    assert caught.value.fix == "use one of: log_loss, brier, roc_auc, average_precision"


def test_a_metric_of_another_task_is_unknown() -> None:
    with pytest.raises(UserError, match="not a metric of a regression task"):
        metric_named("regression", "roc_auc", "gates.floors")


def test_rounded_gives_what_json_can_hold() -> None:
    assert [rounded(v) for v in (None, float("nan"), float("inf"), 0.12345678)] == [None, None, None, 0.123457]
    assert str(rounded(-1e-9)) == "0.0"
