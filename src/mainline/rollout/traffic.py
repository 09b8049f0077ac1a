"""Replayed users: real HTTP requests at a bounded rate, and what came back."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

THREADS = 8


@dataclass
class Answers:
    """What the users got: counts by status and by release, the first failures, and the seconds of each answer.

    ``behind``: how often the rate could not be kept up.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    releases: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    behind: int = 0

    @property
    def sent(self) -> int:
        """Return how many requests were answered or failed."""
        return sum(self.statuses.values())

    @property
    def failed(self) -> int:
        """Return how many were not answered by a 200."""
        return self.sent - self.statuses[200]


class Traffic:
    """Sends ``rows`` over and over, each as one request of one of ``users`` users, at ``rate`` requests a second.

    A context: it begins to send on entry and has ended every request on exit. A request that finds a closed connection
    is sent again once, as every HTTP client does; anything else counts as a failure.
    """

    def __init__(
        self, port: int, rows: Sequence[Mapping[str, Any]], rate: float, users: int, threads: int = THREADS,
        key: str = "",
    ) -> None:  # fmt: skip
        self.answers = Answers()
        self._port, self._rate, self._users = port, rate, users
        self._fixed = {"content-type": "application/json", **({"x-api-key": key} if key else {})}
        self._bodies = [json.dumps(row) for row in rows]
        self._next, self._begin = 0, 0.0
        self._lock, self._over = threading.Lock(), threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]

    def __enter__(self) -> Traffic:
        self._begin = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        while not self._over.is_set():
            with self._lock:
                number = self._next
                self._next += 1
            late = time.monotonic() - (self._begin + number / self._rate)
            if late < 0 and self._over.wait(-late):
                break
            if late > 1.0:
                # Fallen behind: nothing is made up for, so that a slow machine sees a lower rate, not a burst.
                with self._lock:
                    self._begin += late
                    self.answers.behind += 1
            self._send(connection, number)
        connection.close()

    def _send(self, connection: http.client.HTTPConnection, number: int) -> None:
        begin = time.monotonic()
        status, release, problem = 0, "", ""
        fresh = connection.sock is None
        for _ in range(2):
            try:
                headers = {**self._fixed, "x-user-id": f"user-{number % self._users}"}
                connection.request("POST", "/predict", self._bodies[number % len(self._bodies)], headers)
                answer = connection.getresponse()
                problem = answer.read()[:200].decode("utf-8", "replace")
                status, release = answer.status, answer.getheader("x-release") or ""
                break
            except (OSError, http.client.HTTPException) as error:
                problem = f"{type(error).__name__}: {error}"
                connection.close()
                if fresh:
                    break
                fresh = True
        with self._lock:
            self.answers.statuses[status] += 1
            self.answers.releases[release] += 1
            self.answers.seconds.append(time.monotonic() - begin)
            if status != 200 and len(self.answers.failures) < 20:
                self.answers.failures.append(f"{status} {problem}")
