"""What a decision makes happen: in git and in the traffic, in an order that a crash cannot turn against the users."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mainline.config import Rollout
from mainline.errors import UserError
from mainline.release.ledger import Deploy
from mainline.release.state import Environment, Event, State, Transition
from mainline.rollout import follow
from mainline.rollout.decision import Decision
from mainline.rollout.journal import FOLDER, Journal
from mainline.rollout.layout import Layout
from mainline.rollout.observe import Observer
from mainline.rollout.plane import CANDIDATE, Plane, without_candidate
from mainline.rollout.processes import end_lost

ABORT, ROLLBACK = "abort", "rollback"


@dataclass(frozen=True)
class Tick:
    """What one look came to: ``outcome`` is promote, hold, abort, none (nothing to decide) or resume."""

    outcome: str
    text: str
    state: State
    figures: Mapping[str, Any]
    decision: Decision | None = None

    @property
    def over(self) -> bool:
        """Return whether no candidate is left."""
        return self.state.candidate is None


@dataclass
class Actions:
    """One environment's git, data plane and journals.

    Attributes:
        golden: the golden requests of a release.
        key: the API key that the services ask for; empty when they ask for none.
        by: who acts, for the ledger.
        also: files that a commit of a new state needs beside it, by path.
    """

    deploy: Deploy
    plane: Plane
    rules: Rollout
    golden: Callable[[str], Mapping[str, Any]]
    observer: Observer
    environment: Environment = "production"
    by: str = "mainline rollout"
    journals: Path = FOLDER
    key: str = field(default="", repr=False)
    also: Callable[[State], Mapping[str, str]] = lambda _: {}
    _head: str = field(default="", init=False)

    def journal(self, release: str) -> Journal:
        """Return the journal of a release's rollout."""
        return Journal(self.journals / release)

    def state(self) -> State:
        """Return what git says; with a remote, what it says there. All commits are made on what this read."""
        if self.deploy.remote:
            self.deploy.refresh()
        self._head = self.deploy.head()
        return self.deploy.state(self.environment)

    def advance(
        self, state: State, made: State, event: Event, why: str, evidence: dict[str, Any],
        decision: Decision | None = None, shown: Mapping[str, Any] | None = None,
    ) -> Tick:  # fmt: skip
        """Commit first, then give the candidate more."""
        candidate = state.candidate or ""
        what = "shadow" if made.phase == "shadow" else f"{made.weight} % of the users"
        transition = self.transition(candidate, event, why, made.weight, evidence)
        saved = self.commit(f"{self.environment}: {candidate} to {what}\n\n{why}", made, [transition])
        self.note(state, "promote", f"to {what}: {why}", shown, decision)
        follow.carry_out(saved, self.plane, self.plane.layout())
        return Tick("promote", f"to {what}: {why}", saved, shown or {}, decision)

    def promote(
        self, state: State, why: str, evidence: dict[str, Any], decision: Decision | None = None,
        shown: Mapping[str, Any] | None = None,
    ) -> Tick:  # fmt: skip
        candidate = state.candidate or ""
        saved = self.commit_promote(state, why, evidence)
        self.note(state, "promote", f"stable now: {why}", shown, decision)
        follow.carry_out(saved, self.plane, self.plane.layout())
        return Tick("promote", f"{candidate} is stable now: {why}", saved, shown or {}, decision)

    def commit_promote(self, state: State, why: str, evidence: dict[str, Any]) -> State:
        candidate = state.candidate or ""
        previous = (state.stable, *state.previous) if state.stable else state.previous
        made = _idle(replace(state, stable=candidate, previous=tuple(previous)))
        transition = self.transition(candidate, "promote", why, 100, evidence)
        return self.commit(f"{self.environment}: promote {candidate}\n\n{why}", made, [transition])

    def abort(
        self, state: State, why: str, evidence: dict[str, Any], decision: Decision | None = None,
        shown: Mapping[str, Any] | None = None,
    ) -> Tick:  # fmt: skip
        """Take the traffic away first, then commit."""
        for process in self.plane.processes.of(CANDIDATE):
            end_lost(process)  # before the traffic goes: the proxy waits for what is still being answered
        layout = self.plane.layout()
        if layout is not None and layout.candidate is not None:
            layout = without_candidate(layout, state.revision, f"{ABORT}: {why[:300]}")
            self.plane.apply(layout)
        self.note(state, "abort", why, shown, decision)
        saved = self.commit_abort(state, why, evidence)
        follow.carry_out(saved, self.plane, self.plane.layout())
        if saved.stable is None:
            for process in self.plane.processes.of(CANDIDATE):
                self.plane.processes.stop(process)
        return Tick("abort", why, saved, shown or {}, decision)

    def commit_abort(self, state: State, why: str, evidence: dict[str, Any]) -> State:
        candidate = state.candidate or ""
        transition = self.transition(candidate, "abort", why, 0, evidence)
        return self.commit(f"{self.environment}: abort {candidate}\n\n{why}", _idle(state), [transition])

    def finish(self, state: State, layout: Layout) -> Tick:
        """Commit what the proxy notes: a crash came between the change of traffic and the commit."""
        what, _, why = layout.intent.partition(": ")
        why = f"{why} (finished after an interruption)"
        if what.startswith(ROLLBACK):
            saved = self.commit_rollback(state, layout.stable.release, why)
        elif state.candidate:
            last = [event for event in self.journal(state.candidate).events() if event["kind"] == "abort"][-1:]
            saved = self.commit_abort(state, why, last[0] if last else {})
        else:
            raise UserError(f"the proxy notes {layout.intent!r}, but there is no candidate", "`mainline rollout stop`")
        follow.carry_out(saved, self.plane, layout)
        return Tick("resume", f"{what}: {why}", saved, {})

    def commit_rollback(self, state: State, target: str, why: str) -> State:
        """Commit that ``target`` is stable again; a candidate is dropped with it."""
        known = state.previous
        later = known[known.index(target) + 1 :] if target in known else known
        made = _idle(replace(state, stable=target, previous=later))
        found = (
            [self.transition(state.stable, "rollback", f"{why}; {target} is stable again", 0, {})]
            if state.stable
            else []
        )
        if state.candidate:
            found.append(self.transition(state.candidate, "abort", f"dropped by a rollback: {why}", 0, {}))
        return self.commit(f"{self.environment}: roll back to {target}\n\n{why}", made, found)

    def hold(self, state: State, why: str, shown: Mapping[str, Any], decision: Decision | None) -> Tick:
        if state.candidate and self.journal(state.candidate).due(self.deploy.clock().timestamp()):
            self.note(state, "hold", why, shown, decision)
        return Tick("hold", why, state, shown, decision)

    def note(
        self,
        state: State,
        kind: str,
        text: str,
        shown: Mapping[str, Any] | None = None,
        decision: Decision | None = None,
    ) -> None:
        release = state.candidate or state.stable
        if release is None:
            return
        event: dict[str, Any] = {"time": self.now(), "kind": kind, "text": text, "figures": dict(shown or {})}
        event |= {"phase": state.phase, "weight": state.weight, "step": state.step}
        if decision is not None:
            event["checks"] = [check.evidence() for check in decision.checks]
        self.journal(release).write(event)

    def transition(self, release: str, event: Event, why: str, weight: int, evidence: dict[str, Any]) -> Transition:
        return Transition(release, self.environment, event, self.by, why, weight, evidence or None)

    def commit(self, message: str, state: State, transitions: list[Transition]) -> State:
        self.put(message, self.also(state), [state], transitions)
        return self.deploy.state(self.environment)

    def put(
        self, message: str, files: Mapping[str, str], states: Sequence[State] = (),
        transitions: Sequence[Transition] = (),
    ) -> None:  # fmt: skip
        """Commit on what :meth:`state` has read."""
        self._head = self.deploy.commit(message, expect=self._head, states=states, transitions=transitions, files=files)

    def now(self) -> str:
        return self.deploy.clock().astimezone(dt.UTC).isoformat(timespec="milliseconds")

    def since(self, started: str | None) -> float:
        return (self.deploy.clock() - dt.datetime.fromisoformat(started)).total_seconds() if started else 0.0


def _idle(state: State) -> State:
    return replace(state, candidate=None, phase=None, weight=0, step=0, plan=None, started=None)
