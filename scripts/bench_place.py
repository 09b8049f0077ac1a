"""A throw-away clone with two real releases, for the benches of the rollout; and what its users got."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import yaml
from bench_pull_request import load

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / ".mainline" / "bench"
SECOND = {"C": 0.5}  # what makes the second release another model


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request came to: ``at`` is the Unix time at which it was due, ``status`` 0 is no answer."""

    number: int
    at: float
    milliseconds: float
    status: int
    release: str


@dataclass(frozen=True)
class Place:
    """A clone in ``folder`` and the ids of its two releases, the older one first."""

    folder: Path
    releases: tuple[str, str]
    bodies: Path

    def mainline(self, *arguments: str) -> str:
        """Return the output of a command.

        Raises:
            SystemExit: it failed; its output is shown.
        """
        return call(self.folder, "mainline.cli", *arguments)

    def begin(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command, its output beside the clone."""
        log = self.folder.parent / f"{arguments[0]}-{arguments[-1].strip('-')}.txt"
        with log.open("ab") as out:
            return subprocess.Popen([sys.executable, "-m", "mainline.cli", *arguments], cwd=self.folder,
                                    env=environment(self.folder), stdout=out, stderr=out,
                                    start_new_session=True)  # fmt: skip

    def users(self, port: int, record: Path, rate: float, seconds: float, users: int) -> subprocess.Popen[bytes]:
        """Start the users of ``bench_users``."""
        command = [
            sys.executable,
            str(ROOT / "scripts/bench_users.py"),
            port,
            self.bodies,
            record,
            rate,
            seconds,
            users,
        ]
        return subprocess.Popen([str(part) for part in command], start_new_session=True)


def call(folder: Path, module: str, *arguments: str) -> str:
    """Return the output of ``python -m module`` in the clone.

    Raises:
        SystemExit: it failed; its output is shown.
    """
    done = subprocess.run([sys.executable, "-m", module, *arguments], cwd=folder, env=environment(folder),
                          capture_output=True, text=True, check=False)  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"{module} {' '.join(arguments)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of a command in the clone: its own code, one thread, nobody told."""
    dropped = ("GITHUB_ACTIONS", "MLFLOW_TRACKING_URI", "PYTHONDONTWRITEBYTECODE", "MAINLINE_LOG", "MAINLINE_RELEASE")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    quiet = {"DVC_NO_ANALYTICS": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "BENTOML_DO_NOT_TRACK": "True"}
    own = {"PATH": path, "PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "1", "COLUMNS": "200", **quiet}
    return {key: value for key, value in os.environ.items() if key not in dropped} | own


def make_place(top: Path, rollout: Mapping[str, Any]) -> Place:
    """Return a place below ``top`` whose params have ``rollout`` put in; nothing runs yet.

    DVC's cache is this working tree's: a model that was trained for a bench once is not trained again.

    Raises:
        SystemExit: a step failed.
    """
    folder = top / "clone"
    load("bench_clones", ROOT / "tests/conftest.py").copy_tree(folder)
    git(folder, "init", "--quiet", "--initial-branch=main")
    call(folder, "dvc", "cache", "dir", "--local", str(ROOT / ".dvc/cache"))
    call(folder, "dvc", "pull", "--quiet", "data.dvc", "replay.dvc")
    path = folder / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    merge(params["rollout"], rollout)
    made = []
    for number, estimator in enumerate(({}, SECOND)):
        params["model"]["estimator"] |= estimator
        path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
        call(folder, "dvc", "repro", "--quiet")
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", f"--message=Release {number + 1}")
        call(folder, "mainline.cli", "release", "build")
        made += [item for item in _built(folder) if item not in made]
    first, second = made
    return Place(folder, (first, second), _bodies(folder, first, top / "bodies.jsonl"))


def git(folder: Path, *arguments: str) -> None:
    """Run git in the clone as nobody."""
    who = ("-c", "user.name=bench", "-c", "user.email=bench@localhost", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True)


def merge(into: dict[str, Any], given: Mapping[str, Any]) -> None:
    """Put ``given`` into ``into``, room by room."""
    for key, value in given.items():
        if isinstance(value, Mapping):
            merge(into[key], value)
        else:
            into[key] = value


def answers(record: Path) -> list[Answer]:
    """Return what the users wrote, in the order of answers; a last line that was torn by a kill is left out."""
    with record.open(encoding="ascii", newline="") as stream:
        return [
            Answer(int(row[0]), float(row[1]), float(row[2]), int(row[3]), row[4])
            for row in csv.reader(stream)
            if len(row) == 5
        ]


def quantile(values: Sequence[float], share: float) -> float:
    """Return a quantile, NaN of nothing."""
    ordered = sorted(values)
    return ordered[int(share * (len(ordered) - 1))] if ordered else float("nan")


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Return a Markdown table; all but the first ``left`` columns stand at the right."""
    marks = ["---" if index < left else "--:" for index in range(len(head))]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, marks, *rows)) + "\n"


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, and let neither interrupt what cleans up after it."""

    def stop(number: int, frame: FrameType | None) -> None:
        for one in (signal.SIGINT, signal.SIGTERM):
            signal.signal(one, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {one: signal.signal(one, stop) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def end(process: subprocess.Popen[bytes] | None, seconds: float = 40.0) -> None:
    """Ask a process to end, and end it after ``seconds``."""
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _built(folder: Path) -> list[str]:
    from mainline.release.store import every

    return [item.id for item in every(folder / ".mainline/releases")]


def _bodies(folder: Path, release: str, out: Path) -> Path:
    """Write the following month's rows as requests, a line each."""
    from mainline.release.store import find
    from mainline.rollout.rehearsal import requests

    rows = requests(folder / "replay", find(release, folder / ".mainline/releases").golden())
    out.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return out
