"""The plan of a rollout: which share of the users sees the candidate when, and what each step asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mainline.config import Rollout
from mainline.errors import UserError
from mainline.project import Value
from mainline.rollout.statistics import sample_size


@dataclass(frozen=True)
class Plan:
    """A plan as git holds it; ``params.yaml`` may change while a rollout runs, its plan does not.

    Attributes:
        weights: per cent of the users, by step.
        pairs, shadow_seconds: answers of both releases that shadow asks for, and after how long a tenth will do.
        requests, seconds: of the candidate, that each step asks for.
        began: when it was started: the same release may be tried again.
        outcomes: labelled requests of stable and candidate that the final test of mode ``ab`` asks for.
    """

    mode: str
    weights: tuple[int, ...]
    pairs: int
    shadow_seconds: float
    requests: int
    seconds: float
    max_seconds: float
    ready_seconds: float
    outcomes: tuple[int, int] | None = None
    began: str = ""

    def asdict(self) -> dict[str, Any]:
        """Return the plan as JSON."""
        return asdict(self) | {"weights": list(self.weights), "outcomes": list(self.outcomes or ()) or None}


def make_plan(rules: Rollout, value: Value | None = None, mode: str | None = None, compressed: bool = False) -> Plan:
    """Return the plan that params.yaml asks for; ``compressed`` is the rehearsal's, with its own counts and times.

    Raises:
        UserError: mode ``ab`` without a way to know the spread of what it measures.
    """
    chosen = mode or rules.mode
    short = rules.rehearsal
    weights = {"canary": tuple(rules.weights), "blue_green": (100,), "ab": (rules.ab.split,)}.get(chosen)
    if weights is None:
        raise UserError(f"--mode {chosen}: there is no such mode", "use canary, blue_green or ab")
    outcomes = None
    if chosen == "ab":
        outcomes = sample_size(_spread(rules, value), rules.ab.effect, rules.ab.alpha, rules.ab.power,
                               rules.ab.split / 100)  # fmt: skip
    return Plan(
        mode=chosen,
        weights=weights,
        pairs=short.pairs if compressed else rules.shadow.pairs,
        shadow_seconds=short.shadow_seconds if compressed else rules.shadow.max_seconds,
        requests=short.requests if compressed else rules.requests,
        seconds=short.seconds if compressed else rules.seconds,
        max_seconds=short.max_seconds if compressed else rules.max_seconds,
        ready_seconds=rules.ready_seconds,
        outcomes=outcomes,
    )


def read_plan(content: Mapping[str, Any] | None) -> Plan:
    """Return the plan in a state.

    Raises:
        UserError: it is not one.
    """
    try:
        found = dict(content or {})
        found["weights"] = tuple(found["weights"])
        found["outcomes"] = tuple(found["outcomes"]) if found.get("outcomes") else None
        return Plan(**found)
    except (KeyError, TypeError) as error:
        raise UserError(
            f"the plan of the rollout on branch deploy is not one: {error}",
            "`mainline rollout abort` takes the candidate out; then start it again",
        ) from error


def describe(plan: Plan) -> list[str]:
    """Return the plan in sentences, one a step."""
    lines = [
        f"golden requests: the service must answer as the model does (ready within {plan.ready_seconds:.0f} s)",
        f"shadow: {plan.pairs:,} requests answered by both, at most {plan.shadow_seconds:,.0f} s",
    ]
    if plan.mode == "ab" and plan.outcomes:
        lines.append(
            f"a/b: {plan.weights[0]} % of the users until {plan.outcomes[0]:,} outcomes of stable and "
            f"{plan.outcomes[1]:,} of the candidate are known; then one test"
        )
    else:
        lines += [
            f"{weight} % of the users: at least {plan.requests:,} candidate requests and {plan.seconds:,.0f} s"
            for weight in plan.weights
        ]
    return [*lines, f"promote; after {plan.max_seconds:,.0f} s in all, abort"]


def _spread(rules: Rollout, value: Value | None) -> float:
    """Return the standard deviation of a request's value: as set, else the largest that the values allow."""
    if rules.ab.sd is not None:
        return rules.ab.sd
    if value is None:
        raise UserError(
            "params.yaml: rollout.ab.sd: is null, and the project says of no hit what it is worth",
            "set it to the standard deviation of what is measured, or set VALUE in expectations.py",
        )
    return value.gain / 2
