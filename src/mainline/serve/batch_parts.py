"""The parts folder of a batch run: what is done stays done, whatever happens to the process."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainline.errors import UserError
from mainline.files import read_json, replace_atomic, write_atomic, write_json
from mainline.serve.batch_part import Done

HEADER = b"file,line,column,value,reason\n"


@dataclass(frozen=True)
class Totals:
    """Rows that were read, those of them that could not be scored, and accepted odd values by column."""

    rows: int
    rejected: int
    odd: dict[str, int]


class Parts:
    """The folder of one run; the run is known by ``plan``, everything that its bytes depend on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextlib.contextmanager
    def owned(self) -> Iterator[None]:
        """Hold the folder for this process.

        Raises:
            UserError: another run holds it, or it cannot be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            stream = (self.folder / "lock").open("w")
        except OSError as error:
            raise UserError(
                f"{self.folder}: cannot be written ({error.strerror})", "check the folder's permissions"
            ) from error
        with stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise UserError(f"{self.folder}: another run writes there", "wait until it has ended") from error
            yield

    def resume(self, plan: Any) -> bool:
        """Return whether parts of an earlier run with the same ``plan`` are there; those of another are deleted."""
        told = hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()
        file = self.folder / "plan.json"
        if file.is_file() and read_json(file) == told:
            return True
        for path in self.folder.iterdir():
            if path.name != "lock":
                path.unlink()
        write_json(file, told)
        return False

    def is_done(self, number: int) -> bool:
        """Return whether the part is complete."""
        return self._path(number, "json").is_file()

    def save(self, done: Done) -> None:
        """Write a part; its record of counts comes last and makes it complete."""
        write_atomic(self._path(done.number, "arrow"), done.scored)
        if done.rejects:
            write_atomic(self._path(done.number, "rejects"), done.rejects)
        write_json(self._path(done.number, "json"), {"rows": done.rows, "rejected": done.rejected, "odd": done.odd})

    def totals(self, count: int) -> Totals:
        """Return the sums over the first ``count`` parts."""
        facts = [read_json(self._path(number, "json")) for number in range(count)]
        odd: Counter[str] = Counter()
        for fact in facts:
            odd.update(fact["odd"])
        return Totals(sum(fact["rows"] for fact in facts), sum(fact["rejected"] for fact in facts), dict(odd))

    def join(self, count: int, schema: Any, output: Path) -> None:
        """Write the predictions of all parts, in order, to ``output``, a part at a time."""
        import pyarrow as pa
        from pyarrow import csv, parquet

        def write(path: Path) -> None:
            if output.suffix == ".parquet":
                writer = parquet.ParquetWriter(path, schema, compression="zstd")
            else:
                writer = csv.CSVWriter(path, schema)
            with writer:
                for number in range(count):
                    with pa.OSFile(str(self._path(number, "arrow"))) as stream:
                        writer.write_table(pa.ipc.open_stream(stream).read_all())

        replace_atomic(output, write)

    def join_rejects(self, count: int, output: Path) -> None:
        """Write the faults of all parts, in order, to ``output``; no file if there is none."""
        files = [file for number in range(count) if (file := self._path(number, "rejects")).is_file()]
        if not files:
            output.unlink(missing_ok=True)
            return

        def write(path: Path) -> None:
            with path.open("wb") as out:
                out.write(HEADER)
                for file in files:
                    with file.open("rb") as stream:
                        shutil.copyfileobj(stream, out)

        replace_atomic(output, write)

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, number: int, ending: str) -> Path:
        return self.folder / f"{number:06d}.{ending}"
