"""The runner's side of a rollout on a machine: it writes git and waits. Two clones and their bare origin."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from mainline.ci import host, production
from mainline.ci.host import Watch, followed, getter, roll_out
from mainline.config import Rollout
from mainline.config_rooms import Host as HostRules
from mainline.errors import UserError
from mainline.release import beat
from mainline.release.beat import Beat
from mainline.release.ledger import Deploy, Entry, Moved, State, Transition
from mainline.rollout.controller import Controller
from mainline.rollout.plan import Plan

PLAN = Plan("canary", (5, 100), 10, 60.0, 10, 1.0, 3600.0, 60.0)
PARAMS = (Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8")
RULES = Rollout(target="host", max_seconds=1200, host=HostRules(poll_seconds=200, silence_seconds=600))


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone and its bare origin: "old" is stable, "older" was, and "new" was approved."""
    folder = tmp_path_factory.mktemp("begun")
    made = Deploy.open(folder / "clone")
    subprocess.run(["git", "init", "--quiet", "--bare", folder / "origin.git"], check=True)
    serving = State("production", stable="old", previous=("older",))
    entries = [Entry(name, "c" * 40) for name in ("older", "old", "new")]
    approved = Transition("new", "production", "approved", "ada", "approved by ada")
    made.commit("begin", expect=made.head(), states=[serving], entries=entries, transitions=[approved])
    made.repo.git("push", "--quiet", str(folder / "origin.git"), "deploy")
    return folder


@dataclass
class Both:
    """The runner's clone, the machine's, and a clock; ``acts`` is what the machine does in each pause of the runner."""

    runner: Deploy
    machine: Deploy
    acts: list[Callable[[], object]] = field(default_factory=list)
    time: float = 0.0

    def pause(self, seconds: float) -> None:
        self.time += seconds
        if self.acts:
            self.acts.pop(0)()

    @property
    def watch(self) -> Watch:
        return Watch(self.runner, RULES, lambda: self.time, self.pause)

    def beats(self, **facts: Any) -> Callable[[], None]:
        return lambda: beat.put(self.machine, "production", Beat(**facts), self.machine.clock())

    def writes(self, event: Any, why: str = "as it was found", **changes: Any) -> Callable[[], None]:
        def act() -> None:
            head = self.machine.refresh()
            made = replace(self.machine.state("production"), **changes)
            happened = [Transition("new", "production", event, "machine", why, 5)] if event else []
            self.machine.commit(f"{event}: new", expect=head, states=[made], transitions=happened)

        return act


@pytest.fixture
def both(begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Both:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(PARAMS.replace("target: rehearsal", "target: host"), encoding="utf-8")
    shutil.copytree(begun / "origin.git", "origin.git")
    opened = []
    for name in ("runner", "machine"):
        shutil.copytree(begun / "clone", name)
        opened.append(Deploy.open(tmp_path / name, str(tmp_path / "origin.git")))
    made = Both(*opened)
    no_plane: Any = type("NoPlane", (), {"find": staticmethod(Path)})()
    of = Controller(made.runner, no_plane, Rollout(), lambda _: {}, no_plane, journals=tmp_path / "rollouts")
    monkeypatch.setattr(host, "plan_of", lambda *_: PLAN)
    for module in (host, production):
        monkeypatch.setattr(module, "controller", lambda *_, **__: of)
    return made


IDLE: dict[str, Any] = {"candidate": None, "phase": None, "weight": 0, "plan": None, "started": None}


def test_it_starts_in_git_tells_what_happens_and_ends_with_the_promotion(
    both: Both, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))

    def seen() -> None:
        both.machine.refresh()
        state = both.machine.state("production")
        assert (state.candidate, state.phase, state.weight) == ("new", None, 0)
        assert (state.plan or {})["weights"] == [5, 100] and (state.plan or {})["began"]

    done: dict[str, Any] = IDLE | {"stable": "new", "previous": ("old", "older")}
    both.acts = [seen, both.writes("step", "all checks passed", phase="canary", weight=5), lambda: None,
                 both.writes("promote", "proven", **done)]  # fmt: skip
    assert roll_out("new", both.runner, both.watch)
    said = capsys.readouterr().out
    assert "all checks passed" in said and "proven" in said and "approved by ada" not in said
    assert "**promote**: proven" in (tmp_path / "summary").read_text() and both.time == 800
    assert production.roll_out("new", both.runner, None) and both.time == 800, "done is done"


def test_an_abort_on_the_machine_is_red(both: Both, capsys: pytest.CaptureFixture[str]) -> None:
    both.acts = [both.writes("abort", "too many errors", **IDLE)]
    assert not roll_out("new", both.runner, both.watch)
    assert "too many errors" in (said := capsys.readouterr().out) and "was not promoted: abort; old is stable" in said


def test_a_promotion_that_was_rolled_back_meanwhile_and_a_hand_in_git_are_red(
    both: Both, capsys: pytest.CaptureFixture[str]
) -> None:
    def both_at_once() -> None:
        both.writes("promote", **IDLE | {"stable": "new"})()
        both.writes("rollback", **IDLE | {"stable": "old"})()

    both.acts = [both_at_once]
    assert not roll_out("new", both.runner, both.watch)
    assert "was not promoted: rollback" in capsys.readouterr().out
    both.acts = [both.writes(None, **IDLE)]
    assert not roll_out("new", both.runner, both.watch)
    assert "branch deploy names it no more" in capsys.readouterr().out


