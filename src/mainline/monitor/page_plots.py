"""The plots of the report: trends of what alarmed, scores, calibration, performance, service levels, late outcomes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mainline.data.profile import Profile
from mainline.evaluate.charts import Series, line_chart, span
from mainline.monitor.drift import LATENCY, SCORE, Finding
from mainline.monitor.page_view import View
from mainline.monitor.profile import quantile
from mainline.monitor.reliability import reliability
from mainline.monitor.store import Kept

MOST = 36  # windows in a plot, the newest ones
MOST_TRENDS = 16
MOST_CLASSES = 4
NEWEST = 2  # windows whose scores are drawn
STEPS = 20
LEAST = 10  # a level of the score with fewer outcomes says nothing
UNIT = (0.0, 1.0)


def trends(view: View) -> list[str]:
    """Return a plot for each column that alarmed: its effect and what that had to exceed, or the share in breach."""
    windows, found = _shown(view), []
    for name in view.alarmed():
        items = [{item.column: item for item in kept.judged.findings}.get(name) for kept in windows]
        if any(item is not None and item.exceeded for item in items):
            found.append(_effects(name, windows, items))
        if any(item is not None and item.breaches for item in items):
            found.append(_breaches(name, windows, items))
    return found


def _effects(name: str, windows: Sequence[Kept], items: Sequence[Finding | None]) -> str:
    unit = next(item.unit for item in items if item is not None and item.exceeded)
    sizes = [None if item is None or not item.rows else item.effect for item in items]
    bounds = [None if item is None else item.bound for item in items]
    words = "sd" if unit == "sd" else "share of rows"
    series = [Series("effect", _at(windows), sizes, "both"), Series("bound", _at(windows), bounds)]
    return _over_time(f"{name}: how far it moved", windows, series, words)


def _breaches(name: str, windows: Sequence[Kept], items: Sequence[Finding | None]) -> str:
    shares = [None if item is None else max((part.share for part in item.breaches), default=0.0) for item in items]
    kinds = sorted({part.kind for item in items if item is not None for part in item.breaches})
    series = [Series("share", _at(windows), shares, "both")]
    return _over_time(f"{name}: contract broken ({', '.join(kinds)})", windows, series, "share of rows")


def score_plots(view: View) -> list[str]:
    """Return the scores of the newest windows with rows, each against the reference."""
    windows = [kept for kept in view.windows if kept.watched is not None and kept.judged.rows][-NEWEST:]
    names = [name for name in view.reference.bins if name.startswith(SCORE)][:MOST_CLASSES]
    found = []
    for kept in reversed(windows):
        profile = kept.watched.profile if kept.watched else view.reference
        for name in names:
            if name in profile.counts and len(profile.bins[name].edges) > 1 and profile.counts[name][:-1].any():
                found.append(_scores(name, kept.judged.window, profile, view.reference))
    return found


def beyond(view: View) -> float | None:
    """Return the share of the newest scores outside the range of the reference's; None without such a window."""
    for kept in reversed(view.windows):
        if kept.watched is not None and kept.judged.rows and SCORE in kept.watched.profile.counts:
            counts = kept.watched.profile.counts[SCORE]
            known = counts[:-1].sum()
            return float(counts[0] + counts[-2]) / float(known) if known else None
    return None


def _scores(name: str, window: str, profile: Profile, reference: Profile) -> str:
    edges = np.linspace(profile.bins[name].edges[0], profile.bins[name].edges[-1], STEPS + 1)
    middle = [float(value) for value in (edges[:-1] + edges[1:]) / 2]
    series = [Series(window, middle, _shares(profile, name, edges), "both"),
              Series("reference", middle, _shares(reference, name, edges))]  # fmt: skip
    title = f"Scores of {window}" + ("" if name == SCORE else f" {name.removeprefix(SCORE)}")
    top = _from_zero([value for item in series for value in item.y])
    return line_chart(title, series, x_label="score", y_label="share of rows", y_range=top)


def _shares(profile: Profile, name: str, edges: np.ndarray) -> list[float | None]:
    """Return the share of all rows in each of the equal steps; within a bin, rows are taken as spread evenly."""
    counts = profile.counts[name][:-1]
    below = np.cumsum(counts)[:-1] / counts.sum()
    return [float(value) for value in np.diff(np.interp(edges, profile.bins[name].edges, below))]


