"""Live and git: may they differ, and which of the two has to move.

Git is written first when the candidate gets more, and the traffic is changed first when it gets less. So after a crash
between the two, the candidate has less than git says, or what the proxy's own note says it should have. Any other
difference is somebody else's doing, and is refused.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from mainline.errors import UserError
from mainline.release.state import State
from mainline.rollout.layout import Layout, Upstream
from mainline.rollout.plane import CANDIDATE, STABLE, Plane, without_candidate

WAITING = "the candidate is not ready"
Move = Literal["none", "build", "follow", "finish"]


def compare(state: State, layout: Layout | None) -> Move:
    """Return what is to be done: nothing, build up, carry out what git says, or finish what the proxy notes.

    Raises:
        UserError: live and git differ in a way that no crash of ours explains.
    """
    if layout is None:
        return "build"
    if layout.revision > state.revision:
        raise UserError(
            f"live carries out revision {layout.revision} of {state.environment}, git is at {state.revision}: branch "
            "deploy went back; nothing was changed",
            "bring branch deploy forward again, or `mainline rollout stop` and `mainline rollout run`",
        )
    if layout.revision < state.revision or layout.intent == WAITING:
        return "follow"
    if layout.intent:
        return "finish"
    live = (layout.stable.release, layout.candidate.release if layout.candidate else None, layout.weight, layout.shadow)
    said = (state.stable, _traffic_candidate(state), state.weight, state.phase == "shadow")
    if live != said:
        raise UserError(
            f"live and git differ: live has {_words(*live)}, {state.environment}.yaml says {_words(*said)}; "
            "nothing was changed",
            "find out who changed it; `mainline rollout stop` and `mainline rollout run` build up what git says",
        )
    return "none"


def carry_out(state: State, plane: Plane, now: Layout | None) -> Layout | None:
    """Make live what git says and return it; None when there is no stable release to serve yet.

    The candidate gets its weight only if it is there and ready; until then stable answers everybody.

    Raises:
        UserError: stable does not get ready, or Envoy does not take the change; the traffic is what it was.
    """
    if state.stable is None:
        return None
    if now and now.candidate and state.candidate != now.candidate.release and state.stable != now.candidate.release:
        # Dropped elsewhere: its users go first, whatever stable still needs. The old revision says: not done yet.
        now = without_candidate(now, now.revision)
        plane.apply(now)
    plane.begin(STABLE, state.stable)
    stable = plane.wait(STABLE, state.stable, plane.rules.ready_seconds)
    if stable is None:
        raise UserError(
            f"stable {state.stable} is not ready after {plane.rules.ready_seconds:.0f} s; "
            + ("the traffic stays where it was" if now else "nothing serves"),
            f"look into {plane.processes.folder}; `mainline rollback` takes the release before it",
        )
    wanted = desired(state, stable, _ready_candidate(state, plane))
    if wanted != now or not plane.running():
        plane.apply(wanted)
    plane.sweep(keep(state, wanted, plane), spare=state.previous[:1] if plane.rules.proxy.keep_previous else ())
    return wanted


def desired(state: State, stable: Upstream, candidate: Upstream | None) -> Layout:
    """Return the layout of a state; without a candidate that is ready, stable answers everybody."""
    layout = Layout(stable, revision=state.revision)
    if _traffic_candidate(state) is None:
        return layout
    if candidate is None:
        return replace(layout, intent=WAITING)
    return replace(layout, candidate=candidate, weight=state.weight, shadow=state.phase == "shadow")


def keep(state: State, layout: Layout, plane: Plane) -> Layout:
    """Return ``layout`` with the candidate's process in it, also when it gets no traffic yet."""
    if state.candidate is None or layout.candidate is not None:
        return layout
    ports = tuple(item.port for item in plane.processes.of(CANDIDATE, state.candidate))
    return replace(layout, candidate=Upstream(state.candidate, ports))


def _ready_candidate(state: State, plane: Plane) -> Upstream | None:
    if state.candidate is None or not plane.ready(CANDIDATE, state.candidate):
        return None
    plane.settle(CANDIDATE, state.candidate)
    return plane.upstream(CANDIDATE, state.candidate)


def _traffic_candidate(state: State) -> str | None:
    """Return the candidate once it gets traffic of any kind."""
    return state.candidate if state.phase else None


def _words(stable: str | None, candidate: str | None, weight: int, shadow: bool) -> str:
    other = f", candidate {candidate} with {weight} %{' and shadow' if shadow else ''}" if candidate else ""
    return f"stable {stable}{other}"
