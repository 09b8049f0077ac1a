"""What only Pandera can check: the project's own functions. Milliseconds a request, and correct."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mainline.serve.rules import Rule

KINDS = {"integer": "number", "number": "number"}


def check_deferred(
    rows: Sequence[Mapping[str, Any]],
    rules: Mapping[str, Rule],
    columns: Mapping[str, Sequence[Any]],
    together: Sequence[Any],
) -> Iterator[tuple[int, str, str]]:
    """Yield (row, column, what is wrong) for rows that pass every other check; the column is "" for several at once.

    A check of several columns that fails for want of a column which a request cannot hold (the label, say) is not
    applied: it says nothing about a request.
    """
    import pandera.pandas as pa
    from pandera.errors import SchemaErrors

    from mainline.serve.scorer import frame_of

    given = [name for name in rules if all(name in row for row in rows)]
    inputs = [{"name": name, "kind": KINDS.get(rules[name].kind, rules[name].kind)} for name in given]
    frame = frame_of({name: [row[name] for row in rows] for name in given}, inputs)
    parts = {name: pa.Column(None, list(checks), nullable=True) for name, checks in columns.items() if name in frame}
    try:
        pa.DataFrameSchema(parts, checks=list(together)).validate(frame, lazy=True)
    except SchemaErrors as errors:
        cases = errors.failure_cases
    else:
        return
    seen: set[tuple[int, str, str]] = set()
    for case in cases.itertuples():
        name = str(case.column) if case.schema_context == "Column" else ""
        failed = str(case.failure_case)
        if not name and failed.startswith(("KeyError", "AttributeError", "UndefinedVariableError")):
            continue
        words = f"fails the check {case.check}"
        indices = range(len(rows)) if case.index is None or case.index != case.index else [int(case.index)]
        for index in indices:
            if (index, name, words) not in seen:
                seen.add((index, name, words))
                yield index, name, words
