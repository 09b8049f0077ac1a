"""A stand-in for `mainline serve`: the same HTTP contract and log, no model, and a switch for every fault.

    python upstream.py '{"release": "a", "port": 8000, …}'

The score of a row {"x": …, "group": …} is x, slightly bent by ``bend``: two releases differ a little, as they should.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import random
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

HOARD: list[bytearray] = []


def stamp() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Service:
    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.release, self.track = os.environ["MAINLINE_RELEASE"], os.environ["MAINLINE_TRACK"]
        folder = Path(os.environ["MAINLINE_LOG"])
        folder.mkdir(parents=True, exist_ok=True)
        self.log = (folder / f"{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.jsonl.open").open("a", buffering=1)
        self.random = random.Random(options.get("seed", 1))
        self.ready_at = time.monotonic() + float(options.get("start", 0))
        self.served = 0
        self.busy: set[asyncio.Task[Any]] = set()

    def score(self, row: dict[str, Any], after: bool) -> float:
        o = self.options if after else {"bend": self.options.get("bend", 0)}
        x = float(row["x"])
        if "constant" in o:
            return float(o["constant"])
        score = x + float(o.get("bend", 0)) * x * (1 - x)
        if o.get("negated") or (o.get("bad_group") and row["group"] == o["bad_group"]):
            score = 1 - score
        return score

    async def predict(self, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
        o, begin = self.options, time.monotonic()
        self.served += 1
        track = "shadow" if headers.get("x-shadow") else self.track
        after = self.served > int(o.get("after", 0)) and not (o.get("spare_shadow") and track == "shadow")
        if after and o.get("leak_mb"):
            try:
                HOARD.append(bytearray(int(o["leak_mb"]) * 2**20))
            except MemoryError:
                os._exit(137)  # as the kernel would
        await asyncio.sleep((float(o.get("ms", 6)) + (float(o.get("slow_ms", 0)) if after else 0)) / 1000)
        if after and self.random.random() < float(o.get("errors", 0)):
            return 500, {"error": "planted"}
        if after and o.get("refuses") and b'"b"' in body:
            return 422, {"error": "planted"}
        content = json.loads(body)
        rows = content.get("rows", [content])
        scores = [self.score(row, after) for row in rows]
        request = headers.get("x-request-id", "none")
        for number, (row, score) in enumerate(zip(rows, scores, strict=True)):
            record = {"kind": "prediction", "time": stamp(),
                      "request_id": request, "row": number, "release": self.release, "track": track, "features": row,
                      "score": score, "decision": score >= 0.5,
                      "latency_ms": 1000 * (time.monotonic() - begin)}  # fmt: skip
            self.log.write(json.dumps(record) + "\n")
        answers = [{"probability": score, "decision": score >= 0.5} for score in scores]
        return 200, {"request_id": request, "release": self.release, "predictions": answers}

    async def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
        if path == "/predict":
            return await self.predict(headers, body)
        if path == "/feedback":
            self.log.write(json.dumps({"kind": "feedback", "row": 0, **json.loads(body)}) + "\n")
            return 202, {}
        if path == "/readyz":
            ready = time.monotonic() >= self.ready_at and not self.options.get("never_ready")
            return (200 if ready else 503), {"ready": ready, "release": self.release, "track": self.track}
        return (200, {}) if path in ("/healthz", "/livez") else (404, {})

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin1").split("\r\n")
                method, path, _ = head[0].split(" ")
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                status, content = await self.answer(method, path, headers, body)
                text = json.dumps(content).encode()
                lines = (f"HTTP/1.1 {status} X", f"x-release: {self.release}", "content-type: application/json",
                         f"content-length: {len(text)}", "", "")  # fmt: skip
                writer.write("\r\n".join(lines).encode() + text)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def run(self) -> None:
        server = await asyncio.start_server(self.connection, "127.0.0.1", int(self.options["port"]))
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        await stop.wait()
        server.close()
        await asyncio.sleep(0.1)


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    if "limit_mb" in given:
        resource.setrlimit(resource.RLIMIT_AS, (given["limit_mb"] * 2**20,) * 2)
    asyncio.run(Service(given).run())
