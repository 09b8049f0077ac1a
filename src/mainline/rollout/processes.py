"""Processes that outlive a command, or end with it: started, found again by their file, stopped, never lost.

Each process has a JSON file with its number and the moment it began, so that a later command finds it, and never takes
another process that got the same number for it. It leads a group of its own, so that its workers end with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from mainline.errors import UserError
from mainline.files import write_atomic
from mainline.github import KEYS

BOOT = Path("/proc/sys/kernel/random/boot_id")
RAISED = re.compile(r"[A-Za-z_][\w.]*(Error|Exception): ")


@dataclass(frozen=True)
class Process:
    """A process as its file tells of it; ``began`` is a time that no step of the clock moves.

    Attributes:
        role: stable, candidate or proxy.
        boot: which start of the machine it is of.
        starts: how often it was started again since it last stayed up.
        workers: number and beginning of the processes that it had started when it was ready; see :func:`lost`.
    """

    name: str
    role: str
    release: str
    port: int
    pid: int
    began: float
    boot: str
    starts: int = 0
    at: float = 0.0
    workers: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Processes:
    """All processes of one rollout folder; ``tied``: they end when this command does, even by SIGKILL (Linux)."""

    folder: Path
    tied: bool = False

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        role: str,
        release: str = "",
        port: int = 0,
        environment: Mapping[str, str] | None = None,
        memory_mb: int = 0,
        starts: int = 0,
    ) -> Process:
        """Return a process that has just been started; its output goes to ``<name>.log``.

        Raises:
            UserError: the program is not there, or the folder cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        wrapper = [sys.executable, "-I", "-S", str(Path(__file__).with_name("child.py"))]
        parent = os.getpid() if self.tied else 0
        with (self.folder / f"{name}.log").open("ab") as log:
            started = subprocess.Popen(
                [*wrapper, str(parent), str(memory_mb), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={key: value for key, value in os.environ.items() if key not in KEYS} | dict(environment or {}),
                start_new_session=True,
            )
        # Popen would complain of a process that outlives it; it is waited for in `alive`.
        started.returncode = 0
        began = _began(psutil.Process(started.pid))
        made = Process(name, role, release, port, started.pid, began, _boot(), starts, time.time())
        self.save(made)
        return made

    def save(self, process: Process) -> None:
        """Write the process's file."""
        write_atomic(self.folder / f"{process.name}.json", json.dumps(asdict(process)) + "\n")

    def all(self) -> list[Process]:
        """Return every process that has a file, alive or not; those of before the machine's start are forgotten."""
        found = []
        for path in sorted(self.folder.glob("*.json")):
            try:
                content = json.loads(path.read_text(encoding="utf-8"))
                workers = tuple((int(pid), float(began)) for pid, began in content.pop("workers", ()))
                process = Process(**content, workers=workers)
            except (ValueError, TypeError, AttributeError):
                continue
            if _same_boot(process.boot):
                found.append(process)
            else:
                path.unlink(missing_ok=True)
        return found

    def of(self, role: str, release: str | None = None) -> list[Process]:
        """Return those with a role, and of a release if one is given."""
        return [item for item in self.all() if item.role == role and release in (None, item.release)]

    def settle(self, process: Process) -> None:
        """Remember the workers of a process that has just got ready; it is told from then on when one is lost."""
        with contextlib.suppress(psutil.Error):
            started = psutil.Process(process.pid).children()
            self.save(replace(process, workers=tuple((item.pid, _began(item)) for item in started)))

    def forget(self, process: Process) -> None:
        """Remove the process's file."""
        (self.folder / f"{process.name}.json").unlink(missing_ok=True)

    def stop(self, process: Process, seconds: float = 20.0) -> None:
        """Ask the process to end, and end it and its workers after ``seconds``; its file goes last."""
        known = members(process)  # a worker that hangs outlives its parent, and is nobody's then
        if alive(process):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)
            end = time.monotonic() + seconds
            while alive(process) and time.monotonic() < end:
                time.sleep(0.02)
        for member in {*known, *members(process)}:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        _reap(process.pid)
        self.forget(process)

    def tail(self, process: Process, lines: int = 3) -> str:
        """Return the end of what the process has written, what was raised before that first."""
        try:
            text = (self.folder / f"{process.name}.log").read_bytes()[-4000:].decode("utf-8", "replace")
        except OSError:
            return ""
        said = [line.strip() for line in text.splitlines() if line.strip()]
        raised = [line for line in said if RAISED.match(line)][-1:]
        return " | ".join(dict.fromkeys([*raised, *said[-lines:]]))

    def restarted(self, process: Process, now: float, steady: float = 60.0) -> int | None:
        """Return how many starts come before the next one of a process that died; None: it is not time for it yet.

        The pause doubles from half a second to half a minute; a process that stayed up is forgiven.
        """
        before = 0 if now - process.at > steady else process.starts
        pause = min(0.5 * 2**before, 30.0) if before else 0.0
        return before + 1 if now - process.at >= pause else None


