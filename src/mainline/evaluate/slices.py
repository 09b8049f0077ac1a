"""The metrics by declared slice and by month: an average hides the part of the data where a model fails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mainline.config import Settings
from mainline.errors import UserError
from mainline.evaluate.bootstrap import intervals
from mainline.evaluate.metrics import Floats, Metric, rounded
from mainline.project import Grouping

MISSING = "(missing)"


@dataclass(frozen=True)
class Floors:
    """Bounds by metric that every judged slice must keep, and how the interval of one that misses is drawn."""

    bounds: Mapping[str, float]
    resamples: int
    level: float
    seed: int

    @classmethod
    def of(cls, settings: Settings) -> Floors:
        """Return those of params.yaml."""
        rules = settings.evaluate
        return cls(settings.gates.slice_floors, rules.resamples, rules.level, settings.model.seed)

    def intervals(
        self, y: NDArray[Any], score: Floats, metrics: Mapping[str, Metric], values: Mapping[str, float | None]
    ) -> dict[str, dict[str, float | None]]:
        """Return, for each metric whose value misses its bound, the ends of its interval and the better one (``held``):
        only if that misses as well is the slice surely below. All None where the interval is undefined.
        """
        chosen = {
            name: metrics[name]
            for name, bound in self.bounds.items()
            if name in metrics and (value := values[name]) is not None and missed(metrics[name], value, bound)
        }
        if not chosen:
            return {}
        drawn = intervals(y, score, chosen, self.resamples, self.level, self.seed)
        return {name: _ends(metric, drawn[name]) for name, metric in chosen.items()}


def missed(metric: Metric, value: float, bound: float) -> bool:
    """Return whether ``value`` is beyond ``bound``, which for a signed metric is on its size."""
    return bool(metric.badness(value) > (bound if metric.signed else metric.badness(bound)))


def _ends(metric: Metric, limits: tuple[float, float] | None) -> dict[str, float | None]:
    if limits is None:
        return {"low": None, "high": None, "held": None}
    low, high = limits
    held = 0.0 if metric.signed and low <= 0 <= high else min(limits, key=metric.badness)
    return {"low": rounded(low), "high": rounded(high), "held": rounded(metric.judged(held))}


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
    floors: Floors | None = None,
) -> list[dict[str, Any]]:
    """Return one entry for each group of each slice: the "slices" of evaluation.json.

    ``intervals`` has an entry for each metric of ``floors`` that a judged slice misses; a calm slice costs nothing.

    Raises:
        UserError: see :func:`labels`.
    """
    found = []
    for name, grouping in slices.items():
        for group, chosen in groups(labels(frame, grouping, f"expectations.py, SLICES[{name!r}]")):
            part = _entry(y[chosen], score[chosen], metrics, min_rows)
            asked = floors is not None and part["judged"]
            drawn = floors.intervals(y[chosen], score[chosen], metrics, part["metrics"]) if floors and asked else {}
            found.append({"slice": name, "group": group, **part, "intervals": drawn})
    return found


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
