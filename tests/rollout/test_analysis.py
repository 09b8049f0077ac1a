"""What the analysis lets through, and what it stops: simulated rollouts through the real code."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from mainline.config import RolloutAnalysis, SplitTest
from mainline.rollout import analysis
from mainline.rollout.agreement import judge_shadow
from mainline.rollout.analysis import judge
from mainline.rollout.decision import Check
from mainline.rollout.measures import EDGES, Arm, Observation, Pairs, Share, Span
from mainline.rollout.plan import Plan
from mainline.rollout.splittest import final_test
from mainline.rollout.statistics import Mean, Window

from . import simulation
from .simulation import RULES, Fault, paired, simulate

ROLLOUTS = 200
SCORES = np.random.default_rng(1).beta(2, 8, 5000)


@pytest.mark.slow
def test_an_equal_candidate_is_aborted_in_at_most_one_of_twenty_rollouts() -> None:
    results = [simulate(seed) for seed in range(ROLLOUTS)]
    aborted = [result.decision.reason for result in results if result.outcome == "abort"]
    assert len(aborted) <= 0.05 * ROLLOUTS, aborted
    assert all(result.outcome == "promote" for result in results if result.decision.reason not in aborted)


def test_without_the_sequential_test_the_same_rollouts_would_be_aborted(monkeypatch) -> None:
    """The gate taken out and a plain test at 5 % in every look put in: the shipped bound would not hold."""
    from scipy.stats import fisher_exact

    def peeking(seen: Observation, rules: RolloutAnalysis) -> Check:
        mine, theirs = seen.candidate, seen.stable
        table = [[mine.errors, mine.requests - mine.errors], [theirs.errors, theirs.requests - theirs.errors]]
        bad = min(mine.requests, theirs.requests) > 0 and fisher_exact(table, "greater")[1] < 0.05
        return Check("errors", "abort" if bad else "promote", "peeked")

    monkeypatch.setattr(analysis, "errors", peeking)
    assert sum(simulate(seed).outcome == "abort" for seed in range(20)) > 1


@pytest.mark.parametrize("fault", [Fault(pauses=0.1), Fault(moving=0.15)], ids=["pauses", "moving traffic"])
def test_what_happens_to_both_sides_aborts_nobody(fault: Fault) -> None:
    """A machine that stands still now and then, and traffic that changes: the candidate's share changes meanwhile."""
    found = [simulate(seed, fault) for seed in range(20)]
    assert [item.decision.reason for item in found if item.outcome == "abort"] == []


def test_without_counting_both_sides_alike_the_same_rollouts_would_be_aborted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation, "evenly", lambda mine, theirs: (mine, theirs))
    names = {item.name for seed in range(20) for item in simulate(seed, Fault(pauses=0.1)).decision.checks
             if item.outcome == "abort"}  # fmt: skip
    assert names == {"p99"}
    monkeypatch.undo()
    monkeypatch.setattr(simulation, "alike", lambda mine, theirs: [np.concatenate([*x.values()]) if x else np.empty(0)
                                                                   for x in (mine, theirs)])  # fmt: skip
    names = {item.name for seed in range(20) for item in simulate(seed, Fault(moving=0.15)).decision.checks
             if item.outcome == "abort"}  # fmt: skip
    assert names == {"score distribution"}


@pytest.mark.parametrize("slower", [3.0, 10.0])
def test_a_candidate_that_is_slow_only_when_it_answers_everybody_is_found(slower: float) -> None:
    for seed in range(2):
        found = simulate(seed, Fault(slower=slower, from_step=4), look=1)
        assert (found.outcome, found.phase) == ("abort", 4)
        assert "p50 alone" in [check.name for check in found.decision.checks if check.outcome == "abort"]


def test_a_candidate_whose_scores_turn_when_it_answers_everybody_is_found() -> None:
    for seed in range(2):
        found = simulate(seed, Fault(negated=True, from_step=4), look=1)
        assert (found.outcome, found.phase) == ("abort", 4)
        assert "scores moved by" in found.decision.reason


# Requests that the candidate may have answered when it is aborted; measured medians are in docs/rollout.md.
@pytest.mark.parametrize(
    ("fault", "in_shadow", "with_users"),
    [
        (Fault(errors=0.02), 5000, 5000),
        (Fault(errors=0.10), 1000, 200),
        (Fault(errors=1.0), 1000, 50),
        (Fault(slower=3), 2000, 2500),
        (Fault(constant=True), 1000, 500),
        (Fault(negated=True), 1000, 1000),
    ],
    ids=["2 %", "10 %", "100 %", "3 times slower", "constant", "negated"],
)
def test_a_fault_is_found_soon(fault: Fault, in_shadow: int, with_users: int) -> None:
    for seed in range(4):
        found = simulate(seed, fault)
        assert (found.outcome, found.requests <= in_shadow) == ("abort", True), found
        later = simulate(seed, replace(fault, from_step=0))
        assert later.outcome == "abort", later
        assert later.phase >= 0
        assert later.requests - 2000 <= with_users, later


