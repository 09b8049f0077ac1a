"""A part's columns as the values that a request would carry, each distinct value looked at once.

The service's own rules say what is allowed, so that a row fares here as it would there.
"""

from __future__ import annotations

import datetime as dt
import decimal
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mainline.serve.rules import Fault, Rule

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WHOLE = re.compile(r"[+-]?[0-9]+", re.ASCII)
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)
COMMA = re.compile(r"[+-]?[0-9]{1,3}(\.?[0-9]{3})*,[0-9]+|[+-]?[0-9]+,[0-9]+", re.ASCII)
FLAGS = {"true": True, "false": False, "1": True, "0": False}


@dataclass(frozen=True)
class Distinct:
    """A column as its distinct values, as a request's JSON would carry them, and which row has which."""

    values: list[Any]
    which: NDArray[np.intp]

    def at(self, row: int) -> Any:
        """Return the JSON value of a row."""
        return self.values[self.which[row]]

    def passing(self, rule: Rule, accepted: bool) -> NDArray[np.bool_]:
        """Return the mask of rows in which the service would find no fault."""
        import numpy as np

        return np.array([_passes(value, rule, accepted) for value in self.values], dtype=bool)[self.which]

    def typed(self, rule: Rule, good: NDArray[np.bool_]) -> NDArray[Any]:
        """Return the model's values of the good rows: whole numbers, floats (missing: NaN), objects (None)."""
        import numpy as np

        used = np.zeros(len(self.values), dtype=bool)
        used[self.which[good]] = True
        read = [rule.read(v) if use and v is not None else None for v, use in zip(self.values, used, strict=True)]
        made: NDArray[Any]
        if rule.kind in ("integer", "number"):
            lacking = any(use and value is None for value, use in zip(self.values, used, strict=True))
            whole = rule.kind == "integer" and not lacking
            empty: Any = 0 if whole else float("nan")
            filled = [empty if value is None else value for value in read]
            made = np.array(filled, dtype=np.int64 if whole else np.float64)
        else:
            made = np.empty(len(read), dtype=object)
            made[:] = read
        return made[self.which[good]]


@dataclass(frozen=True)
class Numbers:
    """A column of numbers in which nothing is missing and nothing is wrong."""

    numbers: NDArray[Any]

    def at(self, row: int) -> Any:
        """See :class:`Distinct`."""
        return self.numbers[row].item()

    def passing(self, rule: Rule, accepted: bool) -> NDArray[np.bool_]:
        """See :class:`Distinct`."""
        import numpy as np

        return np.ones(len(self.numbers), dtype=bool)

    def typed(self, rule: Rule, good: NDArray[np.bool_]) -> NDArray[Any]:
        """See :class:`Distinct`."""
        return self.numbers[good]


Column = Distinct | Numbers


def column_of(cells: Any, rule: Rule, text: bool, interval: bool) -> Column:
    """Return a column of an Arrow table.

    Args:
        text: whether it was read from CSV.
        interval: whether the rule allows all numbers between two that it allows; then the least and the greatest
            speak for all of them.
    """
    import numpy as np
    import pyarrow as pa

    nothing: Any = pa.nulls
    array: Any = pa.concat_arrays(cells.chunks) if cells.num_chunks else nothing(0, cells.type)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if interval and (numbers := _numbers(array, rule, text)) is not None:
        return Numbers(numbers)
    try:
        coded: Any = array.dictionary_encode(null_encoding="encode")
        values, which = coded.dictionary.to_pylist(), coded.indices.to_numpy()
    except pa.ArrowNotImplementedError:  # lists and the like: refused one by one
        values, which = array.to_pylist(), np.arange(len(array))
    return Distinct([from_text(value, rule.kind) if text else from_parquet(value) for value in values], which)


def _numbers(array: Any, rule: Rule, text: bool) -> NDArray[Any] | None:
    """Return the numbers of a column if all of them are there and allowed, else None."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = pa.int64() if rule.kind == "integer" else pa.float64()
    fits = text or pa.types.is_integer(array.type) or array.type == kind
    if not len(array) or array.null_count or not fits:
        return None
    # Arrow reads 0x10 as a whole number; nothing else here does.
    if text and pc.any(pc.match_substring(array, "x", ignore_case=True)).as_py():
        return None
    try:
        numbers = pc.cast(array, kind).to_numpy()
    except pa.ArrowInvalid:
        return None
    ends = [numbers.min().item(), numbers.max().item()]
    return numbers if np.isfinite(ends).all() and all(_passes(end, rule, False) for end in ends) else None


def _passes(value: Any, rule: Rule, accepted: bool) -> bool:
    if value is None:
        return accepted or rule.nullable
    try:
        read = rule.read(value)
    except Fault:
        return False
    return accepted or rule.fault(read) is None


def from_text(text: str | None, kind: str) -> Any:
    """Return the JSON value that a CSV cell stands for; a text that stands for none stays as it is, for the rule."""
    if text is None:
        return None
    bare = text.strip()
    if kind in ("integer", "number"):
        if WHOLE.fullmatch(bare) and len(bare) < 400:
            return int(bare)
        return float(bare) if NUMBER.fullmatch(bare) else text
    return FLAGS.get(bare.lower(), text) if kind == "flag" else text


def from_parquet(value: Any) -> Any:
    """Return the JSON value of a Parquet cell: NaN is missing, times are ISO text, decimals are numbers."""
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, dt.datetime | dt.date):
        return value.isoformat()
    return float(value) if isinstance(value, decimal.Decimal) else value


def explain(value: Any, kind: str) -> str:
    """Return a likely cause for a number that cannot be read; empty if there is none."""
    if kind in ("integer", "number") and isinstance(value, str) and COMMA.fullmatch(value.strip()):
        return "a decimal comma? write a point"
    return ""
