"""The metrics of each task, each written once in a weighted form that the bootstrap and the point estimate share.

``y`` is ``(n,)``: 0/1, class codes or values. ``score`` is ``(n,)``, or ``(n, k)`` class probabilities. Weights are a
matrix ``(r, n)`` of how often each row is drawn in each of ``r`` resamples; a metric returns ``(r,)``, with NaN where
it is undefined.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mainline.config import Task
from mainline.errors import UserError

Floats = NDArray[np.float64]
Weighted = Callable[[Floats], Floats]
Prepare = Callable[[NDArray[Any], Floats], Weighted]


@dataclass(frozen=True)
class Metric:
    """A metric of one or more tasks.

    Attributes:
        name: its key in params.yaml and in every report.
        better: which way is better.
        prepare: does the work that all resamples share (losses, sorting) and returns the function of the weights.
        tasks: where it means something.
        signed: the best value is 0 and the sign only says which side; size is what is judged.
    """

    name: str
    better: Literal["higher", "lower"]
    prepare: Prepare
    tasks: tuple[Task, ...]
    signed: bool = False

    def weighted(self, y: NDArray[Any], score: Floats) -> Weighted:
        """Return the metric as a function of weights; all NaN if any prediction is not a finite number."""
        if len(y) == 0 or not np.isfinite(score).all():
            return lambda weights: np.full(len(weights), np.nan)
        return self.prepare(y, score)

    def function(self, y: NDArray[Any], score: Floats) -> float | None:
        """Return the metric on all rows once, or None where it is undefined (one class only, no rows, NaN scores)."""
        value = float(self.weighted(y, score)(np.ones((1, len(y))))[0])
        return value if math.isfinite(value) else None

    def badness(self, value: Any) -> Any:
        """Return ``value`` (a number or an array) turned so that more is worse."""
        return abs(value) if self.signed else -value if self.better == "higher" else value

    def judged(self, value: float) -> float:
        """Return the number that a bound is held against: the size of a signed metric, else the value itself."""
        return abs(value) if self.signed else value


def rounded(value: float | None, digits: int = 6) -> float | None:
    """Return ``value`` fit for a report: rounded, no negative zero, None instead of NaN or infinity."""
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), digits) + 0.0


def _mean(losses: Floats) -> Weighted:
    # Not a BLAS product: its last bits change with the number of resamples at a time and with the threads.
    return lambda weights: (weights * losses).sum(axis=1) / weights.sum(axis=1)


def _log_loss(y: NDArray[Any], score: Floats) -> Weighted:
    epsilon = np.finfo(np.float64).eps
    chance = score[np.arange(len(y)), y.astype(int)] if score.ndim == 2 else np.where(y == 1, score, 1 - score)
    return _mean(-np.log(np.clip(chance, epsilon, 1 - epsilon)))


def _brier(y: NDArray[Any], score: Floats) -> Weighted:
    if score.ndim == 1:
        return _mean((score - y) ** 2)
    return _mean(((score - np.eye(score.shape[1])[y.astype(int)]) ** 2).sum(axis=1))


def _groups_of_equal(score: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp] | None]:
    """Return the order of falling score, and where each run of equal scores begins (None: no two are equal)."""
    order = np.argsort(-score, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(score[order]) != 0])
    return order, None if len(starts) == len(score) else starts


def _ranked(y: NDArray[Any], score: Floats) -> Callable[[Floats], tuple[Floats, Floats]]:
    """Return a function of weights that gives positives and negatives per distinct score, highest first."""
    order, starts = _groups_of_equal(score)
    positive = (y[order] == 1).astype(np.float64)

    def split(weights: Floats) -> tuple[Floats, Floats]:
        drawn = weights.take(order, axis=1)
        hits = drawn * positive
        if starts is None:
            return hits, drawn - hits
        hits, drawn = np.add.reduceat(hits, starts, axis=1), np.add.reduceat(drawn, starts, axis=1)
        return hits, drawn - hits

    return split


def _roc_auc(y: NDArray[Any], score: Floats) -> Weighted:
    split = _ranked(y, score)

    def area(weights: Floats) -> Floats:
        hits, misses = split(weights)
        positives, negatives = hits.sum(axis=1), misses.sum(axis=1)
        below = negatives[:, None] - np.cumsum(misses, axis=1)
        misses *= 0.5
        below += misses  # half of the ties count as won (Mann-Whitney U)
        below *= hits
        return _ratio(below.sum(axis=1), positives * negatives)

    return area


def _average_precision(y: NDArray[Any], score: Floats) -> Weighted:
    split = _ranked(y, score)

    def area(weights: Floats) -> Floats:
        hits, misses = split(weights)
        positives, negatives = hits.sum(axis=1), misses.sum(axis=1)
        found = np.cumsum(hits, axis=1)
        taken = np.cumsum(misses, axis=1)
        taken += found
        np.maximum(taken, 1e-300, out=taken)  # 0 of 0 taken so far: that threshold adds nothing
        found /= taken
        found *= hits
        return np.where(negatives > 0, _ratio(found.sum(axis=1), positives), np.nan)

    return area


def _accuracy(y: NDArray[Any], score: Floats) -> Weighted:
    return _mean((score.argmax(axis=1) == y).astype(np.float64))


def _macro_f1(y: NDArray[Any], score: Floats) -> Weighted:
    classes = np.eye(score.shape[1])
    actual, predicted = classes[y.astype(int)], classes[score.argmax(axis=1)]

    def mean(weights: Floats) -> Floats:
        # Whole numbers: a BLAS product of them is exact in any order.
        hits, either = weights @ (actual * predicted), weights @ (actual + predicted)
        seen = either > 0
        each = np.divide(2 * hits, either, out=np.zeros_like(hits), where=seen)
        return _ratio(each.sum(axis=1), seen.sum(axis=1).astype(np.float64))

    return mean


def _rmse(y: NDArray[Any], score: Floats) -> Weighted:
    mean = _mean((score - y) ** 2)
    return lambda weights: np.sqrt(mean(weights))


def _r2(y: NDArray[Any], score: Floats) -> Weighted:
    centred = y - y.mean()  # keeps the difference of squares below accurate when the mean is large
    error, level, square = _mean((score - y) ** 2), _mean(centred), _mean(centred**2)
    # A spread this far below the values themselves is rounding: the target is constant, and r2 undefined.
    floor = (1e-12 * float(np.abs(y).max())) ** 2

    def share(weights: Floats) -> Floats:
        spread = square(weights) - level(weights) ** 2
        return 1 - _ratio(error(weights), np.where(spread > floor, spread, 0.0))

    return share


def _ratio(top: Floats, bottom: Floats) -> Floats:
    return np.asarray(np.divide(top, bottom, out=np.full(len(top), np.nan), where=bottom > 0))


_ALL = (
    Metric("log_loss", "lower", _log_loss, ("binary", "multiclass")),
    Metric("brier", "lower", _brier, ("binary", "multiclass")),
    Metric("roc_auc", "higher", _roc_auc, ("binary",)),
    Metric("average_precision", "higher", _average_precision, ("binary",)),
    Metric("accuracy", "higher", _accuracy, ("multiclass",)),
    Metric("macro_f1", "higher", _macro_f1, ("multiclass",)),
    Metric("mae", "lower", lambda y, score: _mean(np.abs(score - y)), ("regression",)),
    Metric("rmse", "lower", _rmse, ("regression",)),
    Metric("r2", "higher", _r2, ("regression",)),
    Metric("bias", "lower", lambda y, score: _mean(score - y), ("regression",), signed=True),
)


def metrics_for(task: Task) -> dict[str, Metric]:
    """Return the metrics of ``task`` by name, in the order of every table."""
    return {metric.name: metric for metric in _ALL if task in metric.tasks}


def metric_named(task: Task, name: str, key: str) -> Metric:
    """Return the metric that params.yaml calls ``name`` under ``key``.

    Raises:
        UserError: the task has no such metric; the names that it has are listed.
    """
    known = metrics_for(task)
    if name not in known:
        raise UserError(
            f"params.yaml: {key}: {name!r} is not a metric of a {task} task", f"use one of: {', '.join(known)}"
        )
    return known[name]
