"""The service as real processes: started, asked, fuzzed, drained, killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow

CACHES = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")

SLOW_SERVICE = """
import sys, time
sys.path.insert(0, {source!r})
import mainline.serve.model as model
from mainline.serve.service import make_service
from pathlib import Path

load = model.load

class Slow:
    path, inputs, refused = "exact", (), ()
    def __init__(self, inner): self.inner, self.asked = inner, 0
    def score_rows(self, rows):
        self.asked += 1
        time.sleep(0.02 if self.asked > 60 else 0)
        return self.inner.score_rows(rows)

def slow(root):
    from dataclasses import replace
    loaded = load(root)
    return replace(loaded, scorer=Slow(loaded.scorer))

model.load = slow
service = make_service(Path(__file__).resolve().parent)
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Live:
    """A running service."""

    process: subprocess.Popen[bytes]
    port: int
    output: Path

    def ask(self, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Return status and parsed answer."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def wait(self, seconds: float = 90) -> None:
        """Wait until the service is ready."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            assert self.process.poll() is None, self.output.read_text()
            try:
                if self.ask("/readyz")[0] == 200:
                    return
            except (OSError, ValueError):
                pass
            time.sleep(0.1)
        raise AssertionError(f"not ready: {self.output.read_text()}")

    def answers(self) -> bool:
        """Return whether anybody still takes connections."""
        with socket.socket() as probe:
            probe.settimeout(2)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture(scope="module")
def launch(outputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Live]]:
    """Return a function that starts ``mainline serve`` in a copy of the outputs, with the repository's service.py."""
    running: list[Live] = []

    def build(*options: str, service: str = "", **environment: str) -> Live:
        folder = tmp_path_factory.mktemp("live") / "project"
        shutil.copytree(outputs, folder)
        text = service.format(source=str(ROOT / "src")) if service else (ROOT / "service.py").read_text()
        (folder / "service.py").write_text(text, encoding="utf-8")
        port, output = free_port(), folder / "output.txt"
        home = folder.parent / "home"
        home.mkdir()
        own = {"PYTHONPATH": str(ROOT / "src"), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
               "HOME": str(home)}  # fmt: skip
        # What this very process may have switched off must be switched off by the service itself.
        inherited = {key: value for key, value in os.environ.items() if key not in ("ORT_DISABLE_TELEMETRY", *CACHES)}
        command = [sys.executable, "-m", "mainline.cli", "serve", "--port", str(port), *options]
        with output.open("wb") as stream:
            process = subprocess.Popen(
                command, cwd=folder, env={**inherited, **own, **environment}, stdout=stream, stderr=stream,
                start_new_session=True,
            )  # fmt: skip
        running.append(Live(process, port, output))
        return running[-1]

    yield build
    for live in running:
        if live.process.poll() is None:
            live.process.terminate()
            try:
                live.process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(live.process.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def pair(launch: Callable[..., Live]) -> Live:
    """A service of two workers, ready."""
    live = launch("--workers", "2", "--track", "canary", MAINLINE_RELEASE="bank-0123456789ab")
    live.wait()
    return live


def test_two_workers_answer_and_count_together(pair: Live, row: dict[str, Any]) -> None:
    assert pair.ask("/readyz")[1] == {
        "ready": True, "release": "bank-0123456789ab", "track": "canary", "path": "onnx",
    }  # fmt: skip
    for _ in range(40):  # each on a connection of its own: both workers get some
        status, answer = pair.ask("/predict", row)
        assert (status, answer["release"]) == (200, "bank-0123456789ab")
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        files = list((pair.output.parent / ".mainline" / "log").rglob("*"))
        lines = [line for file in files if file.is_file() for line in file.read_bytes().splitlines()]
        if len(lines) >= 40:
            break
        time.sleep(0.1)
    assert len(lines) == 40, "every prediction of both workers is in the log"
    with urllib.request.urlopen(f"http://127.0.0.1:{pair.port}/metrics", timeout=20) as answer:
        text = answer.read().decode()
    name = 'mainline_predictions_total{release="bank-0123456789ab",track="canary"} '
    assert f"{name}40.0\n" in text
    home = pair.output.parents[1] / "home"
    assert not list(home.iterdir()), "the service keeps nothing about this machine, and nothing to report home with"


def test_bentomls_own_page_shows_this_description(pair: Live) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{pair.port}/", timeout=20) as answer:
        assert b"html" in answer.read()
    assert "/predict" in pair.ask("/docs.json")[1]["paths"]


def test_fuzz_by_its_own_description_finds_no_5xx_and_no_hang(pair: Live) -> None:
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{pair.port}/openapi.json")
    statuses: dict[int, int] = {}

    for operation in schema.include(path_regex="^/(predict|feedback)$").get_all_operations():

        @given(case=operation.ok().as_strategy())
        @settings(max_examples=60, deadline=None, derandomize=True, database=None,
                  phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))  # fmt: skip
        def run(case: Any) -> None:
            answer = case.call(timeout=10)
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
            case.validate_response(
                answer, checks=[not_a_server_error, status_code_conformance, response_schema_conformance]
            )

        run()
    assert statuses.get(200, 0) > 0 and statuses.get(202, 0) > 0, "valid requests among them"
    assert max(statuses) < 500
    assert pair.ask("/readyz")[0] == 200


@pytest.mark.parametrize("raw", [
    b"GARBAGE\r\n\r\n",
    b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc",
    b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
    b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /predict HTTP/1.1\r\nHost: x\r\nx-request-id: \xff\xfe\r\nContent-Length: 2\r\n\r\n{}",
])  # fmt: skip
def test_broken_http_does_no_harm(pair: Live, raw: bytes) -> None:
    with socket.create_connection(("127.0.0.1", pair.port), timeout=20) as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(4096)
    assert not answer.startswith(b"HTTP/1.1 5")
    assert pair.ask("/livez")[0] == 200


def test_what_was_accepted_is_answered_after_sigterm(launch: Callable[..., Live], row: dict[str, Any]) -> None:
    live = launch(service=SLOW_SERVICE)
    live.wait()
    request = json.dumps(row).encode()
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(request)}\r\n\r\n".encode()
    answers: list[bytes] = []
    ready = threading.Barrier(31)

    def ask() -> None:
        with socket.create_connection(("127.0.0.1", live.port), timeout=30) as connection:
            ready.wait(30)
            connection.sendall(head + request)
            answers.append(connection.recv(4096))

    threads = [threading.Thread(target=ask) for _ in range(30)]
    for thread in threads:
        thread.start()
    ready.wait(30)
    time.sleep(0.2)  # all are accepted, and at 20 ms each most of them wait
    with socket.create_connection(("127.0.0.1", live.port), timeout=30) as leaver:
        leaver.sendall(head)
    before = len(answers)
    live.process.terminate()
    for thread in threads:
        thread.join(30)
    assert before < 25, "there was something in flight"
    assert [answer[:15] for answer in answers] == [b"HTTP/1.1 200 OK"] * 30
    assert live.process.wait(30) == 0, "a client that left half way must not hold it up"
    assert not live.answers()
    lines = [line for file in (live.output.parent / ".mainline" / "log").rglob("*") if file.is_file()
             for line in file.read_bytes().splitlines()]  # fmt: skip
    assert len(lines) == 30, "and all of them are in the log"


def test_a_worker_ends_with_the_supervisor_that_was_killed(launch: Callable[..., Live]) -> None:
    live = launch()
    live.wait()
    live.process.kill()
    live.process.wait(10)
    until = time.monotonic() + 20
    while live.answers() and time.monotonic() < until:
        time.sleep(0.1)
    assert not live.answers(), "an orphan holds the port"
