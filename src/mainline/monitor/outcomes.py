"""Outcomes that come late, joined to the predictions they belong to by request id and row."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mainline.errors import UserError
from mainline.monitor.lines import parse

KEYS = ["request_id", "row"]


@dataclass(frozen=True)
class Counted:
    """What was found on the way.

    Attributes:
        predictions: in the window, each once.
        duplicates: predictions logged again under the same request id and row; the first counts.
        outcomes: that belong to a prediction of the window, each once.
        repeated: outcomes that say again what was known.
        corrected: outcomes that say something else than was known; the newest counts.
        orphans: outcomes without a prediction anywhere in the log.
        unreadable: outcomes that are no class of the model (or no number), or have no request id.
        matured: predictions older than the label delay, whose outcome could be known.
        matured_known: those of them whose outcome is known.
    """

    predictions: int
    duplicates: int
    outcomes: int
    repeated: int
    corrected: int
    orphans: int
    unreadable: int
    matured: int
    matured_known: int


@dataclass(frozen=True)
class Joined:
    """The predictions of a window, in order of time, with "outcome" (text; missing: not known yet) and "known_at"."""

    rows: pd.DataFrame
    counted: Counted

    @property
    def labelled(self) -> pd.DataFrame:
        """The rows whose outcome is known."""
        return self.rows[self.rows["outcome"].notna()]

    def lag_days(self) -> dict[str, float | None]:
        """Return median and 90 % quantile of the days between prediction and outcome; None without times."""
        lag = (self.labelled["known_at"] - self.labelled["time"]).dt.total_seconds().dropna() / 86_400
        return {
            name: round(float(lag.quantile(at)), 3) if len(lag) else None
            for name, at in (("median", 0.5), ("p90", 0.9))
        }


def join(
    records: Iterable[Mapping[str, Any]],
    labels: pd.DataFrame | None,
    *,
    known: Iterable[str] | None,
    since: dt.datetime | None,
    until: dt.datetime | None,
    now: dt.datetime,
    delay_days: int,
    release: str = "",
    tracks: Iterable[str] = ("stable", "canary"),
) -> Joined:
    """Return the predictions of [``since``, ``until``) with their outcomes.

    ``records`` are those of the log, in any order; ``labels`` (see :func:`read_labels`) come on top of its feedback.
    ``known`` are the classes that an outcome may be; None: any number. Memory grows with the predictions.
    """
    wanted = set(tracks)
    predictions, feedback = [], []
    for number, record in enumerate(records):
        if record.get("kind") == "feedback":
            feedback.append({"order": number, **{key: record.get(key) for key in (*KEYS, "time", "outcome")}})
        elif (
            record.get("kind") == "prediction"
            and record.get("track") in wanted
            and (not release or record.get("release") == release)
        ):
            predictions.append(record)
    rows = pd.DataFrame(predictions, columns=[*KEYS, "time", "features", "score", "decision", "latency_ms", "release"])
    rows["row"] = rows["row"].fillna(0).astype("int64")
    rows["time"] = _times(rows["time"])
    rows = rows.sort_values("time", kind="stable")
    again = rows.duplicated(KEYS)
    everyone = rows[~again]
    inside = pd.Series(True, index=rows.index)
    if since is not None:
        inside &= rows["time"] >= since
    if until is not None:
        inside &= rows["time"] < until
    mine = rows[inside & ~again].reset_index(drop=True)

    outcomes = pd.DataFrame(feedback, columns=["order", *KEYS, "time", "outcome"])
    if labels is not None:
        outcomes = pd.concat([outcomes, labels.assign(order=range(len(outcomes), len(outcomes) + len(labels)))])
    outcomes, unreadable = _readable(outcomes, known)
    have = pd.MultiIndex.from_frame(everyone[KEYS])
    found = pd.MultiIndex.from_frame(outcomes[KEYS]).isin(have)
    belongs = pd.MultiIndex.from_frame(outcomes[KEYS]).isin(pd.MultiIndex.from_frame(mine[KEYS]))
    ours = outcomes[belongs].sort_values(["time", "order"], kind="stable", na_position="first")
    last = ours.drop_duplicates(KEYS, keep="last")
    before = ours.groupby(KEYS)["outcome"].shift()
    changed = int((before.notna() & (before != ours["outcome"])).sum())
    merged = mine.merge(
        last[[*KEYS, "outcome", "time"]].rename(columns={"time": "known_at"}), on=KEYS, how="left", validate="1:1"
    )
    old = merged["time"] <= now - dt.timedelta(days=delay_days)
    counted = Counted(
        predictions=len(mine),
        duplicates=int((inside & again).sum()),
        outcomes=len(last),
        repeated=int(before.notna().sum()) - changed,
        corrected=changed,
        orphans=int((~found).sum()),
        unreadable=unreadable,
        matured=int(old.sum()),
        matured_known=int((old & merged["outcome"].notna()).sum()),
    )
    return Joined(merged, counted)


def read_labels(path: Path) -> pd.DataFrame:
    """Return the outcomes in a CSV, Parquet or JSON Lines file: request_id, row (absent: 0), outcome, time (or none).

    Raises:
        UserError: the file is absent, of another format, or lacks request_id or outcome.
    """
    if not path.is_file():
        raise UserError(
            f"{path}: not there", "name a file with the columns request_id, outcome and, if known, row, time"
        )
    if path.suffix == ".parquet":
        found = pd.read_parquet(path)
    elif path.suffix == ".jsonl":
        found = pd.DataFrame([item for line in path.read_bytes().splitlines() if (item := parse(line)) is not None])
    elif path.suffix == ".csv":
        found = pd.read_csv(path, dtype={"request_id": str, "outcome": str, "time": str})
    else:
        raise UserError(f"{path}: not a format that is known", "one of: .csv, .parquet, .jsonl")
    lacking = [name for name in ("request_id", "outcome") if name not in found]
    if lacking:
        raise UserError(
            f"{path}: no column {lacking[0]!r} (it has {', '.join(map(str, found.columns))})",
            "the columns are request_id, outcome and, if known, row and time",
        )
    found = found.assign(row=found.get("row", 0), time=found.get("time", None))
    return found[[*KEYS, "time", "outcome"]]


def _readable(outcomes: pd.DataFrame, known: Iterable[str] | None) -> tuple[pd.DataFrame, int]:
    """Return the outcomes that mean something, with text (or numbers) and times as such, and how many do not."""
    outcomes = outcomes.reset_index(drop=True)
    row = pd.to_numeric(outcomes["row"].astype(object).where(outcomes["row"].notna(), 0), errors="coerce")
    if known is None:
        values = pd.to_numeric(outcomes["outcome"], errors="coerce")
        fine = values.notna()
    else:
        values = outcomes["outcome"].map(_text)
        fine = values.isin(list(known))
    fine &= outcomes["request_id"].notna() & row.notna()
    made = outcomes.assign(row=row, outcome=values, time=_times(outcomes["time"]))[fine]
    return made.astype({"row": "int64", "request_id": "str"}), int((~fine).sum())


def _text(value: Any) -> str | None:
    if value is None or value != value:
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _times(values: pd.Series) -> pd.Series:
    return pd.to_datetime(values.astype(object), utc=True, errors="coerce", format="ISO8601").astype(
        "datetime64[ms, UTC]"
    )
