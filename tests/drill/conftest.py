"""Real releases behind a real Envoy, and users who report outcomes; faults are planted inside the service."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from mainline.config import load_settings
from mainline.release.ledger import Deploy, State
from mainline.release.twin import twin
from mainline.rollout.actions import Tick
from mainline.rollout.controller import Controller
from mainline.rollout.here import controller, plan_of, stop
from mainline.rollout.processes import alive
from mainline.rollout.rehearsal import REPLAY, requests

from .users import Users

PLANTED = Path(__file__).with_name("planted")
RATE = 100
ROLLOUT: dict[str, Any] = {
    "weights": [20, 100],
    "proxy": {"port": 0},
    "rehearsal": {"pairs": 300, "requests": 60, "seconds": 0.5, "max_seconds": 120},
    "ab": {"effect": 8.4, "sd": 36.0, "alpha": 0.05, "power": 0.95},
}


@dataclass
class Place:
    """A clone with two releases of one model, and the controller of its production; ``planted``: stable has a fault."""

    folder: Path
    releases: tuple[str, str]
    rows: list[dict[str, Any]]
    outcomes: list[str]
    environment: pytest.MonkeyPatch
    of: Controller = field(init=False)
    planted: bool = False

    def plant(self, **faults: dict[str, Any]) -> None:
        """Say which faults the services that start from now on have, by track."""
        self.environment.setenv("MAINLINE_PLANTED", json.dumps(faults))

    def renew(self, **analysis: Any) -> None:
        """Take a new controller, with rules of the analysis changed.

        Without more, nobody is judged by how fast he is: a busy machine would hide everything else.
        """
        self.of = controller(by="a drill", tied=True)
        rules = self.of.rules.analysis.model_copy(update={"latency_ratio": None, "answered": 0.5, **analysis})
        self.of.rules = self.of.rules.model_copy(update={"analysis": rules})
        self.of.observer.late = 2.0

    def serve(self, release: str = "", fault: dict[str, Any] | None = None) -> None:
        """Begin anew: ``release`` (default: the one that serves) serves, with ``fault``, and nothing else runs."""
        stop(self.of)
        self.plant(stable=fault or {})
        self.planted = bool(fault)
        self.renew()
        now = self.state()
        made = State("production", stable=release or now.stable or self.releases[0], revision=now.revision)
        if made != now:
            self.of.deploy.commit("Begin anew", expect=self.of.deploy.head(), states=[made])
        self.of.tick()

    @property
    def other(self) -> str:
        """The release that does not serve."""
        (found,) = set(self.releases) - {self.state().stable}
        return found

    def try_out(self, release: str, mode: str | None = None, **changes: Any) -> None:
        """Make ``release`` the candidate."""
        plan = plan_of(load_settings(), mode, compressed=True)
        self.of.start(release, replace(plan, **changes))

    def until(self, done: Callable[[Tick], bool], seconds: float, pause: float = 0.05) -> Tick:
        """Tick until ``done``."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            tick = self.of.tick()
            if done(tick):
                return tick
            assert not tick.over, f"over too early: {tick.text}"
            time.sleep(pause)
        raise AssertionError(f"not within {seconds} s: {tick.outcome} {tick.text}")

    def users(self, rate: float = RATE, labelled: bool = False, **more: Any) -> Users:
        """Return users who replay the month after training."""
        outcomes = self.outcomes if labelled else None
        return Users(self.of.plane.envoy.port, self.rows, rate, 300, outcomes=outcomes, **more)

    def state(self) -> State:
        """Return what git says."""
        return self.of.deploy.state("production")

    def running(self) -> list[tuple[str, str]]:
        """Return role and release of every process that is alive."""
        return [(item.role, item.release) for item in self.of.plane.processes.all() if alive(item)]


def params(folder: Path, **rooms: dict[str, Any]) -> None:
    """Set keys of params.yaml."""
    path = folder / "params.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    for room, keys in rooms.items():
        for key, value in keys.items():
            content[room][key] = content[room][key] | value if isinstance(value, dict) else value
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def commit(clone: Any, message: str) -> None:
    """Commit everything that git knows."""
    clone.run("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--all", f"--message={message}")


@pytest.fixture(scope="session")
def drilled(finished: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A clone with a release in its store, and the month after training."""
    folder = tmp_path_factory.mktemp("drill") / "place"
    clone = finished.on_main(folder)
    params(folder, rollout=ROLLOUT)
    commit(clone, "Shorten the rollout")
    clone.run(*clone.program("mainline"), "release", "build")
    return clone


@pytest.fixture(scope="session")
def ground(drilled: Any) -> Iterator[Place]:
    """The place of all drills, with nothing running yet."""
    from mainline.release.store import every

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(drilled.folder)
        path = os.pathsep.join([str(PLANTED), *filter(None, [os.environ.get("PYTHONPATH")])])
        patch.setenv("PYTHONPATH", path)
        patch.setenv("OMP_NUM_THREADS", "1")
        (built,) = every()
        other = twin(built, Deploy.open())
        rows = requests(REPLAY, built.golden())
        month = sorted(REPLAY.glob("*.csv"))[0]
        made = Place(drilled.folder, (built.id, other.id), rows, pd.read_csv(month)["y"].tolist(), patch)
        made.renew()
        yield made
        stop(made.of)
        assert made.running() == []


HEAD = ("fault", "phase", "aborted because", "requests", "seconds", "failed for users", "longest answer, s")
MEASURED = pytest.StashKey[list[tuple[str, ...]]]()


@pytest.fixture
def drill_table(pytestconfig: pytest.Config) -> list[tuple[str, ...]]:
    """The rows that are printed at the end of the run."""
    return pytestconfig.stash.setdefault(MEASURED, [])


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print what the drills measured."""
    for line in (HEAD, ("---",) * len(HEAD), *config.stash.get(MEASURED, [])) if MEASURED in config.stash else ():
        terminalreporter.write_line(f"| {' | '.join(line)} |")
