"""What stands in alarm: windows and report, turned into one signal a fingerprint (model, kind, column).

A signal is a row of points, one a window; whether it stands in alarm follows from its points alone. So an issue ends up
the same whether the monitor ran once a window, or once after an outage.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from mainline.config import Monitor

if TYPE_CHECKING:  # the issue of the heartbeat is written where NumPy is not installed
    from mainline.monitor.drift import Finding
    from mainline.monitor.store import Kept
    from mainline.monitor.verdict import Judged

Kind = Literal["columns", "contract", "drift", "score", "performance", "level", "silence"]
State = Literal["alarm", "warning", "green", "unknown"]
# Kinds of one column, which a summary can stand for.
SINGLE: tuple[Kind, ...] = ("contract", "drift")
SILENT = {"STALE": "high", "NO TRAFFIC": "medium"}
# The log's freshness is told by STALE: that looks at the whole log, a level only at the windows just watched.
LEVELS = ("latency", "volume")


@dataclass(frozen=True)
class Point:
    """One window of a signal.

    Attributes:
        window: its name; ``end``: its end in ISO, UTC.
        state: "green" only where it is known that all is well.
        rows: that it was judged on.
        value, bound: what was measured, in the signal's unit, and what it must not exceed (or fall below).
        words: what happened. They can hold values from the data, so they are never trusted.
        causes: kinds of breaches.
    """

    window: str
    end: str
    state: State
    rows: int = 0
    value: float | None = None
    bound: float | None = None
    words: str = ""
    severity: str = ""
    causes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values; :meth:`from_dict` takes them back."""
        return {name: value for name, value in asdict(self).items() if value or name == "value"}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Point:
        """Return what :meth:`to_dict` wrote."""
        return cls(**{**raw, "causes": tuple(raw.get("causes", ()))})


@dataclass(frozen=True)
class Signal:
    """All points of a fingerprint, oldest first; ``members`` are the signals that a summary stands for."""

    kind: Kind
    column: str
    unit: str
    points: tuple[Point, ...]
    members: tuple[Signal, ...] = ()

    def mark(self, model: str) -> str:
        """Return the first line of its issue."""
        return mark(model, self.kind, self.column)


@dataclass(frozen=True)
class Standing:
    """Whether a signal stands in alarm: since which window, the newest alarm, and green windows since.

    ``on`` ends with the ``clean_windows``-th green window after the newest alarm or warning.
    """

    on: bool
    since: str
    last: Point | None
    clean: int


def mark(model: str, kind: str, column: str) -> str:
    """Return the first line of the issue with that fingerprint; unseen by people."""
    return f"<!-- mainline:monitor:{':'.join(urllib.parse.quote(part, safe='') for part in (model, kind, column))} -->"


def standing(points: Sequence[Point], clean_windows: int) -> Standing:
    """Return what stands after ``points``. "unknown" neither counts as green nor interrupts a row of greens."""
    now = Standing(False, "", None, 0)
    for point in points:
        if point.state == "alarm":
            now = Standing(True, now.since if now.on else point.window, point, 0)
        elif point.state == "warning":
            now = Standing(now.on, now.since, now.last, 0)
        elif point.state == "green":
            now = Standing(now.on and now.clean + 1 < clean_windows, now.since, now.last, now.clean + 1)
    return now


def of_windows(kept: Sequence[Kept], rules: Monitor) -> list[Signal]:
    """Return the signals of drift and silence; ``kept`` is oldest first."""
    from mainline.monitor.drift import SCORE

    windows = [item.judged for item in kept]
    found: dict[tuple[Kind, str], list[Point]] = {}
    units: dict[str, str] = {}
    for judged in windows:
        for item in judged.findings:
            units[item.column] = item.unit or units.get(item.column, "")
            kinds: tuple[Kind, ...] = ("score",) if item.column.startswith(SCORE) else SINGLE
            for kind in kinds:
                found.setdefault((kind, item.column), []).append(_point(judged, item, kind, rules))
    signals = [
        Signal(kind, column, "share" if kind == "contract" else units[column], tuple(points))
        for (kind, column), points in found.items()
    ]
    return [*signals, Signal("silence", "", "predictions", tuple(_silence(judged) for judged in windows))]


