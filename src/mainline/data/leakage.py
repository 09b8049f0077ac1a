"""Does a feature know the answer? By its mark in the schema, or because it tells the classes apart too well by
itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mainline.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mainline.config import Settings
    from mainline.project import Marks

QUANTILES = 50
FOLDS = 2


def check_leakage(
    rows: pd.DataFrame,
    target: NDArray[np.generic],
    marks: Mapping[str, Marks],
    columns: Sequence[str],
    settings: Settings,
) -> list[dict[str, Any]]:
    """Return, for every schema column, how well it alone separates the target, and why it is or is not a feature.

    Raises:
        UserError: one of the features ``columns`` is the label, the id or the time, is marked as known after the
        event, or
            separates better than ``data.checks.separation``; all such columns are named at once.
    """
    data = settings.data
    special = {data.label: "the label itself", data.id: "the row's id", data.time: "the row's time"}
    found, leaks = [], []
    for name, mark in marks.items():
        kept = name in columns
        if name in special:
            if kept:
                leaks.append(f"{name}: is {special[name]}")
            continue
        score = separation(rows[name], target, settings.model.task == "regression")
        reason = ""
        if mark.known == "after":
            reason = "known only after the event"
        elif score > data.checks.separation:
            reason = f"alone separates the target at {score:.3f}, above {data.checks.separation}"
        if kept and reason:
            leaks.append(f"{name}: {reason}")
        dropped = "left out by features.drop" if name in settings.features.drop else "not a feature of the project"
        found.append(
            {"column": name, "score": round(score, 6), "kept": kept, "reason": reason or ("" if kept else dropped)}
        )
    if leaks:
        raise UserError(
            f"src/{settings.project}/features.py: features that know the answer: " + "; ".join(leaks),
            'take them out of COLUMNS; if a value is truly known before the event, take known="after" off it in '
            "schema.py, or raise data.checks.separation in params.yaml",
        )
    return found


def separation(values: pd.Series, target: NDArray[np.generic], continuous: bool) -> float:
    """Return how well one column predicts the target on rows it was not fitted on, 0.5 (not at all) to 1 (perfectly).

    The column is cut into values or quantile bins; each half of the rows is scored with the mean target a bin has in
    the other half. Classes: area under the ROC curve, the best over one-against-the-rest. Regression: ``(1 + r) / 2``
    with Pearson's r.
    """
    codes = _codes(values)
    if continuous:
        correlation = _correlation(_cross_means(codes, target.astype(np.float64)), target.astype(np.float64))
        return (1 + max(correlation, 0.0)) / 2
    labels = [1] if len(np.unique(target)) == 2 else np.unique(target).tolist()
    return max(
        max(0.5, _auc(_cross_means(codes, truth), truth)) for truth in ((target == label) * 1.0 for label in labels)
    )


def _codes(values: pd.Series) -> NDArray[np.int64]:
    if pd.api.types.is_numeric_dtype(values) and values.nunique() > QUANTILES:
        values = pd.qcut(values, QUANTILES, labels=False, duplicates="drop")
    return pd.factorize(values, sort=False, use_na_sentinel=False)[0].astype(np.int64)


def _cross_means(codes: NDArray[np.int64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each row the mean target of its bin in the other fold (odd against even rows)."""
    out = np.empty(len(codes))
    fold = np.arange(len(codes)) % FOLDS
    size = int(codes.max(initial=0)) + 1
    for part in range(FOLDS):
        other = fold != part
        prior = target[other].mean() if other.any() else 0.0
        # One pseudo-row at the prior keeps a rare bin from claiming certainty.
        sums = np.bincount(codes[other], target[other], size) + prior
        out[~other] = (sums / (np.bincount(codes[other], minlength=size) + 1))[codes[~other]]
    return out


def _auc(score: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """Return the area under the ROC curve by ranks, ties shared (Mann-Whitney)."""
    ranks = pd.Series(score).rank().to_numpy()
    positive = truth > 0
    n, m = int(positive.sum()), int((~positive).sum())
    return 0.5 if n == 0 or m == 0 else float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m))


def _correlation(left: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    return float(np.corrcoef(left, right)[0, 1]) if left.std() > 0 and right.std() > 0 else 0.0
