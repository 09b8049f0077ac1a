"""Performance window by window: what was promised, what came of it, and how late that was known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mainline.config import Settings
from mainline.evaluate.bootstrap import intervals
from mainline.evaluate.metrics import Metric, rounded
from mainline.evaluate.slices import mean_pair
from mainline.monitor.estimate import estimate
from mainline.monitor.reliability import outcome_profile
from mainline.monitor.windows import starts, window_at
from mainline.project import Value

MOST = 60  # windows in a report, the newest ones
DAYS = (1, 3, 7, 14, 30, 60, 90)  # upper bounds of the lags that are counted, in days; one more for what is later
Scores = Callable[[pd.DataFrame], tuple[NDArray[np.bool_], NDArray[np.float64]]]
Encode = Callable[[pd.Series], NDArray[Any]]


def history(
    rows: pd.DataFrame,
    settings: Settings,
    metrics: Mapping[str, Metric],
    primary: Metric,
    value: Value | None,
    scores: Scores,
    encode: Encode,
) -> list[dict[str, Any]]:
    """Return the newest windows that hold predictions, oldest first.

    Each: "window", "rows", "known" (rows with outcome and score), "lag_days" (median), "lags" (counts, see ``DAYS``),
    "estimate" and "realised" of the primary metric, "low" and "high" of the latter from ``monitor.min_labels`` outcomes
    on, "mean_score" and "mean_label" of the known rows (see ``mean_pair``), and "by_score" (see ``outcome_profile``).
    """
    rows = rows[rows["time"].notna()]
    if rows.empty:
        return []
    length = settings.monitor.window
    begins = starts(rows["time"].dt.tz_localize(None).to_numpy(dtype="datetime64[ms]"), length)
    found = []
    for begin in np.unique(begins)[-MOST:]:
        mine = rows[begins == begin]
        name = window_at(begin.astype("datetime64[s]").item(), length).name
        found.append({"window": name} | _one(mine, settings, metrics, primary, value, scores, encode))
    return found


def _one(
    mine: pd.DataFrame,
    settings: Settings,
    metrics: Mapping[str, Metric],
    primary: Metric,
    value: Value | None,
    scores: Scores,
    encode: Encode,
) -> dict[str, Any]:
    known = mine[mine["outcome"].notna()]
    lag = ((known["known_at"] - known["time"]).dt.total_seconds() / 86_400).dropna()
    guess = estimate(scores(mine)[1], {primary.name: metrics[primary.name]}, value)
    usable, score = scores(known)
    known = known[usable]
    made: dict[str, Any] = {
        "rows": len(mine),
        "known": len(known),
        "lag_days": rounded(float(lag.median())) if len(lag) else None,
        "lags": np.bincount(np.searchsorted(DAYS, lag), minlength=len(DAYS) + 1).tolist(),
        "estimate": None if guess is None else guess[primary.name],
        **dict.fromkeys(("realised", "low", "high", "mean_score", "mean_label", "by_score")),
    }
    if not len(known):
        return made
    y = encode(known["outcome"])
    made["realised"] = rounded(primary.function(y, score))
    if len(known) >= settings.monitor.min_labels:
        rules = settings.evaluate
        bounds = intervals(y, score, {primary.name: primary}, rules.resamples, rules.level, settings.model.seed)
        made["low"], made["high"] = (rounded(item) for item in bounds[primary.name] or (None, None))
    made["mean_score"], made["mean_label"] = mean_pair(y, score)
    counted = outcome_profile(y, score, settings.model.task)
    made["by_score"] = None if counted is None else counted.to_dict()
    return made
