"""An A/B test with real releases, real users and their outcomes."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytest

from mainline.release.ledger import Deploy
from mainline.rollout.actions import Tick

from .conftest import Place, commit, params
from .users import Users

# The worse release decides half of the cases the other way round: worth 11 EUR a request instead of 19, which with so
# many outcomes (a side) is four and a half standard errors.
WORSE = {"turned": 0.5, "around": 0.1}
MANY = 800
FAST = {"pairs": 100}
SECONDS = 120.0


def run(
    place: Place, alpha: float | None = None, rate: float = 150, **plan: object
) -> tuple[Tick, Users, tuple[float, float]]:
    """Return how the test ended, its users, and between which moments all of them were split."""
    place.renew()
    if alpha is not None:
        place.of.rules = place.of.rules.model_copy(update={"ab": place.of.rules.ab.model_copy(update={"alpha": alpha})})
    place.try_out(place.other, "ab", **FAST, **plan)
    with place.users(rate, labelled=True) as users:
        place.until(lambda tick: tick.state.phase == "ab", SECONDS)
        began = last = time.monotonic()

        def over(tick: Tick) -> bool:
            nonlocal last
            if not tick.over:
                last = time.monotonic()
            return tick.over

        tick = place.until(over, SECONDS)
    assert users.answers.failed == 0, users.answers.failures
    assert set(users.reports) == {202}
    return tick, users, (began, last)


def sides(users: Users, span: tuple[float, float]) -> dict[str, set[str]]:
    """Return the releases that each user saw within ``span``."""
    found: dict[str, set[str]] = {}
    for asked, answered, user, release in users.seen:
        if span[0] < asked and answered < span[1]:
            found.setdefault(user, set()).add(release)
    return found


@pytest.mark.slow
def test_a_better_candidate_is_promoted_by_its_outcomes_and_nobody_sees_both(ground: Place) -> None:
    # Given a stable release that is worth less
    ground.serve(fault=WORSE)
    ground.plant()  # the process that serves after a promotion is a new one
    stable, candidate = ground.state().stable, ground.other
    # When both are asked by users who report their outcomes
    tick, users, span = run(ground, outcomes=(MANY, MANY))
    ground.planted = False
    # Then the test promotes it, with as many outcomes as the plan wants
    assert (tick.outcome, tick.state.stable) == ("promote", candidate), tick.text
    assert ": better (p =" in tick.text
    (test,) = [check for check in tick.decision.checks if check.name == "a/b"]
    assert test.n >= MANY
    # And in that phase nobody saw both releases, of which each had many
    seen = sides(users, span)
    assert all(len(releases) == 1 for releases in seen.values())
    each = [sum(releases == {name} for releases in seen.values()) for name in (stable, candidate)]
    assert min(each) > 50, each


@pytest.mark.drill
def test_an_equal_candidate_is_aborted_as_not_proven_better(ground: Place) -> None:
    # Given a twin, and a test that is wrong once in a thousand
    ground.serve()
    stable = ground.state().stable
    tick, users, span = run(ground, alpha=0.001)
    assert (tick.outcome, tick.state.stable) == ("abort", stable)
    assert "not proven better (p =" in tick.text
    assert all(len(releases) == 1 for releases in sides(users, span).values())


@pytest.mark.drill
def test_a_broken_candidate_is_stopped_before_its_outcomes_are_there(ground: Place) -> None:
    ground.serve()
    stable = ground.state().stable
    ground.plant(canary={"errors": 0.1, "users": True})
    tick, _, _ = run(ground, rate=100)
    assert (tick.outcome, tick.state.stable) == ("abort", stable)
    assert "proven to be more" in tick.text
    names = {check.name: check.outcome for check in tick.decision.checks}
    assert names["outcomes"] == "hold" and "a/b" not in names
    assert {role for role, _ in ground.running()} == {"proxy", "stable"}


@pytest.fixture(scope="module")
def worse(drilled: Any) -> str:
    """A release whose model knows nothing of what clients did before, and was not told how the world has changed."""
    before = set(Deploy.open(drilled.folder / ".mainline" / "deploy").releases())
    params(
        drilled.folder,
        features={"drop": ["poutcome", "pdays", "previous", "contact", "housing"]},
        model={"calibration": {"method": "none"}},
        gates={"floors": {"roc_auc": 0.1, "log_loss": 5.0}, "slice_floors": {"roc_auc": 0.1}, "calibration_error": 0.9},
    )
    expectations = drilled.folder / "src" / "bank" / "expectations.py"
    text = expectations.read_text(encoding="utf-8")
    expectations.write_text(text + "\n\nBEHAVIOURS = ()\n", encoding="utf-8")
    drilled.dvc("repro", "--quiet")
    commit(drilled, "Know less of the clients")
    drilled.run(*drilled.program("mainline"), "release", "build")
    (made,) = set(Deploy.open(drilled.folder / ".mainline" / "deploy").releases()) - before
    return made


@pytest.mark.drill
def test_the_commands_replace_a_model_that_knows_less(worse: str, ground: Place, drilled: Any) -> None:
    # Given a release in front whose model was trained with fewer columns, and a small plan
    sound = ground.releases[0]
    params(drilled.folder, rollout={"shadow": {"pairs": 300}, "tick_seconds": 1})
    ground.serve(worse)
    # When a person starts the test of the better one, and users come in
    mainline = [sys.executable, "-m", "mainline.cli", "rollout"]
    print(drilled.run(*mainline, "plan", "--mode", "ab"))
    print(drilled.run(*mainline, "start", sound, "--mode", "ab"))
    with ground.users(150, labelled=True) as users:
        print(drilled.run(*mainline, "run"))
    # Then it is promoted, and nobody went without an answer
    print(users.answers.sent, users.answers.releases)
    assert users.answers.failed == 0, users.answers.failures
    assert ground.state().stable == sound
    last = ground.of.deploy.entry(sound).transitions[-1]
    assert (last.event, ground.of.deploy.evidence(last)["checks"][-1]["name"]) == ("promote", "a/b")
