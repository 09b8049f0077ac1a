"""Back to a release that was proven before: traffic first, no build of what is there, no training, no canary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mainline.errors import UserError
from mainline.release.state import State
from mainline.rollout import follow
from mainline.rollout.actions import ABORT, ROLLBACK, Actions
from mainline.rollout.layout import Layout
from mainline.rollout.plane import PATIENCE, STABLE, without_candidate

Restore = Callable[[str], object]


@dataclass(frozen=True)
class Back:
    """What a rollback did: from where, to where, and what it dropped on the way."""

    state: State
    left: str
    dropped: str | None
    live: bool


def roll_back(actions: Actions, restore: Restore, to: str | None = None, why: str = "asked for") -> Back:
    """Make the previous stable release (or ``to``) stable again and drop a candidate; return what was done.

    With no proxy running here only git changes: whoever follows branch deploy does the rest.

    Raises:
        UserError: there is no earlier release, or it is gone and cannot be restored. A candidate has lost its users by
            then, because that is safe in any case; everything else is as it was.
        Moved: somebody else changed branch deploy meanwhile.
    """
    plane = actions.plane
    with plane.held(PATIENCE):
        state, layout = actions.state(), plane.layout()
        target = choose(state, to)
        live = layout is not None and plane.running()
        if live and layout and layout.candidate:
            layout = without_candidate(layout, state.revision, f"{ABORT}: a rollback was asked for: {why[:200]}")
            plane.apply(layout)
        have(actions, restore, target)
        if live and layout:
            _take_over(actions, state, layout, target, why)
        saved = actions.commit_rollback(state, target, why)
        actions.note(state, "rollback", f"{target} is stable again: {why}")
        if live:
            follow.carry_out(saved, plane, plane.layout())
        return Back(saved, state.stable or "", state.candidate, live)


def back_in_git(actions: Actions, to: str | None, why: str) -> Back:
    """Make the previous stable release (or ``to``) stable again in git alone; whoever follows it does the rest.

    Raises:
        UserError: there is no earlier release.
        Moved: somebody else changed branch deploy meanwhile.
    """
    state = actions.state()
    saved = actions.commit_rollback(state, choose(state, to), why)
    return Back(saved, state.stable or "", state.candidate, live=False)


def drop(actions: Actions, why: str) -> str:
    """Take the candidate out of git, and leave stable as it is; return its id.

    Raises:
        UserError: nothing is being tried.
    """
    state = actions.state()
    if state.candidate is None:
        raise UserError(f"{actions.environment}: nothing is being tried", "`mainline rollback` takes stable back")
    actions.commit_abort(state, why, {"by": actions.by})
    return state.candidate


def choose(state: State, to: str | None) -> str:
    """Return the release to go back to.

    Raises:
        UserError: there is none, or ``to`` is not one of them.
    """
    earlier = [name for name in state.previous if name != state.stable]
    if to is not None and to == state.stable:
        raise UserError(f"{state.environment}: {to} serves already", f"name one of: {', '.join(earlier) or '(none)'}")
    if to is not None and to not in state.previous:
        raise UserError(
            f"{state.environment}: {to} was never stable here before {state.stable or 'now'}",
            f"name one of: {', '.join(earlier) or '(none)'}; a new release takes `mainline rollout start`",
        )
    if not earlier:
        raise UserError(
            f"{state.environment}: there is no release before {state.stable or '(none)'} to go back to",
            "`mainline rollout abort` takes out a candidate; `mainline rollout status` shows what runs",
        )
    return to or earlier[0]


def have(actions: Actions, restore: Restore, release: str) -> None:
    """Make sure that the release is in the store.

    Raises:
        UserError: it is not, and cannot be restored; both reasons are told.
    """
    try:
        actions.plane.find(release)
    except UserError as gone:
        try:
            restore(release)
            actions.plane.find(release)
        except UserError as error:
            raise UserError(
                f"{gone.problem}; it could not be restored either: {error.problem}. Stable is what it was",
                f"{error.fix}; or name another release: `mainline rollback --to ID`",
            ) from error


def _take_over(actions: Actions, state: State, layout: Layout, target: str, why: str) -> None:
    """Start the release and give it all traffic, noting what for, before git is written."""
    plane = actions.plane
    plane.begin(STABLE, target)
    upstream = plane.wait(STABLE, target, plane.rules.ready_seconds)
    if upstream is None:
        for process in plane.processes.of(STABLE, target):
            plane.processes.stop(process)
        raise UserError(
            f"{target} is not ready after {plane.rules.ready_seconds:.0f} s; {layout.stable.release} still serves",
            f"look into {plane.processes.folder}; or name another release: `mainline rollback --to ID`",
        )
    plane.apply(Layout(upstream, revision=state.revision, intent=f"{ROLLBACK}: {why[:200]}"))
