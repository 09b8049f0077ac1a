"""The tables behind `dvc plots`: at most about 200 points each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mainline.config import Settings
from mainline.evaluate.calibration import calibration
from mainline.evaluate.metrics import Floats
from mainline.evaluate.run import score_rows
from mainline.evaluate.threshold import value_curve
from mainline.project import Project

POINTS = 200


def plots(
    frame: pd.DataFrame, model: Any, project: Project, settings: Settings, training: Mapping[str, Any]
) -> dict[str, pd.DataFrame]:
    """Return each table by file name.

    Binary: ``roc.csv``, ``precision_recall.csv``, ``calibration.csv``, ``value.csv``. Several classes:
    ``confusion.csv`` (rows for each pair of actual and predicted class) and ``calibration.csv``. Regression:
    ``residuals.csv``. A table that has nothing to show keeps its header.

    Raises:
        UserError: see :func:`mainline.evaluate.run.score_rows`.
    """
    scored = score_rows(frame, model, settings, training)
    task = settings.model.task
    if task == "regression":
        return {"residuals.csv": _residuals(scored.y, scored.score)}
    bins = (calibration(scored.y, scored.score, task) or {"bins": []})["bins"]
    table = pd.DataFrame(bins, columns=["low", "high", "rows", "mean_score", "mean_label"])
    if task == "multiclass":
        return {"confusion.csv": _confusion(scored.y, scored.score, training["classes"]), "calibration.csv": table}
    roc, recall = _curves(scored.y, scored.score)
    value = pd.DataFrame(columns=["threshold", "acted", "total", "per_row"])
    if project.value is not None:
        value = _thin(value_curve(scored.y, scored.score, project.value))
    return {"roc.csv": roc, "precision_recall.csv": recall, "calibration.csv": table, "value.csv": value}


def _thin(table: pd.DataFrame) -> pd.DataFrame:
    """Return at most :data:`POINTS` rows at even steps, first and last among them, rounded."""
    if len(table) > POINTS:
        table = table.iloc[np.linspace(0, len(table) - 1, POINTS).round().astype(int)]
    return table.round(6).reset_index(drop=True)


def _curves(y: NDArray[Any], score: Floats) -> tuple[pd.DataFrame, pd.DataFrame]:
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.r_[np.diff(score[order]) != 0, True])
    hits = np.cumsum(y[order] == 1)[last].astype(np.float64)
    misses = last + 1 - hits
    cuts = score[order][last]
    positives, negatives = max(hits[-1], 1.0), max(misses[-1], 1.0)
    roc = pd.DataFrame(
        {
            "false_positive_rate": np.r_[0.0, misses / negatives],
            "true_positive_rate": np.r_[0.0, hits / positives],
            "threshold": np.r_[np.nan, cuts],  # before the first point no row is chosen
        }
    )
    recall = pd.DataFrame({"recall": hits / positives, "precision": hits / (last + 1), "threshold": cuts})
    return _thin(roc), _thin(recall)


def _confusion(y: NDArray[Any], score: Floats, classes: list[str]) -> pd.DataFrame:
    count = len(classes)
    cells = np.bincount(y.astype(int) * count + score.argmax(axis=1), minlength=count * count)
    actual, predicted = np.divmod(np.arange(count * count), count)
    names = np.asarray([str(name) for name in classes], dtype=object)
    return pd.DataFrame({"actual": names[actual], "predicted": names[predicted], "rows": cells})


def _residuals(y: NDArray[Any], score: Floats) -> pd.DataFrame:
    order = np.argsort(score, kind="stable")
    table = pd.DataFrame({"predicted": score[order], "actual": y[order], "residual": y[order] - score[order]})
    return _thin(table)
