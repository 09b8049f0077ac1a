"""Split the example's source file into monthly batches: ``data/`` for training, ``replay/`` for the time after it.

    python scripts/example_data.py bank-full.dated.csv.gz

The same source gives the same bytes: rows keep the order of the source, values are copied as text, lines end in LF.
"""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import gzip
import io
import sys
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from mainline.errors import UserError
from mainline.files import write_atomic

TIME = "contact_date"
REQUIRED = ("row_id", TIME, "y")
LAST_TRAINING_MONTH = "2009-05"


def read_rows(source: Path) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of a CSV file (plain or ``.gz``), values as text.

    Raises:
        UserError: the file is absent, damaged or empty, lacks a column, or a row has the wrong number of values.
    """
    fix = "docs/data.md says where the example's source comes from"
    try:
        raw = source.read_bytes()
        text = (gzip.decompress(raw) if source.suffix == ".gz" else raw).decode("utf-8")
    except FileNotFoundError as error:
        raise UserError(f"{source}: not there", fix) from error
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise UserError(f"{source}: cannot be read ({error})", "fetch the file again; " + fix) from error
    lines = csv.reader(io.StringIO(text, newline=""))
    header = next(lines, [])
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise UserError(f"{source}: column {', '.join(missing)} is missing; it has: {', '.join(header) or 'none'}", fix)
    rows = list(lines)
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise UserError(f"{source}: line {number}: {len(row)} values for {len(header)} columns", fix)
    return header, rows


def by_month(source: Path, header: Sequence[str], rows: Iterable[list[str]]) -> dict[str, list[list[str]]]:
    """Return the rows of each month, keyed ``YYYY-MM``, in the order of the source.

    Raises:
        UserError: a date is not a calendar date written YYYY-MM-DD; the line is named.
    """
    place = header.index(TIME)
    months: dict[str, list[list[str]]] = {}
    for number, row in enumerate(rows, start=2):
        try:
            month = dt.datetime.strptime(row[place], "%Y-%m-%d").strftime("%Y-%m")
        except ValueError as error:
            raise UserError(
                f"{source}: line {number}: column {TIME}: {row[place]!r} is no date", "write it as YYYY-MM-DD"
            ) from error
        months.setdefault(month, []).append(row)
    return months


def write_batches(source: Path, top: Path) -> dict[str, int]:
    """Write one file a month below ``top``; return the rows of each, keyed by its path relative to ``top``.

    Raises:
        UserError: see :func:`read_rows` and :func:`by_month`; nothing is written in that case.
    """
    header, rows = read_rows(source)
    written = {}
    for month, batch in sorted(by_month(source, header, rows).items()):
        name = f"{'data' if month <= LAST_TRAINING_MONTH else 'replay'}/{month}.csv"
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows([list(header), *batch])
        write_atomic(top / name, text.getvalue())
        written[name] = len(batch)
    return written


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 0, or 1 after a mistake that the message explains."""
    parser = argparse.ArgumentParser(description="Split the example's source file into monthly batches.")
    parser.add_argument("source", type=Path, help="CSV file, plain or .gz")
    parser.add_argument("--into", type=Path, default=Path(), help="folder that gets data/ and replay/ (default: here)")
    chosen = parser.parse_args(arguments)
    try:
        written = write_batches(chosen.source, chosen.into)
    except UserError as error:
        print(f"mainline: {error}", file=sys.stderr)
        return 1
    print(f"{sum(written.values()):,} rows in {len(written)} batches")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
