"""Windows are watched once each, in order, without a gap, wherever the watching stops."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import pytest

from mainline.config import Monitor
from mainline.errors import UserError
from mainline.monitor import store as stores
from mainline.monitor.build import Scan
from mainline.monitor.profile import reference_id, watched_bins
from mainline.monitor.store import Store
from mainline.monitor.watch import watch

RULES = Monitor(min_rows=50)


def at(day: int, hour: int = 0) -> dt.datetime:
    return dt.datetime(2026, 1, day, hour, tzinfo=dt.UTC)


@pytest.fixture
def log(tmp_path, draw, record, write) -> Path:
    """A hundred predictions a day, 1 to 10 January; none on the 4th; from the 7th on, red is RED."""
    made = []
    for day in (1, 2, 3, 5, 6, 7, 8, 9, 10):
        for index, row in enumerate(draw(day, 100).to_dict("records")):
            row["colour"] = "RED" if day >= 7 and row["colour"] == "red" else row["colour"]
            features = {name: row[name] for name in ("age", "visits", "colour")}
            time = f"2026-01-{day:02d}T{index % 24:02d}:00:00.000Z"
            made.append(record(100 * day + index, time, features=features, score=row["(score)"]))
    return write(tmp_path / "log" / "a.jsonl", made).parent


@pytest.fixture
def look(log, tmp_path, reference):
    """``look(until, folder, rules)``: what a run of the monitor at that time finds."""
    scanning = Scan(bins=watched_bins(reference), length="day")

    def run(until: dt.datetime, folder: str = "kept", rules: Monitor = RULES):
        store = Store(tmp_path / folder, reference_id(reference), "day")
        return [kept.judged for kept in watch(str(log), reference, store, rules, scanning, until)]

    return run


EXPECTED = ["OK", "OK", "OK", "NO TRAFFIC", "OK", "OK", "DRIFT", "DRIFT", "DRIFT", "DRIFT"]


def test_every_window_has_its_verdict(look) -> None:
    found = look(at(11))
    assert [item.window for item in found] == [f"2026-01-{day:02d}" for day in range(1, 11)]
    assert [item.verdict for item in found] == EXPECTED
    assert "looks like red renamed" in found[6].reason and sum(item.rows for item in found) == 900


def test_a_window_that_has_not_ended_is_not_judged(look) -> None:
    assert [item.window for item in look(at(2, 23))] == ["2026-01-01"]
    assert look(at(2, 23)) == []


def test_many_runs_find_what_one_run_finds_and_count_nothing_twice(look, tmp_path) -> None:
    stepwise = [item for day in (2, 3, 3, 7, 8, 11, 11) for item in look(at(day, 1), "steps")]
    assert stepwise == look(at(11, 1), "once")
    assert look(at(11, 1), "steps") == []


def test_killed_anywhere_it_goes_on_where_it_was(look, monkeypatch) -> None:
    class Killed(BaseException):
        pass

    real = stores.write_json
    found, runs = [], 0
    while len(found) < 10 and runs < 30:
        left = 1 + runs % 2

        def write(path, value):
            nonlocal left
            if left == 0:
                raise Killed
            left -= 1
            found.append(value["judged"]["window"])
            return real(path, value)

        monkeypatch.setattr(stores, "write_json", write)
        try:
            look(at(11), "killed")
        except Killed:
            runs += 1
    monkeypatch.setattr(stores, "write_json", real)
    assert runs >= 5 and found == [f"2026-01-{day:02d}" for day in range(1, 11)]
    assert look(at(11), "killed") == []


def test_a_log_that_stopped_is_stale(look) -> None:
    found = look(at(14))
    assert [item.verdict for item in found[-4:]] == ["DRIFT", "STALE", "STALE", "STALE"]
    assert "25 hours older" in found[-3].reason


def test_both_references_are_shown_where_they_disagree(look) -> None:
    few = RULES.model_copy(update={"rolling_windows": 2})
    found = look(at(11), rules=few)
    # The two windows before the ninth have RED instead of red, as it has
    assert found[6].other == {} and found[8].other == {"colour": "OK"}
    rolling = look(at(11), "rolling", few.model_copy(update={"reference": "rolling"}))
    assert [item.verdict for item in rolling][6:] == ["DRIFT", "DRIFT", "OK", "OK"]
    assert rolling[8].other == {"colour": "DRIFT"}


def test_a_clock_that_runs_ahead_does_not_hide_silence_and_one_of_1970_is_refused(log, look, record, write) -> None:
    write(log / "b.jsonl", [record(9999, "2027-06-01T00:00:00.000Z")])
    assert [item.verdict for item in look(at(14))[-3:]] == ["STALE"] * 3
    write(log / "c.jsonl", [record(9998, "1970-01-01T00:00:00.000Z")])
    with pytest.raises(UserError, match="--since"):
        look(at(14), "other")


def test_files_that_are_older_than_what_is_asked_for_are_not_read(look, log) -> None:
    look(at(9))
    os.utime(log / "a.jsonl", times=(at(8).timestamp(), at(8).timestamp()))
    found = look(at(11))
    assert [item.rows for item in found] == [0, 0]
    os.utime(log / "a.jsonl", times=(at(11).timestamp(), at(11).timestamp()))
    assert [item.rows for item in look(at(12))] == [0], "and nothing is watched twice"


def test_a_damaged_window_is_named(look, tmp_path) -> None:
    look(at(3))
    path = next((tmp_path / "kept").rglob("2026-01-01.json"))
    path.write_text('{"judged": {}, "watched": null}')
    with pytest.raises(UserError, match="2026-01-01.json"):
        look(at(4))


def test_another_reference_starts_a_history_of_its_own(log, tmp_path, reference, look) -> None:
    look(at(11))
    other = reference + reference
    store = Store(tmp_path / "kept", reference_id(other), "day")
    found = watch(str(log), other, store, RULES, Scan(bins=watched_bins(other), length="day"), at(11))
    assert len(found) == 10


def test_what_an_earlier_run_saw_makes_the_second_warning_drift(tmp_path, reference, draw, record, write) -> None:
    def day(number: int) -> list:
        rows = draw(number, 200).assign(age=lambda frame: frame["age"] + (6.0 if number >= 2 else 0.0))
        return [
            record(1000 * number + index, f"2026-01-{number:02d}T12:00:00.000Z", features=row, score=row.pop("(score)"))
            for index, row in enumerate(rows.to_dict("records"))
        ]

    log = write(tmp_path / "log" / "a.jsonl", [*day(1), *day(2), *day(3)]).parent
    store = Store(tmp_path / "kept", reference_id(reference), "day")
    scanning = Scan(bins=watched_bins(reference), length="day")
    verdicts = [
        kept.judged.verdict
        for until in (2, 3, 4)
        for kept in watch(str(log), reference, store, RULES, scanning, at(until))
    ]
    assert verdicts == ["OK", "WARNING", "DRIFT"]
