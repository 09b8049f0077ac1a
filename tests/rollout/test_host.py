"""A machine that follows branch deploy of a bare origin, and somebody else who writes there from another clone."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from mainline.ci import host as ci
from mainline.cli import app
from mainline.config import Rollout
from mainline.config_rooms import Host as HostRules
from mainline.errors import UserError
from mainline.release import beat
from mainline.release.ledger import Deploy, Entry, State
from mainline.rollout.controller import Controller
from mainline.rollout.follow import WAITING
from mainline.rollout.host import TRIES, Errand, Host, follow
from mainline.rollout.layout import Layout, Upstream


@dataclass
class Machine:
    """A data plane without processes: what it was told, and in which order."""

    rules: Rollout
    store: set[str]
    now: Layout | None = None
    told: list[Layout] = field(default_factory=list)
    kept: list[Mapping[str, str]] = field(default_factory=list)
    begun: list[tuple[str, str]] = field(default_factory=list)
    processes: Any = field(default_factory=lambda: SimpleNamespace(of=lambda *_: [], folder="processes"))

    @contextlib.contextmanager
    def held(self, seconds: float = 0.0) -> Iterator[None]:
        yield

    def find(self, release: str) -> Path:
        if release not in self.store:
            raise UserError(f"release {release}: is not in the store", "restore it")
        return Path(release)

    def layout(self) -> Layout | None:
        return self.now

    def running(self) -> bool:
        return self.now is not None

    def apply(self, layout: Layout) -> None:
        self.now = layout
        self.told.append(layout)

    def supervise(self, keep: Mapping[str, str]) -> list[str]:
        self.kept.append(keep)
        return []

    def begin(self, role: str, release: str) -> None:
        self.find(release)
        self.begun.append((role, release))

    def wait(self, role: str, release: str, seconds: float) -> Upstream | None:
        return Upstream(release, (1,))

    def ready(self, role: str, release: str, tries: int = 1) -> bool:
        return False

    def upstream(self, role: str, release: str) -> Upstream | None:
        return Upstream(release, (1,))

    def sweep(self, layout: Layout, spare: Any = ()) -> list[str]:
        return []


@dataclass
class World:
    """The origin's other clone, and the machine's."""

    other: Deploy
    host: Host
    plane: Machine

    def write(self, **changes: Any) -> State:
        """Change production from the other clone, as the workflows do."""
        head = self.other.refresh()
        self.other.commit("by somebody", expect=head, states=[replace(self.other.state("production"), **changes)])
        return self.other.state("production")

    def heard(self) -> beat.Beat:
        found = beat.get(self.other, "production")
        assert found is not None
        return found

    def until(self, done: Callable[[], bool]) -> None:
        end = time.monotonic() + 10
        self.host.look()
        while not done():
            assert time.monotonic() < end
            time.sleep(0.01)
            self.host.look()


def nowhere(release: str) -> None:
    raise UserError(f"release {release}: its data are gone", "push them")


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone and its bare origin: release "two" serves, "one" did before, "three" is in the ledger."""
    folder = tmp_path_factory.mktemp("begun")
    made = Deploy.open(folder / "clone")
    subprocess.run(["git", "init", "--quiet", "--bare", folder / "origin.git"], check=True)
    serving = State("production", stable="two", previous=("one",))
    made.commit("begin", expect=made.head(), states=[serving],
                entries=[Entry(name, "c" * 40) for name in ("one", "two", "three")])  # fmt: skip
    made.repo.git("push", "--quiet", str(folder / "origin.git"), "deploy")
    return folder


@pytest.fixture
def world(begun: Path, tmp_path: Path) -> World:
    """The runner's clone and the machine's, which serves "two" already and has no "three" in its store."""
    shutil.copytree(begun / "origin.git", tmp_path / "origin.git")
    opened = []
    for name in ("runner", "machine"):
        shutil.copytree(begun / "clone", tmp_path / name)
        opened.append(Deploy.open(tmp_path / name, str(tmp_path / "origin.git")))
    rules = Rollout(target="host", host=HostRules(silence_seconds=60))
    plane = Machine(rules, {"one", "two"})
    fake: Any = plane
    of = Controller(opened[1], fake, rules, lambda _: {}, fake, journals=tmp_path / "rollouts")
    host = Host(of, nowhere, 0.0, retry=0.0)
    host.look()
    return World(opened[0], host, plane)


