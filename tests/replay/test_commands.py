"""The command line: what a person gets wrong, and the play against a service that is really there."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mainline.cli import app


@pytest.fixture
def here(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(shutil.copytree(trained, tmp_path / "project"))
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    return tmp_path / "project"


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["replay", *arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.output
    return done.exit_code, done.output + (done.stderr if done.stderr_bytes else "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "nothing serves here"),
        (("--port", "1"), "no service is ready there"),
        (("--rate", "0"), "at most 1000 requests a second"),
        (("--rate", "5000"), "at most 1000 requests a second"),
        (("--speed", "-1"), "more than 0 days a second"),
        (("--since", "june"), "is no date or time"),
        (("--since", "2020-01-01"), "nothing happens"),
        (("--fault", "rename:contact@2009-06-10"), "cannot be read"),
    ],
)
def test_a_mistake_ends_with_its_fix(here: Path, arguments: tuple[str, ...], words: str) -> None:
    code, output = run(*arguments)
    assert code == 1 and words in output and "fix:" in output


class Answer(BaseHTTPRequestHandler):
    """Answers every prediction with ``status`` and takes every outcome."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one packet, or each answer waits for the other side's acknowledgement
    status = 200

    def do_GET(self) -> None:
        self._say(200, {"x-replay-time": self.headers["x-replay-time"]})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._say(self.status if self.path == "/predict" else 202, {"x-release": "bank-1"})

    def _say(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "content-length": "2"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def test_a_play_says_what_came_of_it_and_a_failure_is_an_exit_code(
    here: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    span = ("--port", str(port), "--rate", "1000", "--until", "2009-06-18")
    code, output = run(*span, "--fault", "duplicate=0.5@2009-06-01")
    assert code == 0 and "planted: duplicate=0.5@2009-06-01" in output
    assert "predicted by bank-1" in output and "outcomes taken" in output
    monkeypatch.setattr(Answer, "status", 404)
    code, output = run(*span)
    assert code == 1 and "failed" in output and "404: {}" in output
