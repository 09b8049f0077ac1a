"""Rows that come after their window was watched: never silently ignored, and the window can be watched again."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mainline.config import Monitor
from mainline.errors import UserError
from mainline.monitor.build import Scan
from mainline.monitor.late import Late, again, late, still
from mainline.monitor.profile import reference_id, watched_bins
from mainline.monitor.store import Store
from mainline.monitor.watch import watch

RULES = Monitor(min_rows=50)
DAYS = ("2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04")


def at(day: int, hour: int = 0) -> dt.datetime:
    return dt.datetime(2026, 1, day, hour, tzinfo=dt.UTC)


class World:
    """A log of four days, 200 rows each in a file of its own that was written on the day; nothing on the third."""

    def __init__(self, folder: Path, reference, draw, record, write) -> None:
        self.folder, self.reference = folder, reference
        self._draw, self._record, self._write = draw, record, write
        self.scanning = Scan(bins=watched_bins(reference), length="day")
        self.store = Store(folder / "kept", reference_id(reference), "day")
        for day in (1, 2, 4):
            self.add(day, 200)

    def add(self, day: int, rows: int, name: str = "", *, red: str = "red", written: dt.datetime | None = None) -> Path:
        made = []
        for index, row in enumerate(self._draw(day, rows).to_dict("records")):
            row["colour"] = red if row["colour"] == "red" else row["colour"]
            time = f"2026-01-{day:02d}T{index % 24:02d}:00:00.000Z"
            score = row.pop("(score)")
            made.append(self._record(1000 * day + index, time, features=row, score=score))
        path: Path = self._write(self.folder / "log" / f"{name or f'day-{day}'}.jsonl", made)
        moment = (written or at(day, 23)).timestamp()
        os.utime(path, times=(moment, moment))
        return path

    @property
    def place(self) -> str:
        return str(self.folder / "log")

    def watch(self, until: int = 5) -> list[str]:
        done = watch(self.place, self.reference, self.store, RULES, self.scanning, at(until))
        return [kept.judged.verdict for kept in done]

    def late(self) -> list[Late]:
        return late(self.place, self.store.all(), self.scanning)

    def again(self, *names: str) -> list[str]:
        done = again(self.place, names, self.reference, self.store, RULES, self.scanning, at(5))
        return [f"{kept.judged.window[-2:]} {kept.judged.verdict}" for kept in done]

    def verdicts(self) -> list[str]:
        return [kept.judged.verdict for kept in self.store.all()]


@pytest.fixture
def world(tmp_path, reference, draw, record, write) -> World:
    made = World(tmp_path, reference, draw, record, write)
    assert made.watch() == ["OK", "OK", "NO TRAFFIC", "OK"]
    assert made.late() == [], "what was counted is not late"
    return made


def test_a_file_that_came_after_is_counted_whatever_time_it_says_it_was_written(world) -> None:
    world.add(2, 24, "late")
    world.add(3, 30, "later", written=at(9))
    assert world.late() == [Late(DAYS[1], 200, 224), Late(DAYS[2], 0, 30)]
    assert [item.counts(RULES) for item in world.late()] == [True, True]
    assert world.late()[0].words == "window 2026-01-02 grew by 12% after it was watched (200 to 224 rows)"
    assert "was empty when it was watched, and has 30 rows now" in world.late()[1].words
    assert world.watch() == [] and world.verdicts() == ["OK", "OK", "NO TRAFFIC", "OK"], "nothing changes by itself"


def test_few_rows_are_told_without_a_warning(world) -> None:
    world.add(1, 2, "late")
    (found,) = world.late()
    assert found == Late(DAYS[0], 200, 202) and not found.counts(RULES)
    assert found.counts(RULES.model_copy(update={"late_share": 0.005}))


def test_only_files_that_came_or_changed_since_are_read(world, monkeypatch) -> None:
    from mainline.monitor import source

    # Here all files have just been made; on a disk that is as old as it says, none is.
    monkeypatch.setattr(source, "_created", lambda item, unknown: dt.datetime.min.replace(tzinfo=dt.UTC))
    bad = world.folder / "log" / "day-1.jsonl"
    bad.write_text("no record\n")
    os.utime(bad, times=(at(1).timestamp(), at(1).timestamp()))
    opened: list[str] = []
    real = source.blocks
    monkeypatch.setattr(source, "blocks", lambda stream, *rest: opened.append(stream.name) or real(stream, *rest))
    assert world.late() == []
    assert {Path(name).name for name in opened} == {"day-4.jsonl"}, "it was written in the last hour of its window"


def test_rows_of_windows_that_were_never_watched_are_not_late(world) -> None:
    world.add(6, 50, "ahead")
    assert world.late() == []


def test_a_log_that_was_cleaned_up_has_not_grown(world) -> None:
    world.add(1, 10)
    assert world.late() == []


def test_watched_again_it_is_judged_with_all_rows_and_so_are_those_after_it(world) -> None:
    world.add(2, 200, "late", red="RED")
    before = world.verdicts()
    # The fourth is as it was, but the other reference, the days before it, has RED now
    assert world.again(DAYS[1]) == ["02 DRIFT", "04 OK"]
    assert world.store.all()[3].judged.other["colour"] == "WARNING"
    assert before[1] == "OK" and world.verdicts() == ["OK", "DRIFT", "NO TRAFFIC", "OK"]
    kept = world.store.all()
    assert [item.judged.rows for item in kept] == [200, 400, 0, 200]
    assert [item.again for item in kept] == [0, 1, 0, 1]
    assert world.late() == []


def test_a_second_warning_becomes_drift_in_a_window_after_it(tmp_path, reference, draw, record, write) -> None:
    world = World(tmp_path, reference, lambda day, rows: _older(draw(day, rows), day in (2, 4)), record, write)
    early = world.folder / "log" / "day-2.jsonl"
    held = early.read_bytes()
    early.unlink()
    assert world.watch() == ["OK", "NO TRAFFIC", "NO TRAFFIC", "WARNING"]
    early.write_bytes(held)
    assert world.again(DAYS[1]) == ["02 WARNING", "04 DRIFT"]
    once = world.verdicts()
    world.store = replace(world.store, folder=tmp_path / "other")
    world.watch()
    assert once == world.verdicts(), "as if nothing had come late"


def _older(rows, much: bool):
    return rows.assign(age=rows["age"] + (6.0 if much else 0.0))


def test_what_was_deleted_since_is_not_lost_by_watching_again(world) -> None:
    (world.folder / "log" / "day-1.jsonl").unlink()
    before = world.store.all()
    with pytest.raises(UserError, match="holds 0 rows of 2026-01-01, and 200 were watched"):
        world.again(DAYS[1], DAYS[0])
    assert [item.judged for item in world.store.all()] == [item.judged for item in before]
    with pytest.raises(UserError, match="'2026-01-09' is no window that was watched"):
        world.again("2026-01-09")


def test_killed_half_way_the_next_run_does_the_rest(world, monkeypatch) -> None:
    world.add(2, 200, "late", red="RED")
    world.add(4, 200, "later", red="RED")
    real: Callable = Store.keep

    class Killed(BaseException):
        pass

    def keep(self, judged, watched, again=0):
        if judged.window == DAYS[3]:
            raise Killed
        return real(self, judged, watched, again)

    monkeypatch.setattr(Store, "keep", keep)
    with pytest.raises(Killed):
        world.again(DAYS[1], DAYS[3])
    assert [item.window for item in world.late()] == [DAYS[3]], "it goes on being told"
    monkeypatch.setattr(Store, "keep", real)
    world.again(DAYS[1], DAYS[3])
    assert world.late() == [] and world.verdicts()[3] == "DRIFT"


def test_a_report_forgets_what_was_watched_again(world) -> None:
    report = {"late": [Late(DAYS[0], 200, 210).to_dict(), Late(DAYS[1], 100, 210).to_dict()]}
    assert still(report, world.store.all()) == [Late(DAYS[0], 200, 210)]
    assert still({}, world.store.all()) == []


def test_a_table_that_grew_is_told_too(tmp_path, reference, draw) -> None:
    def table(*sizes: int) -> str:
        rows = [draw(day, size).assign(when=f"2026-01-{day:02d}") for day, size in enumerate(sizes, start=1)]
        for frame, day in zip(rows, range(1, 9), strict=False):
            frame.drop(columns="(score)").to_csv(tmp_path / f"{day}.csv", index=False)
        return str(tmp_path)

    bins = {name: item for name, item in reference.bins.items() if not name.startswith("(")}
    scanning = Scan(bins=bins, length="day", time="when")
    store = Store(tmp_path.parent / f"{tmp_path.name}-kept", reference_id(reference), "day")
    place = table(100, 100)
    assert len(watch(place, reference, store, RULES, scanning, at(3))) == 2
    assert late(place, store.all(), scanning) == []
    assert late(table(100, 150), store.all(), scanning) == [Late(DAYS[1], 100, 150)]
