"""When what happens: rows over their day, outcomes when they are known, and each in one window only."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mainline.config import load_settings
from mainline.errors import UserError
from mainline.replay.events import ID, KNOWN, SENT, events, plain, read_future, spread

COLUMNS = ("age", "contact")
JULY = dt.datetime(2009, 7, 1, tzinfo=dt.UTC)


@pytest.fixture
def future(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(trained)
    return read_future(Path("replay"), load_settings(), COLUMNS)


def test_rows_without_a_time_of_day_are_spread_over_their_day() -> None:
    times = pd.Series(pd.to_datetime(["2009-06-01 00:00", "2009-06-01 00:00", "2009-06-01 18:30", "2009-06-02 00:00"]))
    assert list(spread(times)) == list(
        pd.to_datetime(["2009-06-01 06:00", "2009-06-01 18:00", "2009-06-01 18:30", "2009-06-02 12:00"])
    )


def test_each_row_is_a_request_and_an_outcome_some_days_later(future: Any) -> None:
    assert future.columns == ("age", "contact", "row_id")
    rows = future.rows
    assert rows[ID].is_unique and rows[SENT].is_monotonic_increasing
    assert (rows[KNOWN] - rows[SENT] == pd.Timedelta(days=14)).all()
    found = events(rows, future.columns, None, None)
    assert len(found) == 2 * len(rows) and found == sorted(found)
    first = found[0]
    assert first.kind == "predict" and set(first.row) == {"age", "contact", "row_id"}
    assert first.request_id == f"replay-2009-06.csv-{first.row['row_id']}"
    assert {type(value) for value in first.row.values()} == {int, str}


def test_two_spans_hold_everything_once(future: Any) -> None:
    whole = events(future.rows, future.columns, None, None)
    before = events(future.rows, future.columns, None, JULY)
    after = events(future.rows, future.columns, JULY, None)
    assert before + after == whole
    # An outcome of June that is known in July belongs to July, though its request does not
    asked = {item.request_id for item in before if item.kind == "predict"}
    assert any(item.request_id in asked for item in after if item.kind == "feedback")


def test_missing_is_none_and_whole_numbers_are_whole() -> None:
    assert [plain(value) for value in (float("nan"), 3.0, 3.5, "a", None, pd.Timestamp("2009-06-01"))] == [
        None, 3, 3.5, "a", None, "2009-06-01T00:00:00",
    ]  # fmt: skip


def test_what_cannot_be_played_is_named(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings_for: Callable[..., Any]
) -> None:
    monkeypatch.chdir(trained)
    settings = load_settings()
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").write_text("x")
    pd.read_csv("replay/2009-06.csv").drop(columns="age").to_csv(tmp_path / "b.csv", index=False)
    for place, words in (
        (Path("nowhere"), "nowhere: not there"), (tmp_path / "empty", "holds no batch"),
        (tmp_path / "a.txt", "not a batch"), (tmp_path / "b.csv", "b.csv: lacks age"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=words):
            read_future(place, settings, COLUMNS)
    with pytest.raises(UserError, match="data.time is null"):
        read_future(Path("replay"), settings_for(data__time=None, data__as_of=None), COLUMNS)
