"""Planted faults with real processes behind a real Envoy: each is stopped, and no user sees it."""

from __future__ import annotations

import os
import signal

import pytest

from mainline.config import Rehearsal
from mainline.rollout.journal import Journal
from mainline.rollout.processes import alive
from mainline.rollout.rehearsal import play, tell

from .conftest import RATE, ROWS

pytestmark = pytest.mark.slow
LONG = ("errs-2", "leaks", "leaks-until-killed")
USERS = {"spare_shadow": True}  # the fault waits until the candidate has users


def last_words(stage, release: str) -> str:
    return stage.deploy.entry(release).transitions[-1].why


@pytest.mark.parametrize(
    ("name", "fault", "phase", "words"),
    [
        ("errs-always", {"errors": 1.0}, None, "golden request 1 of 50: answered 500"),
        ("errs-100", {"errors": 1.0, **USERS, "after": 100}, "canary", "failed|proven to be more"),
        ("errs-10", {"errors": 0.1, **USERS, "after": 100}, "canary", "proven to be more"),
        ("errs-2", {"errors": 0.02, **USERS, "after": 100}, "canary", "proven to be more"),
        ("leaks", {"leak_mb": 2, **USERS, "after": 100}, "canary", "MB of memory"),
        ("leaks-until-killed", {"leak_mb": 2, "limit_mb": 300, **USERS, "after": 100}, "canary", "ended by itself"),
        ("never-ready", {"never_ready": True}, None, "not ready after"),
        ("constant", {"constant": 0.31, "after": 100}, "shadow", "different scores among|scores differ by"),
        ("negated", {"negated": True, "after": 100}, "shadow", "run against each other|decide alike|scores differ by"),
        ("negated-from-the-start", {"negated": True, "after": -1}, None, "the model says"),
        ("refuses", {"refuses": True, "after": 100}, "shadow", "the candidate answered"),
        ("one-slice", {"bad_group": "b", "after": 100}, "shadow", "group = b: both decide alike"),
    ],
)  # fmt: skip
def test_a_faulty_candidate_is_aborted_and_no_user_sees_it(name, fault, phase, words, calm) -> None:
    calm.add(name, bend=0.1, **fault)
    calm.try_out(name, weights=(40, 100), requests=2000 if name in LONG else 150, ready_seconds=2.0)
    with calm.traffic() as traffic:
        tick = calm.to_end()
    assert tick.outcome == "abort", tick.text
    assert any(word in tick.text for word in words.split("|")), tick.text
    assert traffic.answers.failed == 0, traffic.answers.failures
    events = calm.controller.journal(name).events()
    assert events[-1]["phase"] == phase
    assert last_words(calm, name) == tick.text
    state = calm.state()
    assert (state.stable, state.candidate, state.weight) == ("good", None, 0)
    assert len(calm.alive()) == 2, "the candidate's process is gone"


def test_a_slow_candidate_is_found_in_shadow_and_slows_nobody(stage_for) -> None:
    # Slow enough that a busy machine's own pauses do not hide it.
    stage = stage_for()
    stage.add("good", ms=50)
    stage.serve("good")
    stage.add("slow", bend=0.1, ms=50, slow_ms=100, after=100)
    stage.try_out("slow", pairs=2000)
    with stage.traffic(threads=32) as traffic:
        tick = stage.to_end()
    assert tick.outcome == "abort"
    assert "p50 at least" in tick.text or "p99 at least" in tick.text
    assert traffic.answers.failed == 0
    assert set(traffic.answers.releases) == {"good"}


def test_a_candidate_killed_at_20_per_cent_costs_no_user_an_answer(calm) -> None:
    calm.add("killed", bend=0.1)
    calm.try_out("killed", requests=100_000)
    with calm.traffic() as traffic:
        calm.until(lambda tick: tick.state.weight == 20)
        calm.until(lambda tick: tick.figures.get("step_requests", 0) > 20)
        (process,) = calm.plane.processes.of("candidate", "killed")
        os.kill(process.pid, signal.SIGKILL)
        tick = calm.to_end()
    assert tick.outcome == "abort"
    assert "ended by itself" in tick.text
    assert traffic.answers.releases["killed"] > 20
    assert traffic.answers.failed == 0, traffic.answers.failures