def test_a_candidate_that_disagrees_on_one_slice_only_is_found_in_shadow() -> None:
    found = simulate(3, Fault(bad_slice=True))
    assert (found.outcome, found.phase) == ("abort", -1)
    assert "job = 3" in found.decision.reason


@pytest.mark.parametrize("agreement", [0.99, 0.9, 0.8])
def test_a_candidate_that_differs_as_its_verdict_expected_is_promoted(agreement: float) -> None:
    """Disagreement alone aborts nobody: a challenger is meant to decide otherwise."""
    assert simulate(5, Fault(agreement=agreement)).outcome == "promote"


def arm(requests: int = 2000, errors: int = 10, ms: float = 10, tail: float = 10, **more: object) -> Arm:
    buckets = np.zeros(len(EDGES) + 1, dtype=int)
    buckets[np.searchsorted(EDGES, ms)] = requests - requests // 20
    buckets[np.searchsorted(EDGES, max(ms, tail))] += requests // 20
    given = {"scores": SCORES, "beside": SCORES, "earlier": SCORES, **more}
    return Arm(requests, errors, tuple(buckets), **given)  # type: ignore[arg-type]


def seen(candidate: Arm | None = None, stable: Arm | None = None, **more: object) -> Observation:
    return Observation(100, 1000, 500, candidate or arm(), stable or arm(), **more)  # type: ignore[arg-type]


def full_weight(slow: int, quick: int, tail_only: bool = False) -> Observation:
    """Return a look at full weight: so many spans of time that were slow, and that were not."""
    bad, good = Span(10 if tail_only else 30, 60), Span(10, 12)
    return seen(spans=(*[bad] * slow, *[good] * quick), usual=arm().latency, alone=Share(2000, 2))


def outcome(observation: Observation, rules: RolloutAnalysis = RULES) -> tuple[str, list[str]]:
    decision = judge(observation, rules, 300, 60, 3600)
    return decision.outcome, [item.name for item in decision.checks if item.outcome == decision.outcome]


def test_all_well() -> None:
    assert outcome(seen())[0] == "promote"


@pytest.mark.parametrize(
    ("observation", "expected", "name"),
    [
        (seen(trouble="the process ended"), "abort", "alive"),
        (seen(arm(ready=False)), "abort", "alive"),
        (seen(stable=arm(ready=False)), "hold", "alive"),
        (seen(waiting="the proxy does not answer"), "hold", "alive"),
        (replace(seen(), total_seconds=3601), "abort", "total time"),
        (seen(arm(requests=0, errors=0)), "hold", "error limit"),
        (seen(arm(errors=120)), "abort", "error limit"),
        (seen(arm(requests=100, errors=19)), "promote", ""),
        (seen(windows=(Window(1000, 12, 1000, 0),), candidate=arm(errors=12)), "abort", "errors"),
        (seen(windows=(Window(100, 4, 9900, 0),), candidate=arm(errors=4)), "promote", ""),
        (seen(alone=Share(1000, 40), before=Share(10_000, 50), candidate=arm(errors=40)), "abort", "errors"),
        (seen(alone=Share(1000, 8), before=Share(10_000, 50), candidate=arm(errors=8)), "promote", ""),
        (seen(arm(ms=30)), "abort", "p50"),
        (seen(arm(tail=30)), "abort", "p99"),
        (seen(arm(requests=900, tail=30)), "promote", ""),
        (seen(arm(requests=99, errors=0, ms=30)), "promote", ""),
        (seen(arm(ms=4, tail=4), arm(ms=1, tail=1)), "promote", ""),
        (full_weight(9, 0), "abort", "p50 alone"),
        (full_weight(8, 0), "hold", "p50 alone"),
        (full_weight(8, 8), "promote", ""),
        (full_weight(30, 10, tail_only=True), "abort", "p99 alone"),
        (replace(full_weight(9, 0), usual=arm(ms=40).latency), "abort", "p50 alone"),
        (replace(full_weight(9, 0), stable=Arm(), usual=arm(ms=40).latency), "promote", ""),
        (replace(full_weight(9, 0), stable=Arm()), "abort", "p50 alone"),
        (replace(full_weight(9, 0), stable=Arm(), usual=()), "promote", ""),
        (seen(arm(memory_mb=3000.0)), "abort", "memory"),
        (seen(arm(scores=np.full(200, 0.1))), "abort", "constant scores"),
        (seen(arm(scores=np.full(200, np.nan))), "abort", "constant scores"),
        (seen(arm(beside=SCORES + 0.1)), "abort", "score distribution"),
        (seen(arm(scores=1 - SCORES), alone=Share(500, 1)), "abort", "scores alone"),
        (seen(arm(scores=1 - SCORES)), "promote", ""),
        (seen(arm(scores=SCORES + 0.1), alone=Share(500, 1)), "promote", ""),
        (seen(arm(scores=1 - SCORES[:299]), alone=Share(500, 1)), "promote", ""),
        (seen(arm(beside=SCORES + 0.1), arm(beside=SCORES + 0.1)), "promote", ""),
        (seen(arm(values=(Mean(500, 500, 5000),)), arm(values=(Mean(500, 2500, 17_000),))), "abort", "value"),
        (seen(arm(values=(Mean(50, 50, 500),)), arm(values=(Mean(500, 2500, 17_000),))), "promote", ""),
        (replace(seen(), seconds=59), "hold", "time"),
        (replace(seen(), step_requests=299), "hold", "requests"),
    ],
)
def test_each_check_by_itself(observation: Observation, expected: str, name: str) -> None:
    found, names = outcome(observation)
    assert found == expected
    assert name in names or not name
    if expected != "promote":
        assert names[:1] == [name], "nothing else has stopped it"


