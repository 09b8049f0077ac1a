"""From rows anywhere to one profile a window, at constant memory: part by part, here or spread over Dask workers."""

from __future__ import annotations

import datetime as dt
import functools
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from mainline.data.profile import Bins, count
from mainline.errors import UserError
from mainline.monitor.drift import LATENCY, SCORE
from mainline.monitor.profile import Watched
from mainline.monitor.source import Columns, Part, frames, parts
from mainline.monitor.windows import Length, starts, window_at
from mainline.project import Marks

TIMEOUT = "10s"  # for the scheduler to answer
WHOLE = "all"  # name of the one window of rows that have no time


@dataclass(frozen=True)
class Scan:
    """What is counted, and how.

    Attributes:
        bins: of every column, see ``mainline.monitor.profile.watched_bins``.
        length: of the windows; None: all rows are one window.
        since, until: rows outside are left out.
        arrived: files that have been in place since well before are left out.
        time, score: columns of a table that hold these; a log has its own.
        release: only predictions of this release; empty: of all.
        tracks: only predictions of these tracks.
        marks: of the schema: personal values of a table are hashed before they are counted; a log holds none.
    """

    bins: Mapping[str, Bins]
    length: Length | None
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    time: str | None = None
    score: str | None = None
    release: str = ""
    tracks: tuple[str, ...] = ("stable", "canary")
    marks: Mapping[str, Marks] = field(default_factory=dict)
    arrived: dt.datetime | None = None

    @property
    def columns(self) -> Columns:
        """The columns to read."""
        features = [name for name in self.bins if not name.startswith("(")]
        texts = tuple(name for name in features if self.bins[name].values is not None)
        return Columns(tuple(name for name in features if name not in texts), texts, self.time, self.score)


@dataclass(frozen=True)
class Scanned:
    """What was counted.

    Attributes:
        windows: by name, in no order.
        newest: time of the newest record before ``until``, also of those that were left out; None without any.
        torn: lines that were no whole record.
        untimed: rows left out because they have no readable time.
    """

    windows: Mapping[str, Watched] = field(default_factory=dict)
    newest: str | None = None
    torn: int = 0
    untimed: int = 0

    def __add__(self, other: Scanned) -> Scanned:
        """Return both together."""
        both = dict(self.windows)
        for name, watched in other.windows.items():
            both[name] = both[name] + watched if name in both else watched
        newest = max((time for time in (self.newest, other.newest) if time), default=None)
        return Scanned(both, newest, self.torn + other.torn, self.untimed + other.untimed)