def test_it_serves_what_git_says_and_tells_the_origin(world: World) -> None:
    assert world.plane.now == Layout(Upstream("two", (1,)), revision=1)
    first = world.heard()
    assert (first.stable, first.candidate, first.revision, first.trouble) == ("two", None, 1, "")
    world.host.look()
    assert world.heard() == first, "nothing has changed, and a minute is not over"
    world.host._sign.at -= 61
    world.host.look()
    assert world.heard().name != first.name
    world.plane.running = lambda: False  # type: ignore[method-assign]
    world.host.look()
    assert world.heard().stable is None, "a proxy that does not run serves nothing, whatever git says"


def test_a_rollback_that_somebody_wrote_on_the_origin_is_carried_out(world: World) -> None:
    said = world.write(stable="one", previous=())
    world.host.look()
    assert world.plane.now == Layout(Upstream("one", (1,)), revision=said.revision)
    assert (world.heard().stable, world.heard().revision) == ("one", said.revision)


def test_a_dropped_candidate_loses_its_users_before_anything_that_may_fail(world: World) -> None:
    world.plane.now = Layout(Upstream("two", (1,)), Upstream("three", (2,)), 50, revision=1)
    world.write(stable="lost", previous=())
    world.host.look()
    assert [(item.candidate, item.weight, item.stable.release) for item in world.plane.told[1:]] == [(None, 0, "two")]
    assert "lost: is not in the store" in world.heard().trouble and world.heard().stable == "two"
    world.host.look()
    assert {"stable": "lost", "live": "two"} in world.plane.kept, "what is live is looked after meanwhile"
    world.host.get = world.plane.store.add
    world.until(lambda: world.plane.now.stable.release == "lost")
    assert world.heard().trouble == ""


def test_a_candidate_is_fetched_and_stable_is_built_up_meanwhile(world: World) -> None:
    world.plane.now = None  # as after the machine was started again
    tried = world.write(candidate="three", plan={"began": "now"}, started="2026-01-01T00:00:00+00:00")
    gate: list[str] = []

    def slowly(release: str) -> None:
        for _ in range(1000):
            if gate:
                break
            time.sleep(0.005)
        world.plane.store.add(release)

    world.host.get = slowly
    journal = world.host.of.journal("three")
    earlier = {"time": "2026-01-01T00:00:00+00:00", "kind": "abort", "text": "an earlier try", "figures": {}}
    journal.write({**earlier, "phase": "shadow", "weight": 0, "step": 0})
    world.host.look()
    assert world.plane.now.stable.release == "two", "it serves while the candidate is fetched"
    world.host.look()
    assert len(world.host._errands) == 1
    back = world.write(candidate=None, plan=None, started=None, stable="one", previous=())
    world.host.look()
    assert (world.plane.now.stable.release, world.plane.now.revision) == ("one", back.revision), (
        "nor does a rollback wait"
    )
    assert back.revision > tried.revision and journal.events()
    world.write(candidate="three", plan={"began": "later"}, started="2026-01-01T00:00:00+00:00")
    gate.append("open")
    world.until(lambda: ("candidate", "three") in world.plane.begun)
    assert journal.events() == [], "the journal of the earlier try was put aside"


def test_a_candidate_that_cannot_be_had_is_aborted_and_stable_goes_on(world: World) -> None:
    world.write(candidate="three", plan={"began": "now"}, started="2026-01-01T00:00:00+00:00")
    asked: list[str] = []
    world.host.get = lambda release: (asked.append(release), nowhere(release))
    world.until(lambda: world.host.of.deploy.state("production").candidate is None)
    world.other.refresh()
    last = world.other.entry("three").transitions[-1]
    assert last.event == "abort" and last.why.endswith(f"after {TRIES} tries: release three: its data are gone")
    assert len(asked) == TRIES
    assert world.other.state("production").stable == "two" == world.plane.now.stable.release
    world.host._errands["three"] = Errand(lambda: None, failed=TRIES, why="it is gone")
    world.write(candidate="one", plan={"began": "later"})
    world.host._fetch("three")
    assert world.host.of.state().candidate == "one", "another one is not to blame"


