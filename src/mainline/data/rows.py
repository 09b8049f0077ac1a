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
    # A check of several columns fails with one case for each column of the rows.
    names = cases["column"].astype("str").where(cases["schema_context"] == "Column", "")
    violations = []
    for (name, check, number), group in cases.groupby(
        [names, cases["check"].astype("str"), cases["check_number"].fillna(-1)], sort=False
    ):
        if check == "not_nullable" and name in known:
            continue
        words = _words(schema, name, check, int(number)) if name else _words_together(cases, check)
        whole = group["index"].isna().all()
        bad = rows if whole else rows.loc[sorted(group["index"].dropna().astype(int).unique())]
        if name and not whole:
            violations.append(Violation.of_rows(name, words, bad, len(rows), _rename(schema, name, bad)))
            continue
        if (reason := str(group["failure_case"].iloc[0]).partition("(")[0]).endswith("Error"):
            words = f"{words} (the check itself fails: {reason})"
        elif not whole:
            words = f"{len(bad):,} of {len(rows):,} rows: {words}"
        share = round(len(bad) / len(rows), 6)
        place = str(bad["_batch"].iloc[0]), int(bad["_line"].iloc[0])
        violations.append(Violation(name, words, len(bad), share, *place))
    position = {name: index for index, name in enumerate(schema.columns)}
    return sorted(violations, key=lambda violation: position.get(violation.column, -1))


def empty_columns(rows: pd.DataFrame, schema: DataFrameSchema, label: str) -> list[Violation]:
    """Return a warning for each column but the label that may be missing, and is in every row."""
    if rows.empty:
        return []
    names = [name for name, column in schema.columns.items() if column.nullable and name != label]
    hint, first = "deliver it, or take it out of schema.py and features.py", str(rows["_batch"].iloc[0])
    return [
        Violation(name, "has no value in any row", len(rows), 1.0, first, 1, hint=hint, level="warning")
        for name in names
        if rows[name].isna().all()
    ]


def _words_together(cases: pd.DataFrame, check: str) -> str:
    """Return what the rows are not, for a check of several columns."""
    if check != "multiple_fields_uniqueness":
        return f"fails {check}"
    columns = cases.loc[cases["check"] == check, "column"].unique()
    return f"not unique in {', '.join(map(str, columns))} together"


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
