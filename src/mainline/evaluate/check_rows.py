"""Check rows: fixed rows of the test window with the model's scores, by which a model that is built again is known.

Other processors give other last digits, so a model that is built again may have other bytes and be the same model. It
is the same if its scores of these rows are the same within the tolerance that golden rows have, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mainline.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from mainline.config import Settings
    from mainline.project import Project

VERSION = 1
ROWS = 300
CATEGORIES = 50  # a column with more values than that has no categories
RARE = 300  # check rows that are added for rare values, at most
NUMBERS = 30_000  # in a file of check rows, at most: a model with many classes gets fewer rows
TOLERANCE = 1e-6
EXAMPLES = 3


@dataclass(frozen=True)
class CheckRows:
    """The content of check.json: positions in artifacts/test.parquet, and the scores there, ``(n,)`` or ``(n, k)``."""

    task: str
    positions: tuple[int, ...]
    scores: NDArray[np.float64]

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it; a score that is not a finite number is null."""
        lists: list[Any] = self.scores.tolist()
        scores = [[_finite(part) for part in row] if isinstance(row, list) else _finite(row) for row in lists]
        return {"version": VERSION, "task": self.task, "positions": list(self.positions), "scores": scores}

    @classmethod
    def read(cls, content: Any) -> CheckRows:
        """Return what :meth:`document` gave.

        Raises:
            ValueError: it is something else, or of another version.
        """
        import numpy as np

        if not isinstance(content, Mapping) or content.get("version") != VERSION:
            raise ValueError(f"check.json is not of version {VERSION}")
        positions, task = content.get("positions"), content.get("task")
        if not isinstance(positions, list) or not all(type(item) is int and item >= 0 for item in positions):
            raise ValueError("check.json: positions are not row numbers")
        try:
            scores = np.asarray(content.get("scores"), dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError("check.json: scores are not numbers") from error
        if scores.ndim not in (1, 2) or len(scores) != len(positions) or not positions or not isinstance(task, str):
            raise ValueError("check.json: there is not one score for each position")
        return cls(task, tuple(positions), scores)


@dataclass(frozen=True)
class Example:
    """A check row whose score differs: its position in the test rows, the reference and what was found (None: NaN)."""

    position: int
    reference: float | None
    found: float | None


@dataclass(frozen=True)
class Compared:
    """How far scores are from the reference.

    Attributes:
        equal: whether no score differs by more than the tolerance.
        rows: check rows.
        largest: the largest difference; None if scores are missing or not finite.
        examples: the rows that differ most, at most three.
    """

    equal: bool
    rows: int
    largest: float | None
    examples: tuple[Example, ...] = ()

    def words(self) -> str:
        """Return the largest difference and the number of rows, in words."""
        if self.largest is None:
            return f"scores that are missing or not finite among {self.rows} check rows"
        return f"largest difference {self.largest:.2g} on {self.rows} check rows"

    def shown(self) -> str:
        """Return the examples, in words."""
        rows = [f"row {item.position}: {_digits(item.reference)} → {_digits(item.found)}" for item in self.examples]
        return ", ".join(rows)

    def row(self) -> dict[str, Any]:
        """Return it as a JSON document has it."""
        return asdict(self) | {"examples": [asdict(item) for item in self.examples]}


def check_rows(
    rows: pd.DataFrame, model: Any, project: Project, settings: Settings, training: Mapping[str, Any]
) -> CheckRows:
    """Return the check rows of the test rows ``rows``, with the scores that ``mainline predict`` gives for them.

    ``training`` is the content of training.json: its columns say which values are rare.

    Raises:
        UserError: the model gives no scores when the label and what is known only afterwards are taken out.
    """
    import numpy as np

    from mainline.project import scores

    asked = as_asked(rows, project, settings)
    try:
        found = np.asarray(scores(model, asked), dtype=np.float64)
    except Exception as error:  # the project's own code may raise anything
        taken = ", ".join(sorted(name for name in {*rows.columns} - {*asked.columns} if name[:1] != "_"))
        raise UserError(
            f"the model gives no predictions without what is known only afterwards ({taken}): {error}",
            f"take it out of src/{settings.project}/features.py: a request does not have it",
        ) from error
    spread, rare = places(rows[public(training["columns"], project)])
    width = found.shape[1] if found.ndim == 2 else 1
    chosen = _thinned(sorted({*spread, *_thinned(rare, RARE)}), max(NUMBERS // width, 1))
    return CheckRows(str(training["task"]), tuple(chosen), found[chosen])


def as_asked(rows: pd.DataFrame, project: Project, settings: Settings) -> pd.DataFrame:
    """Return ``rows`` as a model is asked for predictions: without label and what is known only afterwards."""
    from mainline.data.split import features_of

    hidden = {name for name, marks in project.marks.items() if marks.known == "after"} | {settings.data.label}
    return features_of(rows).drop(columns=list(hidden), errors="ignore")


def public(columns: Sequence[Any], project: Project) -> list[str]:
    """Return those of the model's ``columns`` that hold no personal data."""
    return [str(name) for name in columns if project.marks[str(name)].pii == "keep"]


def places(rows: pd.DataFrame) -> tuple[list[int], list[int]]:
    """Return the positions of ``ROWS`` rows evenly spread, and those of the rows that they would miss, each in order.

    The latter are, of every column, the first row with each value that the former lack (also with none), or of a column
    with more than ``CATEGORIES`` values those with none, the smallest and the largest. A feature that is wrong for a
    rare value alone is wrong in no row but a rare one.
    """
    import numpy as np
    import pandas as pd

    spread = np.unique(np.linspace(0, len(rows) - 1, min(ROWS, len(rows))).astype(int))
    rare: set[int] = set()
    for name in rows.columns:
        column = rows[name].reset_index(drop=True)
        first = column.drop_duplicates()  # a missing value is one of them
        if len(first) > CATEGORIES:
            known = first.dropna()
            ends = {known.idxmin(), known.idxmax()} if not pd.api.types.is_string_dtype(known) else set()
            first = first[first.isna() | first.index.isin(ends)]
        rare |= set(first.index[~first.isin(column.iloc[spread])].tolist())
    return spread.tolist(), sorted(rare)


def apart(found: float, wanted: float) -> float:
    """Return how far an answer is off: relative where ``wanted`` is beyond 1, as when the fast path was proven."""
    return abs(found - wanted) / max(abs(wanted), 1.0)


def compare_scores(reference: CheckRows, scores: NDArray[np.float64]) -> Compared:
    """Return how far ``scores``, those of all test rows, are from the reference; NaN equals nothing."""
    import numpy as np

    rows, positions = len(reference.positions), np.asarray(reference.positions)
    if scores.ndim != reference.scores.ndim or scores.shape[1:] != reference.scores.shape[1:]:
        return Compared(False, rows, None)
    if positions.max() >= len(scores):
        return Compared(False, rows, None)
    found, wanted = scores[positions].reshape(rows, -1), reference.scores.reshape(rows, -1)
    differences = np.abs(found - wanted) / np.maximum(np.abs(wanted), 1.0)  # as `apart`, for all at once
    differences = np.where(np.isfinite(differences), differences, np.inf)
    worst, largest = differences.argmax(axis=1), differences.max(axis=1)
    top = np.argsort(-largest, kind="stable")[:EXAMPLES]
    examples = [
        Example(reference.positions[row], _finite(wanted[row, worst[row]]), _finite(found[row, worst[row]]))
        for row in top.tolist()
        if largest[row] > 0
    ]
    furthest = float(largest.max())
    return Compared(furthest <= TOLERANCE, rows, _finite(furthest), tuple(examples))


def _thinned(positions: list[int], most: int) -> list[int]:
    """Return at most ``most`` of ``positions``, evenly spread."""
    import numpy as np

    if len(positions) <= most:
        return positions
    return [positions[index] for index in np.linspace(0, len(positions) - 1, most).astype(int).tolist()]


def _finite(value: Any) -> float | None:
    import math

    return float(value) if math.isfinite(value) else None


def _digits(value: float | None) -> str:
    return "none" if value is None else f"{value:.10g}"
