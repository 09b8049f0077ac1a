"""Service levels that the prediction log can tell: how slow, how many. An error leaves no prediction."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from mainline.config import Monitor
from mainline.monitor.drift import LATENCY
from mainline.monitor.profile import Watched, quantile


@dataclass(frozen=True)
class Level:
    """A level, what was found in words, and whether it was met; None: it cannot be told, or no bound is set."""

    name: str
    words: str
    met: bool | None


def levels(windows: Sequence[Watched | None], rules: Monitor, end: dt.datetime) -> list[Level]:
    """Return the levels over ``windows``, the newest of which ended at ``end``; None is a window without a row."""
    seen = [watched for watched in windows if watched is not None]
    return [
        _latency(seen, rules.latency_p99_ms),
        _volume([watched.profile.rows if watched else 0 for watched in windows], rules.min_volume),
        _freshness(seen, rules.max_silence_hours, end),
        ERRORS,
    ]


ERRORS = Level("errors", "not in the prediction log; see mainline_requests_total of the service's /metrics", None)


def _latency(windows: Sequence[Watched], bound: float | None) -> Level:
    worst = None
    for watched in windows:
        found = quantile(watched.profile, LATENCY, 0.99) if LATENCY in watched.profile.bins else None
        worst = found if worst is None else max(worst, found or 0.0)
    if worst is None:
        return Level("latency", "no latency in these records", None)
    words = f"99 % of the predictions of the slowest window took at most {worst:g} ms"
    return Level(
        "latency", words + ("" if bound is None else f" (bound {bound:g})"), None if bound is None else worst <= bound
    )


def _volume(rows: Sequence[int], bound: int | None) -> Level:
    if not rows:
        return Level("volume", "no window has been watched yet", None)
    fewest = min(rows)
    words = f"at least {fewest:,} predictions a window"
    return Level(
        "volume", words + ("" if bound is None else f" (bound {bound:,})"), None if bound is None else fewest >= bound
    )


def _freshness(windows: Sequence[Watched], bound: float | None, end: dt.datetime) -> Level:
    newest = max((watched.last for watched in windows if watched.last), default=None)
    if newest is None:
        return Level("freshness", "no prediction in the windows watched", None)
    # As of the window's end: in a month that goes on, the newest prediction of the last one grows old by itself.
    hours = (end - dt.datetime.fromisoformat(newest.replace("Z", "+00:00"))).total_seconds() / 3600
    words = f"the newest prediction was {hours:.1f} hours old when the newest window ended"
    words += "" if bound is None else f" (bound {bound:g})"
    return Level("freshness", words, None if bound is None else hours <= bound)
