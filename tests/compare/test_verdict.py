"""The verdict is the strictest of case and gates, and nothing passes by being left out."""

from __future__ import annotations

import pytest

from mainline.compare.gates import Bound
from mainline.compare.verdict import EXIT_CODES, Reason, decide


def bound(gate: str, level: str | None = None, value: float | None = 1.0) -> Bound:
    return Bound(gate, value, 0.5, "<=", level is None, "why", level)  # type: ignore[arg-type]


# Written out, so that a name that is taken from the lists is missed.
NAMES = [
    "test rows", "data", "split", "lock", "remote", "evaluation", "scores",
    "primary: log_loss", "slices: log_loss", "calibration error", "fairness gap", "business value", "latency ratio",
    "size ratio", "rows seen by the champion",
]  # fmt: skip
BASE = [bound(name) for name in NAMES]


def test_all_passed_is_a_promotion_with_its_reason() -> None:
    found = decide("compared", "better", BASE)
    assert (found.verdict, found.reason, found.reasons, found.exit_code) == ("promote", "better", (), 0)


@pytest.mark.parametrize(("level", "code"), [("hold", 3), ("reject", 1)])
def test_one_gate_decides(level: str, code: int) -> None:
    found = decide("compared", "better", [*BASE, bound("floor: roc_auc", level)])
    assert (found.verdict, found.exit_code) == (level, code)
    assert found.reason == found.reasons[0].text
    assert found.reasons[0].gate == "floor: roc_auc"


def test_a_rejection_comes_before_a_hold_and_a_note_changes_nothing() -> None:
    note = Reason("note", "changed gate", "looser")
    found = decide("compared", "", [*BASE, bound("a", "hold"), bound("b", "reject")], [note])
    assert found.verdict == "reject"
    assert [item.gate for item in found.reasons] == ["b", "a", "changed gate"]
    assert decide("compared", "better", BASE, [note]).verdict == "promote"


@pytest.mark.parametrize(
    ("case", "outcome"),
    [
        ("first model", "promote"),
        ("identical model", "promote"),
        ("compared", "promote"),
        ("champion not reproducible", "hold"),
        ("champion saw test rows", "reject"),
        ("champion cannot score", "hold"),
        ("too few rows", "hold"),
    ],
)
def test_each_case(case: str, outcome: str) -> None:
    found = decide(case, "because", BASE)  # type: ignore[arg-type]
    assert found.verdict == outcome
    assert "because" in found.reason


def test_a_case_says_its_reason_once() -> None:
    found = decide("too few rows", "5 rows", [*BASE, bound("test rows", "hold")])
    assert [item.gate for item in found.reasons] == ["test rows"]


def test_a_rejection_stands_in_every_case() -> None:
    for case in ("first model", "identical model", "champion cannot score", "too few rows"):
        assert decide(case, "", [*BASE, bound("lock", "reject")]).verdict == "reject"  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMES)
def test_a_gate_that_is_missing_holds(name: str) -> None:
    found = decide("compared", "", [gate for gate in BASE if gate.gate != name])
    assert found.verdict == "hold" and "missing" in found.reason


def test_a_gate_not_passed_and_without_a_level_holds() -> None:
    assert decide("compared", "", [*BASE, Bound("odd", 1.0, 0.5, "<=", False, "", None)]).verdict == "hold"


def test_only_a_promotion_ends_with_zero() -> None:
    assert [name for name, code in EXIT_CODES.items() if code == 0] == ["promote"]
    assert 2 not in EXIT_CODES.values()
