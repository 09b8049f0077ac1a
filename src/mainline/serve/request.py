"""The request check: JSON in; clean rows, or every problem at once with field, value and what is allowed."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mainline.data.redact import redact
from mainline.errors import UserError
from mainline.serve.rules import Fault, Rule, compile_rule

if TYPE_CHECKING:
    from pandera.api.pandas.model import DataFrameModel

    from mainline.project import Marks

SHOWN = 100  # problems in one answer
LONG = 80  # characters of a value that are shown
ABSENT = object()


class Refused(Exception):
    """A body that holds no rows that could be checked; ``status`` is the HTTP status."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status, self.error = status, error


@dataclass
class Checked:
    """The outcome of a check.

    Attributes:
        rows: the clean rows, one for each row given; only complete if there is no problem.
        problems: ``{"row", "field", "value", "problem", "allowed", "hint"}``, ready for JSON.
        unseen: values outside vocabulary or range, counted by column, refused or not.
        missing: missing values, counted in the same way.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    problems: list[dict[str, Any]] = field(default_factory=list)
    unseen: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)


def read_rows(body: bytes, max_rows: int) -> list[Any]:
    """Return the rows of a request body: one row as an object, or ``{"rows": [...]}``.

    Raises:
        Refused: not JSON (NaN and Infinity are not JSON), not an object, no row, or too many of them.
    """
    content = read_json(body)
    rows = content.get("rows") if len(content) == 1 else None
    if not isinstance(rows, list):
        return [content]
    if not rows:
        raise Refused(422, "rows: is empty: send at least one")
    if len(rows) > max_rows:
        raise Refused(413, f"rows: {len(rows):,} rows in one request, and at most {max_rows:,} are taken")
    return rows


def read_json(body: bytes) -> dict[str, Any]:
    """Return the JSON object in ``body``.

    Raises:
        Refused: it is none.
    """
    from pydantic_core import from_json

    try:
        content = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise Refused(422, f"the body is not valid JSON ({error})") from None
    if type(content) is not dict:
        raise Refused(422, 'the body is not a JSON object: send one row {"…": …} or {"rows": [{"…": …}]}')
    return content


class Checker:
    """The schema of the rows as a fast check.

    Args:
        rules: the columns that a request may hold: all that are known before the event.
        required: those that the model needs.
        accept: those whose missing values and values out of vocabulary or range are counted and let through.
        later: columns that are known only after the event, for a message of their own.
        together: Pandera's checks of several columns at once.
    """

    def __init__(
        self,
        rules: Mapping[str, Rule],
        required: Sequence[str],
        accept: Iterable[str] = (),
        later: Iterable[str] = (),
        together: Sequence[Any] = (),
    ) -> None:
        self.accepted = accepted = frozenset(accept)
        self.rules, self.required, self.later = dict(rules), tuple(required), frozenset(later)
        self._plan = tuple((name, rule, name in self.required, name in accepted) for name, rule in rules.items())
        self._slow = {name: rule.deferred for name, rule in rules.items() if rule.deferred and name not in accepted}
        self._together = tuple(together)

    @property
    def notes(self) -> list[str]:
        """What costs a request milliseconds, because Pandera itself has to check it."""
        names = [*self._slow, *(["several columns together"] if self._together else [])]
        return [f"{name}: has a check of its own that Pandera must run, some milliseconds a request" for name in names]

    def check(self, rows: Sequence[Any]) -> Checked:
        """Return what is right and wrong with ``rows``, each of them parsed JSON."""
        found = Checked()
        for index, row in enumerate(rows):
            if type(row) is dict:
                found.rows.append(self._row(index, row, found))
            else:
                found.problems.append(_problem(index, None, row, "is not a JSON object with one value a field"))
        if (self._slow or self._together) and not found.problems:
            from mainline.serve.deferred import check_deferred

            for index, name, words in check_deferred(found.rows, self.rules, self._slow, self._together):
                value = found.rows[index].get(name) if name else None
                found.problems.append(self._fault(index, name, value, words))
                if name:
                    found.unseen[name] += 1
        return found

    def _row(self, index: int, row: dict[str, Any], found: Checked) -> dict[str, Any]:
        clean: dict[str, Any] = {}
        known = 0
        for name, rule, required, accepted in self._plan:
            given = row.get(name, ABSENT)
            if given is ABSENT:
                if not required:
                    continue
                found.missing[name] += 1
                clean[name] = None
                if not accepted:
                    found.problems.append(self._fault(index, name, None, "is missing: the field is not there"))
                continue
            known += 1
            if given is None:
                found.missing[name] += 1
                clean[name] = None
                if not (accepted or rule.nullable):
                    found.problems.append(self._fault(index, name, None, "is missing: the value is null"))
                continue
            try:
                value = rule.read(given)
            except Fault as fault:
                found.problems.append(self._fault(index, name, given, str(fault)))
                continue
            if (words := rule.fault(value)) is not None:
                found.unseen[name] += 1
                if not accepted:
                    found.problems.append(self._fault(index, name, given, words))
            clean[name] = value
        if known < len(row):
            for name in row:
                if name not in self.rules:
                    found.problems.append(self._extra(index, name, len(found.problems) < SHOWN))
        return clean

    def _fault(self, index: int, name: str, value: Any, words: str) -> dict[str, Any]:
        rule = self.rules.get(name)
        if rule is None:
            return _problem(index, name or None, value, words)
        made = _problem(index, name, value if rule.marks.pii == "keep" else redact(value, "drop"), words)
        made["allowed"] = rule.allowed()
        folded = {str(item).casefold().strip(): item for item in rule.vocabulary or ()}
        if (match := folded.get(str(value).casefold().strip())) is not None and rule.marks.pii == "keep":
            made["hint"] = f"did you mean {match!r}?"
        return made

    def _extra(self, index: int, name: str, shown: bool) -> dict[str, Any]:
        if name in self.later:
            words = "is known only after the event: a prediction may not use it"
            return _problem(index, name, None, words) | {"hint": "leave the field out"}
        # The value of a field that nobody declared may be personal: it is not sent back.
        made = _problem(index, name[:LONG], None, "is not a field of this model")
        if not shown:  # a body of a thousand strange fields must not cost seconds of searching
            return made
        close = {known.casefold(): known for known in self.rules}
        near = difflib.get_close_matches(name.casefold()[:LONG], close, 1, 0.8)
        return made | {"hint": f"did you mean {close[near[0]]!r}?" if near else "leave the field out"}


def _problem(index: int, name: str | None, value: Any, words: str) -> dict[str, Any]:
    shown = value
    if isinstance(value, (dict, list)):
        shown = f"a JSON {'object' if isinstance(value, dict) else 'array'}"
    elif isinstance(value, str) and len(value) > LONG:
        shown = f"{value[:LONG]}…"
    elif isinstance(value, int) and abs(value) >= 2**63:
        shown = "a very large number"
    elif isinstance(value, float) and value - value != 0:
        shown = "an infinite number"
    elif hasattr(value, "isoformat"):
        shown = value.isoformat()
    return {"row": index, "field": name, "value": shown, "problem": words}


def make_checker(
    row: type[DataFrameModel],
    marks: Mapping[str, Marks],
    columns: Sequence[str],
    label: str,
    accept: Sequence[str] = (),
    refused: Iterable[tuple[str, str]] = (),
) -> Checker:
    """Return the check of a project's rows for a model that needs ``columns``.

    Args:
        refused: values that the model cannot take, as (column, "missing" or "unseen"): these cannot be accepted.

    Raises:
        UserError: ``accept`` names a column that is none of the model's, or one whose odd values stop the model.
    """
    schema = row.to_schema()
    later = {name for name, mark in marks.items() if mark.known == "after"} | {label}
    if strange := [name for name in accept if name not in columns]:
        raise UserError(
            f"params.yaml: serve.accept: {strange[0]!r} is not a column of the model", f"one of: {', '.join(columns)}"
        )
    stopped = [(name, what) for name, what in refused if name in accept]
    if stopped:
        name, what = stopped[0]
        raise UserError(
            f"params.yaml: serve.accept: {name}: the model fails on a value there that is {what}",
            "make the features of the project take it (an imputer, handle_unknown='ignore'), or do not accept it",
        )
    rules = {
        name: compile_rule(name, column, marks[name]) for name, column in schema.columns.items() if name not in later
    }
    if unknown := [name for name in columns if name not in rules]:
        raise UserError(
            f"the model needs {', '.join(unknown)}, which the schema does not have (or only after the event)",
            "run `dvc repro`: model and schema belong to different commits",
        )
    together = [check for check in schema.checks or () if not check.raise_warning]
    return Checker(rules, columns, accept, later, together)
