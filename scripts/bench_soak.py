"""A soak, `python scripts/bench_soak.py --minutes 30`: a steady rate, with a promotion and a rollback inside.

The promotion begins at a third of the time, the rollback at two thirds. Two real releases behind the rollout's own
Envoy, driven by the commands that a person uses (`mainline rollout start`, `run --forever`, `mainline rollback`) with
the plan of params.yaml, its times made shorter. At the end: what the users got in each phase, every answer held
against the prediction log, and what each process held of memory and files. Everything ends with the script, also on
Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
from bench_place import OUT, ROOT, Place, answers, end, ended_by_signals, make_place
from bench_soak_report import Sample, Story, growth, held, phases, told

from mainline.files import write_json
from mainline.release.ledger import Deploy
from mainline.release.state import State
from mainline.rollout.journal import FOLDER, Journal
from mainline.rollout.processes import Process, Processes, alive, members

USERS = 2000
MOST = 2000.0  # requests a second
EARLY = 120.0  # seconds of a process's life after which its memory is compared; on short runs a tenth of the run
LOG_WAIT = 3.0  # seconds; many times what serve.log.flush_ms promises


@dataclass
class Watch:
    """Samples every process of the rollout, and the controller, until told to stop."""

    place: Place
    every: float
    controller: subprocess.Popen[bytes] | None = None
    samples: list[Sample] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Sample on and on."""
        while not self._over.wait(self.every):
            self.loads.append(os.getloadavg()[0])
            for process in processes(self.place).all():
                if alive(process):
                    self._take(process.name.rsplit("-", 1)[0] if process.port else process.name, members(process))
            if self.controller and self.controller.poll() is None:
                with contextlib.suppress(psutil.Error):
                    self._take("controller", [psutil.Process(self.controller.pid)])

    def stop(self) -> None:
        """Take no more samples."""
        self._over.set()

    def _take(self, name: str, found: Sequence[psutil.Process]) -> None:
        with contextlib.suppress(psutil.Error):
            held = sum(one.memory_info().rss for one in found) / 2**20
            files = sum(one.num_fds() for one in found)
            if held:  # a process that is just ending holds nothing
                self.samples.append(Sample(time.time(), name, found[0].pid, held, files))


def processes(place: Place) -> Processes:
    """Return the processes of the clone's rollout."""
    return Processes(place.folder / ".mainline/rollout/processes")


def state(place: Place) -> State:
    """Return what git says."""
    return Deploy.open(place.folder / ".mainline/deploy").state("production")


def only(place: Place, role: str) -> Process:
    """Return the first process with a role."""
    return processes(place).of(role)[0]


@contextlib.contextmanager
def serving(place: Place) -> Iterator[None]:
    """Let the first release serve; everything that the rollout has started is stopped with the block."""
    try:
        place.mainline("rollout", "start", place.releases[0])
        place.mainline("rollout", "run")
        yield
    finally:
        place.mainline("rollout", "stop")


