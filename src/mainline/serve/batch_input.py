"""What `mainline score` reads: which files there are, and how each is cut into parts that are scored one by one.

A part is a range of bytes of a CSV file, or some row groups of a Parquet file. The cut depends on the file and on
``score.chunk_mb`` alone, so that parts can be scored in any order, by any process, and again after a crash.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mainline.errors import UserError
from mainline.serve.batch_csv import cut, read_head
from mainline.serve.log_read import file_system

ENDINGS = (".csv", ".csv.gz", ".parquet")
GROUP_ROWS = 131_072  # small row groups of a Parquet file make one part up to here


@dataclass(frozen=True)
class Source:
    """An input file: how the user named it, where its bytes are read, and what tells that it is still the same."""

    name: str
    address: str
    identity: str


@dataclass(frozen=True)
class Part:
    """A piece of an input file.

    Attributes:
        number: its place in the output, from 0.
        file: the input file as the user named it.
        address: path or URI from which it is read.
        kind: csv or parquet.
        start: first byte, or first row group; ``end`` is one past the last.
        line: line of the first row (Parquet: its number, from 1).
        columns: the header of the file.
    """

    number: int
    file: str
    address: str
    kind: Literal["csv", "parquet"]
    start: int
    end: int
    line: int
    columns: tuple[str, ...]


def find_sources(where: str) -> list[Source]:
    """Return the input files of a file, folder, glob or URI, by name.

    Raises:
        UserError: there is none, or one that can be no input.
    """
    fs, path = file_system(where)
    remote = "://" in where
    try:
        if fs.isdir(path):
            found = [item for item in sorted(fs.ls(path, detail=False)) if not _name(item).startswith((".", "README"))]
        elif fs.exists(path):
            found = [path]
        else:
            found = sorted(fs.glob(path)) if any(sign in path for sign in "*?[") else []
        if not found:
            raise UserError(
                f"{where}: no such file, or no file in it", "name a file, a folder or a pattern like 'x/*.csv'"
            )
        strange = [item for item in found if not item.endswith(ENDINGS) or fs.isdir(item)]
        if strange:
            raise UserError(
                f"{strange[0]}: no input: its name must end in {', '.join(ENDINGS)}", "move it away, or convert it"
            )
        sources = []
        for item in found:
            address = fs.unstrip_protocol(item) if remote else item
            sources.append(Source(_shown(address), address, f"{fs.size(item)} {fs.ukey(item)}"))
    except (OSError, NotImplementedError) as error:
        raise UserError(f"{where}: cannot be read ({error})", "check path, address and keys") from error
    return sources


def make_parts(sources: list[Source], chunk: int, work: Path) -> Iterator[Part]:
    """Yield the parts of all files in order; each is about ``chunk`` bytes of CSV.

    The whole of every CSV file is looked through: a fault of the file as a whole stops before anything is scored.

    ``work`` is where packed files are unpacked: they cannot be read from the middle.

    Raises:
        UserError: a file is empty, damaged, or not UTF-8 CSV or Parquet; file and line are named.
    """
    number = 0
    for index, source in enumerate(sources):
        for kind, address, start, end, line, columns in _pieces(source, chunk, work / f"unpacked-{index:04d}.csv"):
            yield Part(number, source.name, address, kind, start, end, line, columns)
            number += 1


Piece = tuple[Literal["csv", "parquet"], str, int, int, int, tuple[str, ...]]


def _pieces(source: Source, chunk: int, unpacked: Path) -> Iterator[Piece]:
    if source.address.endswith(".parquet"):
        yield from _row_groups(source)
        return
    address = source.address
    if address.endswith(".gz"):
        _unpack(source, unpacked)
        address = str(unpacked.resolve())
    with open_bytes(address) as stream:
        head = read_head(source.name, stream)
        for start, end, line in cut(source.name, stream, head, chunk):
            yield "csv", address, start, end, line, head.names


def _row_groups(source: Source) -> Iterator[Piece]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with open_bytes(source.address) as stream:
            facts = parquet.ParquetFile(stream)
            names = tuple(facts.schema_arrow.names)
            sizes = [facts.metadata.row_group(index).num_rows for index in range(facts.num_row_groups)]
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{source.name}: not readable as Parquet: {error}", "write the file again") from error
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"{source.name}: column {twice[0]!r} appears twice", "name every column once")
    start, rows, line = 0, 0, 1
    for index, size in enumerate(sizes):
        if rows and rows + size > GROUP_ROWS:
            yield "parquet", source.address, start, index, line, names
            start, line, rows = index, line + rows, 0
        rows += size
    if rows:
        yield "parquet", source.address, start, len(sizes), line, names


def _unpack(source: Source, target: Path) -> None:
    import gzip
    import zlib

    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open_bytes(source.address) as packed, gzip.open(packed) as stream, target.open("wb") as out:
            shutil.copyfileobj(stream, out, 1 << 20)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{source.name}: damaged gzip file ({error})", "deliver the file again") from error
    except OSError as error:
        raise UserError(f"{target}: could not be written ({error.strerror})", "free disk space") from error


def open_bytes(address: str) -> Any:
    """Return a binary stream that can be read from anywhere, of a path or a URI."""
    if "://" not in address:
        return Path(address).open("rb")
    fs, path = file_system(address)
    return fs.open(path, "rb")


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _shown(address: str) -> str:
    """Return a path as the user would type it: from the working directory where it lies inside."""
    if "://" in address:
        return address
    path = Path(address)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else address
