"""Was a model trained on rows that it is measured on? Asked of the champion, and of the challenger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mainline.compare.integrity import Finding
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


def own_split(test: pd.DataFrame, train: pd.DataFrame, data: Data, inputs: Mapping[str, Any]) -> Finding:
    """Return what is wrong with the rows that the challenger was trained and is tested on, whatever the split says.

    ``inputs`` holds split.json, training.json and validation.json by their names.
    """
    import pandas as pd

    split, batches = inputs["split"], inputs["validation"]
    faults = []
    seen, _ = seen_rows(test, data, train, split, (batches, batches))
    if seen:
        faults.append(f"{seen:,} of {len(test):,} test rows are among the training rows")
    if (trained := inputs["training"].get("rows")) != len(train):
        faults.append(f"the model was trained on {trained:,} rows, artifacts/train.parquet has {len(train):,}")
    as_of = data.as_of or split.get("as_of")
    if data.time is not None and as_of is not None:
        # The delay too: an outcome that nobody can know yet is a guess.
        known = pd.Timestamp(as_of) - pd.Timedelta(days=data.label_delay_days or 0)
        late = sum(int((part[data.time].dt.normalize() > known).sum()) for part in (train, test))
        if late:
            faults.append(f"{late:,} rows are later than {known:%Y-%m-%d}, the newest day whose outcomes are known")
    return Finding(tuple(faults), note=f"{len(train):,} training rows, {len(test):,} test rows, none in both")
