from __future__ import annotations

import hashlib

import pandas as pd
import pytest

from mainline.data.distribution import Shift
from mainline.data.redact import redact, redact_columns, redact_shift, redact_violation
from mainline.data.violations import Violation
from mainline.project import Marks

MARKS = {"open": Marks(), "name": Marks(pii="hash"), "secret": Marks(pii="drop")}
ANA = "sha256:" + hashlib.sha256(b"Ana").hexdigest()[:12]


@pytest.mark.parametrize(
    ("value", "pii", "shown"),
    [("Ana", "keep", "Ana"), ("Ana", "hash", ANA), ("Ana", "drop", None), (None, "hash", None), (7, "keep", 7)],
)
def test_redact(value, pii, shown) -> None:
    assert redact(value, pii) == shown


def test_missing_stays_missing() -> None:
    assert pd.isna(redact(float("nan"), "hash"))


def test_columns_are_kept_hashed_or_taken_out() -> None:
    rows = pd.DataFrame({"open": [1, 2], "name": ["Ana", None], "secret": ["x", "y"], "unmarked": [3, 4]})
    shown = redact_columns(rows, MARKS)
    assert list(shown.columns) == ["open", "name", "unmarked"]
    assert shown["name"].iloc[0] == ANA and pd.isna(shown["name"].iloc[1])
    assert rows["name"].iloc[0] == "Ana", "the rows themselves are untouched"


def violation(column: str, hint: str) -> Violation:
    rows = pd.DataFrame({column: ["Ana"], "_batch": "f.csv", "_line": [2]})
    return Violation.of_rows(column, "is odd", rows, 1, hint)


@pytest.mark.parametrize("hint", ["'Ana' looks like a renamed 'ANA': mend it upstream", "most grown: Ana: 0% before"])
@pytest.mark.parametrize("column", ["name", "secret"])
def test_violation_shows_no_personal_value(column: str, hint: str) -> None:
    shown = redact_violation(violation(column, hint), MARKS)
    assert "Ana" not in str(shown.to_dict()) and "Ana" not in shown.sentence()
    assert (shown.count, shown.line) == (1, 2)


def test_violation_keeps_what_is_not_personal() -> None:
    assert redact_violation(violation("name", "first seen in f.csv:2"), MARKS).hint == "first seen in f.csv:2"
    for column in ("open", ""):
        plain = violation(column, "most grown: Ana")
        assert redact_violation(plain, MARKS) is plain


def test_shift_shows_no_personal_value() -> None:
    shift = Shift("name", 0.2, 0.1, 0.001, "moved", "Ana: 0.0% before, 20.0% now")
    assert "Ana" not in str(redact_shift(shift, MARKS).to_dict())
    assert redact_shift(shift, {"name": Marks()}) is shift
