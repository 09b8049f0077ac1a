"""The log's files: one writer each, whole lines only, closed by a rename.

A file that is being written ends in ``.open`` and is locked by its writer. The lock ends with the process, so a file
of a killed process is told from a live one, and closed by whoever comes next.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import fcntl
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path

SEALED, OPEN = ".jsonl", ".jsonl.open"
_sync = getattr(os, "fdatasync", os.fsync)


class LogFile:
    """The file that one process writes at a time; used by one thread."""

    def __init__(
        self, folder: Path, size: int, age: float, sync_seconds: float, sealed: Callable[[Path], None] | None
    ) -> None:
        self._folder, self._most, self._age, self._sync_seconds, self._sealed = folder, size, age, sync_seconds, sealed
        self._handle, self._path, self._size = -1, Path(), 0
        self._opened = self._synced = 0.0
        self._dirty = False

    def write(self, lines: bytes) -> None:
        """Append whole ``lines`` by one call of the operating system, or nothing at all.

        Raises:
            OSError: nothing was written; the next call tries again, with a new file if it must.
        """
        if self._handle >= 0 and not self._in_place():
            self._forget()  # the folder or the file was removed or moved: what is in it is no longer ours
        if self._handle < 0:
            self._open()
        done = os.write(self._handle, lines)
        if done != len(lines):
            # A disk that filled up in the middle of a line: take the part back.
            try:
                os.ftruncate(self._handle, self._size)
            except OSError:
                self._forget()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
        self._size += done
        self._dirty = True
        if self._size >= self._most:
            self.close()

    def tick(self) -> None:
        """Do what time asks for: force to disk, close an old file."""
        now = time.monotonic()
        if self._dirty and now - self._synced >= self._sync_seconds:
            _sync(self._handle)
            self._dirty, self._synced = False, now
        if self._handle >= 0 and now - self._opened >= self._age:
            self.close()

    def close(self) -> None:
        """Force the file to disk and give it its final name."""
        if self._handle < 0:
            return
        path = None
        with contextlib.suppress(OSError):
            _sync(self._handle)
            if self._in_place():
                path = _seal(self._path, self._size)
        self._forget()
        if path is not None and self._sealed is not None:
            self._sealed(path)

    def adopt(self) -> None:
        """Close the files that killed processes have left in the folder."""
        for path in seal_orphans(self._folder):
            if self._sealed is not None:
                self._sealed(path)

    def _open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        name = f"{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%S}-{os.getpid()}-{secrets.token_hex(4)}{OPEN}"
        path = self._folder / name
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            raise
        self._handle, self._path, self._size, self._dirty = handle, path, 0, False
        self._opened = self._synced = time.monotonic()

    def _in_place(self) -> bool:
        try:
            there, ours = self._path.stat(), os.fstat(self._handle)
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)

    def _forget(self) -> None:
        os.close(self._handle)
        self._handle, self._dirty = -1, False


def seal_orphans(folder: Path) -> list[Path]:
    """Give the open files of processes that no longer live their final name; return the new paths."""
    found = []
    for path in sorted(folder.glob(f"*{OPEN}")):
        with contextlib.suppress(OSError), path.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if (sealed := _seal(path, os.fstat(stream.fileno()).st_size)) is not None:
                found.append(sealed)
    return found


def _seal(path: Path, size: int) -> Path | None:
    if size == 0:
        path.unlink()
        return None
    return path.rename(path.with_name(path.name.removesuffix(OPEN) + SEALED))
