"""Was the champion trained on rows that the two models are to be compared on?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mainline.data.batches import BATCH, LINE

if TYPE_CHECKING:
    import pandas as pd

    from mainline.config import Data


def seen_rows(
    test: pd.DataFrame,
    data: Data,
    trained: pd.DataFrame | None,
    split: Mapping[str, Any] | None,
    batches: tuple[Mapping[str, Any] | None, Mapping[str, Any]] = (None, {}),
) -> tuple[int | None, str]:
    """Return how many rows of ``test`` the champion was trained on, None if that cannot be known, and how it was found.

    ``trained`` are the champion's training rows: taken by id, else (``batches``: both validation.json) by the line of
    the same batch. Without them ``split``, its split.json, tells by date, day by day.
    """
    if trained is not None and data.id is not None and data.id in trained and data.id in test:
        return int(test[data.id].isin(trained[data.id]).sum()), f"compared by {data.id}"
    split = split or {}
    until = (split.get("train") or {}).get("to")
    if data.time is not None and until and split.get("kind") == "time":
        count = int((test[data.time].dt.strftime("%Y-%m-%d") <= until).sum())
        return count, f"the champion was trained on rows up to {until}"
    if trained is not None and batches[0] is not None:
        theirs, mine = ({item["file"]: item["sha256"] for item in (side or {}).get("batches", [])} for side in batches)
        known = set(zip(trained[BATCH].map(theirs), trained[LINE], strict=True))
        keys = zip(test[BATCH].map(mine), test[LINE], strict=True)
        return sum(key in known for key in keys), "compared by batch and line"
    return None, "the champion's training rows are neither in the cache nor in the remote, and dates do not tell"
