"""Batch files in: what is accepted, and one table of typed rows that remembers batch and line of each."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from mainline.data.violations import Violation
from mainline.errors import UserError
from mainline.files import sha256

if TYPE_CHECKING:
    from pandera.api.pandas.container import DataFrameSchema

SUFFIXES = (".csv", ".csv.gz")
BATCH, LINE = "_batch", "_line"
ZONE = r"[T ]\S*(?:Z|[+-]\d\d(?::?\d\d)?)$"
ACCEPTED = "UTF-8 text, commas, one header line; a byte-order mark, CRLF line ends and gzip are fine"


@dataclass(frozen=True)
class Batch:
    """One delivered file. ``rows`` has the raw columns as text (missing: NA), indexed by 1-based line number."""

    file: str
    sha256: str
    rows: pd.DataFrame


def find_batches(folder: Path) -> list[Path]:
    """Return the batch files of ``folder`` in order of name; READMEs and hidden files do not count.

    Raises:
        UserError: the folder is absent or holds no batch, or holds a file that is not one.
    """
    if not folder.is_dir():
        raise UserError(
            f"{folder}: no such folder (params.yaml, key data.batches)", "run `make data`, or name it right"
        )
    files = sorted(path for path in folder.iterdir() if not path.name.startswith((".", "README", "readme")))
    gone = [path.name for path in files if not path.exists()]
    if gone:
        raise UserError(f"{folder}/{gone[0]}: a link to nothing", "run `dvc checkout` or `make data`")
    strange = [path.name for path in files if not path.name.endswith(SUFFIXES) or path.is_dir()]
    if strange:
        raise UserError(
            f"{folder}/{strange[0]}: not a batch: its name must end in {' or '.join(SUFFIXES)}",
            f"save it as CSV ({ACCEPTED}), or move it out of {folder}/",
        )
    if not files:
        raise UserError(f"{folder}: holds no batch", "run `make data`, or put the first batch there")
    return files


def read_batch(path: Path) -> Batch:
    """Return the batch in ``path``, every value as text.

    Raises:
        UserError: the file is empty, not UTF-8, not comma-separated, or a line has too many or too few fields.
    """
    import pyarrow as pa
    from pyarrow import csv

    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise UserError(f"{path}: damaged gzip file ({error})", "deliver the batch again") from error
    content = content.removeprefix(b"\xef\xbb\xbf")
    header = _header(path, content)
    ragged: list[tuple[int, int]] = []

    def skip(row: csv.InvalidRow) -> str:
        ragged.append((row.number, row.actual_columns))
        return "skip"

    options = csv.ConvertOptions(
        column_types=dict.fromkeys(header, pa.string()), null_values=[""], strings_can_be_null=True
    )
    try:
        table = csv.read_csv(
            pa.BufferReader(content),
            read_options=csv.ReadOptions(use_threads=False),
            parse_options=csv.ParseOptions(invalid_row_handler=skip, ignore_empty_lines=False),
            convert_options=options,
        )
    except pa.ArrowInvalid as error:
        raise UserError(f"{path}: not readable as CSV: {error}", f"accepted: {ACCEPTED}") from error
    if ragged:
        line, fields = ragged[0]
        raise UserError(
            f"{path}:{line}: {fields} fields where the header has {len(header)} ({len(ragged)} such line(s))",
            "quote values that hold commas, and deliver the batch again",
        )
    rows = table.to_pandas(types_mapper=lambda _: pd.StringDtype(na_value=float("nan")))
    rows.index = pd.RangeIndex(2, len(rows) + 2)
    return Batch(path.name, sha256(path), rows)


def _header(path: Path, content: bytes) -> list[str]:
    """Return the column names, once the text as a whole has been found acceptable."""
    if not content.strip():
        raise UserError(f"{path}: is empty, not even a header", "deliver the batch again, or remove the file")
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        raise UserError(f"{path}:{line}: byte 0x{byte:02x} is not UTF-8", f"save it as {ACCEPTED}") from error
    first = content.split(b"\n", 1)[0].decode("utf-8").rstrip("\r")
    names = [name.strip('"') for name in first.split(",")]
    for other, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if len(names) == 1 and other in first:
            raise UserError(f"{path}:1: fields are separated by {name}", f"accepted: {ACCEPTED}")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"{path}:1: column {twice[0]!r} appears twice", "name every column once")
    return names


def combine(batches: list[Batch], schema: DataFrameSchema) -> tuple[pd.DataFrame, list[Violation]]:
    """Return all rows in schema order with ``_batch`` and ``_line``, and the cells and columns that do not fit the
    schema.

    A cell that cannot be read as its column's type is reported and becomes missing; a column that a batch lacks is
    reported and becomes missing for that batch; an extra column is reported and left out. Order does not matter.
    """
    violations: list[Violation] = []
    wanted = list(schema.columns)
    frames = []
    for batch in batches:
        for name in (name for name in wanted if name not in batch.rows):
            violations.append(Violation(name, "column is missing", len(batch.rows), 1.0, batch.file, 1))
        for name in (name for name in batch.rows if name not in wanted):
            fix = f"the schema has: {', '.join(wanted)}"
            violations.append(Violation(str(name), "column is not in the schema", 1, 1.0, batch.file, 1, hint=fix))
        rows = batch.rows.reindex(columns=wanted)
        rows[BATCH], rows[LINE] = batch.file, rows.index
        frames.append(rows)
    text = pd.concat(frames, ignore_index=True)
    typed = {}
    for name in wanted:
        typed[name], bad, kind = _convert(text[name], str(schema.columns[name].dtype))
        if bad.any():
            violations.append(Violation.of_rows(name, f"is not {kind}", text[bad], len(text)))
        if "datetime" in str(schema.columns[name].dtype):
            violations += _mixed_zones(name, text)
    return pd.DataFrame({**typed, BATCH: text[BATCH], LINE: text[LINE]}), violations


def _mixed_zones(name: str, text: pd.DataFrame) -> list[Violation]:
    """Return a violation if some times have a zone and others none, as these count as UTC: within a batch an error."""
    times = text[name].dropna()
    zoned = times.str.contains(ZONE, regex=True).astype(bool)
    if zoned.all() or not zoned.any():
        return []
    share = zoned.groupby(text[BATCH]).transform("mean")
    mixed = share.between(0, 1, inclusive="neither")
    if mixed.any():
        odd = zoned[mixed] == (share[mixed] <= 0.5)
        what = "some times of the batch have a zone and some have none"
        return [Violation.of_rows(name, what, text.loc[odd.index[odd]], len(text), "deliver all in one way")]
    what = "times of this batch have a zone, and of others none, which count as UTC"
    return [replace(Violation.of_rows(name, what, text.loc[zoned.index[zoned]], len(text)), level="warning")]


def _convert(text: pd.Series, dtype: str) -> tuple[pd.Series, pd.Series, str]:
    """Return the typed column, the mask of cells that are not of that type, and the type in words."""
    if "datetime" in dtype:
        # A time with a zone becomes UTC: a column that mixed zones could not be put in order.
        time = pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True).dt.tz_localize(None)
        return time.astype("datetime64[us]"), time.isna() & text.notna(), "a date like 2009-05-31"
    if "int" in dtype or "float" in dtype:
        read, whole = pd.to_numeric(text, errors="coerce"), "int" in dtype
        if whole and read.dtype == "int64":
            # Not by way of float64: it tells no two neighbours above 2**53 apart, and long ids are such numbers.
            return read, pd.Series(False, index=text.index), "a whole number"
        number = read.astype("float64")
        number = number.where(number.abs() != float("inf"))
        if whole:
            number = number.where(number.mod(1).eq(0) & number.abs().lt(2.0**63))
        bad = number.isna() & text.notna()
        typed = number.astype("int64") if whole and not number.isna().any() else number
        return typed, bad, "a whole number" if whole else "a number"
    if "bool" in dtype:
        flag = text.str.lower().map({"true": True, "false": False, "1": True, "0": False})
        return flag, flag.isna() & text.notna(), "true or false"
    return text, pd.Series(False, index=text.index), "text"
