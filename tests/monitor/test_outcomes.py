"""Late outcomes find their predictions: the newest wins, and everything odd is counted."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest

from mainline.errors import UserError
from mainline.monitor.outcomes import join, read_labels

NOW = dt.datetime(2026, 2, 1, tzinfo=dt.UTC)


def known(request: object, outcome: object, time: str | None = "2026-01-20T00:00:00.000Z", row: int | None = 0) -> dict:
    return {"kind": "feedback", "request_id": request, "row": row, "time": time, "outcome": outcome}


@pytest.fixture
def joined(record):
    """``joined(feedback, labels, …)`` with five predictions, one a day from 1 January on."""

    def run(feedback: list[dict], labels: pd.DataFrame | None = None, classes=("no", "yes"), extra=(), **options):
        made = [record(day, f"2026-01-{day:02d}T00:00:00.000Z") for day in range(1, 6)]
        settings = {"since": None, "until": None, "now": NOW, "delay_days": 14} | options
        return join([*feedback, *made, *extra], labels, known=classes, **settings)

    return run


def outcomes(found) -> dict[str, str]:
    return dict(zip(found.labelled["request_id"], found.labelled["outcome"], strict=True))


def test_outcomes_are_joined_by_request_and_row(joined, record) -> None:
    many = [record(9, "2026-01-06T00:00:00.000Z", row=row) for row in (0, 1)]
    found = joined([known("r1", "yes"), known("r9", "no", row=1), known("r2", "no", row=None)], extra=many)
    rows = found.labelled[["request_id", "row", "outcome"]].to_numpy().tolist()
    assert rows == [["r1", 0, "yes"], ["r2", 0, "no"], ["r9", 1, "no"]]
    assert found.counted.predictions == 7 and found.counted.outcomes == 3
    assert found.lag_days() == {"median": 18.0, "p90": pytest.approx(18.8)}


def test_the_newest_wins_whatever_the_order_and_is_counted(joined) -> None:
    early, late = "2026-01-10T00:00:00.000Z", "2026-01-12T00:00:00.000Z"
    feedback = [known("r1", "no", late), known("r1", "yes", early), known("r1", "no", late), known("r2", "yes", early)]
    for order in (feedback, feedback[::-1]):
        found = joined(order)
        assert outcomes(found) == {"r1": "no", "r2": "yes"}
        assert (found.counted.corrected, found.counted.repeated, found.counted.outcomes) == (1, 1, 2)


def test_orphans_duplicates_and_nonsense_are_counted(joined, record) -> None:
    again = [record(1, "2026-01-01T00:00:05.000Z", score=0.99)]
    feedback = [known("r77", "yes"), known("r1", "maybe"), known(None, "yes"), known("r1", None), known("r2", "yes")]
    found = joined(feedback, extra=again)
    assert found.counted.orphans == 1 and found.counted.unreadable == 3 and found.counted.duplicates == 1
    assert found.rows["score"].tolist() == [0.25] * 5, "the first prediction counts"


def test_an_outcome_outside_the_window_is_no_orphan(joined) -> None:
    since = dt.datetime(2026, 1, 3, tzinfo=dt.UTC)
    found = joined([known("r1", "yes"), known("r4", "yes")], since=since, until=since + dt.timedelta(days=2))
    assert (found.counted.predictions, found.counted.outcomes, found.counted.orphans) == (2, 1, 0)


def test_coverage_is_told_apart_from_what_cannot_be_known_yet(joined) -> None:
    now = dt.datetime(2026, 1, 17, 12, tzinfo=dt.UTC)
    found = joined([known("r1", "yes", "2026-01-15T00:00:00.000Z")], now=now)
    assert (found.counted.matured, found.counted.matured_known) == (3, 1)


def test_a_labels_file_comes_on_top_in_every_format(joined, tmp_path) -> None:
    table = pd.DataFrame({"request_id": ["r1", "r3"], "outcome": ["no", "yes"], "time": ["2026-01-25", None]})
    table.to_csv(tmp_path / "l.csv", index=False)
    table.to_parquet(tmp_path / "l.parquet")
    table.to_json(tmp_path / "l.jsonl", orient="records", lines=True)
    for name in ("l.csv", "l.parquet", "l.jsonl"):
        found = joined([known("r1", "yes")], read_labels(tmp_path / name))
        assert outcomes(found) == {"r1": "no", "r3": "yes"} and found.counted.corrected == 1, name


def test_numbers_are_outcomes_of_a_regression(joined) -> None:
    found = joined([known("r1", 3.5), known("r2", "4"), known("r3", "many")], classes=None)
    assert outcomes(found) == {"r1": 3.5, "r2": 4.0} and found.counted.unreadable == 1


def test_whole_numbers_are_classes_too(joined) -> None:
    assert outcomes(joined([known("r1", 1), known("r2", 0.0), known("r3", "1")], classes=("0", "1"))) == {
        "r1": "1", "r2": "0", "r3": "1",
    }  # fmt: skip


def test_nothing_at_all_is_no_error(joined) -> None:
    found = join([], None, known=("no", "yes"), since=None, until=None, now=NOW, delay_days=0)
    assert found.counted.predictions == 0 and len(found.labelled) == 0 and found.lag_days()["median"] is None
    assert joined([]).counted.outcomes == 0


def test_a_labels_file_without_its_columns_is_said(tmp_path) -> None:
    (tmp_path / "l.csv").write_text("id,outcome\n1,yes\n")
    with pytest.raises(UserError, match="no column 'request_id'"):
        read_labels(tmp_path / "l.csv")
    with pytest.raises(UserError, match="not there"):
        read_labels(tmp_path / "gone.csv")
    (tmp_path / "l.xml").write_text("")
    with pytest.raises(UserError, match="not a format"):
        read_labels(tmp_path / "l.xml")
