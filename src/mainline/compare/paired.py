"""Two models on the same rows: every number of both, and the difference with its paired bootstrap interval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mainline.config import Settings
from mainline.evaluate.bootstrap import draws, interval
from mainline.evaluate.calibration import calibration
from mainline.evaluate.fairness import fairness
from mainline.evaluate.metrics import Floats, Metric, metrics_for, rounded
from mainline.evaluate.slices import Floors, by_month, by_slice, groups, labels
from mainline.evaluate.threshold import value_report, value_threshold
from mainline.project import Project, Value

SIDES = ("champion", "challenger")
VALUE = "value_per_row"


def compared(
    frame: pd.DataFrame, y: NDArray[Any], champion: Floats, challenger: Floats, project: Project, settings: Settings
) -> dict[str, Any]:
    """Return metrics, slices, months, calibration, fairness and value of verdict.json for both models.

    ``y`` is ``(n,)``, the scores ``(n,)`` or ``(n, k)``. Slices, groups and value are the challenger's: one measure for
    both. Every interval is of challenger less champion on the same draws.

    Raises:
        UserError: a slice or group function of the project fails.
    """
    scores = (champion, challenger)
    task, rules = settings.model.task, settings.evaluate
    metrics = metrics_for(task)
    primary = {rules.primary: metrics[rules.primary]}
    value = project.value if task == "binary" else None
    limit = value_threshold(value) if value else 0.5
    wanted = metrics | ({VALUE: value_metric(value)} if value else {})
    found = differences(y, scores, wanted, settings)
    gaps = [fairness(frame, y, score, task, project.groups, limit, rules.min_rows) for score in scores]
    return {
        "metrics": [found[name] for name in metrics],
        "slices": _slices(frame, y, scores, metrics, primary, project, settings),
        "months": _months(frame, y, scores, metrics, primary, settings),
        "calibration": _pair(calibration(y, score, task) for score in scores),
        "fairness": _pair(_largest(gap) for gap in gaps)
        | {
            "columns": [
                {"column": before["column"], "champion": before["gap"], "challenger": after["gap"]}
                for before, after in zip(*gaps, strict=True)
            ]
        },
        "value": _pair(value_report(y, score, value) if value else None for score in scores)
        | {"difference": found[VALUE]["difference"] if value else None},
    }


def differences(
    y: NDArray[Any], scores: tuple[Floats, Floats], metrics: Mapping[str, Metric], settings: Settings
) -> dict[str, dict[str, Any]]:
    """Return, for each metric, both values, ``difference`` in its own sign, and ``worse``: the same, turned so that
    above 0 the challenger is worse (of a signed metric, by its size). A part is None where it is undefined.
    """
    level, seed = settings.evaluate.level, settings.model.seed
    drawn = draws(y, scores, metrics, settings.evaluate.resamples, seed)
    found = {}
    for name, metric in metrics.items():
        before, after = (metric.function(y, score) for score in scores)
        known = before is not None and after is not None
        bad = metric.badness(drawn[name])
        found[name] = {
            "metric": name,
            "better": metric.better,
            "champion": rounded(before),
            "challenger": rounded(after),
            "difference": _span(after - before, drawn[name][1] - drawn[name][0], level)  # type: ignore[operator]
            if known
            else None,
            "worse": _span(metric.badness(after) - metric.badness(before), bad[1] - bad[0], level) if known else None,
        }
    return found


def value_metric(value: Value) -> Metric:
    """Return the business value of a row at the threshold of ``value``, as a metric of binary scores."""
    limit = value_threshold(value)

    def prepare(y: NDArray[Any], score: Floats) -> Any:
        earned = np.where(score >= limit, value.gain * (y == 1) - value.cost, 0.0)
        return lambda weights: (weights * earned).sum(axis=1) / weights.sum(axis=1)

    return Metric(VALUE, "higher", prepare, ("binary",))


def _span(value: float, drawn: Floats, level: float) -> dict[str, Any] | None:
    limits = interval(drawn, level)
    if limits is None:
        return None
    return {"value": rounded(value), "low": rounded(limits[0]), "high": rounded(limits[1])}


def _slices(
    frame: pd.DataFrame,
    y: NDArray[Any],
    scores: tuple[Floats, Floats],
    metrics: Mapping[str, Metric],
    primary: Mapping[str, Metric],
    project: Project,
    settings: Settings,
) -> list[dict[str, Any]]:
    rules, floors = settings.evaluate, Floors.of(settings)
    both = [by_slice(frame, y, score, metrics, project.slices, rules.min_rows, floors) for score in scores]
    masks = [
        mask
        for name, grouping in project.slices.items()
        for _, mask in groups(labels(frame, grouping, f"expectations.py, SLICES[{name!r}]"))
    ]
    return [
        {
            "slice": before["slice"],
            "group": before["group"],
            **_part(before, after, mask, y, scores, primary, settings),
            "floors": _floors(before, after, mask, y, scores, metrics, settings),
        }
        for before, after, mask in zip(*both, masks, strict=True)
    ]


def _floors(
    before: dict[str, Any],
    after: dict[str, Any],
    mask: NDArray[np.bool_],
    y: NDArray[Any],
    scores: tuple[Floats, Floats],
    metrics: Mapping[str, Metric],
    settings: Settings,
) -> list[dict[str, Any]]:
    """Return both intervals of each metric whose floor either model misses in this slice, and the paired difference.

    A model that keeps the floor has no interval (None).
    """
    chosen = {name: metric for name, metric in metrics.items() if name in before["intervals"] | after["intervals"]}
    if not chosen:
        return []
    found = differences(y[mask], (scores[0][mask], scores[1][mask]), chosen, settings)
    return [
        {
            "metric": name,
            **{side: entry["intervals"].get(name) for side, entry in zip(SIDES, (before, after), strict=True)},
            "worse": found[name]["worse"],
        }
        for name in chosen
    ]


def _months(
    frame: pd.DataFrame,
    y: NDArray[Any],
    scores: tuple[Floats, Floats],
    metrics: Mapping[str, Metric],
    primary: Mapping[str, Metric],
    settings: Settings,
) -> list[dict[str, Any]]:
    if settings.data.time is None:
        return []
    time = pd.to_datetime(frame[settings.data.time])
    both = [by_month(time, y, score, metrics, settings.evaluate.min_rows) for score in scores]
    names = time.dt.strftime("%Y-%m").to_numpy(dtype=object)
    return [
        {"month": before["month"], **_part(before, after, names == before["month"], y, scores, primary, settings)}
        for before, after in zip(*both, strict=True)
    ]


def _part(
    before: dict[str, Any],
    after: dict[str, Any],
    mask: NDArray[np.bool_],
    y: NDArray[Any],
    scores: tuple[Floats, Floats],
    primary: Mapping[str, Metric],
    settings: Settings,
) -> dict[str, Any]:
    empty = {"difference": None, "worse": None}
    found = empty
    if before["judged"]:
        (found,) = differences(y[mask], (scores[0][mask], scores[1][mask]), primary, settings).values()
    return {
        "rows": before["rows"],
        "judged": before["judged"],
        "champion": before["metrics"],
        "challenger": after["metrics"],
        **{key: found[key] for key in empty},
    }


def _pair(values: Any) -> dict[str, Any]:
    return dict(zip(SIDES, values, strict=True))


def _largest(entries: list[dict[str, Any]]) -> float | None:
    gaps = [entry["gap"] for entry in entries]
    return None if not gaps or None in gaps else float(max(gaps))