def scan(place: str, rules: Scan, dask: str = "") -> Scanned:
    """Return the profiles of ``place``; ``dask`` is the address of a scheduler whose workers read the parts.

    Raises:
        UserError: ``place`` cannot be read, or no scheduler answers at that address.
    """
    found = parts(place, rules.since, rules.arrived)
    if not dask:
        return functools.reduce(operator.add, (scan_part(part, rules) for part in found), Scanned())
    from distributed import Client, as_completed

    try:
        client = Client(dask, timeout=TIMEOUT, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise UserError(
            f"--dask {dask}: no scheduler answers ({error})", "start `dask scheduler`, or leave it out"
        ) from error
    with client:
        total = Scanned()
        futures = client.map(scan_part, found, rules=rules, pure=False)
        for done in as_completed(futures, loop=client.loop):  # type: ignore[no-untyped-call]
            total = total + done.result()
            done.release()
        return total


def scan_part(part: Part, rules: Scan) -> Scanned:
    """Return the profiles of one part; it is read again, more slowly, if a value is not of its column's type."""
    import pyarrow as pa

    try:
        return _scan_part(part, rules, typed=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        try:
            return _scan_part(part, rules, typed=False)
        except pa.ArrowInvalid as error:
            raise UserError(f"{part.file}: cannot be read ({error})", "mend or remove the file") from error


def _scan_part(part: Part, rules: Scan, typed: bool) -> Scanned:
    total = Scanned()
    for frame, torn in frames(part, rules.columns, typed):
        total = total + _count(frame, torn, rules, part.format == "log")
    return total


def _count(frame: pd.DataFrame, torn: int, rules: Scan, log: bool) -> Scanned:
    newest, untimed = None, 0
    time = "time" if log else rules.time
    if log:
        chosen = (frame["kind"] == "prediction") & frame["track"].isin(rules.tracks)
        if rules.release:
            chosen &= frame["release"] == rules.release
        newest = _newest(frame["time"], rules.until)
        frame = frame[chosen.to_numpy(dtype=bool)]
    frame = _named(frame, rules, log)
    if time is None or rules.length is None and rules.since is None and rules.until is None:
        windows = {WHOLE: Watched(count(frame, rules.bins))} if len(frame) else {}
        return Scanned(windows, newest, torn)
    times = pd.to_datetime(frame[time], utc=True, errors="coerce", format="ISO8601" if _texts(frame[time]) else None)
    stamps = times.dt.tz_localize(None).to_numpy(dtype="datetime64[ms]")
    known = ~np.isnat(stamps)
    untimed = int((~known).sum())
    if not log and known.any():
        newest = _newest(pd.Series([_iso(stamp) for stamp in np.unique(stamps[known])]), rules.until)
    for bound, keep in ((rules.since, np.greater_equal), (rules.until, np.less)):
        if bound is not None:
            known &= keep(stamps, np.datetime64(bound.replace(tzinfo=None), "ms"))
    frame, stamps = frame[known], stamps[known]
    return Scanned(_by_window(frame, stamps, rules), newest, torn, untimed)


def _newest(times: pd.Series, until: dt.datetime | None) -> str | None:
    """Return the newest time, as a log writes times; a clock that runs ahead of ``until`` does not count."""
    bound = None if until is None else f"{until.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%S}.000Z"
    return max((time for time in times.dropna().map(str) if bound is None or time < bound), default=None)


def _by_window(frame: pd.DataFrame, stamps: np.ndarray, rules: Scan) -> dict[str, Watched]:
    if not len(frame):
        return {}
    begins = starts(stamps, rules.length) if rules.length else np.full(len(frame), stamps.min())
    found = {}
    for begin in np.unique(begins):
        mine = begins == begin
        name = window_at(begin.astype("datetime64[s]").item(), rules.length).name if rules.length else WHOLE
        rows = frame if mine.all() else frame[mine]
        found[name] = Watched(count(rows, rules.bins), _iso(stamps[mine].min()), _iso(stamps[mine].max()))
    return found


def _named(frame: pd.DataFrame, rules: Scan, log: bool) -> pd.DataFrame:
    """Return the rows with the machinery's own columns under their names, and personal values as a log has them."""
    from mainline.data.redact import redact_columns

    if log:
        extra = _scores(frame["score"], rules.bins)
        latency = frame["latency_ms"]
    else:
        frame = redact_columns(frame, {name: mark for name, mark in rules.marks.items() if name != rules.time})
        latency = pd.Series(np.nan, index=frame.index)
        extra = _scores(frame[rules.score] if rules.score else latency, rules.bins)
    return frame.assign(**extra, **({LATENCY: latency} if LATENCY in rules.bins else {}))


def _scores(values: pd.Series, bins: Mapping[str, Bins]) -> dict[str, pd.Series]:
    """Return one column of scores, or one a class where the log holds lists."""
    names = [name for name in bins if name.startswith(SCORE)]
    if names == [SCORE]:
        return {SCORE: values}

    def entry(value: object, index: int) -> object:
        return value[index] if isinstance(value, Sequence) and index < len(value) else None

    return {name: values.map(lambda value, at=index: entry(value, at)) for index, name in enumerate(names)}


def _texts(values: pd.Series) -> bool:
    return not pd.api.types.is_datetime64_any_dtype(values)


def _iso(stamp: np.datetime64) -> str:
    return f"{np.datetime_as_string(stamp, unit='ms')}Z"
