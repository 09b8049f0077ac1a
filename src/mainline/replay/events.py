"""What will happen, and when: each row is a request at its own time, and an outcome some days later."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from mainline.config import Settings
from mainline.data.batches import BATCH, SUFFIXES, combine, find_batches, read_batch
from mainline.data.target import as_text
from mainline.errors import UserError
from mainline.project import load_schema

# Of the played table: when a request is sent, the time it claims, its id, its outcome and when that becomes known.
SENT, AT, ID, OUTCOME, KNOWN = "_sent", "_at", "_id", "_outcome", "_known"


@dataclass(frozen=True, order=True)
class Event:
    """A request (``at``: the time that it claims) or an outcome; ``order`` keeps the file's order within a moment."""

    when: dt.datetime
    order: int
    kind: Literal["predict", "feedback"] = field(compare=False)
    request_id: str = field(compare=False)
    at: dt.datetime = field(compare=False)
    row: dict[str, Any] = field(compare=False)
    outcome: Any = field(compare=False, default=None)


@dataclass(frozen=True)
class Future:
    """The rows to play, in order of time; ``columns`` is what a request holds."""

    rows: pd.DataFrame
    columns: tuple[str, ...]


def read_future(place: Path, settings: Settings, columns: Sequence[str]) -> Future:
    """Return the rows of the batch file or folder ``place``, with the times at which they are played.

    Rows that have a date but no time of day are spread over their day. A request's id follows from the batch and the
    row's id, so a row that is played again is known as such.

    Raises:
        UserError: there is nothing to play, a column is missing, or rows have no time.
    """
    if settings.data.time is None:
        raise UserError("params.yaml: data.time is null: nobody knows when these rows happened", "name a time column")
    if place.is_file() and not place.name.endswith(SUFFIXES):
        raise UserError(f"{place}: not a batch", f"its name must end in {' or '.join(SUFFIXES)}")
    if not place.exists():
        raise UserError(f"{place}: not there", "`make data` fetches replay/; or name your own batches with --from")
    files = [place] if place.is_file() else find_batches(place)
    schema = load_schema(settings.project)[0].to_schema()
    rows, violations = combine([read_batch(path) for path in files], schema)
    lacking = [item for item in violations if item.check == "column is missing"]
    if lacking:
        raise UserError(f"{lacking[0].batch}: lacks {lacking[0].column}", "replay batches have the columns of data/")
    time = rows[settings.data.time]
    rows = rows[time.notna()].assign(**{SENT: time[time.notna()]})
    rows = rows.sort_values(SENT, kind="stable").reset_index(drop=True)
    if rows.empty:
        raise UserError(f"{place}: no row has a readable {settings.data.time}", "mend the batches")
    rows[SENT] = spread(rows[SENT])
    rows[AT] = rows[SENT]
    rows[KNOWN] = rows[SENT] + pd.Timedelta(days=settings.data.label_delay_days or 0)
    rows[OUTCOME] = as_text(rows[settings.data.label]) if settings.model.task != "regression" else (
        rows[settings.data.label]
    )  # fmt: skip
    key = rows[settings.data.id].astype("str") if settings.data.id else rows.index.astype("str").to_series(rows.index)
    batch = rows[BATCH].str.replace(r"[^A-Za-z0-9._-]", "-", regex=True)
    rows[ID] = "replay-" + batch + "-" + key.str.replace(r"[^A-Za-z0-9._-]", "-", regex=True)
    sent = [*columns, *([settings.data.id] if settings.data.id else [])]
    return Future(rows, tuple(dict.fromkeys(sent)))


def spread(times: pd.Series) -> pd.Series:
    """Return the sorted ``times``, with those that are midnight spread evenly over their day, in order."""
    midnight = times == times.dt.normalize()
    groups = times[midnight].groupby(times[midnight])
    share = (groups.cumcount() + 0.5) / groups.transform("size")
    moved = times[midnight] + pd.to_timedelta(share * 86_400_000, unit="ms").dt.floor("ms")
    return times.where(~midnight, moved.reindex(times.index)).sort_values(ignore_index=True)


def events(
    rows: pd.DataFrame, columns: Sequence[str], since: dt.datetime | None, until: dt.datetime | None
) -> list[Event]:
    """Return what happens in [``since``, ``until``), UTC, in order: requests sent, and outcomes that become known.

    An outcome belongs to a row that may have been played before ``since``.
    """
    found = [*_requests(rows, columns), *_outcomes(rows)]
    return sorted(
        item for item in found if (since is None or item.when >= since) and (until is None or item.when < until)
    )


def _requests(rows: pd.DataFrame, columns: Sequence[str]) -> Iterator[Event]:
    content = rows[list(columns)].astype(object)
    for order, (row, sent, at, name) in enumerate(
        zip(content.to_dict("records"), rows[SENT], rows[AT], rows[ID], strict=True)
    ):
        plain_row = {str(key): plain(value) for key, value in row.items()}
        yield Event(_utc(sent), order, "predict", name, _utc(at), plain_row)


def _outcomes(rows: pd.DataFrame) -> Iterator[Event]:
    once = rows[rows[OUTCOME].notna()].drop_duplicates(ID)
    for order, (known, name, outcome) in enumerate(zip(once[KNOWN], once[ID], once[OUTCOME], strict=True)):
        yield Event(_utc(known), len(rows) + order, "feedback", name, _utc(known), {}, plain(outcome))


def plain(value: Any) -> Any:
    """Return ``value`` as JSON has it: missing is None, whole floats are integers, times are ISO 8601."""
    if value is None or value != value:
        return None
    if isinstance(value, dt.datetime):
        return value.isoformat()
    value = value.item() if hasattr(value, "item") else value
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _utc(moment: Any) -> dt.datetime:
    return dt.datetime.fromisoformat(moment.isoformat(timespec="milliseconds")).replace(tzinfo=dt.UTC)
