"""From raw rows to predictions, by the fastest path that was proven when the model was trained.

``OnnxScorer`` needs neither pandas nor scikit-learn; ``ExactScorer`` is the model itself, for what does not convert.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mainline.errors import UserError
from mainline.files import read_json, sha256
from mainline.train.onnx_run import FACTS, MISSING, ONNX, feed, open_session, run

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

Input = Mapping[str, str]
Row = Mapping[str, Any]


class Scorer(Protocol):
    """Predicts P(positive) ``(n,)``, class probabilities ``(n, k)`` or values ``(n,)``, always float64.

    Attributes:
        path: onnx or exact.
        inputs: name and kind (number, text, flag or time) of each column that the model needs.
        refused: awkward values that the model cannot take, as [column, "missing" or "unseen"].
    """

    @property
    def path(self) -> str: ...

    @property
    def inputs(self) -> tuple[Input, ...]: ...

    @property
    def refused(self) -> tuple[tuple[str, str], ...]: ...

    def score(self, columns: Mapping[str, Any] | pd.DataFrame) -> NDArray[np.float64]:
        """Predict for columns of raw values, each ``(n,)``; missing is None or NaN."""

    def score_rows(self, rows: Sequence[Row]) -> NDArray[np.float64]:
        """Predict for rows of raw values; missing is None."""


@dataclass(frozen=True)
class OnnxScorer:
    """The ONNX model on one thread."""

    session: Any
    inputs: tuple[Input, ...]
    refused: tuple[tuple[str, str], ...] = ()
    path: str = "onnx"

    def score(self, columns: Mapping[str, Any] | pd.DataFrame) -> NDArray[np.float64]:
        """See :class:`Scorer`."""
        return run(self.session, feed({item["name"]: columns[item["name"]] for item in self.inputs}, self.inputs))

    def score_rows(self, rows: Sequence[Row]) -> NDArray[np.float64]:
        """See :class:`Scorer`; no array of objects is searched for missing values on this way."""
        fed: dict[str, NDArray[Any]] = {}
        for item in self.inputs:
            name = item["name"]
            if item["kind"] == "text":
                texts = [MISSING if (value := row[name]) is None else value for row in rows]
                fed[name] = np.array(texts, dtype=object).reshape(-1, 1)
            else:
                fed[name] = np.array([row[name] for row in rows], dtype=np.float64).astype(np.float32).reshape(-1, 1)
        return run(self.session, fed)


@dataclass(frozen=True)
class ExactScorer:
    """The scikit-learn pipeline itself, by way of pandas."""

    model: Any
    inputs: tuple[Input, ...]
    refused: tuple[tuple[str, str], ...] = ()
    path: str = "exact"

    def score(self, columns: Mapping[str, Any] | pd.DataFrame) -> NDArray[np.float64]:
        """See :class:`Scorer`."""
        from threadpoolctl import threadpool_limits

        from mainline.project import scores

        frame = frame_of({item["name"]: columns[item["name"]] for item in self.inputs}, self.inputs)
        with threadpool_limits(1):
            return np.asarray(scores(self.model, frame), dtype=np.float64)

    def score_rows(self, rows: Sequence[Row]) -> NDArray[np.float64]:
        """See :class:`Scorer`."""
        return self.score({item["name"]: [row[item["name"]] for row in rows] for item in self.inputs})


def frame_of(columns: Mapping[str, Any], inputs: Sequence[Input]) -> pd.DataFrame:
    """Return raw values with the types that training saw: text, whole numbers unless one is missing, times."""
    import pandas as pd

    made: dict[str, Any] = {}
    for item in inputs:
        name, values = item["name"], columns[item["name"]]
        if item["kind"] == "text":
            made[name] = pd.array(list(values), dtype=pd.StringDtype(na_value=float("nan")))
        elif item["kind"] == "time":
            made[name] = pd.to_datetime(pd.Series(values)).astype("datetime64[us]").to_numpy()
        else:
            series = pd.Series(values)
            made[name] = (series if series.dtype != object else series.astype("float64")).to_numpy()
    return pd.DataFrame(made)


def load_scorer(folder: Path = Path("artifacts"), trusted: Sequence[str] = ()) -> Scorer:
    """Return the scorer of the model in ``folder``; ``trusted`` are the project's own types (for the exact path).

    Raises:
        UserError: a file is absent, is damaged, or is not the one that serving.json names.
    """
    facts = read_json(folder / "serving" / FACTS)
    try:
        path, inputs = facts["path"], tuple(dict(item) for item in facts["inputs"])
        refused = tuple((str(name), str(what)) for name, what in facts["refused"])
        expected = facts["sha256"]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{folder}/serving/{FACTS}: lacks {error}", "run `dvc repro` to make it again") from error
    if path != "onnx":
        from mainline.train.artifact import load_model

        return ExactScorer(load_model(folder / "model.skops", trusted), inputs, refused)
    file = folder / "serving" / ONNX
    if not file.is_file():
        raise UserError(f"{file}: not there", "run `dvc repro` (or `dvc pull`) first")
    if (found := sha256(file)) != expected:
        raise UserError(
            f"{file}: damaged: its SHA-256 is {found[:12]}…, and {FACTS} names {str(expected)[:12]}…",
            "run `dvc checkout --force artifacts/serving`, or `dvc repro`",
        )
    return OnnxScorer(open_session(file.read_bytes()), inputs, refused)
