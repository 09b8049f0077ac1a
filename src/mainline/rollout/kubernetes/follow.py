"""The ear in or beside a cluster: git says what is tried, the folder tells Argo, and the ledger hears what came of it.

Each look does at most one thing, by one commit on what it has read; so it may be killed anywhere, and two of them only
refuse each other.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from mainline.console import Mark, say, warn
from mainline.errors import UserError
from mainline.release.beat import Beat, Sign
from mainline.release.image import image_of
from mainline.release.ledger import Moved
from mainline.release.state import State
from mainline.rollout.actions import Actions
from mainline.rollout.host import REPEAT_SECONDS
from mainline.rollout.kubernetes import folder
from mainline.rollout.kubernetes.folder import SettingsOf, Unfit
from mainline.rollout.kubernetes.judge import Move, judge
from mainline.rollout.kubernetes.seen import Seen
from mainline.rollout.plan import read_plan

MARKS: dict[str, Mark] = {"promote": "pass", "abort": "fail", "refuse": "warn", "hold": "warn"}


@dataclass
class Ear:
    """``ask`` looks into the cluster, ``settings`` are a release's own; ``pause`` is in seconds."""

    of: Actions
    ask: Callable[[], Seen]
    settings: SettingsOf
    pause: float
    _said: tuple[str, float] = field(default=("", 0.0), init=False)
    _sign: Sign = field(init=False)

    def __post_init__(self) -> None:
        self._sign = Sign(self.of.deploy, self.of.environment)

    def look(self) -> Move:
        """Look once, do what follows, say what trouble there is, and give the sign of life; return what was done."""
        made, trouble, seen, state = Move("wait", ""), "", None, None
        try:
            state = self.of.state()
            try:
                seen = self.ask()
            except UserError as blind:
                trouble = blind.problem
            made = self._judge(state, seen)
            self._do(state, made)
        except Moved as passing:
            made = Move("wait", passing.problem)
        except UserError as error:
            trouble = error.problem
        if made.kind == "refuse":
            trouble = trouble or made.why
        self._tell(made, trouble or self._sign.unheard)
        self._sign.give(_live(state, seen, made, trouble))
        return made if not trouble else replace(made, kind="refuse", why=trouble)

    def _judge(self, state: State, seen: Seen | None) -> Move:
        deploy = self.of.deploy
        found = folder.named(deploy)
        pods = (seen.stable, seen.current) if seen else ()
        asked = {state.stable, state.candidate, found and found.release, *(item.release for item in pods if item)}
        images = {name: image_of(deploy.entry(name)) for name in deploy.releases() if name in asked}
        # Another image of the same release is another thing to name.
        named = found.release if found and images.get(found.release) == found.reference else None
        if state.candidate is None:
            return judge(state, named, seen, images, 0.0, 0.0)
        plan = read_plan(state.plan)
        seconds = self.of.since(plan.began or state.started)
        return judge(state, named, seen, images, seconds, plan.max_seconds)

    def _do(self, state: State, made: Move) -> None:
        of, evidence = self.of, dict(made.evidence)
        if made.kind == "name":
            self._name(state, made)
        elif made.kind == "promote":
            of.commit_promote(state, made.why, evidence)
        elif made.kind == "abort":
            of.commit_abort(state, made.why[:1000], evidence)
        elif made.kind in ("step", "hold"):
            last = of.deploy.entry(made.release).transitions[-1:]
            if made.kind == "hold" and last and (last[0].event, last[0].why) == ("hold", made.why):
                return
            weights = read_plan(state.plan).weights
            step = max((at for at, weight in enumerate(weights) if weight <= made.weight), default=0)
            now = replace(state, phase="canary", weight=made.weight, step=step, started=of.now())
            event = of.transition(
                made.release, "step" if made.kind == "step" else "hold", made.why, made.weight, evidence
            )
            what = f"{made.weight} % of the users" if made.kind == "step" else "hold"
            of.commit(f"production: {made.release} to {what}\n\n{made.why}", now, [event])

    def _name(self, state: State, made: Move) -> None:
        """Make the folder name a release; a candidate that no cluster can run is aborted."""
        deploy = self.of.deploy
        try:
            files = folder.files_of(deploy, folder.image(deploy, made.release), self.settings)
        except Unfit as error:
            if made.release != state.candidate:
                raise
            self.of.commit_abort(state, f"the cluster cannot run it: {error.problem}"[:1000], {})
            return
        self.of.put(f"production: the cluster's folder names {made.release}\n\n{made.why}", files)

    def _tell(self, made: Move, trouble: str) -> None:
        text = trouble or (made.why if made.kind == "wait" else f"{made.kind}: {made.why}")
        last, at = self._said
        if text == last and time.monotonic() - at < REPEAT_SECONDS:
            return
        self._said = (text, time.monotonic())
        if trouble:
            warn(text)
        elif made.why:
            say(text, MARKS.get(made.kind, "none"))


def _live(state: State | None, seen: Seen | None, made: Move, trouble: str) -> Beat:
    """Return what the cluster serves; the revision only if it does what that one says."""
    found = Beat(trouble=trouble[:500])
    if seen is None or seen.stable is None:
        return found
    tried = seen.current.release if seen.current and not seen.promoted and not seen.aborted else None
    return replace(found, stable=seen.stable.release, candidate=tried, weight=seen.weight if tried else 0,
                   revision=state.revision if state and made.done else None)  # fmt: skip


def follow(ear: Ear) -> None:
    """Look again and again; ends only with the process."""
    while True:
        ear.look()
        time.sleep(ear.pause)


def ear() -> Ear:
    """Return the ear of this working tree's production.

    Raises:
        UserError: rollout.target is another one, or no remote is followed: no cluster could hear of what is written.
    """
    from mainline.config import load_settings
    from mainline.rollout.here import controller
    from mainline.rollout.kubernetes.kubectl import ask
    from mainline.rollout.kubernetes.plan import target
    from mainline.rollout.kubernetes.seen import read

    goal = target(load_settings())
    of = controller("production", by="mainline kubernetes follow")
    if of.rules.target != "kubernetes":
        raise UserError(
            f"rollout.target is {of.rules.target}: the cluster is not what gives releases their users",
            "set it to kubernetes, also on branch main (docs/kubernetes.md)",
        )
    if not of.deploy.remote:
        raise UserError(
            f"{of.deploy.repo.folder} follows no remote",
            "set MAINLINE_DEPLOY_REMOTE to the address of the repository on GitHub (docs/kubernetes.md)",
        )
    return Ear(of, lambda: read(ask(goal.namespace("production")), goal.name), folder.released_settings(),
               of.rules.tick_seconds)  # fmt: skip
