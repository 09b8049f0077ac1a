"""Which batches are new: files in the source that the data do not have, dated, and put beside the others."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mainline.errors import UserError
from mainline.files import replace_atomic, sha256

if TYPE_CHECKING:
    from mainline.config import Settings


@dataclass(frozen=True)
class Fresh:
    """A batch that the data do not have yet.

    Attributes:
        positives: rows with the positive label; None if the task is not binary.
        first: date of its oldest row, ISO; empty without a time column, or if no row has a date.
        last: date of its newest row.
    """

    name: str
    rows: int
    positives: int | None
    first: str
    last: str
    sha256: str

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON-ready values."""
        return asdict(self)


class Unfit(UserError):
    """New data that must not be learned from."""


def fetch(place: str, into: Path) -> list[Path]:
    """Copy the batch files of the folder or URI ``place`` to ``into``; return them in order of name.

    Raises:
        UserError: it cannot be read, or holds none.
    """
    from mainline.data.batches import SUFFIXES
    from mainline.serve.log_read import file_system

    fs, path = file_system(place)
    try:
        if not fs.isdir(path):
            raise UserError(
                f"{place}: no such folder (params.yaml, key retrain.source, or --from)",
                "name the folder or URI in which new batches are delivered",
            )
        entries = [str(item["name"]) for item in fs.ls(path, detail=True) if item["type"] == "file"]
        found = []
        for entry in sorted(entries):
            name = entry.rsplit("/", 1)[-1]
            if name.endswith(SUFFIXES) and not name.startswith((".", "README", "readme")):
                into.mkdir(parents=True, exist_ok=True)
                with fs.open(entry, "rb") as stream, (into / name).open("wb") as copy:
                    shutil.copyfileobj(stream, copy)
                found.append(into / name)
    except OSError as error:
        raise UserError(f"{place}: cannot be read ({error})", "check address and keys") from error
    return found


def unknown(files: Sequence[Path], have: Path) -> list[Path]:
    """Return those of ``files`` that the folder ``have`` holds neither by name nor by content.

    Raises:
        UserError: a name is there with other content; a delivered batch does not change.
    """
    known = {path.name: sha256(path) for path in have.iterdir() if path.is_file()}
    new = []
    for file in files:
        content = sha256(file)
        if known.get(file.name, content) != content:
            raise UserError(
                f"{file.name}: is not what {have.name}/{file.name} holds; a batch once learned from does not change",
                "deliver corrected rows under a new name, or put them into the data by hand, in a pull request",
            )
        if content not in known.values():
            new.append(file)
    return new


def describe(file: Path, settings: Settings) -> Fresh:
    """Return what is known of a batch before it has been checked.

    Raises:
        Unfit: it cannot be read.
    """
    import pandas as pd

    from mainline.data.batches import read_batch

    try:
        batch = read_batch(file)
    except UserError as error:
        raise Unfit(error.problem.replace(str(file), file.name), error.fix) from error
    rows, data = batch.rows, settings.data
    times = pd.Series(dtype="datetime64[us]")
    if data.time is not None and data.time in rows:
        times = pd.to_datetime(rows[data.time], format="ISO8601", errors="coerce", utc=True).dropna()
    positive = data.positive is not None and data.label in rows
    return Fresh(
        name=batch.file,
        rows=len(rows),
        positives=int((rows[data.label] == data.positive).sum()) if positive else None,
        first=times.min().date().isoformat() if len(times) else "",
        last=times.max().date().isoformat() if len(times) else "",
        sha256=batch.sha256,
    )


def choose(found: Sequence[Fresh], as_of: dt.date | None, most: int | None) -> list[Fresh]:
    """Return the next batches: in order of time, whole by ``as_of`` (None: all), ``most`` of them (None: all)."""
    bound = as_of.isoformat() if as_of else "9999"
    ordered = sorted(found, key=lambda item: (item.first, item.name))
    return [item for item in ordered if item.last <= bound][:most]


def put(chosen: Sequence[Fresh], files: Sequence[Path], folder: Path) -> None:
    """Copy the ``chosen`` of ``files`` into ``folder``."""
    by_name = {file.name: file for file in files}
    for item in chosen:
        origin = by_name[item.name]
        replace_atomic(folder / item.name, lambda temporary, origin=origin: shutil.copyfile(origin, temporary))  # type: ignore[misc]
