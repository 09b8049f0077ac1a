"""Is the data fit to learn from? Every violation at once, with batch and line."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mainline.data.batches import BATCH, LINE, Batch, combine, find_batches, read_batch
from mainline.data.distribution import Shift, compare_newest
from mainline.data.profile import count, make_bins
from mainline.data.rows import check_rows, empty_columns
from mainline.data.target import as_text
from mainline.data.violations import Violation, moment
from mainline.errors import UserError

if TYPE_CHECKING:
    from pandera.api.pandas.container import DataFrameSchema

    from mainline.config import Data, Task

QUANTILES = 10


@dataclass(frozen=True)
class Validation:
    """What the checks found. ``rows`` are all readable rows, typed; use them only if ``passed``."""

    rows: pd.DataFrame
    batches: list[dict[str, Any]]
    violations: list[Violation]
    distribution: list[Shift]
    lost: list[str]

    @property
    def passed(self) -> bool:
        """True when no violation is an error."""
        return not any(violation.level == "error" for violation in self.violations)

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON-ready values."""
        return {
            "passed": self.passed,
            "rows": len(self.rows),
            "batches": self.batches,
            "violations": [violation.to_dict() for violation in self.violations],
            "distribution": [shift.to_dict() for shift in self.distribution],
            "lost": self.lost,
        }


def validate(folder: Path, schema: DataFrameSchema, data: Data, task: Task) -> Validation:
    """Return all findings on the batches in ``folder``.

    Raises:
        UserError: the folder is absent or empty, or ``data`` names columns that the schema lacks.
    """
    _check_names(schema, data)
    batches, violations = _read(find_batches(folder))
    if not batches:
        return Validation(pd.DataFrame(), [], violations, [], [])
    rows, misfits = combine(batches, schema)
    violations += misfits
    violations += check_rows(rows, schema, known={violation.column for violation in misfits})
    violations += _batch_sizes(batches, data.checks.min_rows) + empty_columns(rows, schema, data.label)
    violations += _duplicates(rows, data.id) + _clock(rows, data) + _labels(rows, data, task)
    order = [batch.file for batch in batches] if data.time is None else _by_time(rows, data.time)
    shifts: list[Shift] = []
    # Distances on rows that do not even fit the schema would only repeat what was said.
    if data.checks.distribution != "off" and not any(violation.level == "error" for violation in violations):
        shifts = _distribution(rows, order, schema, data)
        violations += [_moved(shift, order[-1], len(rows), data) for shift in shifts if shift.verdict == "moved"]
    return Validation(rows, _summaries(batches, rows, data.time), violations, shifts, _lost(data, shifts, order))


def _check_names(schema: DataFrameSchema, data: Data) -> None:
    for key in ("id", "time", "label"):
        name = getattr(data, key)
        if name is not None and name not in schema.columns:
            known = ", ".join(schema.columns)
            raise UserError(f"params.yaml: data.{key}: the schema has no column {name!r}", f"use one of: {known}")


def _read(paths: list[Path]) -> tuple[list[Batch], list[Violation]]:
    """Return the batches that can be read, and a violation for each that cannot."""
    batches, violations = [], []
    for path in paths:
        try:
            batches.append(read_batch(path))
        except UserError as error:
            place, _, what = error.problem.removeprefix(f"{path}").partition(": ")
            line = int(place.removeprefix(":") or 1)
            violations.append(Violation("", what, 1, 1.0, path.name, line, hint=error.fix))
    return batches, violations


def _batch_sizes(batches: list[Batch], least: int) -> list[Violation]:
    found = []
    for batch in batches:
        if len(batch.rows) < least:
            what = "header only, no rows" if batch.rows.empty else f"{len(batch.rows)} rows, fewer than {least}"
            hint = "deliver the batch again, or lower data.checks.min_rows"
            found.append(Violation("", what, len(batch.rows), 1.0, batch.file, 1, hint=hint))
    return found


def _duplicates(rows: pd.DataFrame, key: str | None) -> list[Violation]:
    """Return a violation for keys that repeat, within a batch or across batches."""
    if key is None:
        return []
    again = rows[key].notna() & rows[key].duplicated(keep="first")
    if not again.any():
        return []
    repeated = rows[again]
    first = rows[rows[key].notna()].drop_duplicates(key).set_index(key).loc[repeated[key].iloc[0]]
    hint = f"first seen in {first[BATCH]}:{first[LINE]}; keep one of the two"
    return [Violation.of_rows(key, "is not unique", repeated, len(rows), hint)]


