"""The schema's own checks on typed rows, as violations in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from mainline.data.violations import Violation

if TYPE_CHECKING:
    from pandera.api.pandas.container import DataFrameSchema


def check_rows(rows: pd.DataFrame, schema: DataFrameSchema, known: set[str]) -> list[Violation]:
    """Return one violation for each column and check of ``schema`` that some row fails, in schema order.

    ``known`` are columns with cells that were already reported as unreadable and are missing by now: their missing
    values are not reported a second time.
    """
    from pandera.errors import SchemaErrors

    # Types were settled when the text was read; a column with a missing number is float by then, whatever the schema
    # says.
    loose = schema.update_columns({name: {"dtype": None, "coerce": False} for name in schema.columns})
    loose.strict = False
    try:
        loose.validate(rows, lazy=True)
    except SchemaErrors as errors:
        cases = errors.failure_cases
    else:
        return []
    violations = []
    for (name, number), group in cases.groupby(["column", cases["check_number"].fillna(-1)], sort=False):
        check = str(group["check"].iloc[0])
        if check == "not_nullable" and name in known:
            continue
        if group["index"].isna().all():
            first = rows.iloc[0]
            violations.append(Violation(str(name), _words(schema, str(name), check, int(number)), len(rows), 1.0,
                                        str(first["_batch"]), int(first["_line"])))  # fmt: skip
            continue
        bad = rows.loc[sorted(group["index"].astype(int).unique())]
        words = _words(schema, str(name), check, int(number))
        violations.append(Violation.of_rows(str(name), words, bad, len(rows), _rename(schema, str(name), bad)))
    place = {name: position for position, name in enumerate(schema.columns)}
    return sorted(violations, key=lambda violation: place.get(violation.column, -1))


def _words(schema: DataFrameSchema, column: str, check: str, number: int) -> str:
    """Return what the values are not, in words."""
    if check == "not_nullable":
        return "is missing"
    if check == "field_uniqueness":
        return "is not unique"
    checks = schema.columns[column].checks if column in schema.columns else []
    if not 0 <= number < len(checks):
        return f"fails {check}"
    rule = checks[number]
    facts: dict[str, Any] = rule.statistics or {}
    match rule.name:
        case "isin":
            return f"is not one of {', '.join(map(str, facts['allowed_values']))}"
        case "greater_than_or_equal_to":
            return f"is below {facts['min_value']}"
        case "less_than_or_equal_to":
            return f"is above {facts['max_value']}"
        case "greater_than":
            return f"is not above {facts['min_value']}"
        case "less_than":
            return f"is not below {facts['max_value']}"
        case _:
            return f"fails {rule.error or rule.name or check}"


def _rename(schema: DataFrameSchema, column: str, bad: pd.DataFrame) -> str:
    """Return a likely cause: an allowed value that differs only in case or surrounding space."""
    allowed = next(
        (rule.statistics["allowed_values"] for rule in schema.columns[column].checks if rule.name == "isin"), ()
    )
    folded = {str(value).casefold().strip(): value for value in allowed}
    for value in bad[column].dropna().unique()[:20]:
        if (match := folded.get(str(value).casefold().strip())) is not None and match != value:
            return f"{value!r} looks like a renamed {match!r}: mend it upstream"
    return ""
