"""How far two windows are apart, from their counts alone: sizes in readable units, and chances.

Counts are those of ``mainline.data.profile``: a bin each, the last one of missing values; numbers have an open bin at
either end for what is far out of range.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mainline.data.distribution import distance, homogeneity
from mainline.data.profile import Bins

Counts = NDArray[np.int64]
# Of the finer bins of the profile, as many are tested by chi-square: more would cost power against a plain shift.
GROUPS = 10
TINY = 1e-4  # share that the population stability index takes for an empty bin


@dataclass(frozen=True)
class Effect:
    """The difference of a column between reference and window.

    Attributes:
        size: numbers: Wasserstein distance over the reference's standard deviation (of the rows within the outer
            edges); texts: total variation distance (0 to 1) less what chance gives; missing values left out.
        unit: "sd" or "share", the unit of ``size``.
        shift: numbers: mean of the window less that of the reference in sd; texts: 0.
        stability: population stability index over all bins (quadratic: 0.1 sd is 0.01, 0.5 sd is 0.24).
        p: chance of such a difference between two samples of one distribution.
    """

    size: float
    unit: str
    shift: float
    stability: float
    p: float


def effect(reference: Counts, window: Counts, bins: Bins) -> Effect:
    """Return how the two differ among rows whose value is known; nothing known on one side: no difference, p = 1."""
    left, right = reference[:-1], window[:-1]
    unit = "share" if bins.values is not None else "sd"
    if not left.sum() or not right.sum():
        return Effect(0.0, unit, 0.0, 0.0, 1.0)
    stability = _stability(reference, window)
    if bins.values is not None:
        p = homogeneity(np.append(left, 0), np.append(right, 0), bins)
        return Effect(distance(left, right), unit, 0.0, stability, p)
    size, shift = _wasserstein(left, right, bins)
    coarse = _coarse(left, right)
    p_shape = homogeneity(np.append(coarse[0], 0), np.append(coarse[1], 0), Bins())
    return Effect(size, unit, shift, stability, min(1.0, 2 * min(_kolmogorov(left, right), p_shape)))


def more_than(before: int, rows_before: int, now: int, rows_now: int) -> float:
    """Return the chance of ``now`` or more hits among ``rows_now`` rows if these are a random part of all rows.

    Fisher's exact test, one-sided. For a value never seen before it is about (m / (n + m)) ** k.
    """
    from scipy.stats import hypergeom

    if not rows_now or not now:
        return 1.0
    return float(hypergeom.sf(now - 1, rows_before + rows_now, before + now, rows_now))


def fewer_than(before: int, rows_before: int, now: int, rows_now: int) -> float:
    """Return the chance of ``now`` or fewer hits, as :func:`more_than`."""
    from scipy.stats import hypergeom

    if not rows_now or not before + now:
        return 1.0
    return float(hypergeom.cdf(now, rows_before + rows_now, before + now, rows_now))


def _wasserstein(left: Counts, right: Counts, bins: Bins) -> tuple[float, float]:
    """Return distance and signed shift in sd, between the outer edges.

    Both distribution functions are known exactly at each edge, and taken as straight in between. A column without
    spread has no sd: then it is the share of the rows that moved.
    """
    before = np.cumsum(left)[:-1] / left.sum()
    now = np.cumsum(right)[:-1] / right.sum()
    apart = before - now
    if not bins.sd or len(bins.edges) < 2:
        worst = float(np.abs(apart).max(initial=0.0))
        return worst, worst
    width = np.diff(np.asarray(bins.edges))
    first, second = apart[:-1], apart[1:]
    signed = float((width * (first + second) / 2).sum()) / bins.sd
    # Where the difference changes its sign within a bin, two triangles; else one trapezoid.
    crosses = first * second < 0
    total = np.abs(first) + np.abs(second)
    triangles = (first**2 + second**2) / np.where(crosses, 2 * total, 1.0)
    return float((width * np.where(crosses, triangles, total / 2)).sum()) / bins.sd, signed


def _kolmogorov(left: Counts, right: Counts) -> float:
    """Return the p-value of the two-sample Kolmogorov-Smirnov test on the edges: never smaller than on the rows."""
    from scipy.special import kolmogorov

    n, m = int(left.sum()), int(right.sum())
    worst = np.abs(np.cumsum(left) / n - np.cumsum(right) / m).max()
    return float(kolmogorov(np.sqrt(n * m / (n + m)) * worst))


def _coarse(left: Counts, right: Counts) -> tuple[Counts, Counts]:
    """Return both in ``GROUPS`` bins of about equal counts in the reference."""
    middle = (np.cumsum(left) - left / 2) / left.sum()
    which = np.minimum((middle * GROUPS).astype(np.intp), GROUPS - 1)
    return tuple(  # type: ignore[return-value]
        np.bincount(which, weights=counts, minlength=GROUPS).astype(np.int64) for counts in (left, right)
    )


def _stability(left: Counts, right: Counts) -> float:
    before, now = (np.maximum(counts / counts.sum(), TINY) for counts in (left, right))
    return float(((now - before) * np.log(now / before)).sum())
