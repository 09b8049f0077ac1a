"""Where rows come from: prediction logs (JSON Lines), CSV or Parquet; a file, a folder, or an object store by its URI.

A place is cut into parts that can be read apart from each other, and each part into frames of bounded size.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from mainline.errors import UserError
from mainline.monitor.lines import BLOCK, blocks, parse

if TYPE_CHECKING:
    import pyarrow as pa

Format = Literal["log", "csv", "parquet"]
FORMATS: Mapping[str, Format] = {
    ".jsonl": "log", ".jsonl.open": "log", ".csv": "csv", ".csv.gz": "csv", ".parquet": "parquet",
}  # fmt: skip
PART = 64 << 20  # bytes of a log file that one worker reads
SLACK = dt.timedelta(hours=1)  # between the clocks of service and storage
ROWS = 1 << 16  # rows of Parquet held at a time


@dataclass(frozen=True)
class Part:
    """A piece of a place: bytes ``start`` to ``stop`` of a log file, row groups of a Parquet file, or all of a CSV."""

    file: str
    format: Format
    start: int
    stop: int


@dataclass(frozen=True)
class Columns:
    """What to read: ``numbers`` and ``texts`` by name; ``time``, ``score`` of a table, if it has them."""

    numbers: tuple[str, ...]
    texts: tuple[str, ...]
    time: str | None = None
    score: str | None = None

    @property
    def of_table(self) -> list[str]:
        """All of them, each once."""
        extra = [name for name in (self.time, self.score) if name]
        return list(dict.fromkeys([*self.numbers, *self.texts, *extra]))


def parts(place: str, since: dt.datetime | None = None, arrived: dt.datetime | None = None) -> list[Part]:
    """Return the parts of ``place``, in order of name; hidden files and READMEs do not count.

    Log files that were last written well before ``since`` are left out: they hold nothing later. So are files of any
    format that were both written and put there well before ``arrived``.

    Raises:
        UserError: it cannot be reached, or holds a file of a format that is not known.
    """
    fs, path = _file_system(place)
    try:
        if not fs.exists(path):
            raise UserError(f"{place}: not there", "name a file, a folder, or a URI such as s3://bucket/log")
        entries = fs.ls(path, detail=True) if fs.isdir(path) else [fs.info(path)]
    except OSError as error:
        raise UserError(f"{place}: cannot be read ({error})", "check address and keys") from error
    found = []
    for item in sorted(entries, key=lambda entry: str(entry["name"])):
        name = str(item["name"]).rsplit("/", 1)[-1]
        if item["type"] != "file" or name.startswith((".", "README", "readme")):
            continue
        suffix = next((ending for ending in sorted(FORMATS, key=len, reverse=True) if name.endswith(ending)), None)
        if suffix is None:
            raise UserError(f"{place}: {name}: not a format that is known", f"one of: {', '.join(FORMATS)}")
        if FORMATS[suffix] == "log" and since is not None and _written(item, since) < since - SLACK:
            continue
        if arrived is not None and max(_written(item, arrived), _created(item, arrived)) < arrived - SLACK:
            continue
        found += list(_cut(fs, fs.unstrip_protocol(item["name"]), FORMATS[suffix], int(item["size"] or 0)))
    return found


def _written(item: Mapping[str, Any], unknown: dt.datetime) -> dt.datetime:
    """Return when a file was last written, as the file system says; ``unknown`` if it does not."""
    return _moment(item.get("mtime", item.get("LastModified", item.get("last_modified"))), unknown)


def _created(item: Mapping[str, Any], unknown: dt.datetime) -> dt.datetime:
    """Return when a file came to its place: a copy can keep the time of writing, and never this one."""
    value = item.get("created")
    return dt.datetime.min.replace(tzinfo=dt.UTC) if value is None else _moment(value, unknown)


def _moment(value: object, unknown: dt.datetime) -> dt.datetime:
    if isinstance(value, int | float):
        return dt.datetime.fromtimestamp(value, dt.UTC)
    if isinstance(value, dt.datetime):
        return value if value.tzinfo else value.replace(tzinfo=dt.UTC)
    return unknown


def _cut(fs: Any, file: str, form: Format, size: int) -> Iterator[Part]:
    if form == "log":
        for start in range(0, size, PART):
            yield Part(file, form, start, min(start + PART, size))
    elif form == "parquet":
        import pyarrow.parquet as pq

        with fs.open(file, "rb") as stream:
            groups = pq.ParquetFile(stream).num_row_groups
        for group in range(groups):
            yield Part(file, form, group, group + 1)
    else:
        yield Part(file, form, 0, size)


def frames(part: Part, columns: Columns, typed: bool) -> Iterator[tuple[pd.DataFrame, int]]:
    """Yield rows with what ``columns`` names, and how many lines were no whole record.

    Log records come with the columns kind, time, request_id, row, release, track, score and latency_ms besides the
    features. ``typed``: numbers are read as such, which is fast.

    Raises:
        pyarrow.ArrowInvalid: ``typed``, and a value does not fit: read the part again without.
    """
    fs, path = _file_system(part.file)
    with fs.open(path, "rb") as stream:
        if part.format == "log":
            yield from blocks(stream, part.start, part.stop, columns.numbers, columns.texts, typed)
        else:
            tables = _csv(stream, part, columns, typed) if part.format == "csv" else _parquet(stream, part, columns)
            for table in tables:
                yield _frame(table), 0


def _csv(stream: Any, part: Part, columns: Columns, typed: bool) -> Iterator[pa.Table]:
    import gzip

    import pyarrow as pa
    from pyarrow import csv

    text = pa.dictionary(pa.int32(), pa.string())
    types = dict.fromkeys(columns.of_table, pa.string()) | dict.fromkeys(columns.texts, text)
    if typed:
        types |= dict.fromkeys([*columns.numbers, *([columns.score] if columns.score else [])], pa.float64())
    options = csv.ConvertOptions(
        column_types=types,
        null_values=[""],
        strings_can_be_null=True,
        include_columns=columns.of_table,
        include_missing_columns=True,
    )
    opened = gzip.GzipFile(fileobj=stream) if part.file.endswith(".gz") else stream
    reader = csv.open_csv(opened, csv.ReadOptions(use_threads=False, block_size=BLOCK), convert_options=options)
    for batch in reader:
        yield pa.Table.from_batches([batch])


def _parquet(stream: Any, part: Part, columns: Columns) -> Iterator[pa.Table]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(stream, read_dictionary=list(columns.texts))
    names = [name for name in columns.of_table if name in file.schema_arrow.names]
    for batch in file.iter_batches(ROWS, row_groups=list(range(part.start, part.stop)), columns=names):
        table = pa.Table.from_batches([batch])
        for name in columns.of_table:
            if name not in names:
                table = table.append_column(name, pa.nulls(len(table), pa.string()))
        yield table


def _frame(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)
    return frame


def records(place: str) -> Iterator[dict[str, Any]]:
    """Yield every whole record of a prediction log, in order of file name; see :func:`parts` for what it raises."""
    for part in parts(place):
        if part.format != "log":
            raise UserError(
                f"{part.file}: is no prediction log", "name the folder of *.jsonl files that the service writes"
            )
        if part.start:
            continue  # the first part of a file reads all of it
        fs, path = _file_system(part.file)
        with fs.open(path, "rb") as stream:
            for line in stream:
                if (record := parse(line)) is not None:
                    yield record


def _file_system(place: str) -> tuple[Any, str]:
    import fsspec  # type: ignore[import-untyped]

    try:
        fs, path = fsspec.core.url_to_fs(place)
    except (ImportError, ValueError) as error:
        raise UserError(f"{place}: no client for this address ({error})", "install the one that it names") from error
    return fs, str(path)
