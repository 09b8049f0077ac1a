"""The schema's rules for one value, compiled from Pandera into plain Python that costs well under a microsecond."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mainline.errors import UserError

if TYPE_CHECKING:
    from mainline.project import Marks

Kind = str  # integer, number, text, flag or time
Test = tuple[Callable[[Any], bool], str]  # passes, and what a value is not if it does not
WHOLE = (-(2**63), 2**63 - 1)


class Fault(Exception):
    """A value is not of the column's type; the text follows the field's name."""


@dataclass(frozen=True)
class Rule:
    """One column: how a JSON value becomes the model's value, and what it must be.

    Attributes:
        vocabulary: the allowed values in order; None if any value of the type may do.
        bounds: what is allowed besides, in the words of JSON Schema: minimum, maxLength and so on.
        deferred: checks that are beyond this compiler; Pandera itself has to look.
    """

    name: str
    kind: Kind
    nullable: bool
    vocabulary: tuple[Any, ...] | None
    members: frozenset[Any] | None
    tests: tuple[Test, ...]
    bounds: Mapping[str, Any]
    marks: Marks
    deferred: tuple[Any, ...]

    def read(self, given: Any) -> Any:
        """Return the model's value for a JSON value that is not null.

        Raises:
            Fault: it is of another type.
        """
        return READERS[self.kind](given)

    def fault(self, value: Any) -> str | None:
        """Return what a value of the right type is not, None if it is allowed."""
        if self.members is not None and value not in self.members:
            return "is not allowed"
        for passes, words in self.tests:
            if not passes(value):
                return words
        return None

    def allowed(self) -> Any:
        """Return what the column takes, ready for JSON: the vocabulary, or type and bounds."""
        if self.vocabulary is not None:
            return [_plain(value) for value in self.vocabulary]
        return {"type": self.kind, **self.bounds}


def compile_rule(name: str, column: Any, marks: Marks) -> Rule:
    """Return the rule of a Pandera column.

    Raises:
        UserError: the column stands for several (``regex=True``), or has a type that JSON cannot carry.
    """
    if column.regex:
        raise UserError(f"schema: {name}: a pattern of names cannot be served", "name every column")
    vocabulary, low = _categories(column.dtype), str(column.dtype).lower()
    kind = "text" if vocabulary is not None and all(isinstance(value, str) for value in vocabulary) else _kind(low)
    if kind is None:
        what = f"schema: {name}: type {column.dtype} cannot be read from JSON"
        raise UserError(what, "use int, float, str, bool or a date")
    tests: list[Test] = []
    bounds: dict[str, Any] = {}
    deferred = []
    if kind == "integer" and (limits := _integers(low)) != WHOLE:
        tests.append(_bound(*limits, True, True)[1])
    for check in column.checks:
        if check.raise_warning:
            continue
        made = _compile(check)
        if made is None:
            deferred.append(check)
            continue
        allowed, test, bound = made
        if allowed is not None:
            vocabulary = allowed if vocabulary is None else tuple(value for value in vocabulary if value in allowed)
        if test is not None:
            tests.append(test)
        bounds |= bound
    members = None if vocabulary is None else frozenset(vocabulary)
    nullable = bool(column.nullable)
    return Rule(name, kind, nullable, vocabulary, members, tuple(tests), bounds, marks, tuple(deferred))


Compiled = tuple[tuple[Any, ...] | None, Test | None, dict[str, Any]]


def _compile(check: Any) -> Compiled | None:
    """Return (vocabulary, test, bounds) of one of Pandera's own checks; None for a check that is the project's own."""
    if type(check._check_fn).__name__ != "Dispatcher" or check.groupby is not None or not check.ignore_na:
        return None
    facts = check.statistics or {}
    match check.name:
        case "isin":
            return tuple(facts["allowed_values"]), None, {}
        case "notin":
            forbidden = tuple(facts["forbidden_values"])
            return None, (lambda value: value not in forbidden, "is not allowed"), {}
        case "equal_to":
            return (facts["value"],), None, {}
        case "not_equal_to":
            wrong = facts["value"]
            return None, (lambda value: bool(value != wrong), "is not allowed"), {}
        case "greater_than_or_equal_to":
            return _bound(facts["min_value"], None, True, True)
        case "less_than_or_equal_to":
            return _bound(None, facts["max_value"], True, True)
        case "greater_than":
            return _bound(facts["min_value"], None, False, True)
        case "less_than":
            return _bound(None, facts["max_value"], True, False)
        case "in_range":
            return _bound(facts["min_value"], facts["max_value"], facts["include_min"], facts["include_max"])
        case "str_length":
            return _length(facts)
        case "str_startswith":
            start = facts["string"]
            return None, (lambda value: value.startswith(start), f"does not start with {start!r}"), {}
        case "str_endswith":
            end = facts["string"]
            return None, (lambda value: value.endswith(end), f"does not end with {end!r}"), {}
        case "str_matches" | "str_contains":
            pattern = re.compile(facts["pattern"])
            look = pattern.match if check.name == "str_matches" else pattern.search
            words = "does not match" if check.name == "str_matches" else "does not contain"
            return None, (lambda value: look(value) is not None, f"{words} {pattern.pattern!r}"), {}
    return None


def _bound(low: Any, high: Any, with_low: bool, with_high: bool) -> tuple[None, Test, dict[str, Any]]:
    def passes(value: Any) -> bool:
        above = low is None or (value >= low if with_low else value > low)
        return bool(above and (high is None or (value <= high if with_high else value < high)))

    parts = []
    bounds: dict[str, Any] = {}
    if low is not None:
        parts.append(f"below {low}" if with_low else f"not above {low}")
        bounds["minimum" if with_low else "exclusiveMinimum"] = _plain(low)
    if high is not None:
        parts.append(f"above {high}" if with_high else f"not below {high}")
        bounds["maximum" if with_high else "exclusiveMaximum"] = _plain(high)
    return None, (passes, f"is {' or '.join(parts)}"), bounds


def _length(facts: Mapping[str, Any]) -> Compiled:
    exact = facts.get("exact_value")
    low = exact if exact is not None else facts.get("min_value")
    high = exact if exact is not None else facts.get("max_value")
    bounds = {key: value for key, value in (("minLength", low), ("maxLength", high)) if value is not None}
    words = f"is not {low or 0} to {'any number of' if high is None else high} characters long"
    return None, (lambda value: (low or 0) <= len(value) <= (math.inf if high is None else high), words), bounds


def _categories(dtype: Any) -> tuple[Any, ...] | None:
    found = getattr(dtype, "categories", None)
    return None if found is None else tuple(found)


def _kind(dtype: str) -> Kind | None:
    if "interval" in dtype or "timedelta" in dtype or "complex" in dtype:
        return None
    for part, kind in (("int", "integer"), ("float", "number"), ("bool", "flag"), ("date", "time"), ("str", "text")):
        if part in dtype:
            return kind
    return "text" if dtype == "object" else None


def _integers(dtype: str) -> tuple[int, int]:
    found = re.search(r"(u?)int(\d+)", dtype)
    if found is None:
        return WHOLE
    bits = min(int(found[2]), 64)
    # The rows of training are read as 64-bit whole numbers, whatever the schema says.
    return (0, min(2**bits, 2**63) - 1) if found[1] else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _integer(given: Any) -> int:
    found = int(given) if type(given) is float and given.is_integer() else given
    if type(found) is not int:
        raise Fault("is not a whole number")
    if not WHOLE[0] <= found <= WHOLE[1]:
        raise Fault("is too large a number")
    return found


def _number(given: Any) -> float:
    if type(given) is float and math.isfinite(given):
        return given
    if type(given) is int:
        try:
            return float(given)
        except OverflowError:
            pass
    raise Fault("is not a finite number")


def _text(given: Any) -> str:
    if type(given) is not str:
        raise Fault("is not text")
    try:
        given.encode()
    except UnicodeEncodeError:
        raise Fault("is not valid Unicode") from None
    return given


def _flag(given: Any) -> bool:
    if type(given) is not bool:
        raise Fault("is not true or false")
    return given


def _time(given: Any) -> dt.datetime:
    if type(given) is str and len(given) >= 10 and given[4] == given[7] == "-":
        try:
            found = dt.datetime.fromisoformat(given)
            # As in the batches: a time with a zone becomes UTC.
            return found if found.tzinfo is None else found.astimezone(dt.UTC).replace(tzinfo=None)
        except (ValueError, OverflowError):
            pass
    raise Fault("is not a date like 2009-05-31")


READERS: dict[Kind, Callable[[Any], Any]] = {
    "integer": _integer,
    "number": _number,
    "text": _text,
    "flag": _flag,
    "time": _time,
}


def _plain(value: Any) -> Any:
    """Return a value of the schema as JSON can carry it."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value.item() if hasattr(value, "item") else value
