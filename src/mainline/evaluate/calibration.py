"""Expected calibration error: how far the predicted chances are from what happened."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainline.config import Task
from mainline.evaluate.metrics import Floats, rounded


def calibration(y: NDArray[Any], score: Floats, task: Task, bins: int = 10) -> dict[str, Any] | None:
    """Return the error and its table of bins, or None for a regression or if a prediction is not a finite number.

    The error is the mean of ``|mean_score - mean_label|`` over the bins, weighted by rows (Naeini, Cooper, Hauskrecht
    2015), with bins of equal counts instead of equal widths, so that rare high scores do not get bins of a few rows.
    Equal scores share a bin, so there may be fewer bins. Even a perfect model has an error above 0, of the order of
    ``sqrt(bins / rows)`` times the label's spread. With several classes: confidence in the top class against how often
    it is right.
    """
    if task == "regression" or len(y) == 0 or not np.isfinite(score).all():
        return None
    hit = (y == 1).astype(np.float64)
    if score.ndim == 2:
        score, hit = score.max(axis=1), (score.argmax(axis=1) == y).astype(np.float64)
    which = equal_count_bins(score, bins)
    table = []
    error = 0.0
    for number in np.unique(which):
        chosen = which == number
        mean_score, mean_label = float(score[chosen].mean()), float(hit[chosen].mean())
        rows = int(chosen.sum())
        error += rows / len(score) * abs(mean_score - mean_label)
        table.append(
            {
                "low": rounded(float(score[chosen].min())),
                "high": rounded(float(score[chosen].max())),
                "rows": rows,
                "mean_score": rounded(mean_score),
                "mean_label": rounded(mean_label),
            }
        )
    return {"error": rounded(error), "bins": table}


def equal_count_bins(score: Floats, bins: int) -> NDArray[np.intp]:
    """Return the bin of each row, ``(n,)``, low scores first: a run of equal scores goes where its middle row falls."""
    _, which, counts = np.unique(score, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - counts / 2
    each = np.minimum((middle * bins / len(score)).astype(np.intp), bins - 1)
    return np.asarray(each[which], dtype=np.intp)
