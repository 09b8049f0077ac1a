"""Faults that are planted in a replay from a given day on; each is a function of rows alone.

Written as ``kind:column=value@from..to``, for instance ``rename:contact=cellular->CELLULAR@2009-06-10``; the end may be
left out. A fault touches the rows that are sent in its time, and nothing else.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mainline.errors import UserError
from mainline.replay.events import AT, OUTCOME, SENT

Rng = np.random.Generator
FORM = re.compile(r"(?P<kind>[a-z]+)(:(?P<column>[^=@]+))?(=(?P<value>[^@]+))?@(?P<since>[^.]+?)(\.\.(?P<until>.+))?")
ARROW = re.compile(r"\s*(?:→|->)\s*")
AGAIN = pd.Timedelta(seconds=1)


@dataclass(frozen=True)
class Fault:
    """What goes wrong, where, how much (``number``, or from ``old`` to ``new``), and when (UTC)."""

    kind: str
    column: str
    number: float
    share: float
    old: str
    new: str
    since: dt.datetime
    until: dt.datetime | None
    text: str


def rename(rows: pd.DataFrame, fault: Fault, rng: Rng) -> pd.DataFrame:
    """Upstream writes a category otherwise."""
    return rows.assign(**{fault.column: rows[fault.column].astype(object).replace(fault.old, fault.new)})


def unit(rows: pd.DataFrame, fault: Fault, rng: Rng) -> pd.DataFrame:
    """A share of the numbers comes in another unit: times ``number``."""
    hit = rng.random(len(rows)) < fault.share
    values = rows[fault.column]
    return rows.assign(**{fault.column: _whole(values.where(~hit, values * fault.number), values)})


def nulls(rows: pd.DataFrame, fault: Fault, rng: Rng) -> pd.DataFrame:
    """A share of the values is missing."""
    hit = rng.random(len(rows)) < fault.number
    return rows.assign(**{fault.column: rows[fault.column].astype(object).mask(hit, None)})


def shuffle(rows: pd.DataFrame, fault: Fault, rng: Rng) -> pd.DataFrame:
    """A join upstream goes wrong: each row gets another row's value, and the column looks as it did."""
    return rows.assign(**{fault.column: rows[fault.column].to_numpy()[rng.permutation(len(rows))]})


def shift(rows: pd.DataFrame, fault: Fault, rng: Rng) -> pd.DataFrame:
    """The numbers move by ``number`` of the column's own standard deviations."""
    values = rows[fault.column]
    return rows.assign(**{fault.column: _whole(values + fault.number * values.std(), values)})


def flip(rows: pd.DataFrame, fault: Fault, rng: Rng) -> pd.DataFrame:
    """The world changes its mind: a share of the same clients now answers otherwise."""
    known = sorted(rows[OUTCOME].dropna().unique())
    other = dict(zip(known, [*known[1:], *known[:1]], strict=True))
    hit = rng.random(len(rows)) < fault.number
    return rows.assign(**{OUTCOME: rows[OUTCOME].where(~hit, rows[OUTCOME].map(other))})


def silence(rows: pd.DataFrame, fault: Fault, rng: Rng) -> pd.DataFrame:
    """Nothing is sent any more."""
    return rows.iloc[:0]


def duplicate(rows: pd.DataFrame, fault: Fault, rng: Rng) -> pd.DataFrame:
    """A share of the requests is sent again, with the same id, a second later."""
    again = rows[rng.random(len(rows)) < fault.number]
    return pd.concat([rows, again.assign(**{SENT: again[SENT] + AGAIN, AT: again[AT] + AGAIN})])


def skew(rows: pd.DataFrame, fault: Fault, rng: Rng) -> pd.DataFrame:
    """The clock that stamps the requests is ``number`` hours off."""
    return rows.assign(**{AT: rows[AT] + pd.Timedelta(hours=fault.number)})


