"""Samples of two sides that tell of the same moments, although the share of the traffic changes from step to step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mainline.rollout.statistics import Floats

MANY = 4000  # values a sample has at most: the noise of its distribution is far below any margin by then


class Sample:
    """Keeps at most :data:`MANY` values, evenly spread over all that were added, in their order."""

    def __init__(self) -> None:
        self.values: list[float] = []
        self._every, self._count = 1, 0

    def add(self, value: float) -> None:
        """Take one more value."""
        if self._count % self._every == 0:
            self.values.append(value)
        self._count += 1
        if len(self.values) > MANY:
            self.values, self._every = self.values[::2], 2 * self._every


def alike(mine: Mapping[int, Sequence[float]], theirs: Mapping[int, Sequence[float]]) -> tuple[Floats, Floats]:
    """Return both sides' values by step, oldest first, with equally many of each side from each step.

    What only one side had leaves no trace, so a change of the traffic is on both sides or on none.
    """
    found: tuple[list[Floats], list[Floats]] = ([], [])
    for step in sorted(mine.keys() & theirs.keys()):
        n = min(len(mine[step]), len(theirs[step]))
        for out, values in zip(found, (mine[step], theirs[step]), strict=True):
            out.append(np.asarray(values, dtype=float)[np.arange(n) * len(values) // max(n, 1)])
    first, second = (np.concatenate([np.empty(0), *side]) for side in found)
    return first, second