def test_a_rehearsal_makes_a_good_candidate_stable_and_nobody_notices(stage_for, capsys) -> None:
    stage = stage_for()
    stage.serve("good-1")
    stage.add("good-2", bend=0.1)
    done = play(stage.controller, "good-2", stage.plan(), ROWS, Rehearsal(rate=RATE, users=300), pause=0.05)
    assert done.tick.outcome == "promote", done.tick.text
    assert (stage.state().stable, stage.state().previous) == ("good-2", ("good-1",))
    assert done.answers.failed == 0, done.answers.failures
    assert set(done.answers.releases) == {"good-1", "good-2"}
    left = [(item.role, item.release) for item in stage.plane.processes.all() if alive(item)]
    assert left == [("proxy", ""), ("stable", "good-1"), ("stable", "good-2")], "the one before stays up"
    kinds = [item.event for item in stage.deploy.entry("good-2").transitions]
    assert kinds == ["shadow", "step", "step", "promote"]
    evidence = stage.deploy.evidence(stage.deploy.entry("good-2").transitions[-1])
    assert {check["name"] for check in evidence["checks"]} > {"errors", "p99", "requests"}
    assert "Promoted" in (stage.controller.journal("good-2").folder / "timeline.md").read_text()
    tell(done, stage.folder)
    assert "0 failed" in capsys.readouterr().out


def test_the_first_release_needs_nobody_to_compare_with(stage_for) -> None:
    stage = stage_for()
    stage.add("first")
    done = play(stage.controller, "first", stage.plan(), ROWS, Rehearsal(), pause=0.05)
    assert (done.tick.outcome, stage.state().stable, done.answers.sent) == ("promote", "first", 0)
    assert stage.plane.layout().stable.release == "first"


def test_a_release_that_was_aborted_may_be_tried_again_from_the_beginning(calm) -> None:
    calm.add("again", bend=0.1)
    for _ in range(2):
        calm.try_out("again", requests=100_000)
        with calm.traffic():
            calm.until(lambda tick: tick.figures.get("pairs", 0) > 20)
        calm.controller.end("abort", "another time")
    journal = calm.controller.journal("again")
    assert (journal.folder / "try-1" / "events.jsonl").is_file()
    assert journal.tally().rollout != Journal(journal.folder / "try-1").tally().rollout


def test_one_of_two_stable_processes_dies_and_no_user_notices(stage_for) -> None:
    stage = stage_for(replicas=2)
    stage.serve("good-1")
    stage.add("good-2", bend=0.1)
    stage.try_out("good-2", weights=(50, 100), requests=200)
    with stage.traffic() as traffic:
        stage.until(lambda tick: tick.state.weight == 50)
        victim = stage.plane.processes.of("stable")[0]
        os.kill(victim.pid, signal.SIGKILL)
        stage.until(lambda tick: len([item for item in stage.plane.processes.of("stable") if alive(item)]) == 2)
        tick = stage.to_end()
    assert tick.outcome == "promote", "the candidate is not blamed for stable's death"
    assert traffic.answers.failed == 0, traffic.answers.failures


def test_the_only_stable_process_is_started_again_where_it_was(calm) -> None:
    (victim,) = calm.plane.processes.of("stable")
    os.kill(victim.pid, signal.SIGKILL)
    calm.until(lambda tick: calm.plane.ready("stable", "good"))
    (again,) = calm.plane.processes.of("stable")
    assert (again.port, again.starts) == (victim.port, 1)
    with calm.traffic() as traffic:
        calm.until(lambda tick: traffic.answers.sent > 50)
    assert traffic.answers.failed == 0


def test_envoy_dies_at_20_per_cent_and_comes_back_as_it_was(calm) -> None:
    calm.add("steady", bend=0.1)
    calm.try_out("steady", requests=100_000)
    with calm.traffic():
        calm.until(lambda tick: tick.state.weight == 20)
        before, port = calm.plane.layout(), calm.plane.envoy.port
        dead = calm.plane.envoy.process()
        os.kill(dead.pid, signal.SIGKILL)
        tick = calm.until(lambda tick: calm.plane.running() and calm.plane.envoy.process() != dead)
    assert tick.outcome == "hold"
    assert (calm.plane.layout(), calm.plane.envoy.port) == (before, port)
    with calm.traffic() as traffic:
        calm.until(lambda tick: tick.figures.get("step_requests", 0) > 30)
    assert traffic.answers.failed == 0
    assert set(traffic.answers.releases) == {"good", "steady"}
