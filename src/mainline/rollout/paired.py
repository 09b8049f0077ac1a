"""Pairs of answers to the same request, by stable and by the candidate, added up."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from mainline.rollout.measures import Pairs, Share
from mainline.rollout.statistics import Mean

Slicer = Callable[[Sequence[Mapping[str, Any]]], Mapping[str, Sequence[str]]]


class Half(NamedTuple):
    """One side's answer to a row, as much of its record as a pair needs; ``time`` as the log writes it."""

    score: float
    decision: Any
    features: Mapping[str, Any]
    time: str = ""


@dataclass
class Paired:
    """Adds up :class:`Pairs`: memory does not grow with their number."""

    slicer: Slicer | None = None
    pairs: Pairs = field(default_factory=Pairs)
    _sums: list[float] = field(default_factory=lambda: [0.0] * 5)

    def add(self, found: Sequence[tuple[Half, Half]]) -> None:
        """Add pairs of stable's and the candidate's answer."""
        if not found:
            return
        a = np.array([one.score for one, _ in found], dtype=float)
        b = np.array([other.score for _, other in found], dtype=float)
        decided = all(half.decision is not None for pair in found for half in pair)
        same = np.array([one.decision == other.decision for one, other in found])
        rows = [one.features for one, _ in found]
        gap = np.abs(a - b)
        before = self.pairs
        groups = dict(before.slices)
        for name, labels in (self.slicer(rows) if self.slicer else {}).items():
            named = np.asarray(labels, dtype=object)
            for group in dict.fromkeys(labels):
                mask = named == group
                old = groups.get((name, group), Share())
                groups[(name, group)] = Share(old.n + int(mask.sum()), old.hits + int(same[mask].sum()))
        moments = Mean(
            before.difference.n + len(gap),
            before.difference.total + float(gap.sum()),
            before.difference.squares + float((gap**2).sum()),
        )
        for index, value in enumerate((a.sum(), b.sum(), (a * a).sum(), (b * b).sum(), (a * b).sum())):
            self._sums[index] += float(value)
        correlation, spread = _correlation(moments.n, *self._sums)
        self.pairs = replace(
            before,
            all=Share(before.all.n + len(same), before.all.hits + int(same.sum())),
            slices=groups,
            difference=moments,
            largest=max(before.largest, float(gap.max())),
            correlation=correlation,
            spread=spread,
            decided=before.decided and decided,
        )


def _correlation(n: int, a: float, b: float, aa: float, bb: float, ab: float) -> tuple[float, float]:
    """Return the correlation, NaN when a side does not vary, and the standard deviation of the first side."""
    spread_a, spread_b = (max(square / n - (total / n) ** 2, 0.0) for square, total in ((aa, a), (bb, b)))
    if min(spread_a, spread_b) < 1e-18:
        return math.nan, math.sqrt(spread_a)
    both = ab / n - (a / n) * (b / n)
    return max(-1.0, min(1.0, both / math.sqrt(spread_a * spread_b))), math.sqrt(spread_a)
