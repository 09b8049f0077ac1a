from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from mainline.ci.heartbeat import enable_again, judge
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


def test_only_what_github_has_switched_off_is_enabled_again(server: GitHub, hub: Any) -> None:
    hub.workflows["monitor.yml"] = "disabled_inactivity"
    assert enable_again(server) == []
    assert hub.workflows == {"monitor.yml": "active"}
    # To enable what is active would feign activity: GitHub has disabled repositories for that.
    assert [call for call in hub.calls if call.startswith("PUT")] == ["PUT /actions/workflows/monitor.yml/enable"]
    assert enable_again(server) == [] and len([call for call in hub.calls if call.startswith("PUT")]) == 1


def test_what_a_person_has_switched_off_stays_so_and_is_named(server: GitHub, hub: Any) -> None:
    hub.workflows["monitor.yml"] = "disabled_manually"
    assert enable_again(server) == ["monitor.yml"]
    assert hub.workflows["monitor.yml"] == "disabled_manually"


def test_a_refusal_is_an_error(server: GitHub, hub: Any) -> None:
    hub.workflows["monitor.yml"] = "disabled_inactivity"
    hub.refuse["/enable"] = 403
    with pytest.raises(UserError, match="enable"):
        enable_again(server)
