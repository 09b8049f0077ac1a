"""Plots as SVG text: no drawing library, equal numbers give equal bytes, colours follow the page (light, dark, print).

Sizes are in SVG units; the page scales the picture to its column. Every text that comes from data is escaped.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from mainline.evaluate.document import clean

WIDTH = 460
MOST_POINTS = 400
Range = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """Points of one line: ``name`` appears in the legend if there is more than one; ``None`` values break the line."""

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    kind: Literal["line", "dots", "both"] = "line"


@dataclass(frozen=True)
class Interval:
    """One row of :func:`interval_chart`; ``low`` and ``high`` may be absent, a ``faint`` row is not judged."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    faint: bool = False
    note: str = ""


def label_of(value: float) -> str:
    """Return a short tick label: 0.25, 1,200, 2.5M, 1e-06."""
    size = abs(value)
    for bound, unit in ((1e9, "G"), (1e6, "M")):
        if size >= bound:
            return f"{value / bound:.4g}{unit}"
    return f"{value:,.0f}" if size >= 1000 else f"{value + 0.0:.4g}"


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Return about ``wanted`` round numbers within [low, high], in steps of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / max(wanted, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def span(values: Sequence[float | None], pad: float = 0.05, zero: bool = False) -> Range:
    """Return a range that holds the finite ``values`` with a margin, never empty; (0, 1) for no values."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return 0.0, 1.0
    low, high = min(known), max(known)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if low == high == 0:
        return (0.0 if zero else -1.0), 1.0
    margin = (high - low) * pad or abs(high) * 0.5
    return (low if zero and low == 0 else low - margin), (high if zero and high == 0 else high + margin)


def line_chart(
    title: str,
    series: Sequence[Series],
    *,
    x_label: str,
    y_label: str,
    x_range: Range | None = None,
    y_range: Range | None = None,
    names: Sequence[str] = (),
    diagonal: bool = False,
    vertical: tuple[float, str] | None = None,
    level: float | None = None,
) -> str:
    """Return a chart of one or two series of lines or dots.

    Args:
        names: labels of x = 0, 1, 2 … instead of numbers.
        diagonal: also draw y = x: the perfect model of a calibration plot, the useless one of a ROC curve.
        vertical: an x value to mark, with its label.
        level: a y value to mark.
    """
    xs = x_range or span([value for item in series for value in item.x])
    ys = y_range or span([value for item in series for value in item.y])
    widest = max((len(label_of(value)) for value in ticks(*ys)), default=1)
    left, right, top, bottom = 36 + 8 * widest, 14, 34 if len(series) < 2 else 54, 52
    height = 270 + top
    at_x = _scale(xs, left, WIDTH - right)
    at_y = _scale(ys, height - bottom, top)
    parts = [_text(8, 18, title, "title")]
    parts += [_y_tick(value, at_y(value), left, WIDTH - right) for value in ticks(*ys)]
    named = [(float(index), name) for index, name in enumerate(names)]
    marks = named or [(value, label_of(value)) for value in ticks(*xs)]
    every = math.ceil(len(marks) / 6)
    parts += [_text(at_x(value), height - bottom + 18, name, "", "middle") for value, name in marks[::every]]
    parts.append(_line(left, height - bottom, WIDTH - right, height - bottom, "axis"))
    parts.append(_text((left + WIDTH - right) / 2, height - 10, x_label, "", "middle"))
    middle = (top + height - bottom) / 2
    parts.append(_text(14, middle, y_label, "", "middle", f' transform="rotate(-90 14 {_n(middle)})"'))
    if diagonal:
        low, high = max(xs[0], ys[0]), min(xs[1], ys[1])
        parts.append(_line(at_x(low), at_y(low), at_x(high), at_y(high), "guide"))
    if level is not None and ys[0] <= level <= ys[1]:
        parts.append(_line(left, at_y(level), WIDTH - right, at_y(level), "guide"))
    for item, style in zip(series, ("one", "two"), strict=False):
        parts += _series(item, style, at_x, at_y)
    if vertical and xs[0] <= vertical[0] <= xs[1]:
        x = at_x(vertical[0])
        anchor, shift = ("end", -6) if x > WIDTH * 0.6 else ("start", 6)
        parts.append(_line(x, top, x, height - bottom, "guide"))
        parts.append(_text(x + shift, height - bottom - 8, vertical[1], "name", anchor))
    if len(series) > 1:
        parts += _legend([item.name for item in series], left)
    return _svg(title, height, parts)


def interval_chart(
    title: str, rows: Sequence[Interval], *, label: str, reference: tuple[float, str] | None = None
) -> str:
    """Return one row a value: a dot, its interval as a bar, and a dashed reference line with its meaning."""
    top, bottom, step, right = 34, 46, 24, 62
    left = min(190, 24 + 7 * max((len(row.name) for row in rows), default=0))
    base = top + step * len(rows)
    height = base + bottom
    known = [value for row in rows for value in (row.value, row.low, row.high)]
    xs = span([*known, reference[0] if reference else None], 0.08)
    at = _scale(xs, left, WIDTH - right)
    parts = [_text(8, 18, title, "title")]
    for value in ticks(*xs, 4):
        parts.append(_line(at(value), top, at(value), base, "grid"))
        parts.append(_text(at(value), base + 18, label_of(value), "", "middle"))
    if reference:
        parts.append(_line(at(reference[0]), top, at(reference[0]), base, "guide"))
    meaning = f"{label} · dashed: {reference[1]}" if reference else label
    parts.append(_text(WIDTH / 2, base + 38, meaning, "", "middle"))
    for index, row in enumerate(rows):
        y = top + step * (index + 0.5)
        faint = " faint" if row.faint else ""
        parts.append(_text(left - 10, y + 4, _short(row.name, (left - 10) // 7), "name", "end"))
        if row.low is not None and row.high is not None:
            parts.append(_line(at(row.low), y, at(row.high), y, "one bar"))
        tip = f"{row.name}: {label_of(row.value)}" + (f", {row.note}" if row.note else "")
        parts.append(_dot(at(row.value), y, f"one-fill{faint}", 5, tip))
        parts.append(_text(WIDTH - 6, y + 4, _fixed(row.value), f"name{faint}", "end"))
    return _svg(title, height, parts)


def heat_map(title: str, labels: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """Return a confusion matrix: rows are actual classes, columns predicted ones, shade is the share of the row."""
    many = len(labels)
    left = min(120, 30 + 7 * max((len(item) for item in labels), default=0))
    top, cell = 60, (WIDTH - left - 10) / max(many, 1)
    tall = min(cell, 48.0)
    parts = [_text(8, 18, title, "title"), _text(left, 38, "predicted →   (rows: actual)", "")]
    for i, name in enumerate(labels):
        parts.append(_text(left + cell * (i + 0.5), top - 6, _short(name, max(int(cell / 7.5), 1)), "name", "middle"))
        parts.append(_text(left - 8, top + tall * (i + 0.5) + 4, _short(name, (left - 10) // 7), "name", "end"))
        row = sum(counts[i])
        for j, count in enumerate(counts[i]):
            share = count / row if row else 0.0
            x, y = left + cell * j, top + tall * i
            tip = f"{name} predicted as {labels[j]}: {count:,} of {row:,}"
            parts.append(
                f'<rect x="{_n(x + 1)}" y="{_n(y + 1)}" width="{_n(cell - 2)}" height="{_n(tall - 2)}" rx="3" '
                f'class="one-fill" fill-opacity="{0.05 + 0.5 * share:.3f}"><title>{_escape(tip)}</title></rect>'
            )
            if cell >= 34:
                parts.append(_text(x + cell / 2, y + tall / 2 + 4, label_of(count), "name", "middle"))
    return _svg(title, top + tall * many + 12, parts)


def _scale(values: Range, start: float, end: float) -> Callable[[float], float]:
    low, high = values
    return lambda value: start + (end - start) * (min(max(value, low), high) - low) / (high - low)


def _series(item: Series, style: str, at_x: Callable[[float], float], at_y: Callable[[float], float]) -> list[str]:
    every = 1 if len(item.x) <= MOST_POINTS else math.ceil(len(item.x) / MOST_POINTS)
    kept = [index for index in range(len(item.x)) if index % every == 0 or index == len(item.x) - 1]
    runs: list[list[tuple[int, float, float]]] = [[]]
    for index in kept:
        value = item.y[index]
        if value is None or not math.isfinite(value):
            runs.append([])
        else:
            runs[-1].append((index, at_x(item.x[index]), at_y(value)))
    parts = []
    if item.kind != "dots":
        paths = (" ".join(f"{_n(x)},{_n(y)}" for _, x, y in run) for run in runs if len(run) > 1)
        parts += [f'<polyline class="line {style}" points="{points}"/>' for points in paths]
    if item.kind != "line":
        radius, look = (3.0, f"{style}-fill faint") if item.kind == "dots" else (4.0, f"{style}-fill")
        for index, x, y in (point for run in runs for point in run):
            tip = f"{item.name}: {label_of(round(item.x[index], 4))}, {label_of(round(item.y[index] or 0.0, 4))}"
            parts.append(_dot(x, y, look, radius, tip))
    return parts


def _legend(names: Sequence[str], left: float) -> list[str]:
    parts = []
    for index, name in enumerate(names[:2]):
        x = left + index * 190
        parts.append(_line(x, 36, x + 26, 36, f"line {('one', 'two')[index]}"))
        parts.append(_text(x + 32, 40, _short(name, 24), "name"))
    return parts


def _y_tick(value: float, y: float, left: float, right: float) -> str:
    return _line(left, y, right, y, "grid") + _text(left - 6, y + 4, label_of(value), "", "end")


def _text(x: float, y: float, value: str, style: str, anchor: str = "start", more: str = "") -> str:
    styled = f' class="{style}"' if style else ""
    placed = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text x="{_n(x)}" y="{_n(y)}"{styled}{placed}{more}>{_escape(value)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    return f'<line x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}" class="{style}"/>'


def _dot(x: float, y: float, style: str, radius: float, tip: str) -> str:
    return f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(radius)}" class="{style}"><title>{_escape(tip)}</title></circle>'


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    body = "\n".join(parts)
    return f'<svg viewBox="0 0 {WIDTH} {_n(height)}" role="img" aria-label="{_escape(title)}">\n{body}\n</svg>'


def _escape(value: str) -> str:
    return html.escape(clean(value))


def _fixed(value: float) -> str:
    return f"{value + 0.0:.3f}" if abs(value) < 100 else label_of(value)


def _short(value: str, most: int) -> str:
    return value if len(value) <= most else value[: max(most - 1, 0)] + "…"


def _n(value: float) -> str:
    return f"{round(value, 1) + 0.0:g}"
