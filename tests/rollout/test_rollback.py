"""The way back: real processes, and nothing is built."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mainline.errors import UserError
from mainline.release.state import State
from mainline.rollout import actions
from mainline.rollout.rollback import choose, roll_back

from .test_controller import killed_at

pytestmark = pytest.mark.slow


def nothing(release: str) -> None:
    raise UserError(f"{release} is not in the remote either", "push it")


def test_back_twice_and_then_there_is_none(stage_for) -> None:
    stage = stage_for()
    stage.serve("first", "second", "third")
    with stage.traffic() as traffic:
        back = roll_back(stage.controller, nothing, why="complaints")
        assert (back.state.stable, back.left, back.live) == ("second", "third", True)
        assert stage.plane.layout().stable.release == "second"
        back = roll_back(stage.controller, nothing)
        assert (back.state.stable, back.state.previous) == ("first", ())
        with pytest.raises(UserError, match="no release before first"):
            roll_back(stage.controller, nothing)
    assert traffic.answers.failed == 0, traffic.answers.failures
    assert stage.deploy.entry("third").transitions[-1].why == "complaints; second is stable again"
    assert stage.controller.tick().outcome == "none"
    assert [item.release for item in stage.plane.processes.of("stable")] == ["first"]


def test_during_a_canary_the_candidate_is_dropped_and_a_crash_changes_nothing_of_it(stage_for) -> None:
    stage = stage_for()
    stage.serve("first", "second")
    stage.add("third", bend=0.1)
    stage.try_out("third", requests=100_000)
    stage.plane = stage.controller.plane = replace(stage.plane, tied=False)  # what the killed one starts lives on
    with stage.traffic() as traffic:
        stage.until(lambda tick: tick.state.weight == 20)
        killed_at(stage, lambda: roll_back(stage.controller, nothing, why="odd"), actions.Actions, "commit_rollback")
        live = stage.plane.layout()
        assert (live.stable.release, live.candidate, stage.state().stable) == ("first", None, "second")
        tick = stage.controller.tick()
    assert tick.outcome == "resume"
    state = stage.state()
    assert (state.stable, state.candidate, state.previous) == ("first", None, ())
    assert traffic.answers.failed == 0, traffic.answers.failures
    assert stage.deploy.entry("third").transitions[-1].event == "abort"
    assert stage.deploy.entry("second").transitions[-1].event == "rollback"
    assert len(stage.alive()) == 2


def test_a_release_that_is_gone_is_restored_or_refused(stage_for) -> None:
    stage = stage_for()
    stage.serve("first", "second")
    stage.gone.add("first")
    with pytest.raises(UserError, match="first: is not in the store; it could not be restored either: first is not in"):
        roll_back(stage.controller, nothing)
    assert stage.state().stable == "second"
    assert stage.controller.tick().outcome == "none"
    with pytest.raises(UserError, match="other was never stable here"):
        roll_back(stage.controller, nothing, to="other")
    back = roll_back(stage.controller, stage.gone.discard)
    assert back.state.stable == stage.plane.layout().stable.release == "first"


def test_a_release_that_does_not_get_ready_again_leaves_stable_where_it_is(stage_for) -> None:
    stage = stage_for()
    stage.add("first", never_ready=True)
    stage.serve("first", "second")
    hasty = stage.plane.rules.model_copy(update={"ready_seconds": 1.0})
    stage.plane = stage.controller.plane = replace(stage.plane, rules=hasty)
    with (
        stage.traffic() as traffic,
        pytest.raises(UserError, match="first is not ready after 1 s; second still serves"),
    ):
        roll_back(stage.controller, nothing)
    assert (stage.state().stable, traffic.answers.failed) == ("second", 0)


def test_what_serves_already_is_no_place_to_go_back_to() -> None:
    # "one" was promoted, left for "two", and promoted again
    state = State("production", stable="one", previous=("two", "one"))
    with pytest.raises(UserError, match="one serves already"):
        choose(state, "one")
    assert choose(state, None) == "two" and choose(replace(state, previous=("one", "two")), None) == "two"
    with pytest.raises(UserError, match="there is no release before one"):
        choose(replace(state, previous=("one",)), None)


def test_without_a_proxy_here_only_git_changes(stage_for) -> None:
    stage = stage_for()
    stage.serve("first", "second")
    stage.stop()
    back = roll_back(stage.controller, nothing)
    assert (back.state.stable, back.live) == ("first", False)
    assert stage.alive() == []


def test_the_release_before_stays_up_so_that_going_back_starts_nothing(stage_for, monkeypatch) -> None:
    stage = stage_for()
    stage.serve("first")
    stage.add("second", bend=0.1)
    stage.try_out("second", weights=(100,), requests=20)
    with stage.traffic() as traffic:
        stage.to_end()
        before = {item.release: item.pid for item in stage.plane.processes.of("stable")}
        monkeypatch.setattr(type(stage.plane), "_launch", None)
        roll_back(stage.controller, nothing)
        assert stage.plane.layout().stable.release == "first"
    assert traffic.answers.failed == 0
    assert [item.pid for item in stage.plane.processes.of("stable")] == [before["first"]]
