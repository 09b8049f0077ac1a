"""Search of the project's space: successive halving, scored on folds that respect time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.experimental import enable_halving_search_cv  # noqa: F401  (makes the next import possible)
from sklearn.model_selection import HalvingGridSearchCV, KFold, ParameterGrid, StratifiedKFold, TimeSeriesSplit
from sklearn.pipeline import Pipeline

from mainline.errors import UserError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from mainline.config import Settings
    from mainline.project import Project


def search(
    rows: pd.DataFrame, target: NDArray[np.generic], project: Project, settings: Settings, pipeline: Pipeline
) -> dict[str, Any]:
    """Return ``{"best": arguments, "folds": n, "candidates": [{"params", "score", "rows"}]}``, best score first.

    Candidates are all combinations of the project's ``SPACE``, arguments of its ``build`` like ``model.estimator``.
    Each round keeps one in ``search.factor`` and gives it so many times more rows, drawn within each fold (Jamieson and
    Talwalkar, 2016). The score is the log loss, or the squared error, with its sign turned: higher is better.

    Raises:
        UserError: the space is empty, or a candidate cannot be fitted or scored.
    """
    if not project.space:
        raise UserError(f"src/{project.name}/model.py: SPACE is empty", "fill it, or set model.search.enabled to false")
    model, found = settings.model, settings.model.search
    folds: Any = TimeSeriesSplit(found.folds)
    if settings.data.time is None:
        kind = KFold if model.task == "regression" else StratifiedKFold
        folds = kind(found.folds, shuffle=True, random_state=model.seed)
    try:
        combinations = list(ParameterGrid({key: list(values) for key, values in project.space.items()}))
        built = [project.build_estimator(seed=model.seed, **(model.estimator | item)) for item in combinations]
    except (TypeError, ValueError) as error:
        raise UserError(
            f"src/{project.name}/model.py: SPACE: {error}", "its keys are arguments of build(), its values are lists"
        ) from error
    halving = HalvingGridSearchCV(
        pipeline,
        {"model": built},
        factor=found.factor,
        cv=folds,
        scoring="neg_mean_squared_error" if model.task == "regression" else "neg_log_loss",
        min_resources="exhaust",
        random_state=model.seed,
        refit=False,
        n_jobs=1,
        error_score="raise",
        return_train_score=False,
    )
    try:
        halving.fit(rows, target)
    except ValueError as error:
        reason = next(line for line in reversed(str(error).splitlines()) if line.strip())
        raise UserError(
            f"params.yaml: model.search: a candidate could not be fitted or scored: {reason}",
            f"mend SPACE in src/{project.name}/model.py; if a fold lacks a class: fewer folds, a smaller factor, or "
            "model.search.enabled false",
        ) from error
    results = halving.cv_results_
    order = np.lexsort((-results["mean_test_score"], -results["n_resources"]))
    candidates = [
        {
            "params": combinations[_position(built, results["params"][index]["model"])],
            "score": round(float(results["mean_test_score"][index]), 6),
            "rows": int(results["n_resources"][index]),
        }
        for index in order
    ]
    best = combinations[_position(built, halving.best_params_["model"])]
    return {"best": best, "folds": found.folds, "candidates": candidates}


def _position(built: list[Any], estimator: Any) -> int:
    """Return where ``estimator`` itself stands; estimators have no equality of their own."""
    return next(index for index, item in enumerate(built) if item is estimator)
