"""What is wrong with the data: one record a fault, with where to look."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = 5
LONG = 80  # characters of a value that are shown


@dataclass(frozen=True)
class Violation:
    """A fault of the data.

    Attributes:
        column: the column at fault; empty when it is the batch as a whole.
        check: what the values are not, in words.
        count: how many rows.
        share: of the rows looked at, 0 to 1.
        batch: file name of the first fault; ``line`` is its 1-based line.
        examples: up to five of ``{"batch", "line", "value"}``.
        hint: how to mend it, if there is a likely cause.
        level: an error stops the pipeline, a warning does not.
    """

    column: str
    check: str
    count: int
    share: float
    batch: str
    line: int
    examples: tuple[dict[str, Any], ...] = ()
    hint: str = ""
    level: Literal["error", "warning"] = "error"

    @classmethod
    def of_rows(
        cls, column: str, check: str, rows: pd.DataFrame, total: int, hint: str = "", values: pd.Series | None = None
    ) -> Violation:
        """Return the violation that ``rows`` (with ``_batch`` and ``_line``) make up; ``total`` rows were looked at."""
        head = rows.head(EXAMPLES)
        shown = head[column] if values is None else values.loc[head.index]
        places = zip(head["_batch"], head["_line"], shown, strict=True)
        examples = tuple({"batch": batch, "line": int(line), "value": _plain(value)} for batch, line, value in places)
        first = examples[0]
        return cls(column, check, len(rows), round(len(rows) / total, 6), first["batch"], first["line"], examples, hint)

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON-ready values."""
        return {**asdict(self), "examples": list(self.examples)}

    def shown(self) -> str:
        """Return the distinct example values as text, long ones cut."""
        return ", ".join(dict.fromkeys(_short(repr(example["value"])) for example in self.examples))

    def sentence(self) -> str:
        """Return the fault in one line, without its place."""
        what = f"{self.column}: {self.check}" if self.column else self.check
        found = f": {self.shown()}" if self.examples else ""
        rows = f" ({self.count:,} row{'s' * (self.count != 1)}, {self.share:.1%})" if self.examples else ""
        return f"{what}{found}{rows}" + (f"; {self.hint}" if self.hint else "")


def _short(text: str) -> str:
    return text if len(text) <= LONG else f"{text[:LONG]}… ({len(text) - 2:,} characters)"


def moment(time: pd.Timestamp) -> str:
    """Return a time as ISO text, of midnight the date alone."""
    return str(time.isoformat()).removesuffix("T00:00:00")


def _plain(value: Any) -> Any:
    """Return a JSON-ready value: a missing one becomes None, a date its ISO text, a whole float an int."""
    if value is None or value != value:
        return None
    if hasattr(value, "isoformat"):
        return moment(value)
    if hasattr(value, "item"):
        value = value.item()
    return int(value) if isinstance(value, float) and value.is_integer() else value
