"""Faults in the data that are delivered."""

from __future__ import annotations

import pandas as pd

from planted.plants import NEWEST, Fault, all_rows, rows, text
from planted.site import Site

VALIDATE = ("mainline validate",)


def _stop(name: str, plant: object, column: str, *says: str, also: tuple[str, ...] = ()) -> Fault:
    return Fault("data", name, plant, VALIDATE, column, says, "stops", also)  # type: ignore[arg-type]


def _one(column: str, value: str) -> object:
    def edit(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[7, column] = value
        return frame

    return rows(edit)


def _answer_in_balance(frame: pd.DataFrame) -> pd.DataFrame:
    answer = (9000 + frame["age"].astype(int)).astype(str)
    return frame.assign(balance=frame["balance"].where(frame["y"] == "no", answer))


def _times(frame: pd.DataFrame, factor: float) -> pd.DataFrame:
    return frame.assign(balance=(frame["balance"].astype(int) * factor).astype(int).astype(str))


def _no_newest(site: Site) -> None:
    for name in (NEWEST, "2009-04.csv"):
        (site.folder / "data" / name).unlink()


DATA = [
    _stop("a category renamed: `success` is now `SUCCESS`",
          rows(lambda frame: frame.assign(poutcome=frame["poutcome"].replace("success", "SUCCESS"))),
          "poutcome", "SUCCESS", "is not one of failure, other, success, unknown", "looks like a renamed 'success'"),
    _stop("a column renamed", rows(lambda frame: frame.rename(columns={"job": "occupation"})),
          "job", "data/2009-05.csv:1: job: column is missing", also=("occupation",)),
    _stop("a third of a column's values missing",
          rows(lambda frame: frame.assign(job=frame["job"].where(frame.index % 3 > 0, ""))), "job", "job: is missing"),
    _stop("an id delivered twice", rows(lambda frame: pd.concat([frame, frame.head(1)])), "row_id",
          "row_id: is not unique", "first seen in 2009-05.csv:2"),
    _stop("rows of the month before", rows(lambda frame: frame.assign(
          contact_date=frame["contact_date"].where(frame.index > 5, "2009-04-15"))), "contact_date",
          "older than the end (2009-04-30) of an earlier batch: batches overlap", "data.checks.late_rows"),
    _stop("deliveries that stopped two months ago", _no_newest, "contact_date", "the newest row is",
          "days older than the as-of date", "data.checks.max_age_days"),
    _stop("a month delivered, and the as-of date not moved on", text("params.yaml", '"2009-05-31"', '"2009-04-30"'),
          "contact_date", "data/2009-05.csv", "the whole batch is later than the as-of date"),
    _stop("a file with nothing but its header", rows(lambda frame: frame.head(0)), "", "data/2009-05.csv:1",
          "header only, no rows"),
    _stop("cents instead of euros", rows(lambda frame: _times(frame, 100)),
          "balance", "balance: is above 1000000"),
    _stop("thousands instead of euros: every value is in range",
          rows(lambda frame: _times(frame, 0.001)),
          "balance", "the newest batch differs from the earlier ones"),
    _stop("an age below zero", _one("age", "-3"), "age", "data/2009-05.csv:9: age: is below 18: -3"),
    _stop("a date in another notation", _one("contact_date", "31/05/2009"), "contact_date",
          "contact_date: is not a date like 2009-05-31"),
    Fault("data", "a column filled from the outcome", all_rows(_answer_in_balance),
          ("dvc repro",), "train", ("balance: alone separates the target at", "COLUMNS"), "stops"),
    Fault("code", "a feature that is known only after the event",
          text("src/bank/features.py", "COUNTS = (", 'COUNTS = ("duration", '),
          ("dvc repro",), "train", ("duration: known only after the event", "COLUMNS"), "stops"),
]  # fmt: skip
