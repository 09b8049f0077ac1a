"""Watching: the windows that ended since the last one watched are counted in one scan, and judged in order."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

from mainline.config import Monitor
from mainline.data.profile import Profile
from mainline.errors import UserError
from mainline.monitor.build import Scan, Scanned, scan
from mainline.monitor.drift import Finding, judge
from mainline.monitor.profile import Watched, empty
from mainline.monitor.store import Kept, Store
from mainline.monitor.verdict import Judged, conclude
from mainline.monitor.windows import Window, window_at, windows_between

ALARM = ("WARNING", "DRIFT")
MOST = 2000  # windows in one run: a year of hours takes some, a clock of 1970 would take half a million


def watch(
    place: str, reference: Profile, store: Store, rules: Monitor, scanning: Scan, until: dt.datetime, dask: str = ""
) -> list[Kept]:
    """Return the windows that had ended by ``until`` and were not yet watched, in order; they are in ``store`` now.

    The first window of all is that of ``scanning.since``, or of the oldest row. After an outage of the monitor all the
    windows since are caught up with. A window without rows counts as one, too.

    Raises:
        UserError: there are more than ``MOST`` of them, or the place cannot be read.
    """
    past = store.all()
    since = past[-1].end if past else scanning.since
    if since is not None:
        # A window of which only a part is looked at would look as if it had grown later on.
        since = window_at(since, store.length).start
        if window_at(since, store.length).end > until:
            return []
    found = scan(place, replace(scanning, length=store.length, since=since, until=until), dask)
    if since is None:
        oldest = [watched.first for watched in found.windows.values() if watched.first]
        if not oldest:
            return []
        since = _time(min(oldest))
    newest = newest_of(found, past)
    due = windows_between(since, until, store.length)
    if len(due) > MOST:
        raise UserError(
            f"{place}: {len(due):,} windows of a {store.length} have ended since {since.isoformat()}",
            "name the first one to watch with --since (is a clock wrong?), or lengthen monitor.window",
        )
    done: list[Kept] = []
    for window in due:
        watched = found.windows.get(window.name)
        judged = look(reference, watched, window, newest, [*past, *done], rules)
        done.append(store.keep(judged, watched))
    return done


def newest_of(found: Scanned, past: Sequence[Kept]) -> dt.datetime | None:
    """Return the time of the newest record of a log, of those watched before if it has none now."""
    if found.newest:
        return _time(found.newest)
    return max((_time(kept.watched.last) for kept in past if kept.watched and kept.watched.last), default=None)


def look(
    reference: Profile,
    watched: Watched | None,
    window: Window,
    newest: dt.datetime | None,
    past: Sequence[Kept],
    rules: Monitor,
) -> Judged:
    """Return the verdict of one window, given those before it (oldest first)."""
    profile = watched.profile if watched else empty(reference.bins)
    findings: list[Finding] = []
    other: dict[str, str] = {}
    if profile.rows:
        with_rows = [kept for kept in past if kept.judged.rows]
        rolling = _rolling(with_rows, rules.rolling_windows)
        against = {"training": reference, "rolling": rolling}
        earlier = [kept.judged.findings for kept in with_rows]
        # Until there are windows to roll over, the training rows are all there is.
        chosen = against[rules.reference] or reference
        findings = judge(chosen, profile, rules, earlier)
        rest = against["rolling" if chosen is reference else "training"]
        if rest is not None:
            mine = {item.column: item.verdict for item in findings}
            # Without a history of its own the other reference cannot say DRIFT for a first time: WARNING is as much.
            told = {item.column: item.verdict for item in judge(rest, profile, rules)}
            other = {name: told[name] for name in told if (told[name] in ALARM) != (mine.get(name) in ALARM)}
    verdict, reason = conclude(profile.rows, findings, newest, window.end, rules)
    start, end = window.start.isoformat(), window.end.isoformat()
    return Judged(window.name, start, end, profile.rows, verdict, reason, tuple(findings), other)


def _rolling(past: Sequence[Kept], windows: int) -> Profile | None:
    """Return the newest windows together, or None where there is none."""
    total: Profile | None = None
    for kept in past[-windows:]:
        if kept.watched is not None:
            total = kept.watched.profile if total is None else total + kept.watched.profile
    return total


def _time(text: str) -> dt.datetime:
    moment = dt.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
