"""The last step: the candidate answers everybody, and no stable shows what machine and traffic do meanwhile.

So nothing here is a comparison of the same moments, and only what neither a pause of the machine nor a change of the
traffic explains counts against the candidate. docs/decisions/0014-canary-analysis.md has the reasons.
"""

from __future__ import annotations

from mainline.config import RolloutAnalysis
from mainline.rollout.decision import Check, Outcome
from mainline.rollout.measures import EDGES, Observation
from mainline.rollout.statistics import distance, quantile_bounds, wilson

FEW = 300  # the newest scores that are looked at
ELSEWHERE = 0.8  # distance of two samples that hardly overlap
MOST = 0.5  # share of the spans of time that must be slow before the candidate is


def full_weight(seen: Observation, rules: RolloutAnalysis) -> tuple[Check, ...]:
    """Return the checks of the last step; none while stable has users too."""
    if not seen.alone.n:
        return ()
    return (*(slow(seen, rules, q) for q in (0.5, 0.99) if seen.spans), elsewhere(seen))


def slow(seen: Observation, rules: RolloutAnalysis, q: float) -> Check:
    """Return abort when the candidate is proven slower than stable was in most spans of time, hold while that is open.

    A pause is one span, however many requests wait in it; a service that is too slow is so in all of them.
    """
    name, least = f"p{100 * q:.0f} alone", rules.latency_requests if q > 0.9 else rules.min_rows
    # Shadow is twice the work for the machine: the measure only where stable has had no users beside the candidate.
    known = [counts for counts in (seen.stable.latency, seen.usual) if sum(counts) >= least]
    if rules.latency_ratio is None or not known:
        return Check(name, "none", f"{name}: no bound, or fewer than {least:,} requests of stable to compare with")
    most = max(rules.latency_ratio * quantile_bounds(EDGES, known[0], q)[1], rules.latency_floor_ms)
    n = len(seen.spans)
    found = sum((span.p99 if q > 0.9 else span.p50) > most for span in seen.spans)
    bad = wilson(found, n)[0] >= MOST
    outcome: Outcome = "abort" if bad else "hold" if found > MOST * n else "promote"
    text = f"p{100 * q:.0f} above {most:.3g} ms in {found} of {n} spans of time at full weight"
    return Check(name, outcome, text, found / n, MOST, "<=", n)


def elsewhere(seen: Observation) -> Check:
    """Return abort when the candidate's newest scores hardly overlap with its own in shadow."""
    mine, before = seen.candidate.scores[-FEW:], seen.candidate.earlier
    if min(len(mine), len(before)) < FEW:
        return Check("scores alone", "none", f"judged from {FEW} scores, in shadow and now", n=len(mine))
    moved = distance(mine, before)
    bad = moved > ELSEWHERE
    text = f"candidate's newest scores moved by {moved:.3f} (KS) since shadow; allowed {ELSEWHERE} at full weight"
    return Check("scores alone", "abort" if bad else "promote", text, moved, ELSEWHERE, "<=", len(mine))
