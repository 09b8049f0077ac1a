"""Windows merge exactly, whatever they hold and however they are cut."""

from __future__ import annotations

from functools import reduce
from operator import add

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainline.data.profile import MAX_UNSEEN, Bins, Profile, count, make_bins
from mainline.monitor.drift import LATENCY
from mainline.monitor.profile import LATENCY_BINS, Watched, empty, quantile, reference_id, watched_bins

BINS = {
    "number": Bins(edges=(-2.0, 0.0, 1.5, 4.0), sd=1.0),
    "text": Bins(values=("a", "b")),
    LATENCY: LATENCY_BINS,
}
CELLS = {
    "number": st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True), st.sampled_from(["x", "1.5", ""])),
    "text": st.one_of(st.none(), st.sampled_from(["a", "b", "A", "ä" * 100]), st.text(max_size=3)),
    LATENCY: st.one_of(st.none(), st.floats(0, 1e6)),
}
ROWS = st.lists(st.fixed_dictionaries(CELLS), max_size=30)


def frame(rows: list[dict]) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=object) for name in BINS})


def window(rows: list[dict], day: int) -> Watched:
    return Watched(
        count(frame(rows), BINS), f"2026-01-{day:02d}" if rows else None, f"2026-01-{day:02d}" if rows else None
    )


@settings(max_examples=25, deadline=None)
@given(ROWS, ROWS, ROWS)
def test_profiles_of_parts_add_up_to_the_profile_of_all(first, second, third) -> None:
    whole = window([*first, *second, *third], 1).profile.to_dict()
    parts = [window(rows, 1).profile for rows in (first, second, third)]
    assert reduce(add, parts).to_dict() == whole
    assert (parts[2] + (parts[0] + parts[1])).to_dict() == whole
    assert all(sum(item["counts"]) == whole["rows"] for item in whole["columns"].values())


@settings(max_examples=10, deadline=None)
@given(ROWS, ROWS)
def test_windows_survive_json_and_know_their_times(first, second) -> None:
    both = window(first, 3) + window(second, 1)
    assert Watched.from_dict(both.to_dict()).to_dict() == both.to_dict()
    assert both.first == ("2026-01-01" if second else "2026-01-03" if first else None)
    assert both.last == ("2026-01-03" if first else "2026-01-01" if second else None)


def test_unseen_values_are_capped_and_their_counts_stay_exact() -> None:
    generator = np.random.default_rng(0)
    values = [f"city {index}" for index in generator.integers(0, 3 * MAX_UNSEEN, 5000)]
    bins = {"text": Bins(values=("a",))}
    parts = [count(pd.DataFrame({"text": values[low : low + 700]}), bins) for low in range(0, 5000, 700)]
    for order in (parts, parts[::-1]):
        merged = reduce(add, order)
        assert len(merged.unseen["text"]) == MAX_UNSEEN
        assert all(values.count(name) == rows for name, rows in merged.unseen["text"].items())
    assert merged.to_dict() == count(pd.DataFrame({"text": values}), bins).to_dict()


def test_text_in_a_column_of_numbers_is_missing_and_kept_as_an_example() -> None:
    found = count(pd.DataFrame({"number": [1.0, "n/a", None]}, dtype=object), {"number": BINS["number"]})
    assert found.counts["number"].tolist() == [0, 0, 1, 0, 0, 2] and found.unseen == {"number": {"n/a": 1}}


def test_the_margin_counts_what_is_far_out_of_range(reference: Profile, draw) -> None:
    age = reference.bins["age"]
    assert age.sd == pytest.approx(10, rel=0.02)
    rows = draw(1, 1000)
    rows.loc[:9, "age"] = 4000.0
    counts = count(rows, reference.bins).counts["age"]
    assert (counts[0], counts[-2]) == (0, 10)


def test_a_constant_column_has_a_range_too() -> None:
    rows = pd.DataFrame({"a": [7.0] * 50, "b": [0.0] * 50})
    bins = make_bins(rows, ["a", "b"], 50, 0.25)
    assert bins["a"].edges == (5.25, 7.0, 8.75) and bins["b"].edges == (-0.25, 0.0, 0.25)


def test_an_empty_profile_adds_nothing(reference: Profile) -> None:
    assert (empty(reference.bins) + reference).to_dict() == reference.to_dict()
    assert empty(watched_bins(reference)).counts[LATENCY].sum() == 0


def test_a_quantile_is_within_its_bin() -> None:
    rows = pd.DataFrame({LATENCY: np.arange(1, 1001) / 10})
    found = quantile(count(rows, {LATENCY: LATENCY_BINS}), LATENCY, 0.99)
    assert found is not None and 99 <= found <= 99 * 1.22
    assert quantile(empty({LATENCY: LATENCY_BINS}), LATENCY, 0.5) is None


def test_the_id_of_a_reference_changes_with_it(reference: Profile) -> None:
    assert reference_id(reference) == reference_id(Profile.from_dict(reference.to_dict()))
    assert reference_id(reference) != reference_id(reference + reference)
