"""Calibration over time without the rows: how often each level of the score came true, in counts that merge."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mainline.config import Task
from mainline.data.profile import Bins, Profile, count

HIT, MISS = "(hit)", "(miss)"
LEVELS = Bins(edges=tuple(round(0.05 * step, 2) for step in range(1, 20)))


def outcome_profile(y: NDArray[Any], score: NDArray[np.float64], task: Task) -> Profile | None:
    """Return the scores of the rows that came true and of those that did not, in 20 equal levels; None: regression.

    Several classes: the confidence in the top class, and whether it was right.
    """
    if task == "regression":
        return None
    hit = y == 1
    if score.ndim == 2:
        score, hit = score.max(axis=1), score.argmax(axis=1) == y
    frame = pd.DataFrame({HIT: np.where(hit, score, np.nan), MISS: np.where(hit, np.nan, score)})
    return count(frame, {HIT: LEVELS, MISS: LEVELS})


def reliability(profile: Profile) -> list[dict[str, float]]:
    """Return low, high, rows and the share that came true, for each level of the score that has rows."""
    hits, misses = profile.counts[HIT][:-1], profile.counts[MISS][:-1]
    ends = [0.0, *LEVELS.edges, 1.0]
    return [
        {"low": ends[at], "high": ends[at + 1], "rows": int(hits[at] + misses[at]),
         "share": round(float(hits[at] / (hits[at] + misses[at])), 6)}
        for at in range(len(hits))
        if hits[at] + misses[at]
    ]  # fmt: skip
