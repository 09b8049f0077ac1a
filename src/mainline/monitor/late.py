"""Rows that came after their window was watched: counted, told, and on demand the window is watched again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from mainline.config import Monitor
from mainline.data.profile import Profile
from mainline.errors import UserError
from mainline.monitor.build import Scan, scan
from mainline.monitor.store import Kept, Store
from mainline.monitor.watch import look, newest_of
from mainline.monitor.windows import window_at


@dataclass(frozen=True)
class Late:
    """A window that held ``watched`` rows when it was watched, and holds ``now``, which is more."""

    window: str
    watched: int
    now: int

    @property
    def words(self) -> str:
        """What happened."""
        if not self.watched:
            return f"window {self.window} was empty when it was watched, and has {self.now:,} rows now"
        grown = (self.now - self.watched) / self.watched
        share = f"{grown:.0%}" if grown >= 0.01 else f"{grown:.2%}"
        return f"window {self.window} grew by {share} after it was watched ({self.watched:,} to {self.now:,} rows)"

    @property
    def command(self) -> str:
        """What watches it again."""
        return f"mainline monitor run --again {self.window}"

    def counts(self, rules: Monitor) -> bool:
        """Return whether so many rows came late that the window's verdict may be another one."""
        return self.now - self.watched > rules.late_share * self.watched

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return asdict(self)


def late(place: str, past: Sequence[Kept], scanning: Scan, dask: str = "") -> list[Late]:
    """Return which of the windows ``past`` (oldest first) have more rows now, oldest first.

    Only files that came or changed after the newest of them ended are looked at, and whole windows only where one of
    these holds rows of theirs; nothing but the rows' times is read.

    Raises:
        UserError: the place cannot be read.
    """
    if not past:
        return []
    light = replace(scanning, bins={}, since=None, until=past[-1].end)
    touched = scan(place, replace(light, arrived=past[-1].end), dask).windows
    suspects = [kept for kept in past if kept.judged.window in touched]
    if not suspects:
        return []
    found = scan(place, replace(light, since=_start(suspects[0])), dask).windows
    names = [kept.judged.window for kept in suspects]
    rows = [found[name].profile.rows if name in found else 0 for name in names]
    told = [Late(kept.judged.window, kept.judged.rows, now) for kept, now in zip(suspects, rows, strict=True)]
    return [item for item in told if item.now > item.watched]


def still(report: Mapping[str, Any], kept: Sequence[Kept]) -> list[Late]:
    """Return the late windows of a report that have not been watched again since."""
    rows = {item.judged.window: item.judged.rows for item in kept}
    told = [Late(**item) for item in report.get("late", ())]
    return [item for item in told if rows.get(item.window) == item.watched]


def again(
    place: str,
    names: Sequence[str],
    reference: Profile,
    store: Store,
    rules: Monitor,
    scanning: Scan,
    until: dt.datetime,
    dask: str = "",
) -> list[Kept]:
    """Watch the windows ``names`` again, and return them and the later ones of which something else is found now.

    Later windows are judged again from the profiles that are kept. If a run dies here, the next one does the rest.

    Raises:
        UserError: a name is of no window that was watched, or fewer rows are left than were watched; nothing is
            changed then.
    """
    past = store.all()
    known = [kept.judged.window for kept in past]
    for name in names:
        if name not in known:
            span = f"one of {known[0]} to {known[-1]}" if known else "watch first, without --again"
            raise UserError(f"--again: {name!r} is no window that was watched", span)
    first = min(known.index(name) for name in names)
    found = scan(place, replace(scanning, length=store.length, since=_start(past[first]), until=until), dask)
    fresh = {name: found.windows.get(name) for name in names}
    for kept in past[first:]:
        watched = fresh.get(kept.judged.window)
        rows = watched.profile.rows if watched else 0
        if kept.judged.window in fresh and rows < kept.judged.rows:
            raise UserError(
                f"{place}: holds {rows:,} rows of {kept.judged.window}, and {kept.judged.rows:,} were watched",
                "rows were deleted since, so the window stays as it is; leave it out of --again",
            )
    newest = newest_of(found, past)
    earlier, done = list(past[:first]), []
    for kept in past[first:]:
        name = kept.judged.window
        watched = fresh.get(name, kept.watched)
        judged = kept.judged
        if watched is not None:
            judged = look(reference, watched, window_at(_start(kept), store.length), newest, earlier, rules)
        if name in fresh or judged.to_dict() != kept.judged.to_dict():
            kept = store.keep(judged, watched, kept.again + 1)
            done.append(kept)
        earlier.append(kept)
    return done


def _start(kept: Kept) -> dt.datetime:
    return dt.datetime.fromisoformat(kept.judged.start)
