"""Personal values never reach a log, a report or an artifact: the schema's marks say which, and how."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mainline.data.distribution import Shift
from mainline.data.violations import Violation

if TYPE_CHECKING:
    import pandas as pd

    from mainline.project import Marks, Pii


def redact(value: Any, pii: Pii) -> Any:
    """Return ``value`` as it may be shown: itself, a short SHA-256 of its text, or None. Missing stays missing."""
    if pii == "keep" or value is None or value != value:
        return value
    return None if pii == "drop" else f"sha256:{hashlib.sha256(str(value).encode()).hexdigest()[:12]}"


def redact_columns(rows: pd.DataFrame, marks: Mapping[str, Marks]) -> pd.DataFrame:
    """Return ``rows`` with marked columns hashed, or taken out."""
    hidden = {name: mark.pii for name, mark in marks.items() if mark.pii != "keep" and name in rows}
    kept = rows.drop(columns=[name for name, pii in hidden.items() if pii == "drop"])
    hashed = {
        name: rows[name].map(lambda value: redact(value, "hash")) for name, pii in hidden.items() if pii == "hash"
    }
    return kept.assign(**hashed)


def redact_violation(violation: Violation, marks: Mapping[str, Marks]) -> Violation:
    """Return ``violation`` with its example values as they may be shown."""
    pii = marks[violation.column].pii if violation.column in marks else "keep"
    if pii == "keep":
        return violation
    examples = tuple({**example, "value": redact(example["value"], pii)} for example in violation.examples)
    # These two hints would quote the value.
    hint = "" if any(words in violation.hint for words in ("looks like", "most grown")) else violation.hint
    return replace(violation, examples=examples, hint=hint)


def redact_shift(shift: Shift, marks: Mapping[str, Marks]) -> Shift:
    """Return ``shift`` without the bin that grew most if the column is personal: a bin is named after its value."""
    pii = marks[shift.column].pii if shift.column in marks else "keep"
    return shift if pii == "keep" else replace(shift, gained="")