def test_a_machine_that_is_absent_is_red_and_the_candidate_stays(
    both: Both, capsys: pytest.CaptureFixture[str]
) -> None:
    both.beats(stable="old", revision=1)()  # it lived once: that is no health
    assert not roll_out("new", both.runner, both.watch)
    assert both.time == 600 and "nobody looks after new (not begun, 0 % of the users)" in capsys.readouterr().out
    both.machine.refresh()
    assert both.machine.state("production").candidate == "new"
    both.acts = [both.beats(stable="old", trouble="release new: its data are gone")]
    assert not roll_out("new", both.runner, both.watch)
    said = capsys.readouterr().out
    assert both.time == 1400 and "is being tried already" in said and "the machine says: release new: its data" in said


def test_a_machine_that_lives_is_waited_for_until_the_time_is_up(
    both: Both, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = both.time

    def alive_every_ten_minutes(seconds: float) -> None:
        both.time += 590
        assert both.time < 10_000, "it waits for ever"
        both.beats(stable="old", weight=int(both.time) % 100)()

    watch = replace(both.watch, sleep=alive_every_ten_minutes)
    assert not roll_out("new", both.runner, watch)
    assert 1800 <= both.time - begun < 2400
    assert "is still being tried" in (said := capsys.readouterr().out) and "nobody" not in said


def test_a_second_rollout_and_a_branch_that_moved_are_refused(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    of = host.controller("production")
    before = of.state()
    both.writes(None, candidate="older", plan=PLAN.asdict())()
    monkeypatch.setattr(of, "state", lambda: before)
    of._head = both.runner.head()
    with pytest.raises(Moved, match="has moved meanwhile"):
        roll_out("new", both.runner, both.watch)
    monkeypatch.setattr(of, "state", lambda: Controller.state(of))
    with pytest.raises(UserError, match="older is being tried already"):
        roll_out("new", both.runner, both.watch)
    both.machine.refresh()
    assert both.machine.state("production").candidate == "older"


def test_an_origin_that_is_away_for_a_while_ends_nothing(both: Both, capsys: pytest.CaptureFixture[str]) -> None:
    origin, away = Path("origin.git"), Path("away.git")
    both.acts = [lambda: origin.rename(away), lambda: None, lambda: away.rename(origin),
                 both.writes("promote", **IDLE | {"stable": "new"})]  # fmt: skip
    assert roll_out("new", both.runner, both.watch)
    assert capsys.readouterr().out.count("does not answer") == 1


def test_a_rollback_is_written_at_once_and_done_only_when_the_machine_says_so(
    both: Both, capsys: pytest.CaptureFixture[str]
) -> None:
    done = production.go_back("", "complaints", both.runner, None)
    assert (done.state.stable, done.left, done.live) == ("older", "old", False)
    both.machine.refresh()
    state = both.machine.state("production")
    assert state.stable == "older" and both.machine.entry("old").transitions[-1].event == "rollback"
    both.acts = [both.beats(stable="old", revision=state.revision - 1), both.beats(stable="old", revision=9),
                 both.beats(stable="older", revision=state.revision)]  # fmt: skip
    assert followed(both.runner, both.watch) and both.time == 600
    assert "the machine serves older" in capsys.readouterr().out
    both.writes(None, stable="new")()
    assert not followed(both.runner, both.watch), "what it served before does not count"
    said = capsys.readouterr().out
    assert "has not followed within 600 s (its last word: older is live)" in said
    Path("params.yaml").write_text(PARAMS, encoding="utf-8")
    assert followed(both.runner, both.watch), "no machine is waited for where there is none"


def test_a_candidate_is_dropped_only_when_the_machine_has_dropped_it(both: Both) -> None:
    both.writes(None, candidate="new", phase="canary", weight=50)()
    assert production.drop("odd") == "new"
    both.machine.refresh()
    revision = both.machine.state("production").revision
    both.acts = [both.beats(stable="old", candidate="new", weight=50, revision=revision - 1)]
    assert not followed(both.runner, both.watch), "stable is the right one, but the candidate has its users still"
    both.acts = [both.beats(stable="old", revision=revision)]
    assert followed(both.runner, both.watch)


def test_the_machine_asks_for_the_commit_and_then_every_way_there_is(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    for key in ("GITHUB_TOKEN", "GH_TOKEN", "GITHUB_REPOSITORY"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setattr(host, "git", lambda *words, **_: asked.append(words))
    monkeypatch.setattr(host, "fetch", lambda *given: asked.append(given))
    getter(both.machine)("new")
    assert asked == [("fetch", "--quiet", "origin", "c" * 40), ("new", both.machine, None)]
    monkeypatch.setenv("GITHUB_REPOSITORY", "ada/loans")
    monkeypatch.setenv("GITHUB_TOKEN", "a-token-of-some-length")
    getter(both.machine)("new")
    assert asked[-1][2] is not None, "with a token, a workflow's artifact is asked for"
