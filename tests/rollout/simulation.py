"""Whole rollouts in numbers: made-up traffic goes through the real analysis, look by look."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mainline.config import RolloutAnalysis
from mainline.rollout.agreement import judge_shadow
from mainline.rollout.analysis import judge
from mainline.rollout.decision import Decision
from mainline.rollout.measures import EDGES, Arm, Observation, Pairs, Share, Span
from mainline.rollout.samples import alike
from mainline.rollout.statistics import Mean, Window, quantile_bounds
from mainline.rollout.tally import Reading, evenly

RATE = 100  # requests a second
LOOK = 10  # seconds
WEIGHTS = (1, 5, 25, 50, 100)
RULES = RolloutAnalysis()
SLICES = 12


@dataclass(frozen=True)
class Fault:
    """What is wrong with the candidate, and with both."""

    errors: float = 0.005
    stable_errors: float = 0.005
    slower: float = 1.0
    constant: bool = False
    negated: bool = False
    bad_slice: bool = False
    agreement: float = 0.97
    from_step: int = -1  # -1: already in shadow
    pauses: float = 0.0  # chance that the whole machine stands still for a second between two looks
    moving: float = 0.0  # how far the scores of both wander with the traffic, from look to look


@dataclass(frozen=True)
class Result:
    outcome: str
    phase: int
    requests: int
    seconds: float
    decision: Decision


def latencies(generator: np.random.Generator, n: int, slower: float, waiting: float = 0) -> np.ndarray:
    """Return bucket counts of ``n`` log-normal latencies, 10 ms in the median; a share waits up to a second more."""
    values = slower * 10 * np.exp(generator.normal(0, 0.6, n))
    values[: round(waiting * n)] += generator.uniform(0, 1000, round(waiting * n))
    return np.bincount(np.searchsorted(EDGES, values), minlength=len(EDGES) + 1)


def model_scores(generator: np.random.Generator, n: int) -> np.ndarray:
    return generator.beta(2, 8, n)


def answers(generator: np.random.Generator, n: int, fault: Fault) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores of stable and of a candidate that differs as it should, or by its fault."""
    stable = model_scores(generator, n)
    mine = np.clip(stable + generator.normal(0, 0.03, n), 0, 1)
    if fault.constant:
        mine = np.full(n, 0.2)
    return stable, 1 - mine if fault.negated else mine


def paired(generator: np.random.Generator, n: int, fault: Fault) -> Pairs:
    stable, mine = answers(generator, n, fault)
    groups = generator.integers(0, SLICES, n)
    same = generator.random(n) < fault.agreement
    if fault.negated or fault.constant:
        same = (stable >= 0.25) == (mine >= 0.25)
    if fault.bad_slice:
        same &= (groups != 3) | (generator.random(n) < 0.5)
    found = {("job", str(g)): Share(int((groups == g).sum()), int(same[groups == g].sum())) for g in range(SLICES)}
    gap = np.abs(stable - mine)
    varied = stable.std() > 0 and mine.std() > 0
    return Pairs(
        all=Share(n, int(same.sum())),
        slices=found,
        difference=Mean(n, float(gap.sum()), float((gap**2).sum())),
        largest=float(gap.max()),
        correlation=float(np.corrcoef(stable, mine)[0, 1]) if varied else float("nan"),
        spread=float(stable.std()),
    )


def pooled(a: Pairs, b: Pairs) -> Pairs:
    """Return both together; correlation and spread are the newer ones."""
    add = lambda x, y: Share(x.n + y.n, x.hits + y.hits)  # noqa: E731
    return replace(
        b,
        all=add(a.all, b.all),
        slices={key: add(a.slices.get(key, Share()), share) for key, share in b.slices.items()},
        difference=Mean(a.difference.n + b.difference.n, a.difference.total + b.difference.total,
                        a.difference.squares + b.difference.squares),
        largest=max(a.largest, b.largest),
    )  # fmt: skip


