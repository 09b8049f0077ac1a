"""The prediction log in an object store: closed files are copied there, read back, and only then deleted here."""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mainline.errors import UserError
from mainline.files import sha256
from mainline.serve.log import PredictionLog
from mainline.serve.log_files import SEALED, seal_orphans
from mainline.serve.log_read import file_system

if TYPE_CHECKING:
    from mainline.config import ServeLog
    from mainline.project import Pii

BLOCK = 1 << 20

logger = logging.getLogger(__name__)


def open_log(
    settings: ServeLog, columns: Mapping[str, Pii], *, release: str, track: str, place: str = ""
) -> PredictionLog:
    """Return the service's log in ``place`` (a folder or a URI; empty: the folder in params.yaml).

    With a URI the files are written to a folder first (the environment variable MAINLINE_LOG_SPOOL, else the one in
    params.yaml), and a process of its own ships each closed one.
    """
    remote = place if "://" in place else ""
    spool = os.environ.get("MAINLINE_LOG_SPOOL") or settings.folder
    folder = Path(spool if remote else place or settings.folder)
    return PredictionLog(
        folder,
        release=release,
        track=track,
        columns=columns,
        sample=settings.sample,
        rotate_mb=settings.rotate_mb,
        rotate_minutes=settings.rotate_minutes,
        flush_ms=settings.flush_ms,
        sync_seconds=settings.sync_seconds,
        limit=settings.waiting,
        sealed=Shipper(folder, remote) if remote else None,
    )


class Shipper:
    """Starts ``mainline log ship`` when a file is closed; one at a time, and nobody waits for it."""

    def __init__(self, folder: Path, uri: str) -> None:
        self._command = [sys.executable, "-m", "mainline.cli", "log", "ship", uri, "--log", str(folder)]
        # A release brings its own code, which the child has to find as this process did.
        source = str(Path(__file__).parents[2])
        paths = os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH"))))
        self._environment = os.environ | {"PYTHONPATH": paths}
        self._running: subprocess.Popen[bytes] | None = None

    def __call__(self, path: Path) -> None:
        if self._running is not None and self._running.poll() is None:
            return  # what it misses goes with the next file
        try:
            self._running = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, env=self._environment, start_new_session=True
            )
        except OSError as error:
            logger.warning("prediction log: %s could not be shipped: %s", path.name, error)


def ship(folder: Path, uri: str) -> Iterator[tuple[str, int]]:
    """Move the closed files of ``folder`` to ``uri``; yield name and size of each that has arrived.

    Raises:
        UserError: the store cannot be reached or written, or does not give back what was put in; every file that is not
            proven to be there is still here.
    """
    fs, base = file_system(uri)
    seal_orphans(folder)
    for path in sorted(folder.glob(f"*{SEALED}")):
        there = f"{base}/{path.name}"
        try:
            mine, size = sha256(path), path.stat().st_size
            fs.makedirs(base, exist_ok=True)
            fs.put_file(str(path), there)
            digest = hashlib.sha256()
            with fs.open(there, "rb") as stream:
                while block := stream.read(BLOCK):
                    digest.update(block)
        except FileNotFoundError:
            if path.exists():
                raise UserError(f"{uri}: no such place", "make the bucket first") from None
            continue  # another `mainline log ship` was faster
        except Exception as error:  # each storage has errors of its own
            raise UserError(
                f"{uri}: {path.name} could not be shipped ({error}); it is still in {folder}",
                "check address, keys and space, then run the same command again",
            ) from error
        if digest.hexdigest() != mine:
            raise UserError(
                f"{there}: is not what was put there; {path} is kept", "run the same command again, or check the store"
            )
        path.unlink(missing_ok=True)
        yield path.name, size
