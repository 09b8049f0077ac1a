"""Gaps between declared groups of people in how well the model serves them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mainline.config import Task
from mainline.evaluate.metrics import Floats, rounded
from mainline.evaluate.slices import groups, labels
from mainline.project import Grouping

MIN_POSITIVES = 20
MEASURE = {
    "binary": "true positive rate",
    "multiclass": "accuracy",
    "regression": "mean error in standard deviations of the target",
}


def fairness(
    frame: pd.DataFrame,
    y: NDArray[Any],
    score: Floats,
    task: Task,
    declared: Mapping[str, Grouping],
    threshold: float,
    min_rows: int,
) -> list[dict[str, Any]]:
    """Return one entry for each declared grouping: the "fairness" of evaluation.json.

    Binary: the true positive rate at ``threshold`` (equal opportunity; Hardt, Price, Srebro 2016) and the share
    selected. Several classes: accuracy. Regression: the mean error, in standard deviations of the target. A group is
    judged from ``min_rows`` rows, and in a binary task 20 positives; the gap is the largest less the smallest judged
    value, and null when fewer than two groups are judged or a judged value is not a number.

    Raises:
        UserError: a grouping function fails (see :func:`mainline.evaluate.slices.labels`).
    """
    result = []
    for column, grouping in declared.items():
        names = labels(frame, grouping, f"expectations.py, GROUPS[{column!r}]")
        spread = float(np.std(y)) if task == "regression" else 1.0
        entries = [
            {"group": name, **_entry(y[chosen], score[chosen], task, threshold, min_rows, spread)}
            for name, chosen in groups(names)
        ]
        values = [entry["value"] for entry in entries if entry["judged"]]
        known = len(values) >= 2 and None not in values
        gap = rounded(max(values) - min(values)) if known else None
        result.append({"column": column, "metric": MEASURE[task], "gap": gap, "groups": entries})
    return result


def _entry(
    y: NDArray[Any], score: Floats, task: Task, threshold: float, min_rows: int, spread: float
) -> dict[str, Any]:
    rows = len(y)
    if task == "binary":
        chosen = score >= threshold
        positives = int((y == 1).sum())
        usable = bool(np.isfinite(score).all())
        return {
            "rows": rows,
            "positives": positives,
            "value": rounded(float(chosen[y == 1].mean())) if positives and usable else None,
            "selected": rounded(float(chosen.mean())) if usable else None,
            "judged": rows >= min_rows and positives >= MIN_POSITIVES,
        }
    if task == "multiclass":
        value = float((score.argmax(axis=1) == y).mean()) if np.isfinite(score).all() else None
    else:
        value = float((score - y).mean()) / spread if spread > 0 else None
    return {"rows": rows, "positives": None, "value": rounded(value), "selected": None, "judged": rows >= min_rows}
