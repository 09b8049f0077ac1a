"""The way to a service on this machine: one connection that is kept, and a service of one's own for the time being."""

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mainline.errors import UserError
from mainline.rollout.processes import Processes, alive, free_port
from mainline.serve.clock import SWITCH

HOST = "127.0.0.1"


@dataclass
class Http:
    """Asks the service on ``port`` of the loopback address; ``key`` is its API key, if it wants one."""

    port: int
    key: str = ""
    seconds: float = 30.0
    _connection: http.client.HTTPConnection = field(init=False)

    def __post_init__(self) -> None:
        self._connection = http.client.HTTPConnection(HOST, self.port, timeout=self.seconds)

    def __call__(
        self, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str], /
    ) -> tuple[int, Mapping[str, str], Any]:
        """Return status, headers and parsed answer; a connection that was closed meanwhile is opened again once."""
        sent = {**headers, "content-type": "application/json", **({"x-api-key": self.key} if self.key else {})}
        content = None if body is None else json.dumps(body)
        problem = ""
        for fresh in (self._connection.sock is None, True):
            try:
                self._connection.request("GET" if body is None else "POST", path, content, sent)
                answer = self._connection.getresponse()
                text = answer.read()
                names = {name.lower(): value for name, value in answer.getheaders()}
                return answer.status, names, _parsed(text)
            except (OSError, http.client.HTTPException) as error:
                problem = f"{type(error).__name__}: {error}"
                self._connection.close()
                if fresh:
                    break
        return 0, {}, problem


@contextmanager
def started(folder: Path, log: Path, bento: str = "", seconds: float = 60.0) -> Iterator[int]:
    """Start the service on the working tree's outputs (or on a built Bento) and give its port; it ends with the block.

    It believes the replay's clock and writes to ``log``.

    Raises:
        UserError: it does not start; with what it said last.
    """
    import sys

    processes, port = Processes(folder, tied=True), free_port()
    command = [sys.executable, "-m", "mainline.cli", "serve", "--port", str(port), "--log", str(log.resolve())]
    command += ["--bento", bento] if bento else []
    process = processes.start("replay", command, role="replay", port=port, environment={SWITCH: "1"})
    try:
        ask, end = Http(port), time.monotonic() + seconds
        while ask("/readyz", None, {})[0] != 200:
            if not alive(process) or time.monotonic() > end:
                raise UserError(
                    f"the service did not start ({processes.tail(process) or 'it said nothing'})",
                    "`mainline serve` shows why",
                )
            time.sleep(0.1)
        yield port
    finally:
        processes.stop(process)


def api_key(name: str | None) -> str:
    """Return the API key in the environment variable ``name``; empty when none is asked for."""
    return os.environ.get(name, "") if name else ""


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text.decode("utf-8", "replace")
