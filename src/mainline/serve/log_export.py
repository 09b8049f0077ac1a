"""The prediction log as one table: a row a record, a column a field."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from mainline.errors import UserError
from mainline.files import replace_atomic
from mainline.serve.log_read import Record, Records

FIXED = ("kind", "time", "request_id", "row", "release", "track", "score", "decision", "latency_ms", "outcome")
CHUNK = 20_000


def write_table(records: Callable[[], Records], out: Path) -> tuple[int, int]:
    """Write the records to ``out`` (Parquet or CSV by its name) at constant memory; return rows and torn lines.

    A feature ``x`` becomes column ``features.x``. A column is numbers or true/false if all its values are, else text:
    so the log is read twice, the first time for the types. ``records`` starts a reading.

    Raises:
        UserError: ``out`` has another ending, or cannot be written.
    """
    import pyarrow as pa
    from pyarrow import csv, parquet

    if out.suffix not in (".parquet", ".csv"):
        raise UserError(f"{out}: a table is *.parquet or *.csv", "give the file one of these endings")
    kinds: dict[str, str] = {}
    for record in records():
        for name, value in _cells(record):
            if value is not None and kinds.get(name) != "text":
                kind = _kind(value)
                kinds[name] = kind if kinds.get(name, kind) == kind else "text"
    types = {"number": pa.float64(), "flag": pa.bool_(), "text": pa.string()}
    names = [*FIXED, *(name for name in kinds if name not in FIXED)]
    schema = pa.schema([(name, types[kinds.get(name, "text")]) for name in names])
    counted = [0, 0]

    def write(path: Path) -> None:
        read = records()
        writer = parquet.ParquetWriter(path, schema) if out.suffix == ".parquet" else csv.CSVWriter(path, schema)
        with writer:
            while chunk := list(islice(_known(read, names), CHUNK)):
                columns = {name: [_fit(row.get(name), kinds.get(name, "text")) for row in chunk] for name in names}
                writer.write_table(pa.table(columns, schema=schema))
                counted[0] += len(chunk)
        counted[1] = read.torn

    replace_atomic(out, write)
    return counted[0], counted[1]


def _cells(record: Record) -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        if name == "features":
            yield from ((f"features.{key}", item) for key, item in value.items())
        else:
            yield name, value


def _known(records: Iterator[Record], names: list[str]) -> Iterator[dict[str, Any]]:
    """Yield flat rows; a live log may show a new column on the second reading, which has no place any more."""
    wanted = set(names)
    for record in records:
        yield {name: value for name, value in _cells(record) if name in wanted}


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "flag"
    return "number" if isinstance(value, int | float) else "text"


def _fit(value: Any, kind: str) -> Any:
    """Return ``value`` for a column of ``kind``; None if it does not fit: it came after the first reading."""
    if value is None or kind == "text":
        return value if value is None or isinstance(value, str) else json.dumps(value)
    return value if _kind(value) == kind else None