def calibration(view: View) -> list[str]:
    """Return mean score against mean outcome by window, and how often each level of the score came true."""
    known = [item for item in view.outcomes if item["mean_label"] is not None][-MOST:]
    found = []
    if known:
        at = [float(index) for index in range(len(known))]
        series = [Series("outcomes", at, [item["mean_label"] for item in known], "both"),
                  Series("scores", at, [item["mean_score"] for item in known])]  # fmt: skip
        found.append(_named("Mean score and what came of it", [str(item["window"]) for item in known], series, "mean"))
    told = [item for item in known if item["by_score"] is not None and item["known"] >= view.rules.min_labels]
    if told:
        ends = [told[-1], told[0]] if len(told) > 1 else told
        lines = [_reliability(str(item["window"]), item["by_score"]) for item in ends]
        top = min(1.0, 1.1 * max([value or 0.0 for item in lines for value in [*item.x, *item.y]], default=1.0))
        found.append(
            line_chart("How often a score came true", lines, x_label="score", y_label="share that came true",
                       x_range=(0.0, top), y_range=(0.0, top), diagonal=True)
        )  # fmt: skip
    return found


def _reliability(name: str, counted: dict[str, object]) -> Series:
    levels = [level for level in reliability(Profile.from_dict(counted)) if level["rows"] >= LEAST]
    return Series(
        name, [(level["low"] + level["high"]) / 2 for level in levels], [level["share"] for level in levels], "both"
    )


def performance(view: View) -> list[str]:
    """Return the primary metric by window, realised and estimated; the dashed line is the champion's test window."""
    found = view.outcomes[-MOST:]
    if not found:
        return []
    at = [float(index) for index in range(len(found))]
    expected = (view.performance.get("expected") or {}).get(view.primary)
    series = [Series("realised", at, [item["realised"] for item in found], "both"),
              Series("estimated", at, [item["estimate"] for item in found])]  # fmt: skip
    name = view.primary.replace("_", " ")
    title = name + ("" if expected is None else f" (dotted: {expected:.4g} in test)")
    return [_named(title, [str(item["window"]) for item in found], series, name, expected)]


def levels(view: View) -> list[str]:
    """Return latency and volume by window, each with its bound as a line."""
    windows = _shown(view)
    if not windows:
        return []
    slow = [None if kept.watched is None or LATENCY not in kept.watched.profile.bins
            else quantile(kept.watched.profile, LATENCY, 0.99) for kept in windows]  # fmt: skip
    rows: list[float | None] = [float(kept.judged.rows) for kept in windows]
    found = []
    if any(value is not None for value in slow):
        series = [Series("p99", _at(windows), slow, "both")]
        found.append(_over_time("Latency: 99 % within", windows, series, "ms", view.rules.latency_p99_ms))
    found.append(
        _over_time("Predictions", windows, [Series("rows", _at(windows), rows, "both")], "rows", view.rules.min_volume)
    )
    return found


def lag(view: View) -> list[str]:
    """Return how many outcomes are known by window, and how late they came."""
    found = view.outcomes[-MOST:]
    if not found:
        return []
    at, names = [float(index) for index in range(len(found))], [str(item["window"]) for item in found]
    known = [Series("known", at, [item["known"] / item["rows"] for item in found], "both")]
    plots = [_named("Predictions whose outcome is known", names, known, "share", y_range=UNIT)]
    late = [item["lag_days"] for item in found]
    if any(value is not None for value in late):
        series = [Series("median", at, late, "both")]
        plots.append(_named("Feedback lag, median", names, series, "days", y_range=_from_zero(late)))
    return plots


def _shown(view: View) -> list[Kept]:
    return list(view.windows[-MOST:])


def _at(windows: Sequence[Kept]) -> list[float]:
    return [float(index) for index in range(len(windows))]


def _over_time(
    title: str, windows: Sequence[Kept], series: Sequence[Series], y_label: str, level: float | None = None
) -> str:
    return _named(title, [kept.judged.window for kept in windows], series, y_label, level, zero=True)


def _named(
    title: str,
    names: Sequence[str],
    series: Sequence[Series],
    y_label: str,
    level: float | None = None,
    y_range: tuple[float, float] | None = None,
    zero: bool = False,
) -> str:
    around = (-0.4, max(len(names) - 1, 0) + 0.4)
    values = [*(value for item in series for value in item.y), level]
    up = y_range or (_from_zero(values) if zero else span(values))
    return line_chart(
        title, series, x_label="window", y_label=y_label, names=names, x_range=around, y_range=up, level=level
    )


def _from_zero(values: Sequence[float | None]) -> tuple[float, float]:
    """Return a range from 0 that holds ``values``; of zeros alone, one that is not empty."""
    low, high = span(values, zero=True)
    return (low, high) if high > low else UNIT
