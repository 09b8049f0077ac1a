"""Which rows training may see and which it is tested on: by time, with the delay of labels honoured.

::

    ──────── train ────────┤── test window ──┤── label delay ──┤ as-of date ┤── later: invisible ──
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mainline.data.batches import BATCH, LINE
from mainline.errors import UserError
from mainline.files import replace_atomic

if TYPE_CHECKING:
    from mainline.config import Data

DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Split:
    """Rows for training and test, in order of time, and a summary that is ready for JSON."""

    train: pd.DataFrame
    test: pd.DataFrame
    summary: dict[str, Any]


def split(rows: pd.DataFrame, data: Data, seed: int) -> Split:
    """Return the split of validated ``rows``.

    Raises:
        UserError: the windows leave no row to train on or none to test on.
    """
    labelled = rows[rows[data.label].notna()]
    if data.time is None:
        return _random(labelled, len(rows) - len(labelled), data, seed)
    times = rows[data.time].dt.date
    as_of = data.as_of or times.max()
    known_until = as_of - DAY * (data.label_delay_days or 0)
    test_from = known_until - DAY * (data.test_window_days - 1)
    order = [data.time, data.id] if data.id else [data.time]
    labelled = labelled.sort_values(order, kind="stable")
    times_labelled = labelled[data.time].dt.date
    train = labelled[times_labelled < test_from]
    test = labelled[(times_labelled >= test_from) & (times_labelled <= known_until)]
    for part, name in ((train, "train on"), (test, "test on")):
        if part.empty:
            raise UserError(
                f"params.yaml: no row is left to {name}: as_of {as_of}, "
                f"label_delay_days {data.label_delay_days or 0} and test_window_days {data.test_window_days} "
                f"put the test window at {test_from} to {known_until}, "
                f"the data run from {times.min()} to {times.max()}",
                "shorten data.test_window_days or data.label_delay_days, or move data.as_of",
            )
    hidden = {"rows": int((times > as_of).sum())}
    waiting = {"rows": int((times <= as_of).sum() - len(train) - len(test))}
    lost = []
    if data.label_delay_days is None:
        lost.append("No label delay: every outcome is taken as known on the day of its row.")
    return Split(train, test, _summary("time", data, as_of, train, test, waiting, hidden, lost))


def _random(labelled: pd.DataFrame, waiting: int, data: Data, seed: int) -> Split:
    """Return a seeded random split, stratified by the label where the label has few values."""
    generator = np.random.Generator(np.random.PCG64(seed))
    if data.id is not None:
        labelled = labelled.sort_values(data.id, kind="stable")
    shuffled = labelled.iloc[generator.permutation(len(labelled))]
    strata = shuffled[data.label] if shuffled[data.label].nunique() <= 100 else pd.Series(0, index=shuffled.index)
    # Where a row stands in its stratum, 0 to 1: the same share of each comes first, and one row alone comes in the
    # middle, so that a stratum of one does not go to the test.
    place = (shuffled.groupby(strata).cumcount() + 0.5) / strata.map(strata.value_counts())
    in_test = place.rank(method="first") <= round(len(shuffled) * data.test_share)
    train, test = shuffled[~in_test], shuffled[in_test]
    if train.empty or test.empty:
        raise UserError(
            f"params.yaml: data.test_share {data.test_share} of {len(labelled)} rows leaves one side empty",
            "add rows, or change data.test_share",
        )
    lost = ["No time column: the split is random, so the score on the test rows says nothing about the future."]
    if data.label_delay_days:
        lost.append("No time column: the label delay cannot be honoured.")
    summary = _summary("random", data, None, train, test, {"rows": waiting}, {"rows": 0}, lost)
    return Split(train, test, summary)


def _summary(
    kind: str,
    data: Data,
    as_of: dt.date | None,
    train: pd.DataFrame,
    test: pd.DataFrame,
    waiting: dict[str, int],
    hidden: dict[str, int],
    lost: list[str],
) -> dict[str, Any]:
    def window(part: pd.DataFrame) -> dict[str, Any]:
        times = None if data.time is None else part[data.time].dt.date
        return {
            "rows": len(part),
            "from": None if times is None else str(times.min()),
            "to": None if times is None else str(times.max()),
            "batches": sorted(part[BATCH].unique().tolist()),
        }

    return {
        "kind": kind,
        "as_of": None if as_of is None else str(as_of),
        "label_delay_days": data.label_delay_days,
        "train": window(train),
        "test": window(test),
        "unlabelled": waiting,
        "later": hidden,
        "lost": lost,
    }


def write_rows(path: Path, rows: pd.DataFrame) -> Path:
    """Write rows as Parquet, whole or not at all; return ``path``."""
    clean = rows.reset_index(drop=True)
    return replace_atomic(path, lambda temporary: clean.to_parquet(temporary, engine="pyarrow", compression="zstd"))


def read_rows(path: Path) -> pd.DataFrame:
    """Return the rows that :func:`write_rows` wrote, with ``_batch`` and ``_line``.

    Raises:
        UserError: the file is absent.
    """
    if not path.is_file():
        raise UserError(f"{path}: not there", "run `dvc repro` (or `dvc pull`) first")
    return pd.read_parquet(path, engine="pyarrow")


def features_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Return ``rows`` without the lineage columns."""
    return rows.drop(columns=[BATCH, LINE], errors="ignore")