def largest_rate(port: int, body: Path, seconds: float = 3.0) -> float:
    """Return requests a second of one service process, 16 clients, closed loop."""
    command = [
        sys.executable,
        str(ROOT / "scripts/bench_load.py"),
        str(port),
        "/predict",
        str(body),
        "16",
        str(seconds),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return float(json.loads(done.stdout)["rate"])


def plan(minutes: float, rate: float) -> dict[str, Any]:
    """Return the keys of params.yaml's rollout that make its plan fit into a third of the run."""
    third = 20 * minutes
    step = third / 10
    return {
        "seconds": step,
        "requests": int(min(100, max(5, 0.005 * rate * step))),
        "shadow": {"pairs": int(min(2000, max(100, rate * third / 20))), "max_seconds": third / 2},
        "max_seconds": 2 * third + 600,
        "tick_seconds": min(5.0, step / 2),
        "proxy": {"port": 0},
    }


def drive(place: Place, watch: Watch, users: subprocess.Popen[bytes], minutes: float) -> Story:
    """Let the time pass, with a promotion and a rollback in it."""
    story, begin, total = Story(), time.monotonic(), 60 * minutes
    first, second = place.releases

    def wait(until: float) -> None:
        while time.monotonic() - begin < until:
            time.sleep(0.25)
            look()

    def look() -> None:
        if users.poll() is not None:
            raise SystemExit("the users ended before their time")
        if watch.controller is not None and watch.controller.poll() is not None:
            story.restarts.append(f"{time.time():.0f}: exit code {watch.controller.returncode}")
            watch.controller = place.begin("rollout", "run", "--forever")

    watch.controller = place.begin("rollout", "run", "--forever")
    story.enter("first release alone")
    wait(total / 3)
    place.mainline("rollout", "start", second)
    story.enter("second starts")
    while (now := state(place)).candidate is not None:
        story.enter({"shadow": "shadow", "canary": "canary"}.get(now.phase or "", "second starts"))
        time.sleep(0.5)
        look()
    story.promoted = now.stable == second
    if story.promoted:
        story.enter("second release alone")
        wait(2 * total / 3)
        story.enter("rollback")
        place.mainline("rollback", "--why", "the soak says so")
        story.rolled_back = state(place).stable == first
        settled = time.monotonic() - begin + 5
        wait(settled)
    story.enter("first release again" if story.rolled_back else "not promoted")
    wait(max(total, time.monotonic() - begin + total / 10))
    story.enter("end")
    return story


def keep(place: Place) -> str:
    """Copy the journals of the rollouts out of the clone; return what the last look of the second one said."""
    shutil.rmtree(OUT / "soak-rollouts", ignore_errors=True)
    shutil.copytree(place.folder / FOLDER, OUT / "soak-rollouts")
    events = Journal(OUT / "soak-rollouts" / place.releases[1]).events()
    return f"{events[-1]['kind']}: {events[-1]['text']}" if events else "nothing"


def main() -> None:
    """Measure, print Markdown, and write JSON.

    Exit code 1: a request failed, a record is lost, or the second release was not promoted and taken back.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=float, help=f"requests a second, {MOST:.0f} at most; default: half of what one "
                        "service process can do")  # fmt: skip
    given = parser.parse_args()
    if given.minutes < 0.5 or (given.rate or 1.0) > MOST:
        parser.error(f"--minutes is at least 0.5, --rate at most {MOST:.0f}")
    early = min(EARLY, 6 * given.minutes)
    with ended_by_signals(), tempfile.TemporaryDirectory(prefix="mainline-soak-") as name:
        top = Path(name)
        place = make_place(top, plan(given.minutes, given.rate or MOST))
        (top / "body.json").write_bytes(place.bodies.read_bytes().splitlines()[0])
        watch = Watch(place, min(5.0, 60 * given.minutes / 50))
        sampler, users, story = threading.Thread(target=watch.run, daemon=True), None, None
        with serving(place):
            try:
                most = largest_rate(only(place, "stable").port, top / "body.json")
                rate = given.rate or min(MOST, most / 2)
                sampler.start()
                users = place.users(only(place, "proxy").port, top / "answers.csv", rate, 180 * given.minutes + 3600,
                                    USERS)  # fmt: skip
                time.sleep(1.0)
                story = drive(place, watch, users, given.minutes)
                end(users)
                time.sleep(LOG_WAIT)
                got = answers(top / "answers.csv")
                log = held(place.folder / ".mainline/log", got)
                kept = keep(place)
            finally:
                watch.stop()
                end(users)
                end(watch.controller)
    names = {release: label for release, label in zip(place.releases, ("first", "second"), strict=True)}
    failed = sum(one.status != 200 for one in got)
    found = {"minutes": given.minutes, "rate": rate, "largest_rate": most, "requests": len(got), "failed": failed,
             "promoted": story.promoted, "rolled_back": story.rolled_back, "last_word": kept,
             "controller_restarts": story.restarts,
             "load": [min(watch.loads), max(watch.loads)], "early": early, "phases": phases(story, got), "log": log,
             "memory": growth(watch.samples, early), "samples": [asdict(one) for one in watch.samples]}  # fmt: skip
    write_json(OUT / "soak.json", found)
    outcome = ["not promoted", "promoted, not rolled back", "promoted and rolled back"]
    print(
        f"Conditions: {os.cpu_count()} cores, Python {platform.python_version()}, everything on one machine, load "
        f"average {min(watch.loads):.1f} to {max(watch.loads):.1f}, {given.minutes:g} minutes, {rate:,.0f} requests a "
        f"second of {USERS:,} users (one service process alone: {most:,.0f}). {len(got):,} requests, {failed} failed; "
        f"{outcome[story.promoted + story.rolled_back]}; controller started again {len(story.restarts)} times. Last "
        f"word of the second release's rollout: {kept}\n"
    )
    print(told(found, names))
    if failed or log["lost"] or not story.rolled_back:
        sys.exit(1)


if __name__ == "__main__":
    main()
