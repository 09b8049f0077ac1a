"""The verdict on a rollout: promote, hold or abort, with every number, its bound and its direction.

Pure: what was seen goes in, a decision comes out. docs/decisions/0014-canary-analysis.md has the reasons.
"""

from __future__ import annotations

import math

import numpy as np

from mainline.config import RolloutAnalysis
from mainline.rollout.alone import full_weight
from mainline.rollout.decision import Check, Decision, Outcome, enough
from mainline.rollout.measures import EDGES, Arm, Observation
from mainline.rollout.statistics import (
    Z,
    concurrent_evidence,
    difference,
    distance,
    distance_noise,
    historic_evidence,
    quantile_bounds,
    wilson,
)

FEW = 300  # scores below which a distribution says nothing
CONSTANT = 100  # equal scores in a row that no working model gives while stable's differ
VARIED = 10  # so many different scores of stable prove that the requests differ


def judge(seen: Observation, rules: RolloutAnalysis, requests: int, seconds: float, max_seconds: float) -> Decision:
    """Return the decision on a step with weight: at least ``requests`` of the candidate and ``seconds`` are wanted."""
    return Decision(
        (
            *safety(seen, rules, max_seconds),
            scores(seen, rules),
            value(seen, rules),
            *full_weight(seen, rules),
            enough("requests", seen.step_requests, requests, "candidate requests in this step"),
            enough("time", seen.seconds, seconds, "seconds in this step"),
        )
    )


def safety(seen: Observation, rules: RolloutAnalysis, max_seconds: float) -> tuple[Check, ...]:
    """Return the checks of every phase: life, errors, latency, memory, constant scores, total time."""
    return (
        alive(seen),
        cap(seen.total_seconds, max_seconds),
        hard_errors(seen.candidate, rules),
        errors(seen, rules),
        latency(seen, rules, 0.5),
        latency(seen, rules, 0.99),
        memory(seen.candidate, rules),
        constant(seen),
    )


def alive(seen: Observation) -> Check:
    """Return abort for a process that died or is not ready, hold for what is unknown or a stable that is not there."""
    if seen.trouble:
        return Check("alive", "abort", seen.trouble)
    if not seen.candidate.ready:
        return Check("alive", "abort", "the candidate is no longer ready")
    if seen.waiting or not seen.stable.ready:
        return Check("alive", "hold", seen.waiting or "stable is not ready, so nothing can be compared")
    return Check("alive", "promote", "both releases are ready")


def cap(total: float, most: float) -> Check:
    """Return abort when the rollout has taken too long."""
    bad = total > most
    text = f"the rollout runs for {total:,.0f} s ({'more than ' if bad else ''}{most:,.0f} s at most)"
    return Check("total time", "abort" if bad else "promote", text, total, most, "<=")


def hard_errors(arm: Arm, rules: RolloutAnalysis) -> Check:
    """Return abort at a share and a number of errors that need no statistics."""
    if arm.requests == 0:
        return Check("error limit", "hold", "no candidate request yet")
    rate = arm.errors / arm.requests
    bad = arm.errors >= rules.hard_errors and rate >= rules.hard_error_rate
    text = f"{arm.errors:,} of {arm.requests:,} candidate requests failed" + (
        f" ({rate:.1%}; at most {rules.hard_error_rate:.0%})" if bad else ""
    )
    return Check("error limit", "abort" if bad else "promote", text, rate, rules.hard_error_rate, "<=", arm.requests)


def errors(seen: Observation, rules: RolloutAnalysis) -> Check:
    """Return abort when it is proven, at any number of looks, that the candidate fails more often than stable."""
    proof = concurrent_evidence(seen.windows)
    if seen.alone.n:
        usual = wilson(seen.before.hits, seen.before.n)[1] if seen.before.n else rules.hard_error_rate
        # A product of evidence is evidence, since what comes alone comes later.
        proof *= historic_evidence(seen.alone.n, seen.alone.hits, usual)
    bound = 1 / rules.alpha
    count = seen.candidate.errors
    bad = proof >= bound and count >= rules.min_errors
    rates = f"{count:,} of {seen.candidate.requests:,} against {seen.stable.errors:,} of {seen.stable.requests:,}"
    text = f"errors {rates} of stable: {'' if bad else 'not '}proven to be more (evidence {proof:.3g} of {bound:.0f})"
    outcome: Outcome = "abort" if bad else "promote" if math.isfinite(proof) else "hold"
    return Check("errors", outcome, text, proof, bound, "<=", seen.candidate.requests)


