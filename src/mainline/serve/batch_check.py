"""The service's check on the columns of a part: which rows may be scored, and why the others may not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mainline.data.redact import redact
from mainline.serve.batch_cells import Column, explain

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mainline.serve.request import Checker

Outcome = tuple["NDArray[np.bool_]", list["Reject"], dict[str, int]]
ROWS = 10_000  # rows at a time that are looked at one by one


@dataclass(frozen=True)
class Reject:
    """A fault of one row: its index within the part, and what the service would answer."""

    row: int
    column: str
    value: Any
    reason: str


def check_columns(columns: Mapping[str, Column], rows: int, checker: Checker, accepted: frozenset[str]) -> Outcome:
    """Return the mask of good rows ``(rows,)``, every fault of the others in order of rows, and how many good rows have
    an odd value in a column of ``accepted``.

    A row is good if, and only if, ``checker`` finds nothing in it. A distinct value of a column is looked at once; only
    the rows with a fault, or all if the schema has checks of the project's own, go through the checker one by one.
    """
    import numpy as np

    good = np.ones(rows, dtype=bool)
    for name in checker.required:
        if name not in columns and name not in accepted:
            good[:] = False
    for name, column in columns.items():
        good &= column.passing(checker.rules[name], name in accepted)
    rejects = _explain(columns, np.flatnonzero(~good), checker)
    if checker.notes:
        late = _explain(columns, np.flatnonzero(good), checker)
        good[[reject.row for reject in late]] = False
        rejects = sorted([*rejects, *late], key=lambda reject: reject.row)
    odd = {
        name: int((good & ~columns[name].passing(checker.rules[name], False)).sum())
        for name in sorted(accepted)
        if name in columns
    }
    return good, rejects, {name: count for name, count in odd.items() if count}


def _explain(columns: Mapping[str, Column], rows: Sequence[int] | NDArray[np.intp], checker: Checker) -> list[Reject]:
    """Return what the checker says of ``rows``."""
    found = []
    for start in range(0, len(rows), ROWS):
        some = [int(row) for row in rows[start : start + ROWS]]
        given = [{name: column.at(row) for name, column in columns.items()} for row in some]
        for problem in checker.check(given).problems:
            name = problem["field"] or ""
            value = given[problem["row"]].get(name)
            rule = checker.rules.get(name)
            hints = [problem.get("hint", ""), explain(value, rule.kind) if rule else ""]
            reason = "; ".join([problem["problem"], *filter(None, hints)])
            shown = redact(value, rule.marks.pii) if rule else value
            found.append(Reject(some[problem["row"]], name, shown, reason))
    return found
