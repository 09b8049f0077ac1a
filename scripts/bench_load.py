"""A light load generator for HTTP: prints requests a second and latencies as JSON; used by scripts/bench_serve.py.

Raw requests on keep-alive connections, one in flight on each, on uvloop's protocols: it costs a small part of what any
Python server costs, so that on two cores the server is what is measured. Latency is from the request's last byte
written to the answer's last byte read. Closed loop: a slow server gets fewer requests (no correction for omission).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path
from typing import cast


class Connection(asyncio.Protocol):
    """One keep-alive connection that asks again as soon as it has an answer, until ``until``."""

    def __init__(self, request: bytes, warm: float, until: float) -> None:
        self.request, self.warm, self.until = request, warm, until
        self.seconds: list[float] = []
        self.failed = 0
        self.all = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._buffer = b""
        self._start = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first time."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it
        self._ask()

    def _ask(self) -> None:
        self._start = time.perf_counter()
        self._transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer; once it is whole, ask again."""
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        place = head.lower().find(b"content-length:")
        size = int(head[place + 15 :].split(b"\r\n", 1)[0])
        if len(body) < size:
            return
        self._buffer = b""
        self.answered(head, time.perf_counter())

    def answered(self, head: bytes, now: float) -> None:
        """Count an answer, and ask again until it is time."""
        self.all += 1
        if not head.startswith(b"HTTP/1.1 200"):
            self.failed += 1
        if self._start >= self.warm:
            self.seconds.append(now - self._start)
        if now < self.until:
            self._ask()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """End; a connection that the server closed counts as a failure."""
        if time.perf_counter() < self.until:
            self.failed += 1
        if not self.done.done():
            self.done.set_result(None)


async def load(port: int, path: str, body: bytes, concurrency: int, seconds: float) -> dict[str, float]:
    """Return requests a second, p50, p99 and largest latency (milliseconds), the number of requests and failures."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    )
    request = head.encode() + b"\r\n" + body
    loop = asyncio.get_running_loop()
    warm = time.perf_counter() + min(1.0, seconds / 3)
    until = warm + seconds
    connections = [
        (await loop.create_connection(lambda: Connection(request, warm, until), "127.0.0.1", port))[1]
        for _ in range(concurrency)
    ]
    await asyncio.wait([connection.done for connection in connections], timeout=seconds + 10)
    took = sorted(value for connection in connections for value in connection.seconds)
    failed = sum(connection.failed for connection in connections)
    if not took:
        return {"rate": 0.0, "p50": 0.0, "p99": 0.0, "max": 0.0, "requests": 0, "all": 0, "failed": failed}
    return {
        "rate": len(took) / seconds,
        "p50": took[len(took) // 2] * 1000,
        "p99": took[min(int(len(took) * 0.99), len(took) - 1)] * 1000,
        "max": took[-1] * 1000,
        "requests": len(took),
        "all": sum(connection.all for connection in connections),
        "failed": failed,
    }


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("port", type=int)
    parser.add_argument("path")
    parser.add_argument("body", type=Path)
    parser.add_argument("concurrency", type=int)
    parser.add_argument("seconds", type=float)
    given = parser.parse_args()
    try:
        import uvloop

        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    except ImportError:
        runner = asyncio.Runner()
    with runner:
        found = runner.run(load(given.port, given.path, given.body.read_bytes(), given.concurrency, given.seconds))
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
