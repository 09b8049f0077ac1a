"""The section of the card that says from which probability to act, and what that was worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mainline.evaluate.card_results import floats, grid, plot_table
from mainline.evaluate.card_words import Facts, cut, number, percent, plain, plural
from mainline.evaluate.charts import Series, line_chart, span
from mainline.evaluate.document import Block, Bullets, Heading, Inline


def value(facts: Facts) -> list[Block]:
    """Return the threshold and what acting on it was worth; nothing without a declared value."""
    found = facts.evaluation.get("threshold")
    if not found:
        return []
    unit, rows, acted = str(found["unit"]), int(facts.evaluation["rows"]), int(found["acted"])
    share = f" ({percent(acted / rows)})" if rows else ""
    items: list[Inline] = [
        f"Act when the probability is at least {cut(found['value'])}: a hit is worth {unit} {number(found['gain'])}, "
        f"every act costs {unit} {number(found['cost'])}.",
        f"On the test window that is {plural(acted, 'act')} for {plural(rows, 'row')}{share}, worth "
        f"{_money(found, 'total')} in all, {unit} {number(found['per_row'], 2)} a row.",
        f"Acting on every row would have been worth {_money(found, 'act_on_all')}, acting on none "
        f"{_money(found, 'act_on_none')}.",
        f"Of the acts, {percent(found['precision'])} were hits; they found {percent(found['recall'])} of all "
        "positives.",
    ]
    if plain(found.get("best_value")):
        items.append(
            f"In hindsight the best threshold was {cut(found['best_value'])}, worth {_money(found, 'best_total')}: "
            "no one could have known it, so it is not used."
        )
    return [Heading("Threshold and value"), Bullets(tuple(items)), *grid(_value_curve(facts, found))]


def _money(found: Mapping[str, Any], key: str) -> str:
    return f"{found['unit']} {number(found[key], 0)}"


def _value_curve(facts: Facts, found: Mapping[str, Any]) -> list[str]:
    table = plot_table(facts, "value")
    if table is None:
        return []
    table = table.sort_values("threshold")
    y = floats(table["value" if "value" in table else "total"])
    line = Series("value", floats(table["threshold"]), y)
    return [
        line_chart(
            "Value of acting, by threshold",
            [line],
            x_label="act from this probability up",
            y_label=str(found["unit"]),
            y_range=span([*y, 0.0]),
            x_range=(0.0, max([*line.x, found["value"]])),
            level=0.0,
            vertical=(found["value"], f"used: {cut(found['value'])}"),
        )
    ]