def alive(process: Process) -> bool:
    """Return whether it runs: the same process, and more than a zombie."""
    _reap(process.pid)
    return _same(process.pid, process.began)


def lost(process: Process) -> bool:
    """Return whether a worker that the process had when it was ready has ended.

    BentoML starts another one after some seconds and says nothing. Until then the port is open and nobody answers.
    """
    return any(not _same(pid, began) for pid, began in process.workers)


def end_lost(process: Process) -> None:
    """Kill what is left of a process that has lost a worker: its port is open, and users would wait there in vain."""
    if lost(process):
        for member in members(process):
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        _reap(process.pid)


def members(process: Process) -> list[psutil.Process]:
    """Return the process and its workers, those of a dead one too; BentoML's lead groups of their own."""
    found = {}
    for pid, began in process.workers:
        if _same(pid, began):
            found[pid] = psutil.Process(pid)
    if alive(process):
        with contextlib.suppress(psutil.Error):
            found |= {item.pid: item for item in psutil.Process(process.pid).children(recursive=True)}
    elif psutil.pid_exists(process.pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            if psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
                return list(found.values())  # the number belongs to somebody else now
    for item in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError, PermissionError):
            if os.getpgid(item.pid) == process.pid and item.status() != psutil.STATUS_ZOMBIE:
                found[item.pid] = item
    return list(found.values())


def memory_mb(process: Process) -> float | None:
    """Return the memory that the process and its workers hold; None when it does not run."""
    total = 0
    for member in members(process):
        with contextlib.suppress(psutil.Error):
            total += member.memory_info().rss
    return total / 2**20 if total else None


def free_port() -> int:
    """Return a port on the loopback address that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def stop_all(processes: Processes) -> list[str]:
    """Stop every process, the proxy last; return their names."""
    found = sorted(processes.all(), key=lambda item: item.role == "proxy")
    for process in found:
        processes.stop(process)
    return [process.name for process in found]


def need_linux_or_mac() -> None:
    """Raise UserError where the wheel holds no Envoy that can be run."""
    if os.name != "posix":
        raise UserError("the rollout needs Linux or macOS", "run it in CI, or use deploy/kubernetes")


def _began(found: psutil.Process) -> float:
    """Return when it began, in seconds that no step of the clock moves.

    Linux notes the time since the machine's start, of which psutil makes one by the clock; macOS the time itself.
    """
    return float(found.create_time() - (psutil.boot_time() if psutil.LINUX else 0.0))


def _boot() -> str:
    """Return a name of the machine's present start: the kernel's own on Linux, else the Unix time of it."""
    try:
        return BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return str(psutil.boot_time())


def _same_boot(name: str) -> bool:
    now = _boot()
    try:
        # By the clock, which moves a little.
        return abs(float(name) - float(now)) <= 60
    except ValueError:
        return name == now


def _same(pid: int, began: float) -> bool:
    try:
        found = psutil.Process(pid)
        return bool(abs(_began(found) - began) < 0.5 and found.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
