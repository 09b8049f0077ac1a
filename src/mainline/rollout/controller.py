"""The controller: each tick reads git and what is live, decides, acts and writes; it may be killed anywhere.

See ``follow`` for the order of git and traffic, ``analysis`` for what is decided.
"""

from __future__ import annotations

from dataclasses import replace

from mainline.errors import UserError
from mainline.release.state import Phase, State
from mainline.rollout import follow
from mainline.rollout.actions import ABORT, Actions, Tick
from mainline.rollout.agreement import judge_shadow
from mainline.rollout.analysis import judge
from mainline.rollout.contract import check_golden, ready
from mainline.rollout.layout import Layout
from mainline.rollout.observe import figures
from mainline.rollout.plan import Plan, read_plan
from mainline.rollout.plane import CANDIDATE, PATIENCE, STABLE
from mainline.rollout.splittest import final_test


class Controller(Actions):
    """Tries one release at a time in one environment."""

    def start(self, release: str, plan: Plan, why: str = "") -> State:
        """Make ``release`` the candidate; nothing runs differently yet.

        Raises:
            UserError: another one is being tried, or the ledger or the store does not know it.
            Moved: somebody else changed branch deploy at the same moment.
        """
        state = self.state()
        if state.candidate is not None:
            raise UserError(
                f"{self.environment}: {state.candidate} is being tried already ({state.phase or 'starting'}, "
                f"{state.weight} %)",
                "wait for its end, or `mainline rollout abort` first: there is one rollout at a time",
            )
        self.deploy.entry(release)
        self.plane.find(release)
        why = why or f"tried as {plan.mode} against {state.stable or 'nothing'}"
        began = self.now()
        named = replace(plan, began=began)
        made = replace(state, candidate=release, phase=None, weight=0, step=0, plan=named.asdict(), started=began)
        saved = self.commit(f"{self.environment}: try {release}\n\n{why}", made, [])
        self.journal(release).renew()
        return saved

    def tick(self) -> Tick:
        """Look once and act; idempotent.

        Raises:
            UserError: live is not what git says, or something does not run; nothing was changed.
            Moved: somebody else changed branch deploy meanwhile; the next tick starts from what is there then.
        """
        with self.plane.held():
            return self._tick()

    def _tick(self) -> Tick:
        state = self.state()
        layout = self.plane.layout()
        move = follow.compare(state, layout)
        if move == "finish" and layout:
            return self.finish(state, layout)
        for line in self.plane.supervise(
            {"stable": state.stable or "", "live": layout.stable.release if layout else ""}
        ):
            self.note(state, "restart", line)
        try:
            self._begin(state)
        finally:
            # A candidate that cannot be started must not keep stable from being built up.
            if move != "none" or not self.plane.running():
                layout = follow.carry_out(state, self.plane, layout)
        if state.candidate is None:
            return Tick("none", f"stable {state.stable or '(none)'} answers everybody", state, {})
        if state.phase is None:
            return self._golden(state)
        if layout is None:
            raise UserError("there is a phase but no stable release", "`mainline rollout abort`")
        return self._decide(state, layout)

    def _begin(self, state: State) -> None:
        """Start the candidate if it was not yet; a try that begins leaves the journal of an earlier one behind.

        The start may have been committed elsewhere, by somebody who knows nothing of the journals here.
        """
        if state.candidate is None:
            return
        if state.phase is None and not self.plane.processes.of(CANDIDATE, state.candidate):
            self.plane.find(state.candidate)
            self.journal(state.candidate).renew()
        self.plane.begin(CANDIDATE, state.candidate)

    def _golden(self, state: State) -> Tick:
        """Wait for the candidate, then ask it the golden requests, and stable too."""
        candidate, plan = state.candidate or "", read_plan(state.plan)
        if fault := self.plane.died(candidate):
            return self.abort(state, fault, {})
        process = self.plane.processes.of(CANDIDATE, candidate)[0]
        port = process.port
        if not ready(port, candidate):
            # Counted from its start here: a machine may have had to get the release first.
            waited = min(self.since(state.started), self.deploy.clock().timestamp() - process.at)
            if waited > plan.ready_seconds:
                said = self.plane.processes.tail(process) or "it said nothing"
                most = f"{plan.ready_seconds:.0f} s at most"
                return self.abort(state, f"not ready after {waited:.0f} s ({most}): {said}", {})
            return self.hold(state, f"{candidate} is starting ({waited:.0f} s)", {}, None)
        stable = self.plane.upstream(STABLE, state.stable) if state.stable else None
        beside = stable.ports[0] if stable else None
        found = check_golden(self.golden(candidate), port, beside, self.observer.slicer, self.key)
        if found.fault:
            return self.abort(state, found.fault, {"golden": found.rows})
        if found.expected is not None:
            self.journal(candidate).expect(found.expected)
        passed = f"{found.rows} golden requests answered as the model does"
        if state.stable is None:
            return self.promote(state, f"{passed}; first release: there is nothing to compare it with", {})
        made = replace(state, phase="shadow", weight=0, step=0, started=self.now())
        return self.advance(state, made, "shadow", passed, {"golden": found.rows})

    def _decide(self, state: State, layout: Layout) -> Tick:
        candidate, plan = state.candidate or "", read_plan(state.plan)
        if layout.candidate is None:
            if fault := self.plane.died(candidate):
                return self.abort(state, fault, {})
            if self.since(state.started) > plan.ready_seconds + plan.seconds:
                return self.abort(state, f"not ready again within {plan.ready_seconds:.0f} s", {})
            return self.hold(state, f"{candidate} is starting again; stable answers everybody", {}, None)
        seen = self.observer.look(state, layout, self.journal(candidate), self.deploy.clock())
        rules = self.rules.analysis
        if state.phase == "shadow":
            decision = judge_shadow(seen, rules, plan.pairs, plan.shadow_seconds, plan.max_seconds)
        elif state.phase == "ab":
            decision = final_test(seen, rules, plan, self.rules.ab)
        else:
            decision = judge(seen, rules, plan.requests, plan.seconds, plan.max_seconds)
        shown = figures(seen)
        evidence = {**decision.evidence(), "figures": shown, "weight": state.weight, "phase": state.phase}
        if decision.outcome == "abort":
            return self.abort(state, decision.reason, evidence, decision, shown)
        if decision.outcome == "hold":
            return self.hold(state, decision.reason, shown, decision)
        last = state.phase == "ab" or (state.phase == "canary" and state.step + 1 >= len(plan.weights))
        if last:
            return self.promote(state, decision.reason, evidence, decision, shown)
        step = 0 if state.phase == "shadow" else state.step + 1
        phase: Phase = "ab" if plan.mode == "ab" else "canary"
        made = replace(state, phase=phase, step=step, weight=plan.weights[step], started=self.now())
        return self.advance(state, made, "step", decision.reason, evidence, decision, shown)

    def end(self, outcome: str, why: str) -> Tick:
        """Promote or abort because a person says so.

        Raises:
            UserError: nothing is being tried; or it is to be promoted before any user has seen it.
        """
        with self.plane.held(PATIENCE):
            state, layout = self.state(), self.plane.layout()
            if state.candidate is None:
                raise UserError(
                    f"{self.environment}: nothing is being tried", "`mainline rollout status` shows what runs"
                )
            follow.compare(state, layout)
            if outcome == ABORT:
                return self.abort(state, why, {"by": self.by})
            if state.phase not in ("canary", "ab") or self.plane.died(state.candidate):
                raise UserError(
                    f"{state.candidate} has not had any users yet, or does not run: it cannot be promoted",
                    "let the rollout reach its first step, or abort it",
                )
            return self.promote(state, why, {"by": self.by})
