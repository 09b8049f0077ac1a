"""A real Envoy, real processes and a real git ledger; only the model behind the HTTP contract is a stand-in."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mainline.config import Proxy, Rollout, RolloutAnalysis
from mainline.errors import UserError
from mainline.project import Value
from mainline.release.ledger import Deploy, Entry, State
from mainline.rollout.admin import remove_socket
from mainline.rollout.controller import Controller, Tick
from mainline.rollout.observe import Observer
from mainline.rollout.plan import Plan
from mainline.rollout.plane import Plane
from mainline.rollout.processes import alive, stop_all
from mainline.rollout.traffic import Traffic

UPSTREAM = Path(__file__).with_name("upstream.py")
RATE = 250
GOLDEN = 50
GROUPS = ("a", "b", "c")
ROWS = [
    {"x": float(x), "group": GROUPS[number % 3]}
    for number, x in enumerate(np.random.default_rng(3).beta(2, 3, 997).round(4))
]


def slicer(rows: Any) -> dict[str, list[str]]:
    return {"group": [row["group"] for row in rows]}


def golden(bend: float) -> dict[str, Any]:
    scores = [(row, row["x"] + bend * row["x"] * (1 - row["x"])) for row in ROWS[:GOLDEN]]
    rows = [{"request": row, "expected": {"probability": s, "decision": s >= 0.5}} for row, s in scores]
    return {"tolerance": 1e-6, "rows": rows}


@dataclass
class Stage:
    """A machine with a ledger of releases; ``faults`` says how each release's stand-in misbehaves."""

    folder: Path
    rules: Rollout
    faults: dict[str, dict[str, Any]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.deploy = Deploy.open(self.folder / "deploy")
        self.plane = Plane(
            self.folder / "live", self.folder / "log", self.rules, self.find, launch=self.launch, tied=True
        )  # fmt: skip
        self.renew()

    def renew(self) -> None:
        """Take a new controller, as after a crash."""
        self.controller = Controller(
            self.deploy, self.plane, self.rules, self.golden,
            Observer(self.plane, slicer, Value(10, 1), "yes", late=0.5), journals=self.folder / "rollouts",
        )  # fmt: skip

    def golden(self, release: str) -> dict[str, Any]:
        return golden(self.faults.get(release, {}).get("bend", 0.0))

    def find(self, release: str) -> Path:
        if release in self.gone:
            raise UserError(f"release {release}: is not in the store", "restore it")
        return self.folder / "releases" / release

    def launch(self, bento: Path, port: int, track: str, log: Path) -> list[str]:
        options = {"port": port, **self.faults.get(bento.name, {})}
        return [sys.executable, "-I", "-S", str(UPSTREAM), json.dumps(options)]

    def add(self, release: str, **faults: Any) -> str:
        """Put a release into the ledger."""
        self.faults[release] = {"bend": 0.0, **faults}
        self.deploy.commit(f"{release} is built", expect=self.deploy.head(), entries=[Entry(release, "c" * 40)])
        return release

    def serve(self, *releases: str) -> None:
        """Make the last of ``releases`` stable, the others the ones before it, and bring it up."""
        *before, stable = releases
        for release in releases:
            if release not in self.faults:
                self.add(release)
        state = State("production", stable=stable, previous=tuple(reversed(before)),
                      revision=self.deploy.state("production").revision)  # fmt: skip
        self.deploy.commit(f"{stable} serves", expect=self.deploy.head(), states=[state])
        self.controller.tick()

    def plan(self, **changes: Any) -> Plan:
        given = {"mode": "canary", "weights": (20, 100), "pairs": 120, "shadow_seconds": 30.0, "requests": 60,
                 "seconds": 0.3, "max_seconds": 60.0, "ready_seconds": 5.0}  # fmt: skip
        return Plan(**(given | changes))

    def try_out(self, release: str, **changes: Any) -> None:
        self.controller.start(release, self.plan(**changes))

    def until(self, done: Callable[[Tick], bool], seconds: float = 25.0, pause: float = 0.05) -> Tick:
        """Tick until ``done``."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            tick = self.controller.tick()
            if done(tick):
                return tick
            assert tick.outcome != "abort", f"over too early: {tick.text}"
            time.sleep(pause)
        raise AssertionError(f"not within {seconds} s: {tick.outcome} {tick.text}")

    def to_end(self, **more: Any) -> Tick:
        return self.until(lambda tick: tick.over, **more)

    def state(self) -> State:
        return self.deploy.state("production")

    def traffic(self, rate: float = RATE, threads: int = 8) -> Traffic:
        return Traffic(self.plane.envoy.port, ROWS, rate, 300, threads)

    def stop(self) -> list[str]:
        stopped = stop_all(self.plane.processes)
        remove_socket(self.plane.folder.resolve())
        return stopped

    def alive(self) -> list[str]:
        return [item.name for item in self.plane.processes.all() if alive(item)]


def rules(replicas: int = 1, **analysis: Any) -> Rollout:
    proxy = Proxy(port=0, timeout_seconds=6, replicas=replicas)
    return Rollout(proxy=proxy, analysis=RolloutAnalysis(**({"min_rows": 30} | analysis)), ready_seconds=5)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One Envoy for a whole module; release "good" serves. Latency is off: a busy machine hid the other faults."""
    made = Stage(tmp_path_factory.mktemp("stage"), rules(memory_mb=400, latency_ratio=None))
    made.serve("good")
    yield made
    made.stop()
    assert made.alive() == []


@pytest.fixture
def calm(shared: Stage) -> Stage:
    """The shared stage with nothing under way, and "good" in front."""
    shared.renew()
    state = shared.state()
    if state.candidate:
        shared.controller.end("abort", "the test before has ended")
    assert shared.state().stable == "good"
    return shared


@pytest.fixture
def stage_for(tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    """Return a function that makes a stage of the test's own."""
    made = []

    def make(**options: Any) -> Stage:
        made.append(Stage(tmp_path / f"stage-{len(made)}", rules(**options)))
        return made[-1]

    yield make
    for stage in made:
        stage.stop()
        assert stage.alive() == []