def of_report(
    report: Mapping[str, Any], window: str, end: str, past: Mapping[tuple[str, str], Sequence[Point]]
) -> list[Signal]:
    """Return the signals of performance and service levels.

    A report is of one run: its point belongs to ``window``, the newest one watched; ``past`` has the points of the runs
    before, by kind and column. A run that cannot tell takes nothing back that was known of the same window.
    """
    new = {("performance", report["performance"]["primary"]): _performed(report["performance"], window, end)}
    for level in report["levels"]:
        if level["name"] in LEVELS:
            state: State = {True: "green", False: "alarm", None: "unknown"}[level["met"]]  # type: ignore[assignment]
            new["level", level["name"]] = Point(window, end, state, words=level["words"], severity="high")
    found = []
    for (kind, column), point in new.items():
        before = [item for item in past.get((kind, column), ()) if item.end <= end]
        if before and before[-1].end == end:
            same = before.pop()
            point = same if point.state == "unknown" else point
        unit = column if kind == "performance" else ""
        found.append(Signal(kind, column, unit, (*before, point)))  # type: ignore[arg-type]
    return found


def summary(signals: Sequence[Signal], rules: Monitor) -> Signal:
    """Return the one signal for many columns at once: in alarm when more than ``summary_columns`` are in one window.

    While it stands, a single column keeps it in alarm. ``signals`` are those of kind contract and drift.
    """
    by_end: dict[str, list[tuple[str, Point]]] = {}
    for signal in signals:
        for point in signal.points:
            by_end.setdefault(point.end, []).append((signal.column, point))
    points: list[Point] = []
    for end in sorted(by_end):
        entries = by_end[end]
        names = sorted({column for column, point in entries if point.state == "alarm"})
        states = {point.state for _, point in entries}
        upstream = standing(points, rules.clean_windows).on
        if len(names) > rules.summary_columns or (names and upstream):
            state: State = "alarm"
        elif names or "warning" in states:
            state = "warning"
        else:
            # As the window's own verdict: a column that is always nearly empty does not make a calm window unknown.
            state = "green" if "green" in states else "unknown"
        rows = max(point.rows for _, point in entries)
        limit = float(rules.summary_columns)
        window = entries[0][1].window
        points.append(Point(window, end, state, rows, float(len(names)), limit, ", ".join(names), "high"))
    members = [item for item in signals if standing(item.points, rules.clean_windows).on]
    return Signal("columns", "", "columns", tuple(points), tuple(members))


def _point(judged: Judged, item: Finding, kind: Kind, rules: Monitor) -> Point:
    known = judged.verdict not in SILENT and item.rows >= rules.min_rows
    calm: State = "green" if known else "unknown"
    if kind == "contract":
        share = max((breach.share for breach in item.breaches), default=0.0)
        causes = tuple(breach.kind for breach in item.breaches)
        state: State = "alarm" if item.breaches else calm
        return _made(judged, item, state, share, None, causes)
    if item.verdict == "DRIFT" and (kind == "score" or not item.breaches):
        state = "alarm"
    elif item.exceeded or (kind == "score" and item.breaches):
        # A breach has an issue of its own; that the column moved as well is its consequence until it goes on alone.
        state = "warning"
    else:
        state = calm
    return _made(judged, item, state, item.effect, item.bound, ())


def _made(
    judged: Judged, item: Finding, state: State, value: float, bound: float | None, causes: tuple[str, ...]
) -> Point:
    words = item.words if state in ("alarm", "warning") else ""
    return Point(judged.window, judged.end, state, item.rows, value, bound, words, item.severity, causes)


def _silence(judged: Judged) -> Point:
    severity = SILENT.get(judged.verdict, "")
    words = f"{judged.verdict}: {judged.reason}" if severity else ""
    return Point(
        judged.window,
        judged.end,
        "alarm" if severity else "green",
        judged.rows,
        float(judged.rows),
        words=words,
        severity=severity,
    )


def _performed(performance: Mapping[str, Any], window: str, end: str) -> Point:
    realised, primary = performance["realised"], performance["primary"]
    states: dict[str, State] = {"WORSE": "alarm", "OK": "green"}
    return Point(
        window,
        end,
        states.get(performance["verdict"], "unknown"),
        realised["rows"] if realised else 0,
        realised["metrics"][primary]["value"] if realised else None,
        performance["expected"].get(primary),
        performance["reason"],
        "high",
    )
