"""Reading the prediction log: a folder, or an object store by its URI; a live log may be read while it is written."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainline.address import shown
from mainline.errors import UserError
from mainline.serve.log_files import OPEN, SEALED

TAIL = 65_536  # bytes from the end of a file in which its last prediction is looked for first
Record = dict[str, Any]


@dataclass(frozen=True)
class Stored:
    """A file of the log: its path within the file system ``fs``, and its size in bytes."""

    fs: Any
    path: str
    size: int

    @property
    def name(self) -> str:
        """The file's name without its folder; it begins with the UTC time of its first record."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def closed(self) -> bool:
        """Whether no process writes to it any more."""
        return self.name.endswith(SEALED)

    def first(self) -> str:
        """Return a time that no record of the file is before, to the second, as the log writes times."""
        text = self.name[:15]
        return f"{text[:4]}-{text[4:6]}-{text[6:11]}:{text[11:13]}:{text[13:15]}.000Z"

    def last(self) -> str:
        """Return the newest time in the file's last whole lines, as the log writes times; empty if there is none."""
        return max((time for _, time in self._tail()), default="")

    def predicted(self) -> str:
        """Return when the file's newest prediction was made; of outcomes alone, when the file was begun.

        The time of an outcome is whatever its sender says: it may lie years before or after its arrival.
        """
        return max((time for predicts, time in self._tail() if predicts), default=self.first())

    def _tail(self) -> list[tuple[bool, str]]:
        """Return of the last whole records whether each is a prediction, and its time.

        They are so many that a prediction is among them if the file holds any.
        """
        length = TAIL
        with self.fs.open(self.path, "rb") as stream:
            while True:
                stream.seek(max(0, self.size - length))
                lines = stream.read().split(b"\n")[:-1]
                found = (record for line in lines if (record := _parse(line)) is not None)
                told = [(record.get("kind") == "prediction", _time(record)) for record in found]
                if length >= self.size or any(predicts for predicts, _ in told):
                    return told
                length *= 16


class Records(Iterator[Record]):
    """The records of a log, file by file, with ``since`` ≤ time < ``until`` (empty: no bound).

    ``torn`` counts what is no whole record, so far: a process that is killed, or a reader that comes while a line is
    being written, leaves at most one torn line a file.
    """

    def __init__(self, files: list[Stored], since: str = "", until: str = "") -> None:
        self.torn = 0
        lines = self._read(files)
        self._records = (
            record for record in lines if (not since or _time(record) >= since) and (not until or _time(record) < until)
        )

    def __next__(self) -> Record:
        return next(self._records)

    def _read(self, files: list[Stored]) -> Iterator[Record]:
        for file in files:
            try:
                stream = file.fs.open(file.path, "rb")
            except FileNotFoundError:
                # Closed meanwhile by its writer: it goes on under its final name.
                try:
                    stream = file.fs.open(file.path.removesuffix(OPEN) + SEALED, "rb")
                except FileNotFoundError:
                    continue
            with stream:
                for line in stream:
                    record = _parse(line) if line.endswith(b"\n") else None
                    if record is None:
                        self.torn += 1
                    else:
                        yield record


def read(place: Path | str) -> Records:
    """Return the records of the log in ``place`` in the order of files; within a process that is the order of time.

    Raises:
        UserError: ``place`` cannot be reached, or is no folder. One that is not there yet is an empty log.
    """
    return Records(find(place))


def read_between(place: Path | str, since: str = "", until: str = "") -> Records:
    """Return the records with ``since`` ≤ time < ``until`` (as the log writes times; empty: no bound).

    Files that end before ``since`` are not read. Those that begin after ``until`` are: an outcome comes later than the
    time that it tells of.
    """
    files = [file for file in find(place) if not since or not file.closed or file.last() >= since]
    return Records(files, since, until)


def newest(place: Path | str, count: int, release: str = "", track: str = "") -> list[Record]:
    """Return the newest ``count`` predictions, oldest first, of ``release`` and ``track`` if these are given."""
    files = sorted(((file.last(), file.path, file) for file in find(place)), reverse=True, key=lambda item: item[:2])
    best: list[Record] = []
    for last, _, file in files:
        if len(best) == count and best[0]["time"] > last:
            break  # every file from here on is older than all that was found
        wanted = (
            record
            for record in Records([file])
            if record.get("kind") == "prediction"
            and (not release or record.get("release") == release)
            and (not track or record.get("track") == track)
        )
        best = sorted(heapq.nlargest(count, [*best, *wanted], key=_time), key=_time)
    return best


def find(place: Path | str) -> list[Stored]:
    """Return the files of the log in ``place``, by name and so by time; open ones too.

    Raises:
        UserError: as :func:`read`.
    """
    fs, path = file_system(place)
    try:
        if not fs.exists(path):
            return []
        if not fs.isdir(path):
            raise UserError(f"{shown(str(place))}: is a file, not the folder of a prediction log", "name the folder")
        entries = fs.ls(path, detail=True)
    except OSError as error:
        why = f"{shown(str(place))}: the prediction log cannot be read ({shown(str(error))})"
        raise UserError(why, "check address and keys") from error
    files = [Stored(fs, item["name"], item["size"] or 0) for item in entries if item["type"] == "file"]
    return sorted(
        (file for file in files if file.name.endswith((SEALED, OPEN)) and file.name[:8].isdigit()),
        key=lambda file: file.name,
    )


def file_system(place: Path | str) -> tuple[Any, str]:
    """Return fsspec's file system of ``place`` (a path or a URI), and the path within it.

    Raises:
        UserError: there is no such protocol, or its package is not installed.
    """
    from fsspec.core import url_to_fs  # type: ignore[import-untyped]

    try:
        fs, path = url_to_fs(str(place), **({"use_listings_cache": False} if str(place).startswith("s3:") else {}))
    except (ValueError, ImportError) as error:
        raise UserError(
            f"{shown(str(place))}: cannot be reached ({shown(str(error))})",
            "use a folder or s3://…; `mainline remote` installs the packages",
        ) from error
    return fs, str(path).rstrip("/")


def _time(record: Record) -> str:
    return str(record.get("time", ""))


def _parse(line: bytes) -> Record | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
