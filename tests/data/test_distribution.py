"""The rule that compares the newest batch: it stays silent on one process, and finds a planted shift."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mainline.data.distribution import MIN_HISTORY_ROWS, Shift, benjamini_hochberg, compare_newest
from mainline.data.profile import Bins, Profile, count, make_bins

EFFECT, ALPHA = 0.1, 0.01
DRAWS = 100
ZIPF = 1 / np.arange(1, 301)
CITIES = np.array([f"city {rank}" for rank in range(len(ZIPF))])
SIZES = ([240] * 5, [1000, 700, 500, 300, 60], [250, 1500, 300, 900, 30], [800] * 4 + [500])


def draw(generator: np.random.Generator, size: int, shift: float = 0.0, shares: list[float] | None = None):
    """Return ``size`` rows: numbers (plain, skewed, counts), text of few and of very many values, missing values."""
    normal = generator.normal(shift, 1.0, size)
    return pd.DataFrame(
        {
            "normal": normal,
            "skewed": np.exp(generator.normal(shift, 1.0, size)),
            "count": generator.poisson(3, size).astype(float),
            "colour": generator.choice(list("abcd"), size, p=shares or [0.4, 0.3, 0.2, 0.1]),
            "rare": generator.choice(["no", "yes"], size, p=[0.97, 0.03]),
            "city": CITIES[np.searchsorted(np.cumsum(ZIPF / ZIPF.sum())[:-1], generator.random(size))],
            "holes": pd.Series(normal).where(generator.random(size) < 0.7),
        }
    )


def moved(parts: list[pd.DataFrame]) -> dict[str, Shift]:
    bins = make_bins(pd.concat(parts[:-1], ignore_index=True), list(parts[0].columns), 10)
    shifts = compare_newest([count(part, bins) for part in parts], EFFECT, ALPHA)
    return {shift.column: shift for shift in shifts if shift.verdict == "moved"}


def passed(draws: int, make) -> float:
    return sum(not moved(make(np.random.default_rng(seed), SIZES[seed % len(SIZES)])) for seed in range(draws)) / draws


def test_one_process_cut_at_random_passes() -> None:
    def make(generator, sizes):
        rows = draw(generator, sum(sizes))
        order = generator.permutation(len(rows))
        return [rows.iloc[part] for part in np.split(order, np.cumsum(sizes)[:-1])]

    share = passed(DRAWS, make)
    print(f"A/A: {share:.1%} of {DRAWS} draws pass")
    assert share >= 0.95


def test_harmless_wobble_from_batch_to_batch_passes() -> None:
    def make(generator, sizes):
        parts = []
        for size in sizes:
            shares = np.clip(np.array([0.4, 0.3, 0.2, 0.1]) + generator.normal(0, 0.02, 4), 0.01, None)
            parts.append(draw(generator, size, generator.normal(0, 0.1), list(shares / shares.sum())))
        return parts

    share = passed(DRAWS, make)
    print(f"A/A with wobble: {share:.1%} of {DRAWS} draws pass")
    assert share >= 0.95


@pytest.mark.parametrize(("column", "plant"), [
    ("normal", {"shift": 0.5}), ("skewed", {"shift": -0.5}), ("colour", {"shares": [0.25, 0.3, 0.2, 0.25]}),
])  # fmt: skip
def test_a_planted_shift_is_found(column: str, plant: dict) -> None:
    found = 0
    for seed in range(60):
        generator = np.random.default_rng([seed, 7])
        parts = [draw(generator, size)[[column]] for size in (500, 700, 600, 500)]
        parts.append(draw(generator, 500 + 10 * seed, **plant)[[column]])
        found += column in moved(parts)
    print(f"{column}: found in {found / 60:.1%} of 60 draws")
    assert found >= 0.9 * 60


def profile(*counts: int, values: tuple[str, ...] | None = None) -> Profile:
    """Return the profile of one column; by default text with values a, b …, and bins for other and missing."""
    values = tuple("abcdefgh"[: len(counts) - 2]) if values is None else values
    return Profile(sum(counts), {"x": Bins(values=values)}, {"x": np.array(counts)})


STEADY = [profile(500, 500, 0, 0), profile(510, 490, 0, 0), profile(495, 505, 0, 0), profile(500, 500, 0, 0)]


def test_a_shift_is_described_in_words() -> None:
    (shift,) = compare_newest([*STEADY, profile(300, 700, 0, 0)], EFFECT, ALPHA)
    assert shift.verdict == "moved"
    assert shift.effect == pytest.approx(0.20125, abs=1e-3), "the distance is 0.20125, less a little that chance gives"
    assert shift.bound == EFFECT
    assert shift.p < 1e-9
    assert shift.gained == "b: 49.9% before, 70.0% now"
    assert shift.to_dict()["column"] == "x"


def test_a_new_value_and_missing_values_are_found() -> None:
    (new,) = compare_newest([*STEADY, profile(400, 400, 200, 0)], EFFECT, ALPHA)
    (lost,) = compare_newest([*STEADY, profile(400, 400, 0, 200)], EFFECT, ALPHA)
    assert (new.verdict, new.gained) == ("moved", "(other): 0.0% before, 20.0% now")
    assert (lost.verdict, lost.gained) == ("moved", "(missing): 0.0% before, 20.0% now")


def test_significant_but_immaterial_is_the_same() -> None:
    large = [profile(50_000, 50_000, 0, 0)] * 4
    (shift,) = compare_newest([*large, profile(54_000, 46_000, 0, 0)], EFFECT, ALPHA)
    assert shift.p < 1e-9 and shift.effect == pytest.approx(0.04, abs=1e-4)
    assert shift.verdict == "same"


def test_material_but_insignificant_is_the_same() -> None:
    (shift,) = compare_newest([*STEADY, profile(7, 3, 0, 0)], EFFECT, ALPHA)
    assert shift.effect > EFFECT and shift.p > ALPHA
    assert shift.verdict == "same"


def test_a_column_that_always_moves_must_move_further_than_ever() -> None:
    restless = [profile(500, 500, 0, 0), profile(700, 300, 0, 0), profile(450, 550, 0, 0), profile(650, 350, 0, 0)]
    (shift,) = compare_newest([*restless, profile(400, 600, 0, 0)], EFFECT, ALPHA)
    assert shift.p < ALPHA and shift.effect > EFFECT
    assert shift.bound > shift.effect and shift.verdict == "same"


def test_a_column_without_two_like_batches_cannot_be_bounded() -> None:
    own = [profile(*(1000 * (part == index) for part in range(4)), 0, 0) for index in range(4)]
    (shift,) = compare_newest([*own, profile(0, 0, 0, 0, 1000, 0)], EFFECT, ALPHA)
    assert shift.bound >= 1 and shift.verdict == "unbounded"


def test_too_little_history_is_not_judged() -> None:
    shifted = profile(300, 700, 0, 0)
    assert compare_newest([STEADY[0]], EFFECT, ALPHA) == []
    for earlier in (STEADY[:1], STEADY[:3], [profile(99, 100, 0, 0)] * 9):
        (shift,) = compare_newest([*earlier, shifted], EFFECT, ALPHA)
        assert shift.verdict == "insufficient"
    assert MIN_HISTORY_ROWS == 200
    (shift,) = compare_newest([*[profile(100, 100, 0, 0)] * 4, shifted], EFFECT, ALPHA)
    assert shift.verdict == "moved"


def test_an_empty_newest_batch_is_not_judged() -> None:
    (shift,) = compare_newest([*STEADY, profile(0, 0, 0, 0)], EFFECT, ALPHA)
    assert (shift.verdict, shift.p) == ("insufficient", 1.0)


def test_rare_values_that_only_one_side_has_are_no_shift() -> None:
    # Given 400 values, each seen once or twice before; the newest batch brings 100 that were never seen
    tail = [profile(500, *[index % 4 == part for index in range(400)], 0, 0, values=("a", *map(str, range(400))))
            for part in range(4)]  # fmt: skip
    newest = profile(500, *[0] * 400, 100, 0, values=("a", *map(str, range(400))))
    (shift,) = compare_newest([*tail, newest], EFFECT, ALPHA)
    assert shift.p > 0.5 and shift.verdict == "same"


def test_values_that_are_all_different_are_no_shift() -> None:
    # Given names that hardly ever repeat, in the newest batch as in the earlier ones
    parts = [pd.DataFrame({"name": [f"n{part}-{row}" for row in range(300)]}) for part in range(5)]
    assert moved(parts) == {}


def test_a_small_batch_is_not_far_away_by_its_size_alone() -> None:
    generator = np.random.default_rng(5)
    parts = [draw(generator, 2000)[["normal"]] for _ in range(4)]
    effects = []
    for _ in range(50):
        newest = draw(generator, 40)[["normal"]]
        bins = make_bins(pd.concat(parts), ["normal"], 10)
        (shift,) = compare_newest([count(part, bins) for part in [*parts, newest]], EFFECT, ALPHA)
        effects.append(shift.effect)
    # The plain distance of 40 rows to thousands is about 0.19 in ten bins; what is left of it is near nothing.
    assert np.mean(effects) < 0.1


def test_benjamini_hochberg_on_the_example_of_its_authors() -> None:
    # Benjamini and Hochberg 1995, section 3.2: 15 p-values, four rejected at 0.05, where Bonferroni rejects three.
    p_values = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528,
                0.7590, 1.0]  # fmt: skip
    rejected = benjamini_hochberg({str(rank): p for rank, p in enumerate(p_values)}, 0.05)
    assert [name for name, reject in rejected.items() if reject] == ["0", "1", "2", "3"]
    assert benjamini_hochberg({}, 0.05) == {}


def test_benjamini_hochberg_steps_up() -> None:
    # 0.04 alone misses its own rank's bound of 0.025, but the larger 0.045 passes at rank 2 and takes it along.
    assert benjamini_hochberg({"a": 0.04, "b": 0.045}, 0.05) == {"a": True, "b": True}
