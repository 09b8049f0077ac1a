"""Git and live: crashes between the two, hands of others, and two at once. Real git, real Envoy, real processes."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace

import pytest

from mainline.errors import UserError
from mainline.release.ledger import Deploy, Moved
from mainline.rollout import actions, follow
from mainline.rollout.envoy_config import ROUTES, versioned
from mainline.rollout.plane import Plane

pytestmark = pytest.mark.slow


def die(*arguments: object, **more: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killed_at(stage, act: Callable[[], object], where: object, name: str) -> None:
    """Let another process ``act`` and be killed by SIGKILL at the moment it calls ``where.name``."""
    child = os.fork()
    if child == 0:
        setattr(where, name, die)
        try:
            act()
        finally:
            os._exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    stage.renew()


def tick_until_killed(stage) -> Callable[[], object]:
    def act() -> None:
        stage.renew()
        for _ in range(400):
            stage.controller.tick()

    return act


def test_killed_between_commit_and_weight_the_candidate_has_less_and_the_next_tick_resumes(calm) -> None:
    calm.add("resumed", bend=0.1)
    calm.try_out("resumed", requests=100_000)
    with calm.traffic() as traffic:
        calm.until(lambda tick: tick.state.phase == "shadow")
        killed_at(calm, tick_until_killed(calm), follow, "carry_out")
        assert (calm.state().phase, calm.state().weight) == ("canary", 20)
        assert calm.plane.layout().weight == 0
        calm.controller.tick()
    assert calm.plane.layout().weight == 20
    assert traffic.answers.failed == 0


def test_killed_between_weight_and_commit_the_abort_is_finished(calm) -> None:
    calm.add("half-aborted", bend=0.1)
    calm.try_out("half-aborted", requests=100_000)
    with calm.traffic() as traffic:
        calm.until(lambda tick: tick.state.weight == 20)
        act = lambda: calm.controller.end("abort", "a person saw something odd")  # noqa: E731
        killed_at(calm, act, actions.Actions, "commit_abort")
        assert (calm.state().candidate, calm.plane.layout().candidate) == ("half-aborted", None)
        tick = calm.controller.tick()
    assert tick.outcome == "resume"
    assert calm.state().candidate is None
    assert "a person saw something odd" in calm.deploy.entry("half-aborted").transitions[-1].why
    assert traffic.answers.failed == 0
    assert calm.controller.tick().outcome == "none", "and that was it"


def test_killed_between_the_promotion_and_its_traffic_the_new_stable_takes_over(stage_for) -> None:
    stage = stage_for()
    stage.serve("old")
    stage.add("new", bend=0.1)
    stage.try_out("new")
    with stage.traffic() as traffic:
        stage.until(lambda tick: tick.state.weight == 100)
        killed_at(stage, tick_until_killed(stage), follow, "carry_out")
        assert stage.state().stable == "new"
        assert stage.plane.layout().candidate.release == "new", "live is what it was"
        stage.controller.tick()
        assert stage.plane.layout().stable.release == "new"
    assert traffic.answers.failed == 0
    assert {item.release for item in stage.plane.processes.of("stable")} == {"old", "new"}


def test_a_machine_built_up_again_from_git_serves_stable_and_then_goes_on(calm) -> None:
    calm.add("survivor", bend=0.1)
    calm.try_out("survivor", requests=100_000)
    with calm.traffic():
        calm.until(lambda tick: tick.state.weight == 20)
    calm.stop()
    calm.faults["survivor"]["start"] = 1.5
    for name in ("routes.json", "clusters.json"):
        (calm.plane.folder / name).unlink()
    calm.renew()
    tick = calm.controller.tick()
    assert tick.outcome == "hold"
    assert calm.plane.layout().weight == 0, "the proven release alone"
    calm.until(lambda tick: calm.plane.layout().weight == 20)
    with calm.traffic() as traffic:
        calm.until(lambda tick: tick.figures.get("step_requests", 0) > 10)
    assert set(traffic.answers.releases) == {"good", "survivor"}


def test_a_hand_at_the_routes_is_seen_and_nothing_is_done(calm) -> None:
    path = calm.plane.folder / ROUTES
    honest = path.read_text()
    calm.controller.tick()
    head = calm.deploy.head()
    with calm.traffic() as traffic:
        for wrong in ("{ this is no JSON", json.dumps({"version_info": "mine", "resources": []}),
                      honest.replace('"status": 404', '"status": 405')):  # fmt: skip
            part = path.with_suffix(".part")
            part.write_text(wrong)
            part.replace(path)
            with pytest.raises(UserError, match="routes.json"):
                calm.controller.tick()
        sent = traffic.answers.sent
        while traffic.answers.sent < sent + 50:
            pass
    assert traffic.answers.failed == 0, "Envoy goes on with the last good routes"
    assert calm.deploy.head() == head
    path.with_suffix(".part").write_text(honest)
    path.with_suffix(".part").replace(path)
    assert calm.controller.tick().outcome == "none"


def test_live_that_is_not_what_git_says_is_refused(calm) -> None:
    calm.add("watched", bend=0.1)
    calm.try_out("watched", requests=100_000)
    with calm.traffic():
        calm.until(lambda tick: tick.state.weight == 20)
    ours = calm.plane.layout()
    calm.plane.apply(replace(ours, weight=90))
    with pytest.raises(UserError, match=r"live has stable good, candidate watched with 90 %.* says .* with 20 %"):
        calm.controller.tick()
    calm.plane.apply(replace(ours, revision=ours.revision + 7))
    with pytest.raises(UserError, match="branch deploy went back"):
        calm.controller.tick()
    calm.plane.apply(ours)
    assert calm.controller.tick().outcome == "hold"


def test_routes_that_envoy_refuses_change_nothing(calm, monkeypatch) -> None:
    before = calm.plane.layout()
    monkeypatch.setattr(
        "mainline.rollout.envoy.versioned", lambda layout, rules: versioned(layout, rules).replace("good-p", "nobody-p")
    )
    with pytest.raises(UserError, match="Envoy did not take routes.json: update_rejected"):
        calm.plane.apply(replace(before, revision=before.revision + 1))
    assert calm.plane.layout() == before
    assert calm.controller.tick().outcome == "none"


def test_two_rollouts_at_once(calm) -> None:
    for name in ("first", "second"):
        calm.add(name, bend=0.1)
    calm.try_out("first")
    with pytest.raises(UserError, match="first is being tried already"):
        calm.try_out("second")
    with (
        Plane(calm.plane.folder, calm.plane.log, calm.rules, calm.find).held(),
        pytest.raises(UserError, match="at work"),
    ):
        calm.controller.tick()


def test_two_starts_in_the_same_moment(calm) -> None:
    for name in ("one", "other"):
        calm.add(name, bend=0.1)
    calm.controller.state()
    other = Deploy.open(calm.deploy.repo.folder)
    head = other.head()
    other.commit("somebody was faster", expect=head, states=[replace(other.state("staging"), stable="one")])
    with pytest.raises(Moved):
        calm.controller.commit("too late", replace(calm.state(), candidate="other"), [])
    assert calm.state().candidate is None


def test_deploy_moves_while_a_tick_decides(calm, monkeypatch) -> None:
    calm.add("late", bend=0.1)
    calm.try_out("late")
    with calm.traffic() as traffic:
        calm.until(lambda tick: tick.state.phase == "shadow")
        honest = Deploy.commit

        def raced(self: Deploy, message: str, **more: object) -> str:
            monkeypatch.setattr(Deploy, "commit", honest)
            honest(self, "somebody else", expect=self.head(), states=[self.state("staging")])
            return honest(self, message, **more)

        monkeypatch.setattr(Deploy, "commit", raced)
        with pytest.raises(Moved, match="branch deploy has moved meanwhile"):
            calm.to_end()
        assert (calm.state().phase, calm.plane.layout().weight) == ("shadow", 0)
        calm.until(lambda tick: tick.state.weight == 20)
    assert traffic.answers.failed == 0


def test_what_cannot_be_started_is_refused(calm) -> None:
    with pytest.raises(UserError, match="nobody"):
        calm.try_out("nobody")
    calm.add("lost")
    calm.gone.add("lost")
    with pytest.raises(UserError, match="lost: is not in the store"):
        calm.try_out("lost")
    with pytest.raises(UserError, match="nothing is being tried"):
        calm.controller.end("abort", "why")


def test_a_candidate_without_users_is_not_promoted_by_hand(calm) -> None:
    calm.add("hasty", bend=0.1)
    calm.try_out("hasty")
    with pytest.raises(UserError, match="has not had any users yet"):
        calm.controller.end("promote", "I know better")
