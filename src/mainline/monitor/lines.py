"""The lines of a prediction log as frames: fast where every value is of its column's type, else line by line."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

BLOCK = 8 << 20  # bytes of text held at a time


def parse(line: bytes) -> dict[str, Any] | None:
    """Return the record in ``line``, or None if it is no whole one."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def blocks(
    stream: Any, start: int, stop: int, numbers: Sequence[str], texts: Sequence[str], typed: bool
) -> Iterator[tuple[pd.DataFrame, int]]:
    """Yield the records of the lines that begin between two bytes, and how many lines were no whole record.

    The line that reaches beyond ``stop`` is read to its end. ``typed``: features are read as numbers and texts.

    Raises:
        pyarrow.ArrowInvalid: ``typed``, and a value does not fit.
    """
    stream.seek(start)
    if start:
        stream.seek(start - 1)
        stream.readline()
    while (here := stream.tell()) < stop:
        block = stream.read(min(BLOCK, stop - here))
        block += b"" if block.endswith(b"\n") else stream.readline()
        torn = 0
        if not block.endswith(b"\n"):
            block, _, _ = block.rpartition(b"\n")
            torn = 1  # the writer is at it, or was killed
        if block.strip():
            frame, bad = (_typed(block, numbers, texts), 0) if typed else _loose(block, numbers, texts)
            yield frame, torn + bad
        elif torn:
            yield _of_records([], numbers, texts), torn


def _typed(block: bytes, numbers: Sequence[str], texts: Sequence[str]) -> pd.DataFrame:
    import pyarrow as pa
    from pyarrow import json as reader

    features = [(name, pa.float64()) for name in numbers] + [(name, pa.string()) for name in texts]
    schema = pa.schema(
        [(name, pa.string()) for name in ("kind", "time", "request_id", "release", "track")]
        + [
            ("row", pa.int64()),
            ("score", pa.float64()),
            ("latency_ms", pa.float64()),
            ("features", pa.struct(features)),
        ]
    )
    table = reader.read_json(
        io.BytesIO(block),
        reader.ReadOptions(use_threads=False, block_size=len(block) + 1),
        reader.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
    )
    struct = table.column("features").combine_chunks()
    table = table.drop_columns(["features"])
    for index, (name, kind) in enumerate(features):
        values = struct.field(index)
        table = table.append_column(name, values.dictionary_encode() if kind == pa.string() else values)
    frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)
    return frame


def _loose(block: bytes, numbers: Sequence[str], texts: Sequence[str]) -> tuple[pd.DataFrame, int]:
    records, bad = [], 0
    for line in block.splitlines():
        record = parse(line)
        if record is None:
            bad += 1
        else:
            records.append(record)
    return _of_records(records, numbers, texts), bad


def _of_records(records: Sequence[Mapping[str, Any]], numbers: Sequence[str], texts: Sequence[str]) -> pd.DataFrame:
    names = ("kind", "time", "request_id", "row", "release", "track", "score", "latency_ms")
    found: dict[str, Any] = {name: [record.get(name) for record in records] for name in names}
    features = [record.get("features") or {} for record in records]
    found |= {name: [item.get(name) for item in features] for name in (*numbers, *texts)}
    return pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in found.items()})
