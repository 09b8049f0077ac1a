"""What performance would be if the scores were true: all that can be said before outcomes are known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainline.evaluate.metrics import Metric, rounded
from mainline.evaluate.threshold import value_threshold
from mainline.project import Value

CANNOT_SEE = (
    "The estimate comes from the scores alone and takes them as calibrated: it cannot see that the same inputs now "
    "lead to other outcomes, nor what inputs unlike any in training do."
)


def estimate(
    score: NDArray[np.float64], metrics: Mapping[str, Metric], value: Value | None
) -> dict[str, float | None] | None:
    """Return each metric as expected under the scores, "mean_label", and "value_per_row"; None for a regression.

    Every row counts once for each class, weighted by its probability: the metric of that weighted table, which for mean
    losses is the expectation itself, and for ranks and ratios its plug-in.
    """
    if not metrics or any("regression" in metric.tasks for metric in metrics.values()) or not len(score):
        return None
    chances = score if score.ndim == 2 else np.column_stack([1 - score, score])
    rows, classes = chances.shape
    y = np.repeat(np.arange(classes), rows)
    repeated = np.tile(score, (classes, 1)) if score.ndim == 2 else np.tile(score, classes)
    weights = np.clip(chances, 0, 1).T.reshape(1, -1)
    found: dict[str, Any] = {
        name: rounded(float(metric.weighted(y, repeated)(weights)[0])) for name, metric in metrics.items()
    }
    if score.ndim == 1:
        found["mean_label"] = rounded(float(score.mean()))
        if value is not None:
            acted = score >= value_threshold(value)
            found["value_per_row"] = rounded(float((value.gain * score[acted] - value.cost).sum() / rows))
    return found
