"""Service levels: met, missed, or not to be told."""

from __future__ import annotations

import datetime as dt

import pandas as pd

from mainline.config import Monitor
from mainline.data.profile import count
from mainline.monitor.drift import LATENCY
from mainline.monitor.levels import levels
from mainline.monitor.profile import LATENCY_BINS, Watched

NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)


def window(*latencies: float | None) -> Watched:
    profile = count(pd.DataFrame({LATENCY: pd.Series(latencies, dtype=float)}), {LATENCY: LATENCY_BINS})
    return Watched(profile, "2026-01-01T00:00:00.000Z", "2026-01-01T12:00:00.000Z")


def met(windows: list[Watched | None], **bounds) -> list[bool | None]:
    return [level.met for level in levels(windows, Monitor(**{"max_silence_hours": None, **bounds}), NOW)]


def test_the_slowest_and_the_emptiest_window_count() -> None:
    windows = [window(*[1.0] * 100), window(*[1.0] * 50, 80.0)]
    assert met(windows, latency_p99_ms=50.0, min_volume=60) == [False, False, None, None]
    assert met(windows, latency_p99_ms=120.0, min_volume=50) == [True, True, None, None]
    assert met(windows) == [None] * 4, "no bound, no verdict"


def test_a_silent_window_misses_the_volume_and_tells_nothing_else() -> None:
    assert met([None], latency_p99_ms=50.0, min_volume=1) == [None, False, None, None]
    assert met([window(1.0), None], latency_p99_ms=50.0, min_volume=1) == [True, False, None, None]


def test_where_nothing_was_watched_nothing_can_be_told() -> None:
    assert met([], latency_p99_ms=50.0, min_volume=1) == [None] * 4
    assert met([window(None, None)], latency_p99_ms=50.0) == [None] * 4


def test_old_records_are_told() -> None:
    assert met([window(1.0)], max_silence_hours=13.0)[2] is True
    assert met([window(1.0)], max_silence_hours=11.0)[2] is False
    assert met([], max_silence_hours=11.0)[2] is None
