"""The tables of the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mainline.evaluate.blocks import Badge, Block, Code, Inline, Table, Tile
from mainline.monitor.history import DAYS
from mainline.monitor.page_map import SIGNS, UNKNOWN, cell_of, columns_of, window_cell
from mainline.monitor.page_view import View
from mainline.monitor.verdict import ALARMS

MOST_ROWS = 40
MOST_WINDOWS = 12
LONGEST = 300
NONE = "–"
BY_WINDOW = ("window", "predictions", "outcomes", "estimated", "realised", "interval", "mean score", "mean outcome")
GOOD: Mapping[str, bool | None] = {"OK": True, "DRIFT": False}


def primary_tile(view: View) -> list[Tile]:
    """Return the realised primary metric, with what was expected of it."""
    found = view.performance
    real = ((found.get("realised") or {}).get("metrics") or {}).get(view.primary)
    expected = (found.get("expected") or {}).get(view.primary)
    if real is None or real["value"] is None:
        return []
    good = {"OK": True, "WORSE": False}.get(str(found.get("verdict")))
    note = "" if expected is None else f"{expected:.4g} in the test window"
    return [Tile(f"{view.primary.replace('_', ' ')}, realised", f"{real['value']:.4g}", note, good)]


def alarm_rows(view: View) -> list[tuple[Inline, ...]]:
    """Return a line for each column that alarms in the newest window: contracts first, then by size."""
    if view.newest is None:
        return []
    fired = [item for item in view.newest.judged.findings if item.verdict in ALARMS]
    fired.sort(key=lambda item: (item.verdict != "DRIFT", not item.breaches, -item.effect, item.column))
    return [
        (Code(item.column), item.words[:LONGEST], Badge(item.verdict, GOOD.get(item.verdict)), item.severity,
         f"{item.effect:.2g} {item.unit}", _since(view, item.column))
        for item in fired
    ]  # fmt: skip


def _since(view: View, column: str) -> str:
    """Return the first of the windows in a row, up to the newest, in which the column alarmed; those without rows
    say nothing either way.
    """
    first = ""
    for kept in reversed(view.windows):
        found = {item.column: item for item in kept.judged.findings}.get(column)
        if found is None:
            continue
        if found.verdict not in ALARMS:
            break
        first = kept.judged.window
    return first


def map_table(view: View) -> Table:
    """Return the heat map as a table: the sign of the verdict and the effect, for the newest windows."""
    windows = list(view.windows[-MOST_WINDOWS:])
    rows: list[tuple[Inline, ...]] = [(Code("window"), *(window_cell(kept).sign for kept in windows))]
    for name in columns_of(windows)[:MOST_ROWS]:
        line: list[Inline] = [Code(name)]
        for kept in windows:
            found = {item.column: item for item in kept.judged.findings}.get(name)
            cell = cell_of(kept, found)
            sign = SIGNS["OK"] if cell.kind == "good" else cell.sign or UNKNOWN
            line.append(sign if found is None or not found.rows else f"{sign} {found.effect:.2f}")
        rows.append(tuple(line))
    head = ("column", *(kept.judged.window for kept in windows))
    return Table(head, tuple(rows), folded="verdict and effect of each column and window")


def performance_tables(view: View) -> list[Block]:
    """Return the metrics of the whole, and the primary one window by window."""
    found = view.performance
    real = (found.get("realised") or {}).get("metrics") or {}
    guess = (found.get("estimate") or {}).get("metrics") or {}
    rows: list[tuple[Inline, ...]] = []
    for name, expected in (found.get("expected") or {}).items():
        item = real.get(name) or {}
        bounds = NONE if item.get("low") is None else f"{item['low']:.4g} … {item['high']:.4g}"
        cells = (number(expected), number(guess.get(name)), number(item.get("value")), bounds)
        rows.append((name.replace("_", " "), *cells))
    blocks: list[Block] = []
    if rows:
        head = ("metric", "test window", "estimated", "realised", "interval")
        blocks.append(Table(head, tuple(rows), numeric=(1, 2, 3, 4)))
    if view.outcomes:
        lines = tuple(_window_row(item) for item in view.outcomes[-MOST_WINDOWS:])
        title = f"{view.primary.replace('_', ' ')} by window"
        blocks.append(Table(BY_WINDOW, lines, numeric=tuple(range(1, len(BY_WINDOW))), folded=title))
    return blocks


def _window_row(item: Mapping[str, Any]) -> tuple[Inline, ...]:
    bounds = NONE if item["low"] is None else f"{item['low']:.4g} … {item['high']:.4g}"
    return (
        str(item["window"]), f"{item['rows']:,}", f"{item['known']:,}", number(item["estimate"]),
        number(item["realised"]), bounds, number(item["mean_score"]), number(item["mean_label"]),
    )  # fmt: skip


def lag_table(view: View) -> list[Block]:
    """Return how many outcomes came how late; nothing if no outcome has a time."""
    counts = [0] * (len(DAYS) + 1)
    for item in view.outcomes:
        counts = [left + right for left, right in zip(counts, item["lags"], strict=True)]
    total = sum(counts)
    if not total:
        return []
    names = [f"up to {days} day{'s' if days > 1 else ''}" for days in DAYS] + [f"more than {DAYS[-1]} days"]
    sums = [sum(counts[: place + 1]) for place in range(len(counts))]
    rows = tuple(
        (name, f"{count:,}", f"{count / total:.0%}", f"{below / total:.0%}")
        for name, count, below in zip(names, counts, sums, strict=True)
        if count
    )
    return [Table(("known after", "outcomes", "share", "share so far"), rows, numeric=(1, 2, 3))]


def number(value: float | None) -> str:
    """Return a figure for a table."""
    return NONE if value is None else f"{value:.4g}"
