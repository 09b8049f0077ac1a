"""CSV at constant memory: a header that is understood, cuts between records, and cells as text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mainline.data.batches import ACCEPTED
from mainline.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HEAD = 1 << 20  # a header line is shorter
RECORD = 1 << 26  # and so is a record: a longer one is a quote that nobody closes


@dataclass(frozen=True)
class Head:
    """Column names, and the byte after the header line."""

    names: tuple[str, ...]
    end: int


@dataclass(frozen=True)
class Cells:
    """A part's cells: an Arrow table of texts (missing: null), the line of each row, and the lines that do not fit.

    ``ragged`` holds line and number of fields of each row that has too many or too few.
    """

    table: Any
    lines: NDArray[np.int64]
    ragged: list[tuple[int, int]]


def read_head(file: str, stream: Any) -> Head:
    """Return the header of the CSV file ``stream``, which is at its start.

    Raises:
        UserError: the file is empty, is no UTF-8 text, has other separators or line ends, or names a column twice.
    """
    text = stream.read(HEAD)
    if text[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in text[:1000]:
        raise UserError(f"{file}:1: is UTF-16 or binary, not UTF-8", f"save it as {ACCEPTED}")
    mark = 3 if text.startswith(b"\xef\xbb\xbf") else 0
    if not text[mark:].strip():
        raise UserError(f"{file}: is empty, not even a header", "deliver the file again, or take it out")
    end = text.find(b"\n")
    line = text[mark : end if end >= 0 else len(text)].removesuffix(b"\r")
    if b"\r" in line:
        raise UserError(f"{file}:1: lines end in CR alone", f"save it as {ACCEPTED}")
    try:
        first = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _not_utf8(file, 1, line[error.start]) from error
    names = tuple(name.strip('"') for name in first.split(","))
    for other, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if len(names) == 1 and other in first:
            raise UserError(f"{file}:1: fields are separated by {name}", f"accepted: {ACCEPTED}")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"{file}:1: column {twice[0]!r} appears twice", "name every column once")
    return Head(names, end + 1 if end >= 0 else len(text))


def cut(file: str, stream: Any, head: Head, chunk: int) -> Iterator[tuple[int, int, int]]:
    """Yield first byte, end and first line of pieces of about ``chunk`` bytes that end with a record.

    A line end within quotes ends no record: one before which the number of quotes is odd.

    Raises:
        UserError: a byte that is not UTF-8, or a quote that is never closed; with its line.
    """
    stream.seek(head.end)
    start, line, held = head.end, 2, b""
    while True:
        read = stream.read(chunk)
        held += read
        if not held:
            return
        end = _last_record(held) if read else len(held)
        if not read and held.count(b'"') % 2 or end == 0 and len(held) > max(RECORD, chunk):
            raise UserError(
                f"{file}:{_odd_line(held, line)}: a quote is opened and never closed",
                'write a quote within a value twice (""), in quotes',
            )
        if end == 0:
            continue
        piece = held[:end]
        _check_text(file, piece, line)
        yield start, start + end, line
        start, line, held = start + end, line + piece.count(b"\n"), held[end:]


def _last_record(text: bytes) -> int:
    """Return the end of the last whole record in ``text``, which begins with a record; 0 if there is none."""
    end = text.rfind(b"\n")
    quotes = text.count(b'"', 0, max(end, 0))
    while end >= 0 and quotes % 2:
        before = text.rfind(b"\n", 0, end)
        quotes -= text.count(b'"', max(before, 0), end)
        end = before
    return end + 1


def _odd_line(text: bytes, line: int) -> int:
    for number, content in enumerate(text.split(b"\n"), line):
        if content.count(b'"') % 2:
            return number
    return line


def _check_text(file: str, text: bytes, line: int) -> None:
    if text.isascii():
        return
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _not_utf8(file, line + text.count(b"\n", 0, error.start), text[error.start]) from error


def _not_utf8(file: str, line: int, byte: int) -> UserError:
    return UserError(f"{file}:{line}: byte 0x{byte:02x} is not UTF-8", f"save it as {ACCEPTED}")


def read_cells(file: str, text: bytes, names: tuple[str, ...], wanted: list[str], line: int) -> Cells:
    """Return the ``wanted`` columns of the records in ``text``, whose first record stands in ``line``.

    Raises:
        UserError: it is no CSV after all.
    """
    import numpy as np
    import pyarrow as pa
    from pyarrow import csv

    bad: list[tuple[int, int]] = []

    def skip(row: csv.InvalidRow) -> str:
        bad.append((row.number - 1, row.actual_columns))
        return "skip"

    try:
        table = csv.read_csv(
            pa.BufferReader(text),
            read_options=csv.ReadOptions(use_threads=False, column_names=names, block_size=len(text) + 1),
            parse_options=csv.ParseOptions(
                invalid_row_handler=skip, ignore_empty_lines=False, newlines_in_values=b'"' in text
            ),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                include_columns=wanted,
            ),
        )
    except pa.ArrowInvalid as error:
        raise UserError(f"{file}: not readable as CSV from line {line} on: {error}", f"accepted: {ACCEPTED}") from error
    rows = table.num_rows + len(bad)
    starts = line + (_lines_before(text, rows) if b'"' in text else np.arange(rows, dtype=np.int64))
    if len(starts) < rows:  # Arrow reads such a quote as a letter, and only then are there more records than line ends
        raise UserError(
            f"{file}:{_odd_line(text, line)}: a quote stands in a value that does not begin with one",
            'put such a value in quotes, and write a quote within it twice ("")',
        )
    ragged = [(int(starts[index]), fields) for index, fields in bad]
    return Cells(table, np.delete(starts, [index for index, _ in bad]), ragged)


def _lines_before(text: bytes, rows: int) -> NDArray[np.int64]:
    """Return for each of the ``rows`` records how many line ends stand before it, those within quotes included."""
    import numpy as np

    letters = np.frombuffer(text, dtype=np.uint8)
    ends = np.flatnonzero(letters == ord("\n"))
    quotes = np.searchsorted(np.flatnonzero(letters == ord('"')), ends)
    outside = np.flatnonzero(quotes % 2 == 0)  # of the line ends, those that end a record
    return np.concatenate([[0], outside + 1])[:rows].astype(np.int64)
