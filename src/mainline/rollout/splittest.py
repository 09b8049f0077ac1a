"""Mode ``ab``: a fixed split until enough outcomes are known, then one test. The safety checks look all the time."""

from __future__ import annotations

import math

from mainline.config import RolloutAnalysis, SplitTest
from mainline.rollout.analysis import safety
from mainline.rollout.decision import Check, Decision, enough
from mainline.rollout.measures import Observation
from mainline.rollout.plan import Plan
from mainline.rollout.statistics import difference


def final_test(seen: Observation, rules: RolloutAnalysis, plan: Plan, test: SplitTest) -> Decision:
    """Return hold until both sides have their outcomes, then promote if the candidate is proven better, else abort."""
    wanted = plan.outcomes or (0, 0)
    counted = (
        enough("outcomes of stable", seen.stable.value.n, wanted[0], "outcomes of stable"),
        enough("outcomes", seen.candidate.value.n, wanted[1], "outcomes of the candidate"),
    )
    checks = (*safety(seen, rules, plan.max_seconds), *counted)
    if any(check.outcome == "hold" for check in counted):
        return Decision(checks)
    return Decision((*checks, _test(seen, test)))


def _test(seen: Observation, test: SplitTest) -> Check:
    from scipy.stats import norm

    gap, error, _ = difference(seen.candidate.values, seen.stable.values)
    if not math.isfinite(gap) or not error > 0:
        return Check("a/b", "hold", "the outcomes do not vary, so nothing can be tested")
    chance = float(norm.sf(gap / error))
    better = chance < test.alpha
    text = (
        f"value of a request {gap:+.3g} ± {error:.2g} against stable over {seen.candidate.value.n:,} and "
        f"{seen.stable.value.n:,} outcomes: {'better' if better else 'not proven better'} (p = {chance:.3g})"
    )
    return Check("a/b", "promote" if better else "abort", text, chance, test.alpha, "<=", seen.candidate.value.n)
