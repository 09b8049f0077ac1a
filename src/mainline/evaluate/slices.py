"""The metrics by declared slice and by month: an average hides the part of the data where a model fails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mainline.errors import UserError
from mainline.evaluate.metrics import Floats, Metric, rounded
from mainline.project import Grouping

MISSING = "(missing)"


def labels(frame: pd.DataFrame, grouping: Grouping, where: str) -> NDArray[np.object_]:
    """Return the group of each row as text, ``(n,)``; a missing value is the group "(missing)".

    Raises:
        UserError: the project's function fails, or does not return one value a row; ``where`` names it.
    """
    try:
        found = grouping(frame.copy(deep=False))
        values = pd.Series(found).astype(object)
    except Exception as error:  # the project's own code may raise anything
        raise UserError(
            f"{where}: the function fails on the test rows ({type(error).__name__}: {error})",
            f"it gets the raw rows, with columns {', '.join(map(str, frame.columns))}",
        ) from error
    if len(values) != len(frame):
        raise UserError(
            f"{where}: the function returned {len(values)} values for {len(frame)} rows",
            "return one value for each row",
        )
    return values.where(values.notna(), MISSING).astype(str).to_numpy(dtype=object)


def by_slice(
    frame: pd.DataFrame,
    y: NDArray[Any],
    score: Floats,
    metrics: Mapping[str, Metric],
    slices: Mapping[str, Grouping],
    min_rows: int,
) -> list[dict[str, Any]]:
    """Return one entry for each group of each slice: the "slices" of evaluation.json.

    Raises:
        UserError: see :func:`labels`.
    """
    return [
        {"slice": name, "group": group, **_entry(y[chosen], score[chosen], metrics, min_rows)}
        for name, grouping in slices.items()
        for group, chosen in groups(labels(frame, grouping, f"expectations.py, SLICES[{name!r}]"))
    ]


def by_month(
    time: pd.Series[Any], y: NDArray[Any], score: Floats, metrics: Mapping[str, Metric], min_rows: int
) -> list[dict[str, Any]]:
    """Return one entry for each calendar month of ``time``, in order: the "months" of evaluation.json."""
    months = labels(
        pd.DataFrame({"time": time}), lambda rows: pd.to_datetime(rows["time"]).dt.strftime("%Y-%m"), "data.time"
    )
    return [{"month": month, **_entry(y[chosen], score[chosen], metrics, min_rows)} for month, chosen in groups(months)]


def groups(names: NDArray[np.object_]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield each group in sorted order with the mask of its rows."""
    for name in sorted(set(names)):
        yield str(name), np.asarray(names == name, dtype=bool)


def mean_pair(y: NDArray[Any], score: Floats) -> tuple[float | None, float | None]:
    """Return mean prediction and mean outcome; with classes, mean confidence in the top class and its hits."""
    if score.ndim == 2:
        score, y = score.max(axis=1), score.argmax(axis=1) == y
    return rounded(float(np.mean(score))), rounded(float(np.mean(y)))


def _entry(y: NDArray[Any], score: Floats, metrics: Mapping[str, Metric], min_rows: int) -> dict[str, Any]:
    mean_score, mean_label = mean_pair(y, score)
    return {
        "rows": len(y),
        "judged": len(y) >= min_rows,
        "metrics": {name: rounded(metric.function(y, score)) for name, metric in metrics.items()},
        "mean_score": mean_score,
        "mean_label": mean_label,
    }
