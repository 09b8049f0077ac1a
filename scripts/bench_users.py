"""Users at a steady rate: `python scripts/bench_users.py PORT BODIES RECORD RATE SECONDS USERS`; for the other benches.

Open loop on the connections of ``bench_load``: a request is due when the rate says so, whether or not the one before
has been answered, and its latency counts from then; so a service that stalls pays for all who wait. Each line of
BODIES is a request; request n is of user n modulo USERS and carries the request id ``bench-n``. RECORD gets a line a
request: number, Unix time at which it was due, milliseconds, status (0: no answer), release. SIGTERM ends it early,
once every request that was sent is answered.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import signal
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from bench_load import Connection

MOST = 256  # connections
WAIT = 30.0  # seconds for an answer
STEP = 0.001


@dataclass(frozen=True)
class Due:
    """A request: its number, and when it was due, by both clocks."""

    number: int
    at: float
    unix: float


class Paced(Connection):
    """A keep-alive connection that asks when it is told to, and then reports."""

    def __init__(self, users: Users) -> None:
        super().__init__(b"", 0.0, 0.0)
        self.users = users
        self.asked: Due | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport  # type: ignore[assignment]  # uvloop's is no subclass of asyncio's

    def ask(self, due: Due) -> None:
        """Send a request."""
        self.asked = due
        self._transport.write(self.users.request(due.number))

    def answered(self, head: bytes, now: float) -> None:
        """Report the answer, and be free again."""
        due, self.asked = self.asked, None
        if due is not None:
            lower = head.lower()
            found = lower.find(b"\r\nx-release:")
            release = head[found + 12 :].split(b"\r\n", 1)[0].strip().decode() if found >= 0 else ""
            self.users.report(due, now, int(head[9:12]), release)
        if b"\r\nconnection: close" in head.lower():
            self._transport.close()
        else:
            self.users.free.append(self)

    def give_up(self) -> None:
        """Close a connection whose answer does not come."""
        self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Report a request that gets no answer any more."""
        due, self.asked = self.asked, None
        self.users.gone(self)
        if due is not None:
            self.users.report(due, time.perf_counter(), 0, "")


class Users:
    """All users: what is due, on which connections, and the record of what they got."""

    def __init__(self, port: int, bodies: list[bytes], users: int, record: io.TextIOBase) -> None:
        self.free: list[Paced] = []
        self.all: set[Paced] = set()
        self._port, self._users, self._record = port, users, record
        self._bodies = [b"content-length: %d\r\n\r\n%s" % (len(body), body) for body in bodies]
        self._due: deque[Due] = deque()
        self._opening: set[asyncio.Task[None]] = set()
        self._over = asyncio.Event()

    def end(self) -> None:
        """Send nothing more."""
        self._over.set()

    def request(self, number: int) -> bytes:
        """Return a request's bytes."""
        head = (
            "POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            f"x-user-id: user-{number % self._users}\r\nx-request-id: bench-{number}\r\n"
        )
        return head.encode() + self._bodies[number % len(self._bodies)]

    def report(self, due: Due, now: float, status: int, release: str) -> None:
        """Write what came of a request."""
        self._record.write(f"{due.number},{due.unix:.4f},{1000 * (now - due.at):.2f},{status},{release}\n")

    def gone(self, connection: Paced) -> None:
        """Forget a closed connection."""
        self.all.discard(connection)
        with contextlib.suppress(ValueError):
            self.free.remove(connection)

    async def run(self, rate: float, seconds: float) -> None:
        """Send ``rate`` requests a second for ``seconds``, and wait for every answer."""
        begin, unix, sent = time.perf_counter(), time.time(), 0
        while not self._over.is_set() and sent < rate * seconds:
            now = time.perf_counter()
            while sent < rate * seconds and begin + sent / rate <= now:
                self._due.append(Due(sent, begin + sent / rate, unix + sent / rate))
                sent += 1
            self._send()
            await asyncio.sleep(STEP)
        end = time.perf_counter() + WAIT
        while time.perf_counter() < end and (self._due or any(one.asked for one in self.all)):
            self._send()
            await asyncio.sleep(STEP)
        for due in self._due:
            self.report(due, time.perf_counter(), 0, "")
        for connection in list(self.all):
            connection.give_up()
        await asyncio.sleep(0.05)

    def _send(self) -> None:
        while self._due and self.free:
            self.free.pop().ask(self._due.popleft())
        missing = min(len(self._due), MOST - len(self.all)) - len(self._opening)
        for _ in range(max(missing, 0)):
            task = asyncio.get_running_loop().create_task(self._open())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)
        late = time.perf_counter() - WAIT
        for connection in [one for one in self.all if one.asked and one.asked.at < late]:
            connection.give_up()

    async def _open(self) -> None:
        try:
            _, made = await asyncio.get_running_loop().create_connection(lambda: Paced(self), "127.0.0.1", self._port)
        except OSError:
            # Nobody listens: that is an answer to one user, not a reason to ask on and on.
            if self._due:
                self.report(self._due.popleft(), time.perf_counter(), 0, "")
            return
        self.all.add(made)
        self.free.append(made)


async def play(port: int, bodies: list[bytes], record: Path, rate: float, seconds: float, users: int) -> None:
    """Run the users, and write ``record``."""
    with record.open("w", encoding="ascii", buffering=1 << 16) as stream:
        made = Users(port, bodies, users, stream)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, made.end)
        await made.run(rate, seconds)


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("port", type=int)
    parser.add_argument("bodies", type=Path)
    parser.add_argument("record", type=Path)
    parser.add_argument("rate", type=float)
    parser.add_argument("seconds", type=float)
    parser.add_argument("users", type=int)
    given = parser.parse_args()
    import uvloop

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the bench, which ends this by SIGTERM
    bodies = given.bodies.read_bytes().splitlines()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(play(given.port, bodies, given.record, given.rate, given.seconds, given.users))


if __name__ == "__main__":
    main()
