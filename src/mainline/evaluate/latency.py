"""How long one prediction takes. A duration is never the same twice, so it goes into no cached output."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

from mainline.errors import UserError
from mainline.project import scores

WARM_UP = 3
MANY = 1000


@dataclass(frozen=True)
class Latency:
    """Median milliseconds: for one raw row alone, and for each row of a block of 1,000."""

    single_ms: float
    per_row_ms_at_1000: float


def measure(model: Any, rows: pd.DataFrame, repeats: int = 50) -> Latency:
    """Time ``model`` on raw ``rows``, after warm-up: ``repeats`` single rows in turn, up to five blocks of 1,000 rows.

    Raises:
        UserError: there are no rows, or ``repeats`` is below 1.
    """
    if len(rows) == 0 or repeats < 1:
        raise UserError(
            f"latency: {len(rows)} rows and {repeats} repeats: nothing to time", "give at least one row and one repeat"
        )
    singles = [rows.iloc[[number % len(rows)]] for number in range(repeats)]
    block = rows.iloc[np.arange(MANY) % len(rows)]
    for _ in range(WARM_UP):
        scores(model, singles[0])
    single = median(_milliseconds(model, row) for row in singles)
    scores(model, block)
    many = median(_milliseconds(model, block) for _ in range(min(repeats, 5)))
    return Latency(single_ms=single, per_row_ms_at_1000=many / MANY)


def _milliseconds(model: Any, rows: pd.DataFrame) -> float:
    start = time.perf_counter()
    scores(model, rows)
    return (time.perf_counter() - start) * 1000
