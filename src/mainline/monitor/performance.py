"""How good the predictions of a window turned out to be, where outcomes are known, and what the scores promised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mainline.config import Settings
from mainline.evaluate.bootstrap import intervals
from mainline.evaluate.calibration import calibration
from mainline.evaluate.metrics import Metric, metric_named, metrics_for, rounded
from mainline.evaluate.slices import by_month, by_slice
from mainline.evaluate.threshold import value_report
from mainline.monitor.estimate import CANNOT_SEE, estimate
from mainline.monitor.history import history
from mainline.monitor.outcomes import Joined
from mainline.monitor.reliability import outcome_profile
from mainline.project import Project

Outcome = Literal["OK", "WORSE", "INSUFFICIENT DATA", "NO LABELS"]


def performance(
    joined: Joined, settings: Settings, project: Project, classes: tuple[str, ...] | None, expected: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the report of one window, ready for JSON.

    ``expected`` has the champion's metrics on its test window, by name. Verdict: WORSE when the whole interval of the
    primary metric is worse than expected by more than ``monitor.margin``; OK when it is not; INSUFFICIENT DATA below
    ``monitor.min_labels`` outcomes; NO LABELS without any. Only OK is green.
    """
    metrics = metrics_for(settings.model.task)
    primary = metric_named(settings.model.task, settings.evaluate.primary, "evaluate.primary")
    labelled = joined.labelled
    usable, score = _scores(labelled)
    all_usable, all_score = _scores(joined.rows)
    labelled = labelled[usable]
    report: dict[str, Any] = {
        "rows": len(joined.rows),
        "without_score": int((~all_usable).sum()),
        "labels": asdict(joined.counted) | {"lag_days": joined.lag_days()},
        "coverage": rounded(joined.counted.outcomes / max(joined.counted.predictions, 1)),
        "estimate": {"metrics": estimate(all_score, metrics, project.value), "cannot_see": CANNOT_SEE},
        "realised": None,
        "expected": {name: expected.get(name) for name in metrics},
        "primary": primary.name,
        "windows": history(
            joined.rows, settings, metrics, primary, project.value, _scores, lambda known: _encode(known, classes)
        ),
    }
    if not len(labelled):
        return report | {"verdict": "NO LABELS", "reason": "no outcome is known; the estimate is all there is"}
    y = _encode(labelled["outcome"], classes)
    features = features_of(labelled, project)
    found = realised(labelled, features, y, score, settings, project, metrics)
    report["realised"] = found
    report["estimate"]["on_labelled"] = estimate(score, metrics, project.value)
    verdict, reason = judge(found, primary, expected.get(primary.name), settings)
    return report | {"verdict": verdict, "reason": reason}


def realised(
    labelled: pd.DataFrame,
    features: pd.DataFrame,
    y: NDArray[Any],
    score: NDArray[np.float64],
    settings: Settings,
    project: Project,
    metrics: Mapping[str, Metric],
) -> dict[str, Any]:
    """Return metrics with intervals, calibration, value, and the same by slice and month."""
    rules, task = settings.evaluate, settings.model.task
    bounds = intervals(y, score, metrics, rules.resamples, rules.level, settings.model.seed)
    found: dict[str, Any] = {
        "rows": len(y),
        "metrics": {
            name: {
                "value": rounded(metric.function(y, score)),
                "low": rounded(None if bounds[name] is None else bounds[name][0]),  # type: ignore[index]
                "high": rounded(None if bounds[name] is None else bounds[name][1]),  # type: ignore[index]
            }
            for name, metric in metrics.items()
        },
        "calibration": calibration(y, score, task),
        "by_score": None if (counted := outcome_profile(y, score, task)) is None else counted.to_dict(),
        "value": None,
        "slices": by_slice(features, y, score, metrics, project.slices, rules.min_rows),
        "months": by_month(labelled["time"].dt.tz_localize(None), y, score, metrics, rules.min_rows),
    }
    if task == "binary":
        found["mean_score"], found["mean_label"] = rounded(float(score.mean())), rounded(float(y.mean()))
        found["gap_z"] = _gap(y, score)
        if project.value is not None:
            found["value"] = value_report(y, score, project.value)
    return found


def judge(found: Mapping[str, Any], primary: Metric, expected: float | None, settings: Settings) -> tuple[Outcome, str]:
    """Return verdict and reason from the realised metrics."""
    rules, figures = settings.monitor, found["metrics"][primary.name]
    if found["rows"] < rules.min_labels:
        return "INSUFFICIENT DATA", f"{found['rows']} outcomes; from {rules.min_labels} on they can be judged"
    if expected is None or figures["low"] is None:
        return "INSUFFICIENT DATA", f"{primary.name} is not defined here, or not known of the champion's test window"
    ends = [primary.badness(figures["low"]), primary.badness(figures["high"])]
    if primary.signed and figures["low"] < 0 < figures["high"]:
        ends.append(0.0)
    shown = (
        f"{primary.name} {figures['value']:.4g} ({figures['low']:.4g} to {figures['high']:.4g}), {expected:.4g} in test"
    )
    worse = min(ends) > primary.badness(expected) + rules.margin
    return ("WORSE", shown) if worse else ("OK", shown)


def features_of(rows: pd.DataFrame, project: Project) -> pd.DataFrame:
    """Return the logged features of ``rows`` as the columns of the schema; what is not logged is missing."""
    found = pd.DataFrame([item if isinstance(item, dict) else {} for item in rows["features"]], index=rows.index)
    frame = found.reindex(columns=list(dict.fromkeys([*project.columns, *project.marks])))
    schema = project.row.to_schema()
    for name in frame:
        kind = str(schema.columns[name].dtype)
        if "int" in kind or "float" in kind:
            frame[name] = pd.to_numeric(frame[name], errors="coerce")
    return frame


def _scores(rows: pd.DataFrame) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return which rows have a whole score, and these scores ``(n,)`` or ``(n, k)``."""
    values = list(rows["score"])
    width = next((len(item) for item in values if isinstance(item, list)), 0)
    fine = np.array([_whole(item, width) for item in values], dtype=bool)
    kept = [item for item, good in zip(values, fine, strict=True) if good]
    return fine, np.asarray(kept, dtype=np.float64).reshape((len(kept), width) if width else (len(kept),))


def _whole(score: Any, width: int) -> bool:
    if width:
        return isinstance(score, list) and len(score) == width and all(_whole(item, 0) for item in score)
    return isinstance(score, int | float) and not isinstance(score, bool) and bool(np.isfinite(score))


def _encode(outcomes: pd.Series, classes: tuple[str, ...] | None) -> NDArray[Any]:
    if classes is None:
        return outcomes.to_numpy(dtype=np.float64)
    return pd.Index(classes).get_indexer(pd.Index(outcomes)).astype(np.int64)


def _gap(y: NDArray[Any], score: NDArray[np.float64]) -> float | None:
    """Return how many standard errors the outcomes lie above what the scores promise."""
    spread = float(np.sqrt((score * (1 - score)).sum()))
    return rounded(float((y - score).sum()) / spread, 3) if spread else None
