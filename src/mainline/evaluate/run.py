"""evaluation.json and its plots: every measurement of one model on the test window, put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mainline.config import Settings, Task
from mainline.errors import UserError
from mainline.evaluate.behaviour import as_classes, behaviours
from mainline.evaluate.bootstrap import intervals
from mainline.evaluate.calibration import calibration
from mainline.evaluate.fairness import fairness
from mainline.evaluate.gates import model_gates
from mainline.evaluate.metrics import Floats, Metric, metric_named, metrics_for, rounded
from mainline.evaluate.slices import Floors, by_month, by_slice
from mainline.evaluate.threshold import value_report, value_threshold
from mainline.project import Project, scores


@dataclass(frozen=True)
class Scored:
    """Outcomes ``(n,)`` and predictions ``(n,)`` or ``(n, k)`` of the same rows."""

    y: NDArray[Any]
    score: Floats


def score_rows(frame: pd.DataFrame, model: Any, settings: Settings, training: Mapping[str, Any]) -> Scored:
    """Return the encoded outcomes of ``frame`` and the model's predictions for it.

    Raises:
        UserError: there are no rows, or the model's classes are not those of training.json.
    """
    from mainline.data.target import encode

    if len(frame) == 0:
        raise UserError(
            "the test window has no rows", "widen data.test_window_days in params.yaml, or deliver newer batches"
        )
    task = settings.model.task
    classes = None if task == "regression" else tuple(training.get("classes") or ())
    score = as_classes(scores(model, frame), task)
    found = score.shape[1] if score.ndim == 2 else 2
    if classes is not None and found != len(classes) or task != "multiclass" and score.ndim != 1:
        raise UserError(
            f"the model tells {found} classes apart, training.json lists {len(classes or ())}",
            "run `dvc repro`: model and training.json are of two different runs",
        )
    return Scored(np.asarray(encode(frame, settings, classes)), score)


def check_names(settings: Settings) -> Metric:
    """Return the primary metric.

    Raises:
        UserError: params.yaml names a metric that the task does not have, as primary or in a floor.
    """
    task = settings.model.task
    for key, floors in (("gates.floors", settings.gates.floors), ("gates.slice_floors", settings.gates.slice_floors)):
        for name in floors:
            metric_named(task, name, key)
    return metric_named(task, settings.evaluate.primary, "evaluate.primary")


def evaluate(
    frame: pd.DataFrame,
    model: Any,
    project: Project,
    settings: Settings,
    training: Mapping[str, Any],
    model_bytes: int,
    resamples: int | None = None,
) -> dict[str, Any]:
    """Return the content of evaluation.json for the labelled test rows ``frame``.

    The same rows, model, settings and ``training`` (training.json) give the same content on every run. ``model_bytes``
    is the size of the model file; ``resamples``, if given, are those behind the intervals of the metrics, which no gate
    asks for. The latency gate is not in it: see ``mainline.evaluate.gates.absolute_gates``.

    Raises:
        UserError: an unknown metric in params.yaml, no rows, or a slice or group function that fails.
    """
    primary = check_names(settings)
    task, rules, seed = settings.model.task, settings.evaluate, settings.model.seed
    metrics = metrics_for(task)
    scored = score_rows(frame, model, settings, training)
    y, score = scored.y, scored.score
    lost: list[str] = []
    ranges = intervals(y, score, metrics, resamples or rules.resamples, rules.level, seed)
    threshold = _threshold(scored, project, task, lost)
    raw = frame[[name for name in frame.columns if name not in ("_batch", "_line", settings.data.label)]]
    result: dict[str, Any] = {
        "task": task,
        "primary": primary.name,
        "level": rules.level,
        "resamples": resamples or rules.resamples,
        "rows": len(frame),
        "metrics": {name: _metric(metric, y, score, ranges[name]) for name, metric in metrics.items()},
        "baseline": _baseline(y, score, metrics, training.get("prior"), lost),
        "slices": by_slice(frame, y, score, metrics, project.slices, rules.min_rows, Floors.of(settings)),
        "months": _months(frame, scored, settings, metrics, lost),
        "calibration": calibration(y, score, task),
        "threshold": threshold,
        "behaviours": behaviours(raw, y, score, model, project.behaviours, task, primary, seed),
        "fairness": fairness(
            frame, y, score, task, project.groups, threshold["value"] if threshold else 0.5, rules.min_rows
        ),
        "size_mb": rounded(model_bytes / 1e6),
    }
    lost += _not_declared(project, task, bool(np.isfinite(score).all()))
    result["gates"] = [gate.row() for gate in model_gates(result, settings.gates)]
    result["lost"] = lost
    return result


def flat_metrics(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of ``evaluation`` that `dvc metrics diff` shows; what could not be computed is left out."""
    gaps = [entry["gap"] for entry in evaluation["fairness"] if entry["gap"] is not None]
    found = {
        **{name: entry["value"] for name, entry in evaluation["metrics"].items()},
        "calibration_error": (evaluation["calibration"] or {}).get("error"),
        "value_per_row": (evaluation["threshold"] or {}).get("per_row"),
        "fairness_gap": max(gaps, default=None),
        "size_mb": evaluation["size_mb"],
    }
    return {name: float(value) for name, value in found.items() if value is not None}


