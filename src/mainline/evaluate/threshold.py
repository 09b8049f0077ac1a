"""The score from which acting pays, and what acting on it was worth on the test window."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mainline.errors import UserError
from mainline.evaluate.metrics import Floats, rounded
from mainline.project import Value


def value_threshold(value: Value) -> float:
    """Return the score from which acting pays: ``cost / gain``, rounded as in every report.

    Acting on a row with chance ``p`` earns ``p * gain - cost`` on average, no loss when ``p >= cost / gain`` (Elkan
    2001). That is best for calibrated probabilities, and it is known before any outcome is: the test window has no say
    in it, so the value measured there is not flattered. Above 1 it never pays to act.

    Raises:
        UserError: the gain is not above 0, or the cost is below 0.
    """
    if not value.gain > 0 or not value.cost >= 0:
        raise UserError(
            f"expectations.py, VALUE: gain is {value.gain:g} and cost is {value.cost:g}",
            "give a gain above 0 and a cost of 0 or more, or set VALUE to None",
        )
    return round(value.cost / value.gain, 6)


def value_report(y: NDArray[Any], score: Floats, value: Value) -> dict[str, Any]:
    """Return the "threshold" of evaluation.json: realised value at the threshold, and what it is to be held against.

    ``best_*`` is the best threshold in hindsight, which no one could have known; null when acting on no row was best.
    """
    limit = value_threshold(value)
    usable = bool(np.isfinite(score).all())
    act = score >= limit
    acted, hits, positives = int(act.sum()), int(y[act].sum()), int(y.sum())
    total = value.gain * hits - value.cost * acted
    best, best_total = _best(y, score, value)
    return {
        "value": limit,
        "unit": value.unit,
        "gain": value.gain,
        "cost": value.cost,
        "acted": acted,
        "total": rounded(total) if usable else None,
        "per_row": rounded(total / len(y)) if usable else None,
        "act_on_all": rounded(value.gain * positives - value.cost * len(y)),
        "act_on_none": 0.0,
        "best_value": rounded(best) if usable else None,
        "best_total": rounded(best_total) if usable else None,
        "precision": rounded(hits / acted) if usable and acted else None,
        "recall": rounded(hits / positives) if usable and positives else None,
    }


def value_curve(y: NDArray[Any], score: Floats, value: Value) -> pd.DataFrame:
    """Return what each threshold would have earned, a row for each distinct score: threshold, acted, total, per_row."""
    cuts, acted, totals = _totals(y, score, value)
    return pd.DataFrame({"threshold": cuts, "acted": acted, "total": totals, "per_row": totals / max(len(y), 1)})


def _totals(y: NDArray[Any], score: Floats, value: Value) -> tuple[Floats, NDArray[np.intp], Floats]:
    """Return each distinct score, highest first, with the rows at or above it and the value of acting on those."""
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    last = np.flatnonzero(np.r_[np.diff(ranked) != 0, True])
    acted = last + 1
    totals = value.gain * np.cumsum(y[order])[last] - value.cost * acted
    return ranked[last], acted, np.asarray(totals, dtype=np.float64)


def _best(y: NDArray[Any], score: Floats, value: Value) -> tuple[float | None, float]:
    cuts, _, totals = _totals(y, score, value)
    top = int(totals.argmax())
    return (float(cuts[top]), float(totals[top])) if totals[top] > 0 else (None, 0.0)
