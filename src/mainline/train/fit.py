"""From rows to a fitted scikit-learn pipeline: features, estimator, calibration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from mainline.errors import UserError
from mainline.project import broken

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from mainline.config import Settings
    from mainline.project import Project


@dataclass(frozen=True)
class Fitted:
    """A fitted pipeline from raw rows to predictions, and what was decided on the way (ready for JSON)."""

    model: Pipeline
    facts: dict[str, Any]


def feature_columns(project: Project, settings: Settings) -> list[str]:
    """Return the raw columns that the model sees: the project's, less ``features.drop``.

    Raises:
        UserError: ``features.drop`` names a column that is no feature, or drops them all.
    """
    drop = settings.features.drop
    unknown = [name for name in drop if name not in project.columns]
    if unknown:
        known = ", ".join(project.columns)
        raise UserError(
            f"params.yaml: features.drop: {unknown[0]!r} is not a feature of the project", f"one of: {known}"
        )
    columns = [name for name in project.columns if name not in drop]
    if not columns:
        raise UserError("params.yaml: features.drop leaves no feature", "keep at least one")
    return columns


def fit(rows: pd.DataFrame, target: NDArray[np.generic], project: Project, settings: Settings) -> Fitted:
    """Return the pipeline fitted on ``rows`` (in order of time) with ``target`` ``(n,)``.

    The calibration map is learned on the newest ``calibration.share`` of the rows from a model that did not see them;
    then features and estimator are fitted again on all rows under that map. Without the second fit the newest rows,
    which matter most under drift, would be lost to the estimator (docs/decisions/0006-calibration.md has the figures).

    Raises:
        UserError: ``model.estimator`` holds an argument that the project's ``build`` does not take, or the rows (or
            those that the calibration learns from) lack a class.
    """
    columns = feature_columns(project, settings)
    arguments = dict(settings.model.estimator)
    if settings.model.task != "regression" and len(found := np.unique(target)) < 2:
        raise UserError(
            f"{settings.data.label}: the {len(rows)} training rows hold {len(found)} class, and a model needs two",
            "add older batches, or shorten data.test_window_days",
        )
    first = _pipeline(project, settings, columns, arguments)
    searched = None
    if settings.model.search.enabled:
        from mainline.train.search import search

        searched = search(rows, target, project, settings, first)
        arguments |= searched["best"]
    final = _fitted(_pipeline(project, settings, columns, arguments), rows, target, project)
    held = 0
    if settings.model.task != "regression" and settings.model.calibration.method != "none":
        held = round(len(rows) * settings.model.calibration.share)
        _check_calibration(target, held)
        early = _pipeline(project, settings, columns, arguments).fit(rows.iloc[:-held], target[:-held])
        final = _calibrated(final, early, rows.iloc[-held:], target[-held:], settings.model.calibration.method)
    return Fitted(final, {
        "estimator": {key: arguments[key] for key in sorted(arguments)},
        "calibration": {"method": settings.model.calibration.method if held else "none", "rows": held},
        "search": searched,
        "columns": columns,
    })  # fmt: skip


def _pipeline(project: Project, settings: Settings, columns: list[str], arguments: dict[str, Any]) -> Pipeline:
    try:
        estimator = project.build_estimator(seed=settings.model.seed, **arguments)
    except TypeError as error:
        raise UserError(
            f"params.yaml: model.estimator {arguments}: {error}",
            f"use the arguments of build() in src/{project.name}/model.py",
        ) from error
    try:
        return Pipeline([("features", project.build_features(columns)), ("model", estimator)])
    except Exception as error:
        raise broken(project.name, "features.py", error) from error


def _fitted(pipeline: Pipeline, rows: pd.DataFrame, target: NDArray[np.generic], project: Project) -> Pipeline:
    try:
        return pipeline.fit(rows, target)
    except Exception as error:  # whatever the project's own features and estimator raise
        raise broken(project.name, "features.py or model.py", error) from error


def _check_calibration(target: NDArray[np.generic], held: int) -> None:
    newest, early = set(np.unique(target[-held:])) if held else set(), set(np.unique(target[:-held]))
    if not newest or newest != early:
        raise UserError(
            f"params.yaml: model.calibration: the newest {held} training rows do not hold every class of the rest",
            "raise model.calibration.share, or set model.calibration.method to none",
        )


def _calibrated(
    final: Pipeline, early: Pipeline, rows: pd.DataFrame, target: NDArray[np.generic], method: str
) -> Pipeline:
    """Return ``final`` under the map that makes ``early`` calibrated on ``rows``, which ``early`` has not seen."""
    frozen = FrozenEstimator(early["model"])
    calibration = CalibratedClassifierCV(frozen, method=method).fit(early["features"].transform(rows), target)
    inner = calibration.calibrated_classifiers_[0]
    calibration.estimator = inner.estimator = FrozenEstimator(final["model"])
    calibration.n_features_in_ = final["model"].n_features_in_
    return Pipeline([("features", final["features"]), ("model", calibration)])