KINDS: Mapping[str, Callable[[pd.DataFrame, Fault, Rng], pd.DataFrame]] = {
    "rename": rename, "unit": unit, "nulls": nulls, "shuffle": shuffle, "shift": shift, "flip": flip,
    "silence": silence, "duplicate": duplicate, "skew": skew,
}  # fmt: skip
EXAMPLES: Mapping[str, str] = {
    "rename": "rename:contact=cellular->CELLULAR@2009-06-10",
    "unit": "unit:balance=100/0.01@2009-06-10 (times 100, on 1 % of rows; without a share on all)",
    "nulls": "nulls:age=0.05@2009-06-10 (5 % of rows)",
    "shuffle": "shuffle:poutcome@2009-06-10",
    "shift": "shift:age=0.5@2009-06-10 (standard deviations)",
    "flip": "flip=0.3@2009-06-10 (30 % of outcomes)",
    "silence": "silence@2009-06-10..2009-06-20",
    "duplicate": "duplicate=0.1@2009-06-10 (10 % of requests)",
    "skew": "skew=-48@2009-06-10 (hours)",
}
WITH_COLUMN = ("rename", "unit", "nulls", "shuffle", "shift")
SHARES = ("nulls", "flip", "duplicate")


def apply(rows: pd.DataFrame, faults: Sequence[Fault], seed: int) -> pd.DataFrame:
    """Return ``rows`` with the faults in them, one after the other, in the order in which they are sent."""
    for number, fault in enumerate(faults):
        begin = pd.Timestamp(fault.since.replace(tzinfo=None))
        hit = rows[SENT] >= begin
        if fault.until is not None:
            hit &= rows[SENT] < pd.Timestamp(fault.until.replace(tzinfo=None))
        if hit.any():
            touched = KINDS[fault.kind](rows[hit], fault, np.random.default_rng([seed, number]))
            types = {name: object for name in rows if touched[name].dtype != rows[name].dtype}
            rows = pd.concat([rows[~hit].astype(types), touched.astype(types)])
        rows = rows.sort_values(SENT, kind="stable", ignore_index=True)
    return rows


def parse(text: str, numbers: Sequence[str], texts: Sequence[str]) -> Fault:
    """Return the fault that ``text`` describes; ``numbers`` and ``texts`` are the columns that a request holds.

    Raises:
        UserError: it cannot be read; the message shows how such a fault is written.
    """
    found = FORM.fullmatch(text.strip())
    kind = found["kind"] if found else text.split(":")[0].split("=")[0].split("@")[0]
    if kind not in KINDS:
        raise UserError(f"--fault {text}: there is no fault {kind!r}", f"one of: {', '.join(KINDS)}")
    wrong = UserError(f"--fault {text}: cannot be read", f"write it like {EXAMPLES[kind]}")
    if found is None or (kind in WITH_COLUMN) != bool(found["column"]):
        raise wrong
    column, value = (found["column"] or "").strip(), (found["value"] or "").strip()
    if column and column not in (*numbers, *texts):
        raise UserError(
            f"--fault {text}: requests have no column {column!r}", f"one of: {', '.join((*numbers, *texts))}"
        )
    if kind in ("unit", "shift") and column not in numbers:
        raise UserError(f"--fault {text}: {column} holds no numbers", f"one of: {', '.join(numbers)}")
    number, share, old, new = 0.0, 1.0, "", ""
    try:
        if kind == "rename":
            old, new = ARROW.split(value)
        elif kind == "unit":
            factor, _, part = value.partition("/")
            number, share = float(factor), float(part or 1)
        elif kind in (*SHARES, "shift", "skew"):
            number = float(value)
        elif value:
            raise wrong
        since, until = _day(found["since"]), _day(found["until"]) if found["until"] else None
    except ValueError:
        raise wrong from None
    if not (0 < share <= 1 and (kind not in SHARES or 0 < number <= 1) and np.isfinite(number)):
        raise UserError(f"--fault {text}: a share is above 0 and at most 1", f"write it like {EXAMPLES[kind]}")
    if until is not None and until <= since:
        raise UserError(f"--fault {text}: ends before it begins", f"write it like {EXAMPLES[kind]}")
    return Fault(kind, column, number, share, old, new, since, until, text)


def _day(text: str) -> dt.datetime:
    found = dt.datetime.fromisoformat(text.strip())
    return found.astimezone(dt.UTC) if found.tzinfo else found.replace(tzinfo=dt.UTC)


def _whole(values: pd.Series, before: pd.Series) -> pd.Series:
    """Return ``values`` as whole numbers where the column held such."""
    return values.round().astype(before.dtype) if before.dtype.kind in "iu" else values