def simulate(
    seed: int, fault: Fault = Fault(), look: int = LOOK, rate: int = RATE, requests: int = 300, seconds: float = 0
) -> Result:
    """Return how one rollout ends; it is looked at every ``look`` seconds, as `mainline rollout run` does."""
    generator = np.random.default_rng(seed)
    sound = Fault(errors=fault.stable_errors, stable_errors=fault.stable_errors, agreement=fault.agreement)
    expected = paired(generator, 400, sound)
    clock, seen_requests = 0.0, 0
    before, alone = [0, 0], [0, 0]
    usual, spans = np.zeros(len(EDGES) + 1, dtype=int), ()
    drawn: dict[str, dict[int, np.ndarray]] = {"candidate": {}, "stable": {}}
    windows: list[Window] = []
    pairs = Pairs()
    for phase in range(-1, len(WEIGHTS)):
        bad = fault if phase >= fault.from_step else sound
        share = 1.0 if phase < 0 else WEIGHTS[phase] / 100
        if phase <= 0:
            counts = {"candidate": [0, 0], "stable": [0, 0]}
            times = {name: np.zeros(len(EDGES) + 1) for name in counts}
        step_requests, step_clock = 0, 0.0
        while True:
            n = rate * look
            mine = n if phase < 0 else int(generator.binomial(n, share))
            theirs = n if phase < 0 else n - mine
            failed = int(generator.binomial(mine, bad.errors)), int(generator.binomial(theirs, bad.stable_errors))
            waiting = float(generator.random() < bad.pauses) / look
            took = {
                "candidate": latencies(generator, mine, bad.slower, waiting),
                "stable": latencies(generator, theirs, 1, waiting),
            }
            for name, many, errors in (("candidate", mine, failed[0]), ("stable", theirs, failed[1])):
                counts[name][0] += many
                counts[name][1] += errors
            even = evenly(*(Reading(latency=tuple(took[name])) for name in took))
            times = {name: times[name] + one.latency for name, one in zip(took, even, strict=True)}
            usual += took["stable"]
            if not theirs:
                spans = (*spans, Span(*(quantile_bounds(EDGES, took["candidate"], q, 0)[0] for q in (0.5, 0.99))))
            if theirs and sum(failed):
                windows.append(Window(mine, failed[0], theirs, failed[1]))
            if not theirs:
                alone = [alone[0] + mine, alone[1] + failed[0]]
            before = [before[0] + theirs, before[1] + failed[1]]
            moved = bad.moving * np.sin(clock / 100)
            for name, found in (
                ("candidate", answers(generator, mine, bad)[1]), ("stable", model_scores(generator, theirs))
            ):  # fmt: skip
                drawn[name][phase] = np.concatenate([drawn[name].get(phase, np.empty(0)), found + moved])
            clock, step_clock = clock + look, step_clock + look
            step_requests += mine
            seen_requests += mine
            if phase < 0:
                pairs = pooled(pairs, paired(generator, n, bad))
            beside, earlier = (
                alike(*({step: part[step] for step in part if (step < 0) == shadow} for part in drawn.values()))
                for shadow in (False, True)
            )
            arms = {
                name: Arm(*counts[name], tuple(times[name]),
                          np.concatenate([part for step, part in drawn[name].items() if (step < 0) == (phase < 0)]),
                          beside[side], earlier[side])
                for side, name in enumerate(counts)
            }  # fmt: skip
            observation = Observation(
                step_clock, clock, step_requests, arms["candidate"], arms["stable"], tuple(windows),
                Share(*before), Share(*alone), tuple(usual), spans, pairs, expected,
            )  # fmt: skip
            decision = (
                judge_shadow(observation, RULES, 2000, 3600, 43200)
                if phase < 0
                else judge(observation, RULES, requests, seconds, 43200)
            )
            if decision.outcome == "abort":
                return Result("abort", phase, seen_requests, clock, decision)
            if decision.outcome == "promote":
                break
    return Result("promote", len(WEIGHTS), seen_requests, clock, decision)
