"""Service levels: met, missed, or not to be told."""

from __future__ import annotations

import pandas as pd

from mainline.config import Monitor
from mainline.data.profile import count
from mainline.monitor.drift import LATENCY
from mainline.monitor.levels import levels
from mainline.monitor.profile import LATENCY_BINS, Watched


def window(*latencies: float | None) -> Watched:
    return Watched(count(pd.DataFrame({LATENCY: pd.Series(latencies, dtype=float)}), {LATENCY: LATENCY_BINS}))


def met(windows: list[Watched], **bounds) -> list[bool | None]:
    return [level.met for level in levels(windows, Monitor(**bounds))]


def test_the_slowest_and_the_emptiest_window_count() -> None:
    windows = [window(*[1.0] * 100), window(*[1.0] * 50, 80.0)]
    assert met(windows, latency_p99_ms=50.0, min_volume=60) == [False, False, None]
    assert met(windows, latency_p99_ms=120.0, min_volume=50) == [True, True, None]
    assert met(windows) == [None, None, None], "no bound, no verdict"


def test_without_records_nothing_can_be_told_of_latency_but_of_volume() -> None:
    assert met([], latency_p99_ms=50.0, min_volume=1) == [None, False, None]
    assert met([window(None, None)], latency_p99_ms=50.0) == [None, None, None]
