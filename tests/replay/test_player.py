"""Order, pace and counts, against services that answer, refuse, fail, or are gone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from mainline.errors import UserError
from mainline.replay.client import Http
from mainline.replay.events import Event
from mainline.replay.player import Pace, check_clock, play

START = dt.datetime(2009, 6, 1, tzinfo=dt.UTC)


def event(day: float, kind: Any = "predict", name: str = "r", **row: Any) -> Event:
    when = START + dt.timedelta(days=day)
    return Event(when, int(day * 10), kind, name, when, row, "yes" if kind == "feedback" else None)


@dataclass
class Service:
    """Answers what it is told to, and remembers what it was asked."""

    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    asked: list[tuple[str, Any, Mapping[str, str]]] = field(default_factory=list)

    def __call__(self, path: str, body: Any, headers: Mapping[str, str], /) -> tuple[int, Mapping[str, str], Any]:
        self.asked.append((path, body, headers))
        name = headers.get("x-request-id", (body or {}).get("request_id", path))
        status, answer = self.answers.get(name, (200 if path == "/predict" else 202, {}))
        return status, {"x-release": "bank-1"}, answer


def test_the_request_claims_its_own_time_and_the_outcome_comes_at_its_time() -> None:
    service = Service()
    played = play([event(0, name="a", age=3), event(14, "feedback", "a")], service, Pace(1e9))
    assert service.asked == [
        ("/predict", {"age": 3}, {"x-request-id": "a", "x-user-id": "a", "x-replay-time": "2009-06-01T00:00:00.000Z"}),
        ("/feedback", {"request_id": "a", "outcome": "yes", "time": "2009-06-15T00:00:00.000Z"}, {}),
    ]
    assert (played.answered, played.outcomes, dict(played.releases)) == (1, 1, {"bank-1": 1})
    assert played.last == START + dt.timedelta(days=14)
    service = Service()
    play([event(0, name="a"), event(14, "feedback", "a")], service, Pace(1e9), now=True)
    assert "x-replay-time" not in service.asked[0][2] and "time" not in service.asked[1][1]


def test_refusals_failures_and_lost_outcomes_are_counted_apart() -> None:
    problem = {"row": 0, "field": "contact", "value": "CELLULAR", "problem": "is not allowed", "hint": "cellular?"}
    service = Service({
        "a": (422, {"problems": [problem]}), "b": (500, "broken"), "d": (200, {}),
    })  # fmt: skip
    played = play(
        [event(0, name="a"), event(1, name="b"), event(2, name="c"), event(3, "feedback", "a"),
         event(4, "feedback", "c"), event(5, "feedback", "d")], service, Pace(1e9),
    )  # fmt: skip
    assert dict(played.refused) == {'contact: is not allowed ("CELLULAR")': 1}
    assert played.hints == {'contact: is not allowed ("CELLULAR")': "cellular?"}
    assert dict(played.failed) == {"500: broken": 1} and played.answered == 1 and played.requests == 3
    assert (played.outcomes, played.withheld) == (1, 1) and sum(played.unwanted.values()) == 1


@pytest.mark.parametrize(("pace", "took"), [(Pace(10.0), 0.3), (Pace(1e9, speed=2.0), 1.5), (Pace(1.0, speed=2.0), 3)])
def test_the_pace_is_a_bound_by_requests_and_by_replayed_days(pace: Pace, took: float) -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    play([event(day, name=str(day)) for day in range(4)], Service(), pace, sleep=sleep, clock=lambda: now[0])
    assert now[0] == pytest.approx(took)


def test_a_slow_service_is_waited_for_and_never_made_up_for_by_a_burst() -> None:
    now, at = [0.0], []

    def slow(path: str, body: Any, headers: Any, /) -> tuple[int, Mapping[str, str], Any]:
        at.append(now[0])
        now[0] += 1.0 if len(at) == 1 else 0.0
        return 200, {}, {}

    def sleep(seconds: float) -> None:
        now[0] += seconds

    play([event(0, name=str(n)) for n in range(4)], slow, Pace(10.0), sleep=sleep, clock=lambda: now[0])
    assert at == pytest.approx([0.0, 1.0, 1.1, 1.2])


def test_a_service_that_is_gone_ends_the_replay_with_the_day() -> None:
    gone = {str(n): (0, "refused") for n in range(30)}
    with pytest.raises(UserError, match="no answer any more, since 2009-06-20"):
        play([event(n, name=str(n)) for n in range(30)], Service(gone), Pace(1e9))


def test_a_service_that_keeps_its_own_time_is_told_from_one_that_is_not_there() -> None:
    with pytest.raises(UserError, match="no service is ready there"):
        check_clock(Http(1), 1)
    with pytest.raises(UserError, match="(?s)writes its own time.*MAINLINE_REPLAY_CLOCK=1"):
        check_clock(Service({"/readyz": (200, {})}), 80)
