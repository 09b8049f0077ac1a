"""A batch made of the prediction log: matured predictions with their outcomes, if the log keeps rows whole."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from mainline.errors import UserError
from mainline.files import write_atomic

if TYPE_CHECKING:
    from mainline.config import Settings
    from mainline.project import Marks

FIX = "deliver these rows as batch files, and name their folder in retrain.source"


def check_columns(marks: Mapping[str, Marks], logged: set[str], settings: Settings) -> None:
    """Check that a log with the features ``logged`` holds raw rows as the schema wants them.

    Raises:
        UserError: a column is not logged, or only redacted; each is named.
    """
    given = {settings.data.time, settings.data.label}
    lacking = [name for name in marks if name not in given and name not in logged]
    hidden = [name for name, mark in marks.items() if name not in given and mark.pii != "keep"]
    if lacking or hidden:
        parts = [
            f"does not have {', '.join(lacking)} (it keeps the model's columns and the id alone)" if lacking else "",
            f"has {', '.join(hidden)} only hashed or not at all (pii in schema.py)" if hidden else "",
        ]
        raise UserError(f"the prediction log {' and '.join(part for part in parts if part)}", FIX)


def batch_of(labelled: pd.DataFrame, marks: Mapping[str, Marks], settings: Settings) -> pd.DataFrame:
    """Return raw rows in schema order; ``labelled`` has time, features (mappings) and outcome, as the join gives them.

    Raises:
        UserError: as :func:`check_columns`.
    """
    features = pd.DataFrame(list(labelled["features"]), index=labelled.index)
    check_columns(marks, set(map(str, features.columns)), settings)
    made = {name: features[name] for name in marks if name in features}
    made[settings.data.label] = labelled["outcome"]
    if settings.data.time is not None:
        made[settings.data.time] = labelled["time"].dt.tz_localize(None).dt.strftime("%Y-%m-%dT%H:%M:%S.%f")
    return pd.DataFrame({name: made[name] for name in marks})


def gather(place: str, settings: Settings, data: Path, as_of: dt.date, into: Path) -> tuple[list[Path], str]:
    """Write the log's rows that matured by ``as_of`` and are newer than those in ``data`` to a batch in ``into``.

    Return its path (none: no such row), and a sentence about how many of them have an outcome.

    Raises:
        UserError: the log cannot be read, or does not hold whole rows.
    """
    from mainline.data.batches import find_batches, read_batch
    from mainline.monitor.outcomes import join
    from mainline.monitor.source import records
    from mainline.project import load_schema

    _, marks = load_schema(settings.project)
    label, time, delay = settings.data.label, settings.data.time, settings.data.label_delay_days or 0
    if time is None:
        raise UserError("data.time is null: what is new in the prediction log cannot be told", FIX)
    have = [read_batch(file).rows for file in find_batches(data)]
    newest = max(pd.to_datetime(rows[time], format="ISO8601", errors="coerce", utc=True).max() for rows in have)
    known = marks[label].one_of or sorted({str(value) for rows in have for value in rows[label].dropna()})
    end = dt.datetime.combine(as_of, dt.time(), dt.UTC) + dt.timedelta(days=1)
    joined = join(
        records(place),
        None,
        known=None if settings.model.task == "regression" else known,
        since=newest.to_pydatetime() + dt.timedelta(microseconds=1),
        until=end - dt.timedelta(days=delay),
        now=end,
        delay_days=delay,
    )
    about = f"{len(joined.labelled):,} of {joined.counted.predictions:,} matured predictions have an outcome"
    if joined.labelled.empty:
        return [], about
    rows = batch_of(joined.labelled, marks, settings)
    days = joined.labelled["time"].dt.strftime("%Y-%m-%d")
    name = f"log-{days.iloc[0]}-{days.iloc[-1]}.csv"
    return [write_atomic(into / name, rows.to_csv(index=False, lineterminator="\n"))], about
