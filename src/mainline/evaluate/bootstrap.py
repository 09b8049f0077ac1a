"""Percentile bootstrap of all metrics at once, for one model or for several on the same draws.

Rows are drawn one by one with replacement (Efron 1979), so the intervals hold for rows that do not depend on each
other; where they do (many rows of one person, a trend within the window), the true interval is wider.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainline.evaluate.metrics import Floats, Metric

CELLS = 1 << 17  # of the weight matrix held at a time: 1 MB, so that it stays in the processor's cache


def weights(rows: int, resamples: int, seed: int, cells: int = CELLS) -> Iterator[Floats]:
    """Yield blocks ``(r, rows)`` of how often each row is drawn; ``resamples`` in all, the same for any ``cells``."""
    generator = np.random.Generator(np.random.PCG64(seed))
    step = max(1, cells // max(rows, 1))
    for start in range(0, resamples, step):
        block = np.empty((min(step, resamples - start), rows))
        for line in block:
            line[:] = np.bincount(generator.integers(rows, size=rows), minlength=rows)
        yield block


def draws(
    y: NDArray[Any],
    scores: Sequence[Floats],
    metrics: Mapping[str, Metric],
    resamples: int,
    seed: int,
    cells: int = CELLS,
) -> dict[str, Floats]:
    """Return each metric in each resample, ``(len(scores), resamples)``.

    Column ``i`` of every row comes from the same draw, so ``draws[name][0] - draws[name][1]`` is the paired bootstrap
    of a difference between two models. NaN where a metric is undefined in a resample.
    """
    ready = {name: [metric.weighted(y, score) for score in scores] for name, metric in metrics.items()}
    found = {name: np.full((len(scores), resamples), np.nan) for name in metrics}
    start = 0
    if len(y):
        for block in weights(len(y), resamples, seed, cells):
            stop = start + len(block)
            for name, functions in ready.items():
                for row, function in enumerate(functions):
                    found[name][row, start:stop] = function(block)
            start = stop
    return found


def interval(values: Floats, level: float) -> tuple[float, float] | None:
    """Return the central ``level`` percentile interval of ``values`` ``(r,)``.

    None if the metric was undefined in more than one resample in a hundred: what is left would be a biased choice.
    """
    defined = values[np.isfinite(values)]
    if len(defined) == 0 or len(defined) < 0.99 * len(values):
        return None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def intervals(
    y: NDArray[Any], score: Floats, metrics: Mapping[str, Metric], resamples: int, level: float, seed: int
) -> dict[str, tuple[float, float] | None]:
    """Return the percentile interval of every metric (see :func:`interval`)."""
    found = draws(y, [score], metrics, resamples, seed)
    return {name: interval(values[0], level) for name, values in found.items()}
