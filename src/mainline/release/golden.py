"""Golden rows: a few requests and the exact model's answers, which every path to a prediction must repeat."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mainline.data.redact import redact
from mainline.evaluate.check_rows import TOLERANCE, places, public

if TYPE_CHECKING:
    import pandas as pd

    from mainline.project import Marks, Project

DIGITS = 10  # of an answer: far below the tolerance, and above what another processor may round otherwise


def golden(
    rows: pd.DataFrame, model: Any, project: Project, training: Mapping[str, Any], threshold: float
) -> dict[str, Any]:
    """Return the content of golden.json: requests, the answers to them, and how far another answer may be off.

    The requests are the rows that ``places`` of check_rows.py chooses; those that were added for a rare value are
    marked ``rare`` and come last. A column that is marked personal carries a stand-in that is the same in all rows; the
    answers are those to the request with it.

    Args:
        rows: raw test rows.
        model: the exact model.
        training: content of artifacts/training.json.
        threshold: the score from which a binary decision is positive.
    """
    import numpy as np
    import pandas as pd

    from mainline.project import scores

    columns = [str(name) for name in training["columns"]]
    personal = [name for name in columns if project.marks[name].pii != "keep"]
    spread, rare = places(rows[public(columns, project)])
    chosen = (
        rows[columns]
        .iloc[spread + rare]
        .assign(**{name: stand_in(rows[name], project.marks[name]) for name in personal})
    )
    requests = [{str(name): plain(value) for name, value in row.items()} for row in chosen.to_dict("records")]
    # What is scored is the request itself, as it comes back from JSON.
    frame = pd.DataFrame(requests, columns=list(chosen)).astype(chosen.dtypes.to_dict())
    answered = np.asarray(scores(model, frame), dtype=float)
    return {
        "task": training["task"],
        "tolerance": TOLERANCE,
        "rows": [
            {"request": request, "expected": answer(value, training, threshold)}
            | ({"rare": True} if number >= len(spread) else {})
            for number, (request, value) in enumerate(zip(requests, answered, strict=True))
        ],
    }


def answer(value: Any, training: Mapping[str, Any], threshold: float) -> dict[str, Any]:
    """Return a prediction as the service gives it."""
    import numpy as np

    if training["task"] == "regression":
        return {"value": round(float(value), DIGITS)}
    if np.ndim(value) == 0:
        return {"probability": round(float(value), DIGITS), "decision": bool(value >= threshold)}
    named = dict(zip(map(str, training["classes"]), (round(float(part), DIGITS) for part in value), strict=True))
    return {"probabilities": named, "decision": max(named, key=lambda name: named[name])}


def plain(value: Any) -> Any:
    """Return ``value`` as JSON has it; missing is None, a time is ISO 8601."""
    if value is None or value != value:
        return None
    if isinstance(value, dt.date):
        return value.isoformat()
    return value.item() if hasattr(value, "item") else value


def stand_in(column: pd.Series[Any], marks: Marks) -> Any:
    """Return a value of the column's kind that is nobody's: first of the vocabulary, the median, or a hash."""
    if marks.one_of:
        return marks.one_of[0]
    kind = column.dtype.kind
    if kind == "b":
        return False
    if kind in "iufM":
        middle = column.dropna().median()
        return int(middle) if kind in "iu" else middle
    return redact(str(column.name), "hash")
