"""What cannot be told is never OK, and every verdict has its reason."""

from __future__ import annotations

import datetime as dt

import pytest

from mainline.data.profile import count
from mainline.monitor.drift import judge
from mainline.monitor.verdict import conclude
from mainline.monitor.windows import starts, window_at, windows_between

END = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


@pytest.mark.parametrize(
    ("size", "newest", "verdict"),
    [
        (600, END - HOUR, "OK"),
        (600, END + 5 * HOUR, "OK"),
        (499, END - HOUR, "INSUFFICIENT DATA"),
        (0, END + HOUR, "NO TRAFFIC"),
        (0, END - 30 * HOUR, "STALE"),
        (600, END - 30 * HOUR, "STALE"),
        (0, None, "STALE"),
    ],
)
def test_a_quiet_window(reference, draw, rules, size: int, newest, verdict: str) -> None:
    findings = judge(reference, count(draw(5, size), reference.bins), rules) if size else []
    found, reason = conclude(size, findings, newest, END, rules)
    assert found == verdict and bool(reason) == (verdict != "OK")


@pytest.mark.parametrize("size", [100, 2000])
def test_an_alarm_goes_before_too_few_rows_and_before_a_log_that_stopped(reference, draw, rules, size: int) -> None:
    findings = judge(reference, count(draw(5, size).assign(colour="RED"), reference.bins), rules)
    verdict, reason = conclude(size, findings, END - 30 * HOUR, END, rules)
    assert verdict == "DRIFT" and reason.startswith("colour: new category RED: 100% of rows")


@pytest.mark.parametrize(
    ("length", "start", "end", "name"),
    [
        ("hour", (2026, 1, 1, 13), (2026, 1, 1, 14), "2026-01-01T13"),
        ("day", (2026, 1, 1), (2026, 1, 2), "2026-01-01"),
        ("week", (2025, 12, 29), (2026, 1, 5), "2026-W01"),
        ("month", (2026, 1, 1), (2026, 2, 1), "2026-01"),
    ],
)
def test_windows_are_cut_the_same_way_for_one_moment_and_for_many(length, start, end, name) -> None:
    import numpy as np

    moment = dt.datetime(2026, 1, 1, 13, 37, 5, tzinfo=dt.UTC)
    window = window_at(moment, length)
    assert window.start == dt.datetime(*start, tzinfo=dt.UTC) and window.end == dt.datetime(*end, tzinfo=dt.UTC)
    assert window.name == name and window_at(window.end - dt.timedelta(microseconds=1), length) == window
    many = starts(np.array([np.datetime64("2026-01-01T13:37:05.123", "ms")]), length)
    assert many[0].item() == window.start.replace(tzinfo=None)
    assert window_at(moment.astimezone(dt.timezone(dt.timedelta(hours=14))), length) == window


def test_windows_follow_each_other_and_only_those_that_ended_count() -> None:
    found = windows_between(dt.datetime(2025, 11, 30), dt.datetime(2026, 2, 27), "month")
    assert [window.name for window in found] == ["2025-11", "2025-12", "2026-01"]
    assert all(left.end == right.start for left, right in zip(found, found[1:], strict=False))
