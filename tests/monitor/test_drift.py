"""The rule stays silent where nothing changes, and finds what is planted; each part of it can be seen to matter."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mainline.data.profile import count
from mainline.monitor.drift import Finding, judge


def found(reference, rows, rules, earlier=()) -> dict[str, Finding]:
    return {item.column: item for item in judge(reference, count(rows, reference.bins), rules, earlier)}


def test_nothing_changed_and_nothing_is_found(reference, draw, rules) -> None:
    # Given windows of the reference's own process, of many sizes
    alarms, windows = 0, 0
    for size in (100, 500, 2000):
        past: list[list[Finding]] = []
        for seed in range(40):
            past.append(judge(reference, count(draw(10_000 + seed, size), reference.bins), rules, past))
            alarms += any(item.verdict in ("WARNING", "DRIFT") for item in past[-1])
            windows += 1
    # Then no more than one in twenty windows has any alarm
    assert alarms / windows <= 0.05


def test_significant_is_not_enough(reference, draw, rules) -> None:
    rows = draw(3, 100_000).assign(age=lambda frame: frame["age"] + 0.5)  # 0.05 sd
    moved = found(reference, rows, rules)["age"]
    assert moved.p < 1e-6 and moved.verdict == "OK"


def test_large_is_not_enough(reference, draw, rules) -> None:
    rows = draw(4, 25)
    moved = found(reference, rows, rules)
    assert max(item.effect for item in moved.values()) > rules.effect
    assert {item.verdict for item in moved.values()} == {"INSUFFICIENT DATA"}


def test_one_window_warns_and_two_of_three_are_drift(reference, draw, rules) -> None:
    def shifted(seed: int, shift: float):
        return count(draw(seed, 2000).assign(age=lambda frame: frame["age"] + shift), reference.bins)

    past: list[list[Finding]] = []
    verdicts = []
    for seed, shift in enumerate([0, 5, 0, 5, 5, 0, 0, 0, 5]):
        past.append(judge(reference, shifted(seed, shift), rules, past))
        verdicts.append(past[-1][0].verdict)
    assert verdicts == ["OK", "WARNING", "OK", "DRIFT", "DRIFT", "OK", "OK", "OK", "WARNING"]
    assert "moved up by 0.49 sd" in past[1][0].words and past[1][0].severity in ("medium", "high")


def test_a_column_that_always_wanders_needs_more(reference, draw, rules) -> None:
    generator = np.random.default_rng(1)

    def wandering(seed: int) -> pd.DataFrame:
        move = float(generator.choice([-2.0, -1.0, 1.0, 2.0]))
        return draw(seed, 2000).assign(age=lambda frame: frame["age"] + move)

    past: list[list[Finding]] = []
    for seed in range(200):
        past.append(judge(reference, count(wandering(seed), reference.bins), rules, past))
        if sum(items[0].verdict != "DRIFT" for items in past) >= rules.history:
            break
    latest = judge(reference, count(wandering(999), reference.bins), rules, past)[0]
    assert latest.bound > 0.2 and latest.verdict == "OK" and latest.effect > rules.effect


def test_a_drift_that_lasts_does_not_become_its_own_excuse(reference, draw, rules) -> None:
    past: list[list[Finding]] = []
    for seed in range(60):
        shift = 3.0 if seed >= 22 else 0.0
        rows = draw(seed, 2000).assign(age=lambda frame, by=shift: frame["age"] + by)
        past.append(judge(reference, count(rows, reference.bins), rules, past))
    assert {findings[0].verdict for findings in past[:22]} == {"OK"}
    assert {findings[0].verdict for findings in past[23:]} == {"DRIFT"}


PLANTED = [
    ("colour", lambda rows: rows["colour"].replace("red", "RED"), "unseen", "new category RED: "),
    ("colour", lambda rows: rows["colour"].replace("red", "RED"), "unseen", "looks like red renamed"),
    (
        "colour",
        lambda rows: rows["colour"].replace("red", "rouge"),
        "unseen",
        "looks like red renamed: it went from 50%",
    ),
    ("colour", lambda rows: rows["colour"].mask(rows.index < 20, "pink"), "unseen", "new category pink: 1.0% of rows"),
    ("age", lambda rows: rows["age"].mask(rows.index < 100), "missing", "missing in 5.0% of rows, 0.0% before"),
    ("age", lambda rows: rows["age"].astype(object).mask(rows.index < 100, "n/a"), "missing", "no numbers: 'n/a'"),
    (
        "age",
        lambda rows: rows["age"].mask(rows.index < 20, rows["age"] * 100),
        "range",
        "1.0% of rows far out of range",
    ),
]


@pytest.mark.parametrize(("column", "fault", "kind", "words"), PLANTED)
def test_a_broken_contract_is_drift_at_once(reference, draw, rules, column, fault, kind, words) -> None:
    rows = draw(8, 2000)
    moved = found(reference, rows.assign(**{column: fault(rows)}), rules)
    assert moved[column].verdict == "DRIFT" and moved[column].severity == "high"
    assert [item.kind for item in moved[column].breaches] == [kind]
    assert words in moved[column].words
    assert {item.verdict for name, item in moved.items() if name != column} == {"OK"}


def test_values_as_rare_as_always_are_no_breach(draw, rules) -> None:
    # Given a text with a long tail: every window holds values that no earlier one had
    from mainline.data.profile import make_bins

    def cities(seed: int, size: int) -> pd.DataFrame:
        return pd.DataFrame({"city": [f"c{rank}" for rank in np.random.default_rng(seed).zipf(1.3, size)]})

    rows = cities(0, 5000)
    rare = count(rows, make_bins(rows, ["city"], 50, 0.25))
    verdicts = [found(rare, cities(seed, 1000), rules)["city"].verdict for seed in range(1, 21)]
    assert verdicts.count("OK") >= 19, "Good and Turing: one in so many rows is new, as always"
    one = cities(99, 1000).assign(city=lambda frame: frame["city"].mask(frame.index % 3 == 0, "new"))
    assert found(rare, one, rules)["city"].verdict == "DRIFT"


def test_a_score_that_moves_is_of_high_severity(reference, draw, rules) -> None:
    rows = draw(8, 2000)
    moved = found(reference, rows.assign(**{"(score)": rows["(score)"] + 0.05}), rules)["(score)"]
    assert moved.verdict == "WARNING" and moved.severity == "high"


def test_a_finding_survives_json(reference, draw, rules) -> None:
    rows = draw(8, 2000).assign(colour="RED")
    for item in found(reference, rows, rules).values():
        assert Finding.from_dict(item.to_dict()) == item
