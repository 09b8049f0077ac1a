"""An S3 server that knows a key for reading and a key for writing: ``rclone serve s3``, and a border before it.

rclone checks every signature. The border answers a request to write by the key for reading as Amazon does, and hands
everything else on as it came, so that the signature still fits.
"""

from __future__ import annotations

import http.client
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

READER = ("reading-key", "reading-secret")
WRITER = ("writing-key", "writing-secret")
READS = ("GET", "HEAD")
DENIED = b"""<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>AccessDenied</Code><Message>User is not authorized to perform: s3:PutObject</Message></Error>"""


@dataclass
class Store:
    """The server: its address, the folder in which its buckets are folders, and what was asked of it.

    ``asked`` has one entry a request: method, path, the key that signed it ("" without one), and the answer's code.
    """

    address: str
    buckets: Path
    asked: list[tuple[str, str, str, int]] = field(default_factory=list)

    def files(self, below: str) -> set[str]:
        """Return the objects below a bucket's path."""
        folder = self.buckets / below
        return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}

    def keys(self, key: tuple[str, str]) -> dict[str, str]:
        """Return the environment that a client of the storage needs."""
        return {"AWS_ACCESS_KEY_ID": key[0], "AWS_SECRET_ACCESS_KEY": key[1], "AWS_DEFAULT_REGION": "us-east-1"}


@contextmanager
def rclone(folder: Path, *keys: tuple[str, str]) -> Iterator[tuple[str, Path]]:
    """Yield the address of ``rclone serve s3`` on a free loopback port, and the folder of its bucket ``ours``."""
    (folder / "buckets" / "ours").mkdir(parents=True)
    log = folder / "log"
    pairs = [word for key in keys for word in ("--auth-key", ",".join(key))]
    command = [
        str(Path(sys.executable).parent / "rclone"), "serve", "s3", "--addr", "127.0.0.1:0", *pairs,
        # Short, so that damage planted on disk is seen; with no cache at all the server spins.
        "--vfs-cache-mode", "off", "--dir-cache-time", "1s", "--config", str(folder / "none"), str(folder / "buckets"),
    ]  # fmt: skip
    with log.open("wb") as stream, subprocess.Popen(command, stdout=stream, stderr=stream) as process:
        try:
            for _ in range(200):
                found = [word for word in log.read_text().split() if word.startswith("[http://127.0.0.1:")]
                if found or process.poll() is not None:
                    break
                time.sleep(0.05)
            assert found, log.read_text()
            yield found[0].strip("[]").rstrip("/"), folder / "buckets"
        finally:
            process.terminate()
            process.wait(timeout=20)


@contextmanager
def serve(folder: Path) -> Iterator[Store]:
    """Yield a server that refuses unsigned requests, wrong signatures, and writes by :data:`READER`."""
    with rclone(folder, READER, WRITER) as (behind, buckets):
        store = Store("", buckets)
        border = ThreadingHTTPServer(("127.0.0.1", 0), _handler(store, behind.removeprefix("http://")))
        store.address = f"http://127.0.0.1:{border.server_port}"
        thread = Thread(target=border.serve_forever, daemon=True)
        thread.start()
        try:
            yield store
        finally:
            border.shutdown()
            border.server_close()
            thread.join(10)


def _handler(store: Store, behind: str) -> type[BaseHTTPRequestHandler]:
    class Border(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            signed = re.search(r"Credential=([^/]+)/", self.headers.get("Authorization", ""))
            key = signed[1] if signed else ""
            if self.command not in READS and key != WRITER[0]:
                code, headers, answer = 403, [("Content-Type", "application/xml")], DENIED
            else:
                line = http.client.HTTPConnection(behind, timeout=60)
                line.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    line.putheader(name, value)
                line.endheaders(body)
                found = line.getresponse()
                code, headers, answer = found.status, found.getheaders(), found.read()
                line.close()
            store.asked.append((self.command, self.path, key, code))
            self.send_response(code)
            for name, value in headers:
                if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                    self.send_header(name, value)
            head = dict(headers).get("Content-Length", "0") if self.command == "HEAD" else str(len(answer))
            self.send_header("Content-Length", head)
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _any  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    return Border
