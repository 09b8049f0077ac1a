"""Shadow: both releases answered the same requests, and their difference is held against the one that was expected."""

from __future__ import annotations

import math

from mainline.config import RolloutAnalysis
from mainline.rollout.analysis import safety
from mainline.rollout.decision import Check, Decision, Outcome, enough, share_text
from mainline.rollout.measures import Observation, Pairs, Share
from mainline.rollout.statistics import Mean, Z, correlation_bound, wilson

SLICE_ROWS = 100  # expected rows of a group from which its own expectation counts, not the overall one


def judge_shadow(
    seen: Observation, rules: RolloutAnalysis, pairs: int, shadow_seconds: float, max_seconds: float
) -> Decision:
    """Return the decision on the shadow phase: ``pairs`` are wanted; after ``shadow_seconds`` a tenth has to do."""
    have = seen.pairs.all.n
    late = seen.seconds >= shadow_seconds
    wanted = max(pairs // 10, 1) if late else pairs
    what = "paired answers" + (f" ({pairs:,} were wanted; the time is up)" if late and have < pairs else "")
    return Decision(
        (*safety(seen, rules, max_seconds), *paired(seen, rules), enough("pairs", have, wanted, what)),
    )


def paired(seen: Observation, rules: RolloutAnalysis) -> tuple[Check, ...]:
    """Return the checks on pairs; all are on hold without an expectation."""
    if seen.expected is None:
        return (Check("agreement", "hold", "the expected difference of the two releases is not known yet"),)
    return (
        answered(seen.pairs, seen.candidate.dropped, rules),
        negated(seen.pairs, rules),
        agreement(seen.pairs, seen.expected, rules),
        slices(seen.pairs, seen.expected, rules),
        scores(seen.pairs, seen.expected, rules),
    )


def answered(pairs: Pairs, dropped: int, rules: RolloutAnalysis) -> Check:
    """Return abort when the candidate refuses what stable answers: a refusal is no error that anything else counts.

    ``dropped`` copies never reached it. The proxy keeps them back in a burst; latency says whose fault a burst is.
    """
    n = pairs.all.n + max(pairs.unanswered - dropped, 0)
    low, high = wilson(pairs.all.n, n)
    bad = high < rules.answered
    outcome: Outcome = "abort" if bad else "promote" if pairs.all.n and pairs.settled else "hold"
    text = f"the candidate answered {share_text(Share(n, pairs.all.n))} requests that stable has answered"
    text += "; the rest it refused, or was too slow for" if n > pairs.all.n else ""
    text += f"; {dropped:,} copies more were kept back, as too many were under way" if dropped else ""
    return Check("answered", outcome, text, high if bad else low, rules.answered, ">=", n)


def negated(pairs: Pairs, rules: RolloutAnalysis) -> Check:
    """Return abort when the scores run against each other: two models of one question never do.

    Fisher's bound is of normal values; of few scores, which are skewed, it is wrong too often.
    """
    if pairs.all.n < rules.min_rows:
        return Check("direction", "none", f"judged from {rules.min_rows} pairs", n=pairs.all.n)
    bound = correlation_bound(pairs.correlation, pairs.all.n)
    bad = bound < 0
    text = f"correlation of the two scores {pairs.correlation:.2f}" + (": they run against each other" if bad else "")
    if not math.isfinite(pairs.correlation):
        return Check("direction", "none", "one side's scores do not vary", n=pairs.all.n)
    return Check("direction", "abort" if bad else "promote", text, pairs.correlation, 0.0, ">=", pairs.all.n)


def agreement(pairs: Pairs, expected: Pairs, rules: RolloutAnalysis) -> Check:
    """Return abort when decisions agree less than expected by more than the margin, hold while that is open."""
    if not pairs.decided:
        return Check("agreement", "none", "there are no decisions to agree on")
    return _held("agreement", "all requests", pairs.all, expected.all, rules.agreement_margin, Z)


def slices(pairs: Pairs, expected: Pairs, rules: RolloutAnalysis) -> Check:
    """Return the worst group of the declared slices that is large enough; more groups ask for more proof each."""
    judged = {key: share for key, share in pairs.slices.items() if share.n >= rules.min_rows}
    if not judged or not pairs.decided:
        return Check("slices", "none", f"no declared slice has {rules.min_rows} pairs yet")
    z = Z + 0.25 * math.log(len(judged))
    found = []
    for (name, group), share in judged.items():
        own = expected.slices.get((name, group), Share())
        usual = own if own.n >= SLICE_ROWS else expected.all
        found.append(_held("slices", f"{name} = {group}", share, usual, rules.slice_margin, z))
    order: dict[Outcome, int] = {"abort": 0, "hold": 1, "promote": 2, "none": 3}
    return min(found, key=lambda check: (order[check.outcome], (check.value or 0.0) - (check.bound or 0.0)))


def scores(pairs: Pairs, expected: Pairs, rules: RolloutAnalysis) -> Check:
    """Return abort when the scores differ by more than expected, in standard deviations of stable's scores."""
    if pairs.difference.n < rules.min_rows:
        return Check("score difference", "none", f"judged from {rules.min_rows} pairs", n=pairs.difference.n)
    if not pairs.spread > 0 or not expected.spread > 0:
        return Check("score difference", "none", "stable's scores do not vary")
    mine, usual = _over(pairs.difference, pairs.spread, -Z), _over(expected.difference, expected.spread, Z)
    bound = usual + rules.score_margin
    bad = mine > bound
    text = (
        f"scores differ by {pairs.difference.mean:.4f} on average ({pairs.largest:.4f} at most): at least {mine:.2f} "
        f"standard deviations, allowed {bound:.2f}"
    )
    return Check("score difference", "abort" if bad else "promote", text, mine, bound, "<=", pairs.difference.n)


def _over(mean: Mean, spread: float, z: float) -> float:
    """Return a bound of the mean, in units of ``spread``."""
    error = math.sqrt(mean.variance / mean.n) if mean.n > 1 else 0.0
    return max(mean.mean + z * error, 0.0) / spread


def _held(name: str, where: str, seen: Share, expected: Share, margin: float, z: float) -> Check:
    if seen.n == 0:
        return Check(name, "hold", "no request was answered by both yet")
    low, high = wilson(seen.hits, seen.n, z)
    bound = max(wilson(expected.hits, expected.n)[0] - margin, 0.0)
    outcome: Outcome = "abort" if high < bound else "promote" if low >= bound else "hold"
    text = (
        f"{where}: both decide alike for {share_text(seen)} (between {low:.1%} and {high:.1%}), expected "
        f"{share_text(expected)}, wanted {bound:.1%}"
    )
    # What promotes is the lower bound, what aborts the upper one.
    shown = high if outcome == "abort" else low
    return Check(name, outcome, text, shown, bound, ">=", seen.n)
