from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from mainline.ci.heartbeat import WORKFLOWS, judge, keep_enabled
from mainline.ci.monitor_state import Beat
from mainline.errors import UserError
from mainline.github import GitHub

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("hours", "alive", "words"),
    [
        (1, True, "1.0 hours ago"),
        (48, True, "48.0 hours ago"),
        (48.1, False, "48.1 hours ago"),
        (-0.5, True, "ago"),
        (-2, False, "in the future"),
        (None, False, "no run of the workflow monitor has ever"),
    ],
)
def test_a_monitor_that_has_not_come_to_its_end_lately_is_blind(hours: float | None, alive: bool, words: str) -> None:
    # An alarm is a monitor that sees: its code does not matter here.
    beat = None if hours is None else Beat(NOW - dt.timedelta(hours=hours), "https://example.org/run/1", 1)
    found, why = judge(beat, NOW, 48)
    assert found is alive and words in why and (beat is None or beat.run in why)


def test_both_workflows_are_enabled_before_github_switches_them_off(server: GitHub, hub: Any) -> None:
    hub.workflows["monitor.yml"] = "disabled_inactivity"
    assert keep_enabled(server) == []
    assert hub.workflows == dict.fromkeys(WORKFLOWS, "active")
    # Also where they are active: that is what begins the 60 days anew.
    assert hub.calls.count("PUT /actions/workflows/heartbeat.yml/enable") == 1


def test_what_a_person_has_switched_off_stays_so_and_is_named(server: GitHub, hub: Any) -> None:
    hub.workflows["monitor.yml"] = "disabled_manually"
    assert keep_enabled(server) == ["monitor.yml"]
    assert hub.workflows["monitor.yml"] == "disabled_manually"


def test_a_refusal_is_an_error(server: GitHub, hub: Any) -> None:
    hub.refuse["/enable"] = 403
    with pytest.raises(UserError, match="enable"):
        keep_enabled(server)
