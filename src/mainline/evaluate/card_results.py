"""The sections of the card that say how good the model is: gates, metrics, calibration, months, slices, value,
behaviour.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from mainline.evaluate.card_words import METRICS, NONE, Facts, metric, number, percent, plain, plural
from mainline.evaluate.charts import Interval, Series, heat_map, interval_chart, line_chart, span
from mainline.evaluate.document import Badge, Block, Code, Heading, Inline, Paragraph, Plots, Table
from mainline.evaluate.metrics import metrics_for

UNIT = (0.0, 1.0)
MOST_SLICES = 24


def quality(facts: Facts) -> list[Block]:
    """Return the metrics with intervals next to the constant prediction, and the curves of the task."""
    rows = tuple(
        (
            METRICS.get(name, name),
            metric(name, entry.get("value")),
            f"{metric(name, entry.get('low'))} to {metric(name, entry.get('high'))}"
            if entry.get("low") is not None
            else NONE,
            metric(name, facts.baseline.get(name)),
            entry.get("better") or "",
        )
        for name, entry in facts.metrics.items()
    )
    level = f"{percent(facts.evaluation['level'], 0)} interval"
    words = (
        f"On the {plural(int(facts.evaluation['rows']), 'row')} of the test window. Intervals come from "
        f"{plural(int(facts.evaluation['resamples']), 'bootstrap resample')}. The constant "
        "always predicts the mean of the training rows."
    )
    head = ("metric", "value", level, "constant", "better is")
    return [Heading("How good it is"), Paragraph(words), Table(head, rows, (1, 2, 3)), *grid(_curves(facts))]


def _curves(facts: Facts) -> list[str]:
    found = []
    roc, recall, confusion, residuals = (
        plot_table(facts, name) for name in ("roc", "precision_recall", "confusion", "residuals")
    )
    if roc is not None:
        line = Series("model", floats(roc["false_positive_rate"]), floats(roc["true_positive_rate"]))
        found.append(
            line_chart(
                "ROC curve",
                [line],
                x_label="false positive rate",
                y_label="true positive rate",
                x_range=UNIT,
                y_range=UNIT,
                diagonal=True,
            )
        )
    if recall is not None:
        line = Series("model", floats(recall["recall"]), floats(recall["precision"]))
        found.append(
            line_chart(
                "Precision and recall", [line], x_label="recall", y_label="precision", x_range=UNIT, y_range=UNIT
            )
        )
    if confusion is not None:
        found.append(_confusion(confusion, facts))
    if residuals is not None:
        dots = Series("row", floats(residuals["predicted"]), floats(residuals["residual"]), "dots")
        found.append(
            line_chart("Residuals", [dots], x_label="predicted", y_label="residual (actual − predicted)", level=0.0)
        )
    return found


def _confusion(table: pd.DataFrame, facts: Facts) -> str:
    count = table["count" if "count" in table else "rows"]
    names = [
        str(name) for name in facts.training.get("classes") or sorted({*table["actual"], *table["predicted"]}, key=str)
    ]
    cells = dict(zip(zip(table["actual"].astype(str), table["predicted"].astype(str), strict=True), count, strict=True))
    return heat_map("Confusion matrix", names, [[int(cells.get((a, p), 0)) for p in names] for a in names])


def calibration(facts: Facts) -> list[Block]:
    """Return the expected calibration error and its bins; nothing for a task without probabilities."""
    found = facts.evaluation.get("calibration")
    if not found:
        return []
    bins = [item for item in found.get("bins") or () if plain(item.get("mean_score")) and plain(item.get("mean_label"))]
    table = plot_table(facts, "calibration")
    if table is not None:
        table = table.dropna(subset=["mean_score", "mean_label"])
        x, y = floats(table["mean_score"]), floats(table["mean_label"])
    else:
        x, y = [item["mean_score"] for item in bins], [item["mean_label"] for item in bins]
    top = min(1.0, max([*x, *y, 0.1]) * 1.08)
    plot = line_chart(
        "Calibration",
        [Series("bin", x, y, "both")],
        x_label="mean prediction",
        y_label="observed rate",
        x_range=(0.0, top),
        y_range=(0.0, top),
        diagonal=True,
    )
    rows = tuple(
        (
            f"{number(item['low'])} to {number(item['high'])}",
            f"{item['rows']:,}",
            metric("", item["mean_score"]),
            metric("", item["mean_label"]),
        )
        for item in bins
    )
    words = (
        f"The expected calibration error is {number(found.get('error'))}: so far is the observed rate from the "
        "predicted one, on average over the bins. On the diagonal, a prediction of 20 % comes true for 20 % of the "
        "rows."
    )
    head = ("predictions", "rows", "mean prediction", "observed rate")
    folded = Table(head, rows, (1, 2, 3), f"{plural(len(rows), 'bin')} as a table")
    return [Heading("Calibration"), Paragraph(words), *(grid([plot]) if x else []), *([folded] if rows else [])]


def months(facts: Facts) -> list[Block]:
    """Return the model month by month; nothing without a time column."""
    found = facts.evaluation.get("months") or ()
    if not found:
        return []
    names = [str(item["month"]) for item in found]
    at = [float(index) for index in range(len(found))]
    plots = []
    if any(plain(item.get("mean_score")) for item in found):
        score, label = (
            [item.get(key) if plain(item.get(key)) else None for item in found] for key in ("mean_score", "mean_label")
        )
        binary = facts.settings.model.task == "binary"
        top = span([*score, *label], 0.1, zero=binary)
        plots.append(
            line_chart(
                "Prediction and outcome by month",
                [
                    Series("mean prediction", at, score, "both"),
                    Series("observed rate" if binary else "mean label", at, label, "both"),
                ],
                x_label="month",
                y_label="mean",
                names=names,
                x_range=_around(at),
                y_range=top,
            )
        )
    title = METRICS.get(facts.primary, facts.primary)
    values = [item["metrics"].get(facts.primary) for item in found]
    plots.append(
        line_chart(
            f"{title} by month",
            [Series(title, at, values, "both")],
            x_label="month",
            y_label=title,
            names=names,
            x_range=_around(at),
            y_range=span([*values, facts.baseline.get(facts.primary)], 0.15),
            level=facts.baseline.get(facts.primary),
        )
    )
    head, rows, numeric = _group_table(facts, found, ("month",))
    base = (
        " The dashed line is the constant prediction on all test rows."
        if plain(facts.baseline.get(facts.primary))
        else ""
    )
    return [
        Heading("By month"),
        *([Paragraph(base.strip())] if base else []),
        *grid(plots),
        Table(head, rows, numeric),
    ]


def _around(at: list[float]) -> tuple[float, float]:
    return (-0.3, max(at[-1] + 0.3, 0.7))


def slices(facts: Facts) -> list[Block]:
    """Return the slices, the worst by the primary metric first, those too small to be judged last."""
    found = list(facts.evaluation.get("slices") or ())
    if not found:
        return []
    rule = metrics_for(facts.settings.model.task).get(facts.primary)

    def badness(item: Mapping[str, Any]) -> tuple[bool, bool, float]:
        value = item["metrics"].get(facts.primary)
        return not item["judged"], value is None, 0.0 if value is None or rule is None else -rule.badness(value)

    found.sort(key=badness)
    title = METRICS.get(facts.primary, facts.primary)
    shown = [item for item in found if item["judged"] and plain(item["metrics"].get(facts.primary))][:MOST_SLICES]
    overall = facts.primary_entry.get("value")
    reference = (float(overall), "all test rows") if overall is not None else None
    chart = interval_chart(
        f"{title} by slice, worst first" + ("" if len(shown) == len(found) else f" ({len(shown)} of {len(found)})"),
        [
            Interval(
                f"{item['slice']}: {item['group']}",
                item["metrics"][facts.primary],
                faint=not item["judged"],
                note=plural(item["rows"], "row"),
            )
            for item in shown
        ],
        label=title,
        reference=reference,
    )
    head, rows, numeric = _group_table(facts, found, ("slice", "group"))
    words = (
        f"Worst first by {title}. A slice with fewer than {facts.settings.evaluate.min_rows} rows is shown, but not "
        "judged."
    )
    table = Table(head, rows, numeric, f"all {plural(len(rows), 'slice')} as a table" if len(rows) > 12 else "")
    return [Heading("By slice"), Paragraph(words), *(grid([chart]) if shown else []), table]


def _group_table(
    facts: Facts, found: Any, keys: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[tuple[Inline, ...], ...], tuple[int, ...]]:
    names = [name for name in facts.metrics if any(name in item["metrics"] for item in found)][:4]
    means = any(plain(item.get("mean_score")) for item in found)
    extra = ("mean prediction", "mean outcome") if means else ()
    some = any(not item["judged"] for item in found)
    head = (*keys, "rows", *(METRICS.get(name, name) for name in names), *extra, *(("",) if some else ()))
    rows = tuple(
        (
            *(Code(str(item[key])) for key in keys),
            f"{item['rows']:,}",
            *(metric(name, item["metrics"].get(name)) for name in names),
            *((metric("", item.get("mean_score")), metric("", item.get("mean_label"))) if means else ()),
            *((("" if item["judged"] else Badge("not judged", None)),) if some else ()),
        )
        for item in found
    )
    return head, rows, tuple(range(len(keys), len(head) - some))


def grid(svg: list[str]) -> list[Block]:
    """Return the plots side by side, or nothing without a plot."""
    return [Plots(tuple(svg))] if svg else []


def plot_table(facts: Facts, name: str) -> pd.DataFrame | None:
    """Return the table of reports/plots with this name, None if it is absent or has no rows."""
    table = facts.plots.get(name)
    return None if table is None or table.empty else table


def floats(column: pd.Series[Any]) -> list[float]:
    """Return a column as Python numbers."""
    return [float(value) for value in column]