def latency(seen: Observation, rules: RolloutAnalysis, q: float) -> Check:
    """Return abort when the candidate's quantile is above stable's by more than the ratio, both at their nearer bounds.

    The median shows a service that is slower throughout, also on a busy machine; p99 one that is slow now and then.
    Both are of the same moments: see ``tally.evenly``.
    """
    name, least = f"p{100 * q:.0f}", rules.latency_requests if q > 0.9 else rules.min_rows
    if rules.latency_ratio is None:
        return Check(name, "none", "no bound on latency (rollout.analysis.latency_ratio is null)")
    n, m = int(sum(seen.candidate.latency)), int(sum(seen.stable.latency))
    if min(n, m) < least:
        return Check(name, "none", f"{name} is judged from {least:,} requests a side ({n:,} and {m:,} so far)", n=n)
    low = quantile_bounds(EDGES, seen.candidate.latency, q)[0]
    high = quantile_bounds(EDGES, seen.stable.latency, q)[1]
    if not math.isfinite(low) or math.isnan(high):
        return Check(name, "hold", "latency is not a number", n=n)
    ratio = low / high
    bad = ratio > rules.latency_ratio and low > rules.latency_floor_ms
    text = f"{name} at least {low:.3g} ms, stable's at most {high:.3g} ms"
    return Check(name, "abort" if bad else "promote", text, ratio, rules.latency_ratio, "<=", n)


def memory(arm: Arm, rules: RolloutAnalysis) -> Check:
    """Return abort above the limit."""
    if rules.memory_mb is None or arm.memory_mb is None:
        return Check("memory", "none", "no limit" if rules.memory_mb is None else "memory is not measured here")
    bad = arm.memory_mb > rules.memory_mb
    text = f"the candidate holds {arm.memory_mb:,.0f} MB of memory ({rules.memory_mb:,.0f} at most)"
    return Check("memory", "abort" if bad else "promote", text, arm.memory_mb, rules.memory_mb, "<=")


def constant(seen: Observation) -> Check:
    """Return abort when the newest scores are one and the same while stable's differ."""
    mine, theirs = seen.candidate.scores[-CONSTANT:], seen.stable.scores[-CONSTANT:]
    if len(mine) < CONSTANT or len(theirs) < CONSTANT:
        return Check("constant scores", "none", f"judged from {CONSTANT} scores a side", n=len(mine))
    if not np.isfinite(mine).all():
        return Check("constant scores", "abort", "the candidate gives scores that are no numbers", n=len(mine))
    different, usual = len(np.unique(mine)), len(np.unique(theirs))
    bad = different == 1 and usual >= VARIED
    text = f"{different} different scores among the newest {CONSTANT}, {usual} of stable"
    return Check("constant scores", "abort" if bad else "promote", text, different, 2, ">=", len(mine))


def scores(seen: Observation, rules: RolloutAnalysis) -> Check:
    """Return abort when the candidate's scores have moved since shadow and stable's have not.

    A candidate is meant to differ from stable, so it is held against itself; stable shows what the traffic did
    meanwhile, so only moments count at which both answered. Both distances are allowed their noise.
    """
    sides = [(arm.beside, arm.earlier) for arm in (seen.candidate, seen.stable)]
    counts = [len(sample) for pair in sides for sample in pair]
    if min(counts) < FEW:
        text = f"score distribution is judged from {FEW} scores a side, in shadow and now ({min(counts)} so far)"
        return Check("score distribution", "none", text, n=counts[0])
    mine, theirs = (distance(*pair) for pair in sides)
    noise = distance_noise(counts[0], counts[1]) + distance_noise(counts[2], counts[3])
    bound = theirs + rules.drift_margin + noise
    bad = mine > bound
    text = f"candidate's scores moved by {mine:.3f} (KS) since shadow, stable's by {theirs:.3f}; allowed {bound:.3f}"
    return Check("score distribution", "abort" if bad else "promote", text, mine, bound, "<=", counts[0])


def value(seen: Observation, rules: RolloutAnalysis) -> Check:
    """Return abort when outcomes prove the candidate to be worth less by more than the margin."""
    gap, error, n = difference(seen.candidate.values, seen.stable.values)
    m = seen.stable.value.n
    if rules.value_margin is None or min(n, m) < rules.min_rows:
        why = "no bound" if rules.value_margin is None else f"judged from {rules.min_rows} known outcomes a side"
        return Check("value", "none", f"business value: {why} ({n} and {m} so far)", n=n)
    best = gap + Z * error
    bad = best < -rules.value_margin
    text = f"value of a request {gap:+.3g} against stable, at best {best:+.3g} ({n:,} outcomes)"
    return Check("value", "abort" if bad else "promote", text, best, -rules.value_margin, ">=", n)
