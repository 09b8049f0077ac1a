"""Every fault of a canary inside the real service: aborted for the right reason, and no user sees it.

`make drill` runs them all and prints what was measured; `make test` runs those without the mark.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import re
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from mainline.rollout.actions import Tick
from mainline.rollout.processes import members

from .conftest import Place, Users

MS = 20  # of a larger model: three times a millisecond would be too slow for nobody
USERS = {"users": True}
LATER = {"after": 450}  # golden requests, and some of shadow, are answered well
SECONDS = 90.0


@dataclass(frozen=True)
class Drill:
    """A fault of the candidate, and what must come of it."""

    name: str
    fault: dict[str, Any]
    phase: str | None
    words: str
    plan: dict[str, Any] = field(default_factory=dict)
    rules: dict[str, Any] = field(default_factory=dict)
    stable: dict[str, Any] = field(default_factory=dict)


LONG = {"weights": (50, 100), "requests": 5000}
DRILLS = (
    Drill("500 for 100 %", {"errors": 1.0}, None, "answered 500"),
    Drill("500 for 100 % of the users", {"errors": 1.0, **USERS}, "canary", "failed|proven to be more"),
    Drill("500 for 10 % of the users", {"errors": 0.1, **USERS}, "canary", "proven to be more", LONG),
    Drill("500 for 2 % of the users", {"errors": 0.02, **USERS}, "canary", "proven to be more", LONG),
    Drill("3 times slower", {"ms": MS, "slow_ms": 2 * MS, **LATER}, "shadow", "p50 at least|p99 at least",
          {"pairs": 3000}, {"latency_ratio": 1.5}, {"ms": MS}),
    Drill("memory leaks", {"leak_mb": 4, **USERS}, "canary", "MB of memory", LONG, {"memory_mb": 800}),
    Drill("memory leaks until killed", {"leak_mb": 4, "limit_mb": 200, **USERS}, "canary", "ended by itself", LONG),
    Drill("hangs at its start", {"never_ready": "hangs"}, None, "not ready after", {"ready_seconds": 10.0}),
    Drill("ends at its start", {"never_ready": "raises"}, None, "not ready after|ended", {"ready_seconds": 20.0}),
    Drill("one score for all", {"constant": 0.31, **LATER}, "shadow", "different scores among|scores differ by"),
    Drill("one score for all users", {"constant": 0.31, **USERS}, "canary", "different scores among", LONG),
    Drill("negated", {"negated": True, **LATER}, "shadow", "run against each other|decide alike|scores differ by"),
    Drill("negated for the users", {"negated": True, **USERS}, "canary", "scores moved by", LONG),
    Drill("wrong on one slice", {"slice": {"job": "admin."}, "around": 0.1, **LATER}, "shadow",
          "job = admin.: both decide", {"pairs": 4000}),
)  # fmt: skip
ALWAYS = {"memory leaks until killed"}  # in `make test`, too: no stand-in has workers


@pytest.fixture
def calm(ground: Place) -> Place:
    """The place with a sound release in front, and nothing under way; what the test before has left is used."""
    ground.renew()
    if ground.state().candidate:
        ground.of.end("abort", "the drill before has ended")
    if ground.planted or ground.state().stable not in ground.releases or not ground.of.plane.running():
        ground.serve(ground.releases[0])
    return ground


def aborted(place: Place, tried: str, tick: Tick, users: Users, phase: str | None, words: str) -> None:
    """Hold what must be true after each fault."""
    assert tick.outcome == "abort", tick.text
    assert any(word in tick.text for word in words.split("|")), tick.text
    assert users.answers.failed == 0, users.answers.failures
    assert place.of.journal(tried).events()[-1]["phase"] == phase
    assert place.of.deploy.entry(tried).transitions[-1].why == tick.text
    state = place.state()
    assert (state.candidate, state.weight) == (None, 0) and state.stable != tried
    assert {role for role, _ in place.running()} == {"proxy", "stable"}, "the candidate's process is gone"
    # And stable answers everybody.
    with place.users() as after:
        time.sleep(0.5)
    assert (after.answers.failed, set(after.answers.releases)) == (0, {state.stable})


@pytest.mark.parametrize(
    "drill",
    [pytest.param(one, marks=pytest.mark.slow if one.name in ALWAYS else pytest.mark.drill, id=one.name)
     for one in DRILLS],
)  # fmt: skip
def test_a_faulty_candidate_is_aborted_and_no_user_sees_it(
    drill: Drill, calm: Place, tmp_path: Path, drill_table: list[tuple[str, ...]]
) -> None:
    mark = tmp_path / "mark"
    tried = calm.other
    if drill.stable:
        calm.serve(fault=drill.stable)
    calm.plant(stable=drill.stable, canary={"mark": str(mark), **drill.fault})
    calm.renew(**drill.rules)
    calm.try_out(tried, **drill.plan)
    started = time.time()
    with calm.users() as users:
        tick = calm.until(lambda tick: tick.over, SECONDS)
        time.sleep(0.3)
    with contextlib.suppress(FileNotFoundError):
        started = float(mark.with_name("mark.began").read_text())
    met = mark.stat().st_size if mark.exists() else 0
    drill_table.append(row(drill.name, calm, tried, met, started, users))
    aborted(calm, tried, tick, users, drill.phase, drill.words)


@pytest.mark.drill
@pytest.mark.parametrize(
    ("name", "victims"),
    [
        pytest.param("SIGKILL of the service at 20 %", lambda group: group[:1], id="service"),
        pytest.param("SIGKILL of its worker at 20 %", lambda group: group[1:], id="worker"),
    ],
)
def test_a_candidate_killed_at_20_per_cent_costs_no_user_an_answer(
    name: str, victims: Callable[[list[psutil.Process]], list[psutil.Process]], calm: Place,
    drill_table: list[tuple[str, ...]],
) -> None:  # fmt: skip
    calm.plant()
    tried = calm.other
    calm.try_out(tried, requests=100_000)
    with calm.users() as users:
        calm.until(lambda tick: tick.state.weight == 20, SECONDS)
        calm.until(lambda tick: tick.figures.get("step_requests", 0) > 20, 30)
        (process,) = calm.of.plane.processes.of("candidate", tried)
        group = sorted(members(process), key=lambda item: item.pid != process.pid)
        for victim in victims(group):
            os.kill(victim.pid, signal.SIGKILL)
        killed = time.time()
        tick = calm.until(lambda tick: tick.over, SECONDS)
        time.sleep(0.3)
    drill_table.append(row(name, calm, tried, 0, killed, users))
    aborted(calm, tried, tick, users, "canary", "ended by itself")


def row(name: str, place: Place, tried: str, met: int, began: float, users: Users) -> tuple[str, ...]:
    """Return what was measured, as a row of the table; the time is that until the candidate has no users."""
    abort, answers = place.of.journal(tried).events()[-1], users.answers
    seconds = dt.datetime.fromisoformat(abort["time"]).timestamp() - began
    why = re.sub(r"(answered 500|ended by itself).*", r"\1", abort["text"])
    return (name, abort["phase"] or "golden", why, f"{met:,}" if met else "", f"{seconds:.1f}",
            f"{answers.failed} of {answers.sent:,}", f"{max(answers.seconds):.1f}")  # fmt: skip