def test_a_branch_that_moves_between_look_and_commit_costs_a_look_and_nothing_else(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write(candidate="three", plan={"began": "now"}, started="2026-01-01T00:00:00+00:00")
    honest = world.host.of.abort

    def late(state: State, why: str, evidence: dict[str, Any], *more: Any) -> Any:
        monkeypatch.setattr(world.host.of, "abort", honest)
        world.write(candidate=None, plan=None, started=None)
        return honest(state, why, evidence)

    monkeypatch.setattr(world.host.of, "abort", late)
    world.until(lambda: world.host.of.deploy.state("production").candidate is None)
    world.other.refresh()
    assert world.other.entry("three").transitions == (), "what somebody else has decided stands"
    world.host.look()
    assert world.heard().trouble == "" and world.plane.now.stable.release == "two"


def test_without_the_origin_stable_is_looked_after_and_a_candidate_that_nobody_judges_goes(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = Layout(Upstream("two", (1,)), Upstream("three", (2,)), 25, revision=1)
    world.plane.now = both
    (tmp_path / "origin.git").rename(tmp_path / "away.git")
    world.host._asked = time.monotonic() - 30
    world.plane.kept.clear()
    world.host.look()
    assert world.plane.kept == [{"live": "two"}] and world.plane.now == both, "not yet"
    assert "does not answer" in capsys.readouterr().out
    world.host._asked = time.monotonic() - 61
    world.host.look()
    assert world.plane.now == replace(both, candidate=None, weight=0, intent=WAITING)
    (tmp_path / "away.git").rename(tmp_path / "origin.git")
    world.host.look()
    world.host.look()
    assert "that is over" in capsys.readouterr().out
    assert world.plane.now.intent == "", "and what git says holds again"


def test_a_machine_that_follows_nobody_says_so(tmp_path: Path) -> None:
    plane: Any = Machine(Rollout(target="host"), set())
    of = Controller(Deploy.open(tmp_path / "alone"), plane, plane.rules, lambda _: {}, plane)
    with pytest.raises(UserError, match="follows no remote"):
        follow(Host(of, nowhere, -1.0))  # no pause: it may not come that far


def test_the_unit_calls_a_command_that_there_is_and_lets_the_services_live() -> None:
    text = (Path(__file__).parents[2] / "deploy/host/mainline.service").read_text(encoding="utf-8")
    unit = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    program, *words = unit["ExecStart"].split()
    assert program == f"{unit['WorkingDirectory']}/.venv/bin/mainline" and words[-1] == "--forever"
    assert CliRunner().invoke(app, [*words, "--help"]).exit_code == 0
    assert CliRunner().invoke(app, [*words, "--ever", "--help"]).exit_code == 2, "what is not there would be noticed"
    assert (unit["KillMode"], unit["Restart"]) == ("process", "always")


@contextlib.contextmanager
def looking(host: Host) -> Iterator[None]:
    """Let the machine look again and again, in a thread, as ``follow`` does."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(0.05):
            host.look()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.slow
def test_the_workflow_tries_a_release_on_the_machine_and_takes_it_back_by_git_alone(
    begun: Path, stage_for: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(begun / "origin.git", tmp_path / "origin.git")
    monkeypatch.setenv("MAINLINE_DEPLOY_REMOTE", str(tmp_path / "origin.git"))
    stage = stage_for(memory_mb=400, latency_ratio=None)
    stage.faults = {"one": {}, "two": {}, "three": {"bend": 0.1}}
    stage.gone.add("three")
    machine = Host(stage.controller, stage.gone.discard, 0.05)
    runner, nothing = Deploy.open(tmp_path / "runner"), SimpleNamespace(find=Path)
    of = Controller(runner, nothing, stage.rules, stage.golden, nothing, journals=tmp_path / "journals")  # type: ignore[arg-type]
    monkeypatch.setattr(ci, "controller", lambda *_, **__: of)
    monkeypatch.setattr(ci, "plan_of", lambda *_: stage.plan(weights=(100,)))
    params = (Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(params.replace("target: rehearsal", "target: host"), encoding="utf-8")
    rules = Rollout(target="host", host=HostRules(poll_seconds=0.3, silence_seconds=20))
    with looking(machine):
        assert ci.followed(runner, ci.Watch(runner, rules)), "the machine builds up what git says"
        with stage.traffic() as traffic:
            assert ci.roll_out("three", runner, ci.Watch(runner, rules))
            assert [item.event for item in runner.entry("three").transitions] == ["shadow", "step", "promote"]
            assert runner.entry("three").transitions[-1].by == "mainline rollout"
            ci.go_back("two", "complaints")
            assert ci.followed(runner, ci.Watch(runner, rules))
            assert stage.plane.layout().stable.release == "two"
    assert set(traffic.answers.releases) >= {"two", "three"} and traffic.answers.failed == 0, traffic.answers.failures
    said = capfd.readouterr().out
    assert "all checks passed" in said and "the machine serves two" in said
