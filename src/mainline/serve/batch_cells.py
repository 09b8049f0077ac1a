"""A part's columns as the values that a request would carry, each distinct value looked at once.

The service's own rules say what is allowed, so that a row fares here as it would there.
"""

from __future__ import annotations

import datetime as dt
import decimal
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WHOLE = re.compile(r"[+-]?[0-9]+", re.ASCII)
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)
COMMA = re.compile(r"[+-]?[0-9]{1,3}(\.?[0-9]{3})*,[0-9]+|[+-]?[0-9]+,[0-9]+", re.ASCII)
FLAGS = {"true": True, "false": False, "1": True, "0": False}


@dataclass(frozen=True)
class Column:
    """One column of a part: its distinct values as a request's JSON would carry them, and which row has which."""

    distinct: list[Any]
    which: NDArray[np.intp]

    def map(self, function: Callable[[Any], Any], dtype: Any) -> NDArray[Any]:
        """Return ``function`` of each row's value ``(n,)``; it is called once for each distinct value."""
        import numpy as np

        found = np.empty(len(self.distinct), dtype=dtype)
        for index, value in enumerate(self.distinct):
            found[index] = function(value)
        return found[self.which]


def column_of(cells: Any, kind: str, text: bool) -> Column:
    """Return a column of an Arrow table; ``kind`` is that of its rule, ``text`` whether it was read from CSV."""
    import pyarrow as pa

    nothing: Any = pa.nulls
    array: Any = pa.concat_arrays(cells.chunks) if cells.num_chunks else nothing(0, cells.type)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    coded: Any = array.dictionary_encode(null_encoding="encode")
    read = (lambda value: from_text(value, kind)) if text else from_parquet
    distinct = [read(value) for value in coded.dictionary.to_pylist()]
    return Column(distinct, coded.indices.to_numpy(zero_copy_only=False))


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
