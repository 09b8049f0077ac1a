"""Windows to the day; nothing of the future, nothing unlabelled, nothing that depends on the order of rows."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from mainline.data.split import features_of, read_rows, split, write_rows
from mainline.errors import UserError

START = pd.Timestamp("2020-01-01")


def daily(days: int = 100, a_day: int = 3) -> pd.DataFrame:
    """Return ``a_day`` rows on each of ``days`` days, the hours spread over the day."""
    rows = days * a_day
    time = START + pd.to_timedelta(np.arange(rows) * 24 * 60 // a_day, unit="min")
    frame = pd.DataFrame({"row_id": np.arange(rows) + 1, "contact_date": time, "y": "no", "_line": np.arange(rows) + 2})
    frame.loc[frame.index % 4 == 0, "y"] = "yes"
    return frame.assign(_batch=frame["contact_date"].dt.strftime("%Y-%m.csv"))


def day(number: int) -> dt.date:
    return (START + pd.Timedelta(days=number)).date()


@pytest.fixture
def data_for(settings_for):
    def build(**keys):
        usual = {"as_of": day(79), "label_delay_days": 10, "test_window_days": 20}
        given = {key: str(value) if isinstance(value, dt.date) else value for key, value in {**usual, **keys}.items()}
        return settings_for(**{f"data__{key}": value for key, value in given.items()}).data

    return build


def test_windows_to_the_day(data_for) -> None:
    # Given days 0 to 99, as-of day 79, outcomes known after 10 days, and a test window of 20 days
    found = split(daily(), data_for(), 1)
    # Then the test is days 50 to 69, the train all before, 70 to 79 have no outcome yet, 80 to 99 are invisible
    test, train = found.test["contact_date"].dt.date, found.train["contact_date"].dt.date
    assert (test.min(), test.max(), len(test)) == (day(50), day(69), 60)
    assert (train.min(), train.max(), len(train)) == (day(0), day(49), 150)
    summary = found.summary
    assert summary["train"] == {"rows": 150, "from": str(day(0)), "to": str(day(49)),
                                "batches": ["2020-01.csv", "2020-02.csv"]}  # fmt: skip
    assert summary["test"] == {"rows": 60, "from": str(day(50)), "to": str(day(69)),
                               "batches": ["2020-02.csv", "2020-03.csv"]}  # fmt: skip
    assert (summary["unlabelled"]["rows"], summary["later"]["rows"]) == (30, 60)
    assert (summary["kind"], summary["as_of"], summary["label_delay_days"]) == ("time", str(day(79)), 10)
    assert summary["lost"] == []


@pytest.mark.parametrize("key", ["as_of", "label_delay_days", "test_window_days"])
def test_one_day_more_moves_the_windows_by_one_day(key: str, data_for) -> None:
    more = {"as_of": day(80), "label_delay_days": 11, "test_window_days": 21}[key]
    found = split(daily(), data_for(**{key: more}), 1).summary
    first, last = {"as_of": (51, 70), "label_delay_days": (49, 68), "test_window_days": (49, 69)}[key]
    assert (found["test"]["from"], found["test"]["to"]) == (str(day(first)), str(day(last)))
    assert found["train"]["to"] == str(day(first - 1))


def test_later_rows_change_nothing_but_their_count(data_for) -> None:
    with_later, without = (split(daily(days), data_for(), 1) for days in (100, 80))
    pd.testing.assert_frame_equal(with_later.train, without.train)
    pd.testing.assert_frame_equal(with_later.test, without.test)
    assert without.summary["later"]["rows"] == 0 and with_later.summary["later"]["rows"] == 60


def test_a_late_row_goes_where_its_time_says(data_for) -> None:
    # Given a row of day 3 that a much later batch delivers, and one of day 69, 23:59
    late = daily(1, 2).assign(
        row_id=[9001, 9002], contact_date=[START + pd.Timedelta(days=3), START + pd.Timedelta(days=69, hours=23.99)],
        _batch="2020-03.csv",
    )  # fmt: skip
    found = split(pd.concat([daily(), late], ignore_index=True), data_for(), 1)
    assert 9001 in set(found.train["row_id"]) and 9002 in set(found.test["row_id"])
    assert found.train["contact_date"].is_monotonic_increasing
    assert found.summary["train"]["batches"] == ["2020-01.csv", "2020-02.csv", "2020-03.csv"]


def test_rows_without_a_label_are_in_neither_part(data_for) -> None:
    rows = daily()
    rows.loc[rows.index % 10 == 0, "y"] = None
    found = split(rows, data_for(), 1)
    assert found.train["y"].notna().all() and found.test["y"].notna().all()
    assert (len(found.train), len(found.test)) == (135, 54)
    assert found.summary["unlabelled"]["rows"] == 30 + 15 + 6


@pytest.mark.parametrize("time", ["contact_date", None])
def test_the_order_of_the_rows_does_not_matter(time, data_for) -> None:
    rows = daily().assign(contact_date=lambda frame: frame["contact_date"].dt.normalize())
    data = data_for(time=time, as_of=day(79) if time else None)
    plain = split(rows, data, 1)
    for seed in range(3):
        other = split(rows.sample(frac=1, random_state=seed), data, 1)
        for part in ("train", "test"):
            left, right = (getattr(item, part).reset_index(drop=True) for item in (plain, other))
            pd.testing.assert_frame_equal(left, right)


def test_without_an_as_of_date_the_newest_row_sets_the_clock(data_for) -> None:
    assert split(daily(), data_for(as_of=None), 1).summary["as_of"] == str(day(99))


def test_without_a_label_delay_outcomes_are_known_at_once(data_for) -> None:
    found = split(daily(), data_for(label_delay_days=None), 1).summary
    assert (found["test"]["from"], found["test"]["to"]) == (str(day(60)), str(day(79)))
    assert (found["label_delay_days"], found["unlabelled"]["rows"]) == (None, 0)
    assert found["lost"] == ["No label delay: every outcome is taken as known on the day of its row."]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"test_window_days": 70}, "no row is left to train on"),
        ({"label_delay_days": 300}, "no row is left to train on"),
        ({"as_of": dt.date(2030, 1, 1)}, "no row is left to test on"),
    ],
)
def test_windows_that_leave_nothing_are_refused(keys, words, data_for) -> None:
    with pytest.raises(UserError, match=f"{words}.*the data run from 2020-01-01 to 2020-04-09"):
        split(daily(), data_for(**keys), 1)


def test_random_split_is_seeded_stratified_and_says_what_is_lost(data_for) -> None:
    data = data_for(time=None, as_of=None, test_share=0.2)
    found, again, other = (split(daily(), data, seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(found.test, again.test)
    assert set(found.test["row_id"]) != set(other.test["row_id"])
    assert (len(found.train), len(found.test)) == (240, 60)
    assert set(found.train["row_id"]).isdisjoint(found.test["row_id"])
    assert found.test["y"].value_counts().to_dict() == {"no": 45, "yes": 15}
    assert not found.test["row_id"].is_monotonic_increasing
    summary = found.summary
    assert (summary["kind"], summary["as_of"], summary["train"]["from"], summary["later"]["rows"]) == (
        "random", None, None, 0,
    )  # fmt: skip
    assert "the split is random" in summary["lost"][0] and "nothing about the future" in summary["lost"][0]


@pytest.mark.parametrize("rows", [60, 1000])
def test_random_split_of_numbers_that_are_all_different(rows: int, data_for) -> None:
    frame = daily(rows, 1).assign(y=np.arange(rows) * 1.5)
    found = split(frame, data_for(time=None, as_of=None), 1)
    assert len(found.test) == rows // 5
    assert 0.3 < found.test["y"].mean() / frame["y"].mean() < 1.7, "not just one end"


def test_a_class_of_one_row_stays_in_training(data_for) -> None:
    rows = daily()
    rows.loc[7, "y"] = "rare"
    for seed in range(20):
        assert "rare" in set(split(rows, data_for(time=None, as_of=None), seed).train["y"])


def test_random_split_of_too_few_rows_is_refused(data_for) -> None:
    with pytest.raises(UserError, match="data.test_share 0.2 of 2 rows leaves one side empty"):
        split(daily(1, 2), data_for(time=None, as_of=None), 1)


def test_rows_survive_the_file(tmp_path, data_for) -> None:
    found = split(daily(), data_for(), 1).test
    back = read_rows(write_rows(tmp_path / "a" / "test.parquet", found))
    pd.testing.assert_frame_equal(back, found.reset_index(drop=True), check_dtype=False)
    assert list(features_of(back).columns) == ["row_id", "contact_date", "y"]
    assert write_rows(tmp_path / "again.parquet", found).read_bytes() == (tmp_path / "a" / "test.parquet").read_bytes()
    with pytest.raises(UserError, match=r"absent.parquet: not there"):
        read_rows(tmp_path / "absent.parquet")
