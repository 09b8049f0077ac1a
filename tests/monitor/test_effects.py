"""Sizes read from counts are those of the rows, and chances are those of the textbook."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mainline.data.profile import Bins, count
from mainline.monitor.effects import effect, fewer_than, more_than


@pytest.mark.parametrize(("shift", "scale"), [(0.1, 1.0), (0.2, 1.0), (0.5, 1.0), (0.0, 1.2), (-0.3, 0.8), (2.0, 1.0)])
def test_the_distance_is_that_of_the_rows(reference, draw, shift: float, scale: float) -> None:
    before, now = draw(0, 20_000)["age"], 40 + shift * 10 + scale * (draw(5, 20_000)["age"] - 40)
    bins = {"age": reference.bins["age"]}
    found = effect(reference.counts["age"], count(now.to_frame(), bins).counts["age"], bins["age"])
    exact = stats.wasserstein_distance(before, now) / before.std()
    assert found.size == pytest.approx(exact, rel=0.1, abs=0.01) and found.unit == "sd"
    assert found.shift == pytest.approx((now.mean() - before.mean()) / before.std(), rel=0.05, abs=0.02)


def test_a_text_counts_the_rows_that_changed(reference, draw) -> None:
    rows = draw(5, 20_000)
    rows["colour"] = rows["colour"].where(rows["colour"] != "blue", "red")
    window = count(rows, reference.bins)
    found = effect(reference.counts["colour"], window.counts["colour"], reference.bins["colour"])
    assert found.size == pytest.approx(0.2, abs=0.02) and found.unit == "share" and found.p < 1e-100


def test_chances_are_never_smaller_than_they_are(reference, draw) -> None:
    # Given 120 windows of the reference's own process, p below x must happen in no more than a share x of them
    chances = []
    for seed in range(120):
        window = count(draw(1000 + seed, 300), reference.bins)
        chances.append(
            [effect(reference.counts[name], window.counts[name], reference.bins[name]).p for name in window.bins]
        )
    shares = (np.array(chances) < 0.05).mean(axis=0)
    assert (shares <= 0.11).all(), dict(zip(window.bins, shares, strict=True))


def test_nothing_known_is_no_difference(reference) -> None:
    blank = np.zeros_like(reference.counts["age"])
    blank[-1] = 100
    assert effect(reference.counts["age"], blank, reference.bins["age"]).p == 1.0


def test_a_constant_column_that_moves_is_seen() -> None:
    bins = Bins(edges=(5.25, 7.0, 8.75), sd=0.0)
    rows = [count(pd.DataFrame({"a": [value] * 500}), {"a": bins}).counts["a"] for value in (7.0, 8.0)]
    assert effect(rows[0], rows[1], bins).size == 1.0 and effect(rows[0], rows[0], bins).size == 0.0


@pytest.mark.parametrize(("n", "m", "k"), [(1000, 100, 1), (20_000, 500, 3), (500, 500, 5)])
def test_a_value_never_seen_has_the_chance_of_the_closed_form(n: int, m: int, k: int) -> None:
    assert more_than(0, n, k, m) == pytest.approx((m / (n + m)) ** k, rel=0.1 * k)


def test_counts_are_judged_by_fishers_test() -> None:
    table = [[30, 470], [40, 960]]
    assert more_than(40, 1000, 30, 500) == pytest.approx(stats.fisher_exact(table, alternative="greater").pvalue)
    assert fewer_than(40, 1000, 30, 500) == pytest.approx(stats.fisher_exact(table, alternative="less").pvalue)
    assert more_than(0, 10, 0, 10) == 1.0 and fewer_than(0, 10, 0, 10) == 1.0
