"""The plots of the report: SVG for the page, Mermaid for the comment. Dashed orange is the champion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pandas as pd

from mainline.compare.report_words import Part, Section, View, finite, part, parts, signed, text, value_of
from mainline.evaluate.blocks import Block, Heading, Inline, Listing, Paragraph, Plots
from mainline.evaluate.card_words import number, plural
from mainline.evaluate.charts import Interval, Series, heat_map, interval_chart, line_chart, span

UNIT = (0.0, 1.0)
MOST_SLICES = 24
MODELS = ("challenger", "champion")


def curves(view: View) -> list[Block]:
    """Return ROC, precision and recall, confusion or residuals of both models, as far as their tables are given."""
    found: list[str] = []
    for name, title, x, y in (
        ("roc", "ROC curve", "false_positive_rate", "true_positive_rate"),
        ("precision_recall", "Precision and recall", "recall", "precision"),
    ):
        series = _both(view, name, x, y)
        if series:
            words = x.replace("_", " "), y.replace("_", " ")
            found.append(
                line_chart(
                    title,
                    series,
                    x_label=words[0],
                    y_label=words[1],
                    x_range=UNIT,
                    y_range=UNIT,
                    diagonal=name == "roc",
                )
            )
    residuals = _both(view, "residuals", "predicted", "residual", "dots")
    across = span([value for item in residuals for value in item.x])
    up = span([value for item in residuals for value in item.y])
    for item in residuals:
        name = f"Residuals: {item.name}"
        found.append(
            line_chart(name, [item], x_label="predicted", y_label="residual", level=0.0, x_range=across, y_range=up)
        )
    found += [_confusion(table, model) for model in MODELS if (table := _plot(view, model, "confusion")) is not None]
    return _grid(found)


def _both(view: View, name: str, x: str, y: str, kind: Literal["line", "dots"] = "line") -> list[Series]:
    found = []
    for model in MODELS:
        table = _plot(view, model, name)
        if table is None or not {x, y} <= set(table.columns):
            continue
        table = table[[x, y]].apply(pd.to_numeric, errors="coerce").dropna()
        if name == "value":
            table = table.sort_values(x, kind="stable")
        if not table.empty:
            xs, ys = ([float(value) for value in table[column]] for column in (x, y))
            found.append(Series(model, xs, ys, kind))
    return found


def _plot(view: View, model: str, name: str) -> pd.DataFrame | None:
    found = view.plots.get(f"{model}/{name}")
    if found is None and model == "challenger":
        found = view.plots.get(name)
    return None if found is None or found.empty else found


def _confusion(table: pd.DataFrame, model: str) -> str:
    count = table["count" if "count" in table else "rows"]
    names = sorted({*table["actual"].astype(str), *table["predicted"].astype(str)})
    cells = dict(zip(zip(table["actual"].astype(str), table["predicted"].astype(str), strict=True), count, strict=True))
    return heat_map(f"Confusion: {model}", names, [[int(cells.get((a, p), 0)) for p in names] for a in names])


def groups(view: View, key: str, found: Sequence[Part]) -> list[Block]:
    """Return the difference by slice with its interval, or both models by month."""
    if key == "months":
        return _months(view, found)
    known = [
        item
        for item in found
        if item.get("judged") is True and finite(part(item, "difference").get("value")) is not None
    ]
    known.sort(key=lambda item: -abs(part(item, "difference")["value"]))
    rows = []
    for item in known[:MOST_SLICES]:
        gap = part(item, "difference")
        name = f"{text(item.get('slice'), 40)}: {text(item.get('group'), 40)}"
        note = f"{signed(gap['value'])}, {number(finite(item.get('rows')))} rows"
        rows.append(Interval(name, gap["value"], finite(gap.get("low")), finite(gap.get("high")), note=note))
    if not rows:
        return []
    title = "Largest differences by slice" + ("" if len(rows) == len(known) else f" ({len(rows)} of {len(known)})")
    label = f"{view.primary_words}, challenger − champion"
    return _grid([interval_chart(title, rows, label=label, reference=(0.0, "no difference"))])


def _months(view: View, found: Sequence[Part]) -> list[Block]:
    at = [float(index) for index in range(len(found))]
    series = []
    for model in MODELS:
        values = [finite(part(item, model).get(view.primary)) for item in found]
        if any(value is not None for value in values):
            series.append(Series(model, at, values, "both"))
    if not series or len(found) < 2:
        return []
    names = [text(item.get("month"), 12) for item in found]
    around = (-0.3, at[-1] + 0.3)
    title = f"{view.primary_words} by month"
    return _grid([line_chart(title, series, x_label="month", y_label=view.primary_words, names=names, x_range=around)])


def calibration(view: View) -> list[Section]:
    """Return predicted against observed of both models: a plot, a diagram, and the bins folded."""
    both = part(view.verdict, "calibration")
    bins = {model: _bins(part(both, model)) for model in MODELS}
    if not any(bins.values()):
        return []
    words: list[str] = []
    for model in MODELS:
        error = finite(part(both, model).get("error"))
        if error is not None:
            words.append(f"{model} {number(error)}")
    intro = f"Expected calibration error: {', '.join(words)}. " if words else ""
    series = [
        Series(model, [item[0] for item in bins[model]], [item[1] for item in bins[model]], "both")
        for model in MODELS
        if bins[model]
    ]
    top = min(1.0, max(0.1, *(value for item in bins.values() for pair in item for value in pair[:2])) * 1.08)
    plot = line_chart(
        "Calibration", series, x_label="mean prediction", y_label="observed rate", x_range=(0.0, top),
        y_range=(0.0, top), diagonal=True,
    )  # fmt: skip
    shown = (
        _grid([plot]) if view.most is None else [_diagram(model, bins[model], top) for model in MODELS if bins[model]]
    )
    how = (
        "On the diagonal, a prediction of 20 % comes true for 20 % of the rows."
        if view.most is None
        else "Bars are the mean prediction of each bin, the line is what was observed; they should meet."
    )
    rows: list[tuple[Inline, ...]] = [
        (model, str(place), number(rows), value_of("", score), value_of("", label), signed(round(label - score, 9)))
        for model in MODELS
        for place, (score, label, rows) in enumerate(bins[model], 1)
    ]
    head = ("model", "bin", "rows", "mean prediction", "observed rate", "observed − predicted")
    table = view.table(head, rows, (1, 2, 3, 4, 5), f"{plural(len(rows), 'bin')} as a table")
    return [
        Section("Calibration", 11, (Heading("Calibration"), Paragraph(f"{intro}{how}"), *shown)),
        Section("calibration as a table", 15, (table,)),
    ]


def _bins(found: Part) -> list[tuple[float, float, float | None]]:
    """Return mean prediction, observed rate and rows of each bin that has both rates."""
    pairs = [
        (finite(i.get("mean_score")), finite(i.get("mean_label")), finite(i.get("rows"))) for i in parts(found, "bins")
    ]
    return [(score, label, rows) for score, label, rows in pairs if score is not None and label is not None]


def _diagram(model: str, bins: Sequence[tuple[float, float, float | None]], top: float) -> Listing:
    score = ", ".join(f"{100 * item[0]:.2f}" for item in bins)
    label = ", ".join(f"{100 * item[1]:.2f}" for item in bins)
    places = ", ".join(str(place) for place in range(1, len(bins) + 1))
    lines = (
        "---", "config:", "  xyChart:", "    width: 640", "    height: 260", "---",
        "xychart-beta",
        f'    title "{model}: predicted (bars) and observed (line)"',
        f'    x-axis "bin of equal counts, by rising prediction" [{places}]',
        f'    y-axis "%" 0 --> {100 * top:.1f}',
        f"    bar [{score}]",
        f"    line [{label}]",
    )  # fmt: skip
    return Listing("\n".join(lines), "mermaid")


def value(view: View) -> list[Block]:
    """Return what acting from each threshold up was worth, for both models."""
    series = _both(view, "value", "threshold", "total")
    if not series:
        return []
    found = part(part(view.verdict, "value"), "challenger")
    used = finite(found.get("value"))
    most = max([value for item in series for value in item.x] + [used or 0.0])
    plot = line_chart(
        "Value of acting, by threshold",
        series,
        x_label="act from this probability up",
        y_label=text(found.get("unit") or "value", 20),
        x_range=(0.0, most or 1.0),
        level=0.0,
        vertical=None if used is None else (used, f"used: {number(used)}"),
    )
    return _grid([plot])


def _grid(svg: list[str]) -> list[Block]:
    return [Plots(tuple(svg))] if svg else []
