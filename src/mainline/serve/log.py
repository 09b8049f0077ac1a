"""The prediction log: JSON Lines that are never half written, and that no request ever waits for.

A request only puts its record on a bounded queue. One thread writes whole lines to a file that belongs to this process
alone; a full queue or a broken disk costs records, which are counted, and never a prediction.
"""

from __future__ import annotations

import atexit
import datetime as dt
import hashlib
import json
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mainline.data.redact import redact
from mainline.serve.log_files import LogFile
from mainline.serve.log_read import read

if TYPE_CHECKING:
    from mainline.config import Data
    from mainline.project import Marks, Pii

__all__ = ["PredictionLog", "log_columns", "read", "sampled", "stamp"]

LINES = 64  # a write; between two writes the interpreter lock is free for requests
RETRY_SECONDS = 1.0

logger = logging.getLogger(__name__)


def stamp() -> str:
    """Return the time as the log writes it: UTC, milliseconds, such as ``2026-11-21T08:30:00.123Z``."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def sampled(request_id: str, share: float) -> bool:
    """Return whether the request's records are kept: the same answer in every process, for about ``share`` of ids."""
    digest = hashlib.blake2b(request_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") < share * 2.0**64


def log_columns(columns: tuple[str, ...], data: Data, marks: Mapping[str, Marks]) -> dict[str, Pii]:
    """Return the columns that may be logged, with what happens to their values: the model's ``columns`` and the id."""
    names = dict.fromkeys((*columns, *([data.id] if data.id else [])))
    return {name: marks[name].pii for name in names if marks[name].pii != "drop"}


class PredictionLog:
    """Writes records to files of its own in ``folder``; safe to use from any thread.

    Args:
        folder: where the files go; made when it is absent, and again when somebody removes it.
        release: id of the release that predicts, for records that name none.
        track: stable, canary or shadow, for records that name none.
        columns: the only features that are written, and how (see :func:`log_columns`).
        sample: share of the requests that is logged, chosen by request id.
        rotate_mb: a file is closed at this size,
        rotate_minutes: or at this age, whichever comes first.
        flush_ms: a record that was put is on its way to the operating system after at most so long: it then survives
            a kill of this process.
        sync_seconds: after at most so long it is forced to the disk, too: it then survives a crash of the machine.
        limit: records that may wait; more are dropped and counted.
        sealed: called on the writer's thread with each closed file.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        release: str,
        track: str,
        columns: Mapping[str, Pii],
        sample: float = 1.0,
        rotate_mb: float = 64.0,
        rotate_minutes: float = 60.0,
        flush_ms: float = 100.0,
        sync_seconds: float = 1.0,
        limit: int = 10_000,
        sealed: Callable[[Path], None] | None = None,
    ) -> None:
        self.failing = ""
        self._defaults = {"release": release, "track": track}
        self._columns = dict(columns)
        self._sample, self._limit, self._flush_seconds = sample, limit, flush_ms / 1000
        self._queue: deque[dict[str, Any]] = deque()
        self._pending: list[bytes] = []
        self._dropped, self._written, self._retry_at = 0, 0, 0.0
        self._counting, self._closing = threading.Lock(), threading.Event()
        self._encoder = json.JSONEncoder(allow_nan=False, separators=(",", ":"), default=_plain)
        self._file = LogFile(Path(folder), int(rotate_mb * 1e6), rotate_minutes * 60, sync_seconds, sealed)
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    @property
    def dropped(self) -> int:
        """Records that were put and will never be in a file."""
        return self._dropped

    @property
    def written(self) -> int:
        """Records that the operating system has taken: they survive a kill of this process."""
        return self._written

    def put(self, record: dict[str, Any]) -> bool:
        """Queue ``record`` (the log owns it from now on); never raises, never waits.

        Return whether it need not be sent again: it is queued, or its request is not in the sample.
        """
        try:
            if self._sample < 1.0 and not sampled(str(record.get("request_id", "")), self._sample):
                return True
            if "time" not in record:
                record["time"] = stamp()
            if len(self._queue) < self._limit and not self._closing.is_set():
                self._queue.append(record)
                return True
        except Exception:  # a record of any shape may cost itself, never the prediction
            logger.warning("a prediction record could not be queued", exc_info=False)
        self._drop(1)
        return False

    def close(self, seconds: float = 5.0) -> None:
        """Write what is queued, close the file, and stop; what cannot be written in ``seconds`` counts as dropped."""
        self._closing.set()
        atexit.unregister(self.close)
        if self._thread is not threading.current_thread():
            self._thread.join(seconds)

    def _drop(self, records: int) -> None:
        with self._counting:
            self._dropped += records

    def _run(self) -> None:
        self._file.adopt()
        while not self._closing.wait(self._flush_seconds):
            self._flush()
        self._retry_at = 0.0
        self._flush()
        self._drop(len(self._pending) + len(self._queue))
        self._pending.clear()
        self._queue.clear()
        self._file.close()

    def _flush(self) -> None:
        """Write all that is queued, in order; after a failure nothing is tried for a second, and nothing is lost."""
        if time.monotonic() < self._retry_at:
            return
        try:
            while self._pending or self._queue:
                if not self._pending:
                    self._encode()
                self._file.write(b"".join(self._pending))
                self._written += len(self._pending)
                self._pending.clear()
            self._file.tick()
        except OSError as error:
            self._retry_at = time.monotonic() + RETRY_SECONDS
            if not self.failing:
                logger.warning("prediction log: %s; records wait, and are dropped beyond %d", error, self._limit)
            self.failing = str(error)
            return
        if self.failing:
            logger.warning("prediction log: writing again; %d records were dropped so far", self._dropped)
            self.failing = ""

    def _encode(self) -> None:
        while self._queue and len(self._pending) < LINES:
            record = self._queue.popleft()
            try:
                self._pending.append(self._line(record))
            except Exception:  # what a record may hold is up to the caller: it costs this record, not the others
                self._drop(1)

    def _line(self, record: dict[str, Any]) -> bytes:
        if record.get("kind") != "feedback":
            record = self._defaults | record
            if (features := record.get("features")) is not None:
                allowed = self._columns
                record["features"] = {
                    name: redact(value, allowed[name]) for name, value in features.items() if name in allowed
                }
        try:
            text = self._encoder.encode(record)
        except ValueError:
            text = self._encoder.encode(_finite(record))
        return text.encode("ascii") + b"\n"


def _plain(value: Any) -> Any:
    """Return a NumPy value as a Python one, anything else as text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _finite(value: Any) -> Any:
    """Return ``value`` with None for NaN and infinity, which JSON does not know."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if hasattr(value, "tolist"):
        return _finite(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
