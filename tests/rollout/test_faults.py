"""Planted faults with real processes behind a real Envoy: each is stopped, and no user sees it."""

from __future__ import annotations

import pytest


@pytest.mark.slow
def test_a_good_candidate_becomes_stable_and_nobody_notices(stage) -> None:
    stage.serve("good-1")
    stage.add("good-2", bend=0.1)
    stage.try_out("good-2")
    with stage.traffic() as traffic:
        tick = stage.to_end()
    assert tick.outcome == "promote", tick.text
    assert (stage.state().stable, stage.state().previous) == ("good-2", ("good-1",))
    assert traffic.answers.failed == 0, traffic.answers.failures
    assert set(traffic.answers.releases) == {"good-1", "good-2"}
    assert len(stage.alive()) == 2  # Envoy and the new stable
