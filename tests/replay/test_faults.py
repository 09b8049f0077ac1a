"""Each fault shows what it does to rows, touches only its own time, and is written in one line."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from mainline.errors import UserError
from mainline.replay.events import AT, ID, KNOWN, OUTCOME, SENT
from mainline.replay.faults import EXAMPLES, KINDS, apply, parse

NUMBERS, TEXTS = ("age", "balance"), ("contact", "poutcome")
FROM = pd.Timestamp("2009-06-11")


@pytest.fixture
def rows() -> pd.DataFrame:
    """Two hundred rows, ten a day from the first of June on."""
    rng, number = np.random.default_rng(1), 200
    sent = pd.Timestamp("2009-06-01") + pd.to_timedelta(np.arange(number) * 2.4, unit="h")
    return pd.DataFrame({
        "age": rng.integers(18, 90, number), "balance": rng.normal(1000, 200, number).round(2),
        "contact": rng.choice(["cellular", "telephone"], number),
        "poutcome": rng.choice(["failure", "success"], number),
        SENT: sent, AT: sent, KNOWN: sent + pd.Timedelta(days=14), ID: [f"r{item}" for item in range(number)],
        OUTCOME: rng.choice(["no", "yes"], number),
    })  # fmt: skip


def planted(rows: pd.DataFrame, *texts: str) -> pd.DataFrame:
    return apply(rows, [parse(text, NUMBERS, TEXTS) for text in texts], seed=3)


def changed(before: pd.DataFrame, after: pd.DataFrame) -> list[str]:
    """Return which columns differ; every row before the fault must be as it was."""
    early = before[SENT] < FROM
    pd.testing.assert_frame_equal(before[early], after[: early.sum()], check_dtype=False)
    return [name for name in before if not before[name].astype(object).equals(after[name].astype(object))]


def late(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows[SENT] >= FROM]


def test_rename(rows: pd.DataFrame) -> None:
    after = planted(rows, "rename:contact=cellular->CELLULAR@2009-06-11")
    assert changed(rows, after) == ["contact"]
    assert set(late(after)["contact"]) == {"CELLULAR", "telephone"}
    pd.testing.assert_frame_equal(after, planted(rows, "rename:contact=cellular → CELLULAR@2009-06-11"))


def test_unit_on_all_rows_and_on_a_share(rows: pd.DataFrame) -> None:
    after = planted(rows, "unit:age=100@2009-06-11")
    assert changed(rows, after) == ["age"]
    assert (late(after)["age"] == late(rows)["age"] * 100).all() and after["age"].dtype == rows["age"].dtype
    some = late(planted(rows, "unit:balance=100/0.3@2009-06-11"))["balance"] / late(rows)["balance"]
    assert set(some.round(6)) == {1.0, 100.0} and 0.15 < (some > 2).mean() < 0.45


def test_nulls(rows: pd.DataFrame) -> None:
    after = planted(rows, "nulls:age=0.5@2009-06-11")
    assert changed(rows, after) == ["age"] and 0.3 < late(after)["age"].isna().mean() < 0.7


def test_shuffle_keeps_the_column_and_breaks_the_rows(rows: pd.DataFrame) -> None:
    after = planted(rows, "shuffle:poutcome@2009-06-11")
    assert changed(rows, after) == ["poutcome"]
    assert sorted(late(after)["poutcome"]) == sorted(late(rows)["poutcome"])


def test_shift_is_in_standard_deviations_and_keeps_whole_numbers(rows: pd.DataFrame) -> None:
    after = planted(rows, "shift:balance=-0.5@2009-06-11")
    assert changed(rows, after) == ["balance"]
    moved = late(after)["balance"] - late(rows)["balance"]
    np.testing.assert_allclose(moved, -0.5 * late(rows)["balance"].std())
    assert planted(rows, "shift:age=0.5@2009-06-11")["age"].dtype == rows["age"].dtype


def test_flip_turns_outcomes_and_no_input(rows: pd.DataFrame) -> None:
    after = planted(rows, "flip=1@2009-06-11")
    assert changed(rows, after) == [OUTCOME]
    assert (late(after)[OUTCOME] != late(rows)[OUTCOME]).all() and set(after[OUTCOME]) == {"no", "yes"}


def test_silence_ends(rows: pd.DataFrame) -> None:
    after = planted(rows, "silence@2009-06-11..2009-06-13")
    assert len(rows) - len(after) == 20
    assert not after[SENT].between(FROM, pd.Timestamp("2009-06-12 23:59")).any()


def test_duplicate_sends_again_with_the_same_id(rows: pd.DataFrame) -> None:
    after = planted(rows, "duplicate=0.2@2009-06-11")
    twice = after[after[ID].duplicated(keep=False)]
    assert 5 < len(after) - len(rows) < 40 and (twice[SENT] >= FROM).all() and after[SENT].is_monotonic_increasing
    assert (twice.groupby(ID)[AT].max() - twice.groupby(ID)[AT].min() == pd.Timedelta(seconds=1)).all()


def test_skew_moves_what_is_claimed_and_not_what_happens(rows: pd.DataFrame) -> None:
    after = planted(rows, "skew=-48@2009-06-11")
    assert changed(rows, after) == [AT]
    assert (late(after)[AT] - late(rows)[AT] == pd.Timedelta(hours=-48)).all()


def test_several_faults_add_up_and_a_seed_repeats_them(rows: pd.DataFrame) -> None:
    texts = ("nulls:age=0.1@2009-06-11", "duplicate=0.1@2009-06-12", "silence@2009-06-18")
    after = planted(rows, *texts)
    pd.testing.assert_frame_equal(after, planted(rows, *texts))
    assert after["age"].isna().any() and after[ID].duplicated().any() and after[SENT].max() < pd.Timestamp("2009-06-18")
    pd.testing.assert_frame_equal(planted(rows, "nulls:age=1@2010-01-01"), rows)


def test_every_kind_has_an_example_that_can_be_read() -> None:
    assert set(EXAMPLES) == set(KINDS)
    for text in EXAMPLES.values():
        fault = parse(text.split(" (")[0], NUMBERS, TEXTS)
        assert fault.since == dt.datetime(2009, 6, 10, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("renam:contact=a->b@2009-06-10", "no fault 'renam'.*one of: rename"),
        ("rename:contact@2009-06-10", "cannot be read.*rename:contact=cellular->CELLULAR"),
        ("rename=a->b@2009-06-10", "cannot be read"),
        ("rename:colour=a->b@2009-06-10", "no column 'colour'.*age, balance, contact, poutcome"),
        ("shift:contact=0.5@2009-06-10", "contact holds no numbers.*age, balance"),
        ("shift:age=much@2009-06-10", "cannot be read"),
        ("nulls:age=5@2009-06-10", "a share is above 0 and at most 1"),
        ("unit:age=100/0@2009-06-10", "a share is above 0"),
        ("unit:age=nan@2009-06-10", "a share is above 0"),
        ("silence=3@2009-06-10", "cannot be read"),
        ("silence:age@2009-06-10", "cannot be read"),
        ("silence@june", "cannot be read"),
        ("silence", "cannot be read"),
        ("silence@2009-06-10..2009-06-09", "ends before it begins"),
    ],
)
def test_a_fault_that_cannot_be_read_is_named_with_what_it_should_look_like(text: str, words: str) -> None:
    with pytest.raises(UserError, match=f"(?s){words}"):
        parse(text, NUMBERS, TEXTS)