def _metric(metric: Metric, y: NDArray[Any], score: Floats, limits: tuple[float, float] | None) -> dict[str, Any]:
    low, high = limits or (None, None)
    value = metric.function(y, score)
    return {"value": rounded(value), "low": rounded(low), "high": rounded(high), "better": metric.better}


def _baseline(
    y: NDArray[Any], score: Floats, metrics: Mapping[str, Metric], prior: Any, lost: list[str]
) -> dict[str, float | None]:
    """Return the metrics of the constant prediction ``prior``: a number, or one for each class."""
    constant = np.asarray(prior if prior is not None else [], dtype=np.float64)
    if constant.shape != score.shape[1:]:
        lost.append("No prior in training.json: nothing to compare with a constant prediction.")
        return {}
    always = np.broadcast_to(constant, score.shape)
    return {name: rounded(metric.function(y, always)) for name, metric in metrics.items()}


def _threshold(scored: Scored, project: Project, task: Task, lost: list[str]) -> dict[str, Any] | None:
    if project.value is None:
        lost.append("No value is declared: no threshold and no business value.")
        return None
    if task != "binary":
        lost.append(f"A value is declared, but the task is {task}: only a binary task has a threshold.")
        return None
    if value_threshold(project.value) > 1:
        lost.append("The cost of acting is above its gain: it never pays to act.")
    return value_report(scored.y, scored.score, project.value)


def _months(
    frame: pd.DataFrame, scored: Scored, settings: Settings, metrics: Mapping[str, Metric], lost: list[str]
) -> list[dict[str, Any]]:
    if settings.data.time is None:
        lost.append("No time column: nothing by month.")
        return []
    return by_month(frame[settings.data.time], scored.y, scored.score, metrics, settings.evaluate.min_rows)


def _not_declared(project: Project, task: Task, finite: bool) -> list[str]:
    """Return one sentence for each part of the report that has nothing to work on."""
    unguarded = [name for name in project.protected if name not in project.groups]
    sentences = [
        ("No slices are declared: nothing by slice.", not project.slices),
        ("No behaviours are declared: nothing is known of how predictions react to a change.", not project.behaviours),
        ("No groups are declared: no fairness gap.", not project.groups),
        (
            f"The schema marks {', '.join(unguarded)} as protected, but GROUPS in expectations.py has no such entry.",
            bool(project.groups) and bool(unguarded),
        ),
        ("A regression has no probabilities: no calibration error.", task == "regression"),
        ("Some predictions are not finite numbers: most of this report could not be computed.", not finite),
    ]
    return [text for text, applies in sentences if applies]
