"""The tests behind the analysis: valid however often one looks, honest about small samples, and without state."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Z = 3.0  # one-sided bounds of figures that are looked at again and again

# How much worse a candidate might be: the mixture over which the sequential test averages.
RATIOS = np.geomspace(1.25, 128.0, 24)


@dataclass(frozen=True)
class Window:
    """Attempts and errors of both sides in one span of time; stable is 0 when the candidate takes all."""

    candidate: int
    candidate_errors: int
    stable: int
    stable_errors: int


def concurrent_evidence(windows: Sequence[Window]) -> float:
    """Return the evidence (an e-value) that the candidate errs more often than stable; above 1/alpha is proof.

    Given that one of n + m concurrent requests fails, it is the candidate's with probability n / (n + m) if both are
    equal; if the candidate errs r times as often, with r n / (r n + m). The product of these likelihood ratios over all
    errors, averaged over r, exceeds 1/alpha with probability at most alpha, at whatever moment one looks (Ville). It
    stays true when weights and error rates change over time, because each window is its own control. Drawing without
    replacement only makes it safer: the ratio is convex in the count (Hoeffding 1963). After Lindon, Sanden and
    Shirikian (KDD 2022), where the same is done for counting processes.
    """
    counts = [
        (w.candidate_errors, w.candidate_errors + w.stable_errors, w.candidate / (w.candidate + w.stable))
        for w in windows
        if w.candidate and w.stable and (w.candidate_errors or w.stable_errors)
    ]
    if not counts:
        return 1.0
    mine, errors, shares = (np.array(column, dtype=float) for column in zip(*counts, strict=True))
    against = np.log(np.outer(RATIOS, shares) + 1 - shares) @ errors
    return _average(mine.sum() * np.log(RATIOS) - against)


def historic_evidence(requests: int, errors: int, rate: float) -> float:
    """Return the evidence that errors come more often than ``rate``: for the step that leaves no concurrent stable.

    An e-value as above, from the binomial likelihood ratio; ``rate`` should be an upper bound of stable's.
    """
    if requests == 0:
        return 1.0
    base = min(max(rate, 1e-6), 0.9)
    raised = np.minimum(RATIOS * base, 0.999)
    total = errors * np.log(raised / base) + (requests - errors) * np.log((1 - raised) / (1 - base))
    return _average(total)


def _average(logs: Floats) -> float:
    top = float(logs.max())
    return float(np.exp(min(top, 500.0)) * np.exp(logs - top).mean())


def wilson(hits: int, n: int, z: float = Z) -> tuple[float, float]:
    """Return the Wilson score bounds of a share; (0, 1) without data."""
    if n == 0:
        return 0.0, 1.0
    share, squared = hits / n, z * z
    centre = (share + squared / (2 * n)) / (1 + squared / n)
    half = z / (1 + squared / n) * math.sqrt(share * (1 - share) / n + squared / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def distance(a: Floats, b: Floats) -> float:
    """Return the Kolmogorov-Smirnov distance of two samples, 0 to 1; NaN when one is empty."""
    if len(a) == 0 or len(b) == 0:
        return math.nan
    a, b = np.sort(a), np.sort(b)
    both = np.concatenate([a, b])
    gap = np.searchsorted(a, both, side="right") / len(a) - np.searchsorted(b, both, side="right") / len(b)
    return float(np.abs(gap).max())


def distance_noise(n: int, m: int, alpha: float = 0.001) -> float:
    """Return what the distance of two samples of one distribution exceeds with probability ``alpha`` at most."""
    return math.sqrt(-math.log(alpha / 2) / 2 * (1 / n + 1 / m)) if n and m else math.inf


def correlation_bound(correlation: float, n: int, z: float = Z) -> float:
    """Return the upper bound of a correlation by Fisher's transformation; 1 below four pairs."""
    if n < 4 or not math.isfinite(correlation):
        return 1.0
    return math.tanh(math.atanh(min(max(correlation, -0.999999), 0.999999)) + z / math.sqrt(n - 3))


def quantile_bounds(edges: Sequence[float], counts: Sequence[float], q: float, z: float = Z) -> tuple[float, float]:
    """Return a lower and an upper bound of a quantile from a histogram, by order statistics.

    ``counts[i]`` values lie above ``edges[i - 1]`` (0 for the first) and at most at ``edges[i]``; the last count has no
    upper edge. The lower bound is a lower edge and the upper an upper one, so that buckets never make a difference.
    """
    n = int(sum(counts))
    if n == 0:
        return math.nan, math.nan
    spread = z * math.sqrt(n * q * (1 - q))
    total = np.cumsum(np.asarray(counts))
    low = int(np.searchsorted(total, max(n * q - spread, 1)))
    high = int(np.searchsorted(total, min(n * q + spread, n)))
    uppers = [*edges, math.inf]
    lowers = [0.0, *edges]
    return float(lowers[low]), float(uppers[high])


def sample_size(sd: float, effect: float, alpha: float, power: float, share: float) -> tuple[int, int]:
    """Return how many labelled requests stable and candidate need to find ``effect`` (one-sided two-sample z-test).

    ``share`` is the candidate's part of the traffic; sd and effect are in the same unit.
    """
    from scipy.stats import norm

    z = float(norm.ppf(1 - alpha) + norm.ppf(power))
    total = (z * sd / effect) ** 2 * (1 / share + 1 / (1 - share))
    return math.ceil(total * (1 - share)), math.ceil(total * share)


@dataclass(frozen=True)
class Mean:
    """Moments of what many requests were worth."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0

    def plus(self, value: float) -> Mean:
        """Return the moments with one more value."""
        return Mean(self.n + 1, self.total + value, self.squares + value * value)

    def __add__(self, other: Mean) -> Mean:
        return Mean(self.n + other.n, self.total + other.total, self.squares + other.squares)

    @property
    def mean(self) -> float:
        """NaN without data."""
        return self.total / self.n if self.n else math.nan

    @property
    def variance(self) -> float:
        """NaN below two values."""
        if self.n < 2:
            return math.nan
        return max(self.squares - self.total**2 / self.n, 0.0) / (self.n - 1)


def difference(candidate: Sequence[Mean], stable: Sequence[Mean]) -> tuple[float, float, int]:
    """Return the difference of two means, its standard error (Welch), and how many of the candidate's values it is of.

    Both come step by step, and each step is its own control: a candidate that gets most of its requests late must not
    be held against a stable that got most of its own early (Simpson's paradox). Steps count by n m / (n + m), as in
    Cochran (1954). NaN and 0 when no step has two values on both sides.
    """
    steps = [(mine, theirs) for mine, theirs in zip(candidate, stable, strict=False) if min(mine.n, theirs.n) >= 2]
    weights = [mine.n * theirs.n / (mine.n + theirs.n) for mine, theirs in steps]
    if not steps:
        return math.nan, math.nan, 0
    gap = sum(w * (mine.mean - theirs.mean) for w, (mine, theirs) in zip(weights, steps, strict=True))
    spread = sum(
        w * w * (mine.variance / mine.n + theirs.variance / theirs.n)
        for w, (mine, theirs) in zip(weights, steps, strict=True)
    )
    return gap / sum(weights), math.sqrt(spread) / sum(weights), sum(mine.n for mine, _ in steps)
