"""Has the newest batch another distribution than the earlier ones? A rule that does not cry wolf.

A column has moved when all three hold: the difference is significant over all columns together (chi-square test of
homogeneity, rare bins as one, Benjamini-Hochberg at ``alpha``), it is material (total variation distance, less what
chance alone gives, of at least ``effect``), and it is beyond what the column has done before (the same distance of each
earlier batch: mean plus three standard deviations of a prediction from so few values).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mainline.data.profile import Bins, Profile

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A batch below this many rows says little: its distance is mostly noise, and it would stretch the bounds of others.
MIN_HISTORY_ROWS = 200
# Fewer earlier distances than this give no standard deviation worth the name.
MIN_HISTORY = 3
# Bins that the smaller side is not even expected to fill this often are tested as one: chi-square fails on them.
MIN_EXPECTED = 1.0


Verdict = Literal["moved", "same", "insufficient", "unbounded"]


@dataclass(frozen=True)
class Shift:
    """One column of the newest batch against all earlier ones.

    Attributes:
        effect: total variation distance less what chance alone gives, 0 (same) to 1 (nothing in common).
        bound: what the effect must exceed to count, from the setting and the column's own history.
        p: p-value of the chi-square test of homogeneity.
        verdict: "moved", "same", "insufficient" (too little history to judge), or "unbounded": the column has moved so
            much before that no distance could exceed its bound.
        gained: bin that grew most, in words.
    """

    column: str
    effect: float
    bound: float
    p: float
    verdict: Verdict
    gained: str

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON-ready values."""
        return asdict(self)


def compare_newest(batches: Sequence[Profile], effect: float, alpha: float) -> list[Shift]:
    """Return one :class:`Shift` a column for the last of ``batches``, in order of time and in the same bins."""
    if len(batches) < 2:
        return []
    *earlier, newest = batches
    columns = list(newest.bins)
    pooled = _sum(earlier)
    p_values = {name: homogeneity(pooled.counts[name], newest.counts[name], bins) for name, bins in newest.bins.items()}
    significant = benjamini_hochberg(p_values, alpha)
    shifts = []
    for name in columns:
        apart = distance(pooled.counts[name], newest.counts[name])
        history = _history(earlier, name)
        enough = len(history) >= MIN_HISTORY
        bound = max(effect, limit(history)) if enough else effect
        verdict: Verdict = "moved" if significant[name] and apart > bound else "same"
        if not enough or newest.rows == 0:
            verdict = "insufficient"
        elif round(bound, 6) >= 1:
            verdict = "unbounded"
        before, now = _shares(pooled.counts[name]), _shares(newest.counts[name])
        top = int(np.argmax(now - before))
        gained = f"{newest.bins[name].labels[top]}: {before[top]:.1%} before, {now[top]:.1%} now"
        shifts.append(Shift(name, round(apart, 6), round(bound, 6), _rounded(p_values[name]), verdict, gained))
    return shifts


def benjamini_hochberg(p_values: Mapping[str, float], alpha: float) -> dict[str, bool]:
    """Return which hypotheses to reject at false discovery rate ``alpha`` (Benjamini and Hochberg, 1995)."""
    order = sorted(p_values, key=lambda name: p_values[name])
    passed = [rank for rank, name in enumerate(order, 1) if p_values[name] <= alpha * rank / len(order)]
    last = max(passed, default=0)
    return {name: rank <= last for rank, name in enumerate(order, 1)}


def _history(batches: Sequence[Profile], column: str) -> list[float]:
    """Return the distance of each earlier batch to all before it, small batches left out."""
    usable = [batch for batch in batches if batch.rows >= MIN_HISTORY_ROWS]
    totals = np.cumsum([batch.counts[column] for batch in usable], axis=0)
    return [distance(totals[i - 1], usable[i].counts[column]) for i in range(1, len(usable))]


def limit(history: Sequence[float]) -> float:
    """Return what the next distance will hardly exceed: a prediction limit, which is wider for a shorter history."""
    return float(np.mean(history) + 3 * np.std(history, ddof=1) * math.sqrt(1 + 1 / len(history)))


def _sum(batches: Sequence[Profile]) -> Profile:
    total = batches[0]
    for batch in batches[1:]:
        total = total + batch
    return total


def _shares(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(counts / max(counts.sum(), 1), dtype=np.float64)


def distance(left: NDArray[np.int64], right: NDArray[np.int64]) -> float:
    """Return the total variation distance of two count vectors less its size for two samples of one distribution, 0
    to 1; without that, every small batch would seem far away.

    The size by chance is the mean of a normal's absolute value in each bin, and no more than twice the bin's share,
    which is exact for a value seen once. It is taken off in squares, as noise adds up.
    """
    n, m = max(left.sum(), 1), max(right.sum(), 1)
    share = (left + right) / (n + m)
    chance = np.minimum(np.sqrt(2 / np.pi * share * (1 - share) * (1 / n + 1 / m)), 2 * share)
    squares = np.abs(left / n - right / m).sum() ** 2 - chance.sum() ** 2
    return 0.5 * math.sqrt(max(float(squares), 0.0))


def homogeneity(left: NDArray[np.int64], right: NDArray[np.int64], bins: Bins) -> float:
    """Return the p-value of Pearson's chi-square test that both count vectors come from one distribution.

    Rare bins are tested as one, and so is "(other)": bins are named after what ``left`` holds, so a value that is
    rare on both sides stands in a bin of its own if ``left`` has it, and in "(other)" if only ``right`` has.
    """
    from scipy.special import chdtrc

    table = np.vstack([left, right]).astype(np.float64)
    rare = table.sum(axis=0) * table.sum(axis=1).min() < MIN_EXPECTED * table.sum()
    if bins.values is not None:
        rare[-2] = True
    table = np.column_stack([table[:, ~rare], table[:, rare].sum(axis=1)])
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2 or not table.sum(axis=1).all():
        return 1.0
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    return float(chdtrc(table.shape[1] - 1, ((table - expected) ** 2 / expected).sum()))


def _rounded(p: float) -> float:
    return float(f"{p:.3g}")
