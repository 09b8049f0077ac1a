from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

from mainline.errors import UserError
from mainline.evaluate.latency import measure


class Slow:
    """Takes 5 ms a call, and 100 ms for each of the first two."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        self.sizes.append(len(rows))
        time.sleep(0.1 if len(self.sizes) <= 2 else 0.005)
        return np.zeros(len(rows))


def test_single_rows_and_a_thousand_are_timed_after_warm_up() -> None:
    model = Slow()
    found = measure(model, pd.DataFrame({"a": range(3)}), repeats=7)
    assert 4 < found.single_ms < 60
    assert 0.004 < found.per_row_ms_at_1000 < 0.06
    assert set(model.sizes) == {1, 1000} and model.sizes.count(1) >= 7


@pytest.mark.parametrize(("rows", "repeats"), [(0, 5), (3, 0)])
def test_nothing_to_time_is_the_users_mistake(rows, repeats) -> None:
    with pytest.raises(UserError, match="nothing to time"):
        measure(Slow(), pd.DataFrame({"a": range(rows)}), repeats)