@pytest.mark.parametrize(
    ("key", "observation"),
    [("memory_mb", seen(arm(memory_mb=3000.0))), ("latency_ratio", seen(arm(ms=30))),
     ("latency_ratio", full_weight(9, 0)),
     ("value_margin", seen(arm(values=(Mean(500, 500, 5000),)), arm(values=(Mean(500, 2500, 17_000),))))],
)  # fmt: skip
def test_null_switches_a_bound_off_and_says_so(key: str, observation: Observation) -> None:
    rules = RULES.model_copy(update={key: None})
    assert outcome(observation, rules)[0] == "promote"


def shadow(pairs: Pairs, expected: Pairs | None, seconds: float = 10) -> tuple[str, list[str]]:
    observation = replace(seen(), pairs=pairs, expected=expected, seconds=seconds)
    decision = judge_shadow(observation, RULES, 2000, 600, 3600)
    return decision.outcome, [item.name for item in decision.checks if item.outcome == decision.outcome]


def test_shadow_asks_for_pairs_and_for_an_expectation() -> None:
    generator = np.random.default_rng(2)
    good, few = paired(generator, 3000, Fault()), paired(generator, 700, Fault())
    assert shadow(good, good)[0] == "promote"
    assert shadow(good, None) == ("hold", ["agreement"])
    assert "pairs" in shadow(few, good)[1]
    assert shadow(few, good, seconds=601)[0] == "promote", "the time is up, and a tenth has to do"
    assert shadow(paired(generator, 150, Fault()), good, seconds=601)[0] == "hold"
    assert shadow(Pairs(), good)[0] == "hold"
    odd = replace(paired(generator, 3, Fault()), spread=0.001)
    assert shadow(odd, good)[0] == "hold", "three pairs say nothing of how much stable's scores vary"


def test_a_candidate_that_refuses_what_stable_answers_is_aborted() -> None:
    good = paired(np.random.default_rng(2), 3000, Fault())
    assert shadow(replace(good, unanswered=30), good)[0] == "promote"
    assert shadow(replace(good, unanswered=150), good) == ("abort", ["answered"])
    assert shadow(Pairs(unanswered=500), good)[0] == "abort"
    kept = [replace(seen(arm(dropped=n)), pairs=replace(good, unanswered=150), expected=good) for n in (140, 50)]
    found = [judge_shadow(one, RULES, 2000, 600, 3600) for one in kept]
    assert [one.outcome for one in found] == ["promote", "abort"], "what the proxy kept back is no refusal"
    assert "140 copies more were kept back" in str(found[0].evidence())
    assert shadow(replace(good, settled=False), good) == ("hold", ["answered"])


def test_scores_that_run_against_each_other_are_judged_from_a_hundred_pairs() -> None:
    generator = np.random.default_rng(2)
    good, turned = paired(generator, 3000, Fault()), paired(generator, 100, Fault(negated=True))
    assert "direction" in shadow(turned, good)[1]
    few = paired(generator, 99, Fault(negated=True))
    found = judge_shadow(replace(seen(), pairs=few, expected=good), RULES, 2000, 600, 3600)
    assert [check.outcome for check in found.checks if check.name == "direction"] == ["none"]


def test_evidence_is_json_without_nan() -> None:
    decision = judge(seen(arm(requests=0, errors=0)), RULES, 300, 60, 3600)
    assert json.dumps(decision.evidence(), allow_nan=False)
    nan = Check("x", "hold", "", float("nan"), float("inf")).evidence()
    assert (nan["value"], nan["bound"]) == (None, None)


def ab(candidate: Mean, stable: Mean) -> tuple[str, str]:
    plan = Plan("ab", (50,), 100, 60, 1, 1, 3600, 60, outcomes=(500, 500))
    decision = final_test(seen(arm(values=(candidate,)), arm(values=(stable,))), RULES, plan, SplitTest())
    return decision.outcome, decision.reason


def test_ab_waits_for_its_sample_and_tests_once() -> None:
    good, plain = Mean(500, 2500, 17_000), Mean(500, 500, 5000)
    assert ab(Mean(499, 2500, 17_000), plain)[0] == "hold", "no peeking"
    assert ab(good, plain)[0] == "promote"
    assert ab(plain, plain) == ("abort", ab(plain, plain)[1])
    assert "not proven better" in ab(plain, plain)[1]
    assert ab(plain, good)[0] == "abort"
