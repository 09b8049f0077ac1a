"""Windows of time: whole hours, days, weeks (from Monday) or months, in UTC."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Length = Literal["hour", "day", "week", "month"]
_UNITS = {"hour": "h", "day": "D", "month": "M"}
_NAMES = {"hour": "%Y-%m-%dT%H", "day": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m"}


@dataclass(frozen=True, order=True)
class Window:
    """From ``start`` to before ``end``, both in UTC; ``name`` sorts as time does."""

    start: dt.datetime
    end: dt.datetime
    name: str


def window_at(moment: dt.datetime, length: Length) -> Window:
    """Return the window that holds ``moment`` (a time without a zone is UTC)."""
    moment = (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)
    hour = moment.replace(minute=0, second=0, microsecond=0)
    day = hour.replace(hour=0)
    if length == "hour":
        start, end = hour, hour + dt.timedelta(hours=1)
    elif length == "day":
        start, end = day, day + dt.timedelta(days=1)
    elif length == "week":
        start = day - dt.timedelta(days=day.weekday())
        end = start + dt.timedelta(days=7)
    else:
        start = day.replace(day=1)
        end = (start + dt.timedelta(days=32)).replace(day=1)
    return Window(start, end, start.strftime(_NAMES[length]))


def windows_between(first: dt.datetime, until: dt.datetime, length: Length) -> list[Window]:
    """Return the windows that have ended by ``until``, from the one that holds ``first`` on, without a gap."""
    found = []
    window = window_at(first, length)
    until = until if until.tzinfo else until.replace(tzinfo=dt.UTC)
    while window.end <= until:
        found.append(window)
        window = window_at(window.end, length)
    return found


def starts(times: NDArray[np.datetime64], length: Length) -> NDArray[np.datetime64]:
    """Return the start of the window of each of ``times`` ``(n,)``, to the second."""
    if length == "week":
        # The epoch was a Thursday, three days after a Monday.
        days = times.astype("datetime64[D]").astype(np.int64)
        return ((days + 3) // 7 * 7 - 3).astype("datetime64[D]").astype("datetime64[s]")
    return times.astype(f"datetime64[{_UNITS[length]}]").astype("datetime64[s]")
