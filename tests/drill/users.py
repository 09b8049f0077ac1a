"""Users who ask for predictions, know the outcome, report it, and remember which release answered them."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from mainline.rollout.traffic import Traffic

Seen = tuple[float, float, str, str]  # asked and answered (monotonic seconds), user, release


class Users(Traffic):
    """Replayed traffic; with ``outcomes``, one a row, each user reports his own as soon as he has his answer."""

    def __init__(
        self, port: int, rows: Sequence[Mapping[str, Any]], rate: float, users: int, *,
        outcomes: Sequence[str] | None = None, threads: int = 8,
    ) -> None:  # fmt: skip
        super().__init__(port, rows, rate, users, threads)
        self._outcomes = outcomes
        self.seen: list[Seen] = []
        self.reports: list[int] = []

    def _send(self, connection: http.client.HTTPConnection, number: int) -> None:
        begin = time.monotonic()
        user = f"user-{number % self._users}"
        status, content, release = self._ask(connection, user, "/predict", self._bodies[number % len(self._bodies)])
        with self._lock:
            self.seen.append((begin, time.monotonic(), user, release))
            self.answers.statuses[status] += 1
            self.answers.releases[release] += 1
            self.answers.seconds.append(time.monotonic() - begin)
            if status != 200 and len(self.answers.failures) < 20:
                self.answers.failures.append(f"{status} {content}")
        if status == 200 and self._outcomes is not None:
            known = {"request_id": content["request_id"], "outcome": self._outcomes[number % len(self._outcomes)]}
            code, _, _ = self._ask(connection, user, "/feedback", json.dumps(known))
            with self._lock:
                self.reports.append(code)

    def _ask(
        self, connection: http.client.HTTPConnection, user: str, path: str, body: str
    ) -> tuple[int, dict[str, Any], str]:
        fresh = connection.sock is None
        for _ in range(2):
            try:
                connection.request("POST", path, body, {"content-type": "application/json", "x-user-id": user})
                answer = connection.getresponse()
                content = json.loads(answer.read() or b"{}")
                return answer.status, content, str(content.get("release", ""))
            except (OSError, http.client.HTTPException, ValueError) as error:
                problem = f"{type(error).__name__}: {error}"
                connection.close()
                if fresh:
                    break
                fresh = True
        return 0, {"error": problem}, ""
