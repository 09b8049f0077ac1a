from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from mainline.data.profile import Bins, Profile, count, make_bins

COLUMNS = ["number", "whole", "word", "flag", "holes"]


def rows(size: int, seed: int) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    number = generator.normal(size=size)
    return pd.DataFrame(
        {
            "number": number,
            "whole": generator.poisson(2, size),
            "word": generator.choice(["a", "b", "c"], size),
            "flag": generator.random(size) < 0.3,
            "holes": pd.Series(number).where(generator.random(size) < 0.6),
        }
    )


def same(left: Profile, right: Profile) -> bool:
    return (
        left.rows == right.rows
        and left.bins == right.bins
        and all(np.array_equal(left.counts[name], right.counts[name]) for name in left.bins)
    )


@pytest.mark.parametrize("seed", range(20))
def test_merging_equals_counting_at_once(seed: int) -> None:
    # Given rows, bins made of other rows, and random cuts (some parts may be empty)
    bins = make_bins(rows(300, 1000 + seed), COLUMNS, 10)
    generator = np.random.default_rng(seed)
    whole = rows(int(generator.integers(0, 500)), seed)
    cuts = np.sort(generator.integers(0, len(whole) + 1, 4))
    parts = [whole.iloc[low:high] for low, high in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    # When each part is counted, and the counts are added in any order
    profiles = [count(parts[index], bins) for index in generator.permutation(len(parts))]
    merged = profiles[0]
    for profile in profiles[1:]:
        merged = merged + profile
    # Then nothing is lost or counted twice
    assert same(merged, count(whole, bins))
    assert all(counts.sum() == len(whole) for counts in merged.counts.values())


def test_other_bins_do_not_merge() -> None:
    left, right = (count(part, make_bins(part, ["number"], 10)) for part in (rows(100, 1), rows(100, 2)))
    with pytest.raises(ValueError, match="different bins"):
        left + right


def test_round_trip_through_json() -> None:
    made = rows(200, 3)
    profile = count(made, make_bins(made, COLUMNS, 10))
    back = Profile.from_dict(json.loads(json.dumps(profile.to_dict(), allow_nan=False, sort_keys=True)))
    assert same(back, profile)
    assert same(back + profile, profile + profile), "and it still merges"


def test_numbers_are_cut_into_equal_counts() -> None:
    values = pd.DataFrame({"a": np.arange(1000)})
    assert count(values, make_bins(values, ["a"], 10)).counts["a"].tolist() == [100] * 10 + [0]


def test_right_edges_are_included_and_the_outer_bins_are_open() -> None:
    frame = pd.DataFrame({"a": [-99.0, 1.0, 1.5, 2.0, 2.5, 99.0, None]})
    assert count(frame, {"a": Bins(edges=(1.0, 2.0))}).counts["a"].tolist() == [2, 2, 2, 1]


def test_few_distinct_numbers_give_few_bins() -> None:
    frame = pd.DataFrame({"a": [0] * 90 + [1] * 5 + [2] * 5, "b": [7] * 100})
    bins = make_bins(frame, ["a", "b"], 10)
    assert bins["a"].edges == (0.0,)
    assert bins["b"].edges == (7.0,)
    assert count(frame, bins).counts["b"].tolist() == [100, 0, 0]


def test_unseen_text_is_other_and_missing_is_missing() -> None:
    bins = make_bins(pd.DataFrame({"a": ["x", "y", None]}), ["a"], 10)
    assert bins["a"].labels == ["x", "y", "(other)", "(missing)"]
    assert count(pd.DataFrame({"a": ["y", "z", "Z", None, float("nan")]}), bins).counts["a"].tolist() == [0, 1, 2, 2]


def test_a_column_without_values_is_counted() -> None:
    empty = pd.DataFrame({"a": pd.Series([None, None], dtype="float64"), "b": pd.Series([None, None], dtype="str")})
    profile = count(empty, make_bins(empty, ["a", "b"], 10))
    assert profile.counts["a"].tolist() == [0, 2]
    assert profile.counts["b"].tolist() == [0, 2]


def test_flags_are_counted_as_text() -> None:
    assert make_bins(pd.DataFrame({"a": [True, False]}), ["a"], 10)["a"].values == ("False", "True")


def test_no_more_than_a_thousand_values_are_named_and_the_commonest_first() -> None:
    words = [f"w{index:04d}" for index in range(1500)] + ["w1400"] * 3
    bins = make_bins(pd.DataFrame({"a": words}), ["a"], 10)
    assert len(bins["a"].values) == 1000 and "w1400" in bins["a"].values
    assert count(pd.DataFrame({"a": words}), bins).counts["a"][-2] == 500


def test_labels_of_numbers_name_both_ends() -> None:
    assert Bins(edges=(1.0, 2.5)).labels == ["(-inf, 1]", "(1, 2.5]", "(2.5, inf]", "(missing)"]
