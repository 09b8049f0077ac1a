"""What follows from what git says, what the folder names and what the cluster does: one thing at a time, or nothing.

Argo Rollouts gives a release its users and takes them away. Here it is only heard, with one exception: it makes no
steps for the first release of a cluster, so the folder names a candidate only where stable serves already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mainline.release.state import State
from mainline.rollout.kubernetes.seen import DEGRADED, HEALTHY, Seen

Kind = Literal["wait", "name", "step", "hold", "promote", "abort", "refuse"]


@dataclass(frozen=True)
class Move:
    """What to do: wait, name ``release`` in the folder, write a transition, or refuse to go on.

    Attributes:
        done: whether the cluster does what git says.
    """

    kind: Kind
    why: str
    release: str = ""
    weight: int = 0
    done: bool = False
    evidence: Mapping[str, Any] = field(default_factory=dict)


def judge(
    state: State, named: str | None, seen: Seen | None, images: Mapping[str, str], seconds: float, most: float
) -> Move:
    """Return what to do.

    Args:
        named: the release that the folder names; None without one.
        seen: None when the cluster could not be asked.
        images: of the releases in the ledger; a cluster that runs another one is refused.
        seconds: since the try began; after ``most`` it is aborted.
    """
    stable, candidate = state.stable, state.candidate
    if candidate is None:
        if stable and named != stable:
            return Move("name", f"{stable} is stable", stable)
        if stable is None:
            return Move("wait", "there is no release yet", done=True)
    elif not images.get(candidate):
        why = f"the cluster cannot get it: the ledger has no image of it (`mainline release image {candidate} …`)"
        return Move("abort", why, candidate)
    if seen is None:
        return Move("wait", "the cluster could not be asked")
    if strange := _strange(seen, images):
        return Move("refuse", strange)
    return _try(state, candidate, named, seen, seconds, most) if candidate else _rest(state, seen)


def _strange(seen: Seen, images: Mapping[str, str]) -> str:
    """Return what the cluster runs that the ledger does not know; empty when all is well."""
    for pods in filter(None, (seen.stable, seen.current)):
        known = images.get(pods.release)
        if known is None:
            return f"the cluster has {pods.release}, which the ledger does not know; nothing was changed"
        if pods.image != known:
            has = known or "no image of it"
            return f"the cluster runs {pods.release} from {pods.image}, the ledger has {has}; nothing was changed"
    return ""


def _rest(state: State, seen: Seen) -> Move:
    """Return what to do while nothing is tried: the folder names stable already."""
    stable = state.stable or ""
    if seen.current is None or seen.current.release != stable or not seen.settled:
        has = seen.current.release if seen.current else "nothing"
        return Move("wait", f"the cluster has {has} and has not taken {stable} yet")
    if seen.promoted:
        if seen.phase == HEALTHY:
            return Move("wait", f"stable {stable} answers everybody", done=True)
        trouble = f"{stable} is {seen.phase or 'in no known phase'} in the cluster: {seen.reason()}"
        return Move("refuse" if seen.phase == DEGRADED else "wait", trouble)
    other = seen.stable.release if seen.stable else "nothing"
    if seen.aborted or seen.pause or seen.phase == DEGRADED:
        why = f"Argo Rollouts does not give {stable} its users ({seen.pause or seen.reason()}): {other} answers"
        return Move("refuse", f"{why}. `kubectl argo rollouts promote --full` makes it go on")
    return Move("wait", f"{stable} takes over from {other}: {seen.weight} %")


def _try(state: State, candidate: str, named: str | None, seen: Seen, seconds: float, most: float) -> Move:
    stable = state.stable
    serves = seen.settled and seen.promoted and seen.phase == HEALTHY
    here = seen.current.release if seen.current else None
    if named == candidate and here == candidate and seen.settled:
        move = _tried(state, candidate, seen, serves)
        if move.kind in ("promote", "abort", "refuse"):
            return move
    elif stable and here not in (None, stable, named, candidate):
        # What was tried before may not be gone yet; git does not know it any more, and the ledger says why.
        move = Move("wait", f"the cluster still has {here}")
    elif stable is None or (serves and here == stable):
        taken = Move("wait", f"the cluster has not taken {candidate} yet")
        move = taken if named == candidate else Move("name", f"{candidate} is tried", candidate)
    elif named == candidate and here is None and seen.stable is None:
        move = Move("name", f"the cluster is empty: {stable} first, or {candidate} got everybody", stable)
    elif named == candidate:
        move = Move("wait", f"the cluster is taking {candidate}")
    elif named != stable:
        move = Move("name", f"{candidate} is tried against {stable}, which has to serve first", stable)
    else:
        move = Move("wait", f"{candidate} waits until {stable} serves in the cluster ({seen.phase or 'not there'})")
    if seconds > most:
        return Move("abort", f"not done after {seconds:.0f} s ({most:.0f} s at most): {move.why}", candidate,
                    evidence=seen.figures())  # fmt: skip
    return move


def _tried(state: State, candidate: str, seen: Seen, serves: bool) -> Move:
    """Return what to do once the cluster has pods of the candidate."""
    figures = seen.figures()
    if state.stable and (seen.stable is None or (seen.promoted and seen.only)):
        why = f"the cluster was built anew with it, where Argo makes no steps; {state.stable} has to be there first"
        return Move("abort", why, candidate, evidence=figures)
    if seen.promoted:
        if serves:
            first = "; first release: there was nothing to compare it with" if state.stable is None else ""
            return Move("promote", f"Argo Rollouts made it stable{first}", candidate, 100, True, figures)
        return Move("wait", f"{candidate} is stable for Argo Rollouts, and {seen.phase}: {seen.reason()}")
    if state.stable and seen.stable and seen.stable.release != state.stable:
        return Move(
            "refuse", f"the cluster's stable is {seen.stable.release}, git's is {state.stable}; nothing was changed"
        )
    if seen.aborted:
        why = f"Argo Rollouts aborted it after {state.weight} %: {seen.reason()}"
        return Move("abort", why, candidate, evidence=figures)
    if seen.weight != state.weight:
        why = f"Argo Rollouts gives it {seen.weight} % (step {seen.step}) after {state.weight} %"
        kind: Kind = "step" if seen.weight > state.weight else "hold"
        return Move(kind, why, candidate, seen.weight, True, figures)
    if seen.pause or seen.phase == DEGRADED:
        why = f"Argo Rollouts waits for a person at {seen.weight} %: {seen.pause or seen.phase}; {seen.reason()}"
        return Move("hold", why, candidate, seen.weight, True, figures)
    return Move("wait", f"{candidate} has {seen.weight} % of the users ({seen.phase}: {seen.message or 'no message'})",
                candidate, seen.weight, True)  # fmt: skip