def _clock(rows: pd.DataFrame, data: Data) -> list[Violation]:
    """Return violations against the as-of date, freshness and the order of batches."""
    if data.time is None or rows[data.time].notna().sum() == 0:
        return []
    times = rows[data.time]
    found = []
    today = pd.Timestamp(dt.datetime.now(dt.UTC).date()) + pd.Timedelta(days=1)
    if (times > today).any():
        found.append(Violation.of_rows(data.time, "is in the future", rows[times > today], len(rows)))
    spans = times.groupby(rows[BATCH]).agg(["min", "max"]).sort_values(["min", "max"])
    as_of = pd.Timestamp(data.as_of) if data.as_of else times.max()
    for file, start in spans["min"].items():
        if start.normalize() > as_of:
            what = f"the whole batch is later than the as-of date {as_of.date()} (it starts {start.date()})"
            count_ = int((rows[BATCH] == file).sum())
            hint = "move data.as_of on in params.yaml, or take the batch out"
            found.append(Violation(data.time, what, count_, 1.0, str(file), 2, hint=hint))
    if (spans["min"] > as_of).all():
        hint = "no batch is left to learn from: move data.as_of on"
        what = f"the as-of date {as_of.date()} is before the first batch"
        found.append(Violation(data.time, what, len(rows), 1.0, str(spans.index[0]), 2, hint=hint))
    visible = times[times < as_of + pd.Timedelta(days=1)]
    oldest = data.checks.max_age_days
    if oldest is not None and len(visible) and (age := (as_of - visible.max().normalize()).days) > oldest:
        what = f"the newest row is {age} days older than the as-of date {as_of.date()}, more than {oldest}"
        hint = "deliver the missing batch, or raise data.checks.max_age_days"
        found.append(Violation(data.time, what, 0, 0.0, str(spans.index[-1]), 1, hint=hint))
    if data.checks.late_rows == "refuse":
        found += _overlaps(rows, spans, data.time)
    return found


def _overlaps(rows: pd.DataFrame, spans: pd.DataFrame, time: str) -> list[Violation]:
    """Return a violation for each batch with rows older than the end of an earlier batch."""
    found = []
    ends = spans["max"].cummax().shift()
    for file, end in ends.items():
        late = rows[(rows[BATCH] == file) & (rows[time] < end)]
        if len(late):
            hint = "deliver rows once, in order; if these came late, set data.checks.late_rows to accept"
            what = f"older than the end ({moment(end)}) of an earlier batch: batches overlap"
            found.append(Violation.of_rows(time, what, late, len(rows), hint))
    return found


def _labels(rows: pd.DataFrame, data: Data, task: Task) -> list[Violation]:
    """Return a violation when there is nothing to tell apart, or the positive class never occurs."""
    distinct = sorted(as_text(rows[data.label]).dropna().unique())
    place = (str(rows[BATCH].iloc[0]), 2) if len(rows) else ("", 1)
    if len(distinct) < 2:
        what = f"only one value in all rows: {distinct}" if distinct else "no value in any row"
        hint = "a model needs rows of at least two outcomes" if task != "regression" else "nothing varies"
        return [Violation(data.label, what, len(rows), 1.0, *place, hint=hint)]
    if task == "binary" and (len(distinct) > 2 or data.positive not in distinct):
        what = f"a binary task needs two values, one of them {data.positive!r}; found {', '.join(distinct[:6])}"
        return [Violation(data.label, what, len(rows), 1.0, *place, hint="mend data.positive or model.task")]
    return []


def _by_time(rows: pd.DataFrame, time: str) -> list[str]:
    starts = rows.groupby(BATCH)[time].min().sort_values(kind="stable")
    return [str(file) for file in starts.index]


def _distribution(rows: pd.DataFrame, order: list[str], schema: DataFrameSchema, data: Data) -> list[Shift]:
    """Return the shift of each column that is neither key nor time; bins come from the earlier batches alone."""
    columns = [name for name in schema.columns if name not in (data.id, data.time)]
    earlier = rows[rows[BATCH] != order[-1]]
    bins = make_bins(earlier, columns, QUANTILES)
    parts = dict(iter(rows.groupby(BATCH)))
    profiles = [count(parts[file], bins) for file in order]
    for profile in profiles:
        # The newest labels come later than their rows: that they are missing yet is no shift.
        profile.counts[data.label][-1] = 0
    return compare_newest(profiles, data.checks.effect, data.checks.alpha)


def _moved(shift: Shift, file: str, total: int, data: Data) -> Violation:
    what = f"the newest batch differs from the earlier ones by {shift.effect:.2f} (bound {shift.bound:.2f})"
    violation = Violation(shift.column, what, total, 1.0, file, 1, hint=f"most grown: {shift.gained}")
    return replace(violation, level="warning") if data.checks.distribution == "warn" else violation


def _summaries(batches: list[Batch], rows: pd.DataFrame, time: str | None) -> list[dict[str, Any]]:
    spans: dict[str, tuple[str, str]] = {}
    if time is not None:
        dated = rows.dropna(subset=[time])
        for file, times in dated[time].dt.strftime("%Y-%m-%d").groupby(dated[BATCH]):
            spans[str(file)] = (times.min(), times.max())
    return [
        {
            "file": batch.file,
            "rows": len(batch.rows),
            "from": spans.get(batch.file, (None, None))[0],
            "to": spans.get(batch.file, (None, None))[1],
            "sha256": batch.sha256,
        }
        for batch in batches
    ]


def _lost(data: Data, shifts: list[Shift], order: list[str]) -> list[str]:
    lost = []
    if data.id is None:
        lost.append("No id column: duplicate rows cannot be found.")
    if data.time is None:
        lost.append("No time column: freshness, overlaps and the order of batches cannot be checked.")
    if len(order) < 2:
        lost.append("One batch only: its distribution has nothing to be compared with.")
    elif any(shift.verdict == "insufficient" for shift in shifts):
        lost.append(
            "Too few batches to know how much a column moves by itself: the newest batch's shift is not judged."
        )
    if wild := [shift.column for shift in shifts if shift.verdict == "unbounded"]:
        lost.append(f"Moved too much before for any shift to count: {', '.join(wild)}.")
    return lost
