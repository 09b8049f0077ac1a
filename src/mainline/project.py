"""The contract between the machinery and a project (``src/bank`` is the example), and its loader.

A project is a package of four modules. Each says one thing, and nothing else in the repository knows the data:

====================  =====================================================================================
``schema.py``         ``Row``: a Pandera model of one valid raw row, its fields made with :func:`column`
``features.py``       ``COLUMNS``: the raw columns the model sees; ``build(columns)``: an unfitted transformer
``model.py``          ``build(seed, **arguments)``: an unfitted estimator; ``SPACE``: its search space;
                      ``TRUSTED`` (optional): types of its own that the model file may hold
``expectations.py``   ``SLICES``, ``GROUPS``, ``BEHAVIOURS``, ``VALUE``: what a good model must do
====================  =====================================================================================
"""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mainline.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray
    from pandera.api.pandas.model import DataFrameModel

Known = Literal["before", "after"]
Pii = Literal["keep", "hash", "drop"]


@dataclass(frozen=True)
class Marks:
    """What a schema says of a column beyond its values.

    Attributes:
        known: "after" for a value that exists only after the event that is predicted; never a feature.
        pii: what happens to the value in logs, reports and artifacts: kept, hashed or dropped.
        protected: a group of people may not be treated worse by it; fairness gaps are measured.
        one_of: the closed vocabulary of a categorical column, in order; empty for any other.
    """

    known: Known = "before"
    pii: Pii = "keep"
    protected: bool = False
    one_of: tuple[str, ...] = ()


def column(
    *,
    one_of: Sequence[str] = (),
    known: Known = "before",
    pii: Pii = "keep",
    protected: bool = False,
    **checks: Any,
) -> Any:
    """Return a Pandera ``Field`` that carries :class:`Marks`; ``checks`` are Pandera's own (``ge``, ``nullable`` …)."""
    import pandera.pandas as pa

    marks = Marks(known=known, pii=pii, protected=protected, one_of=tuple(one_of))
    if one_of:
        checks["isin"] = list(one_of)
    return pa.Field(metadata={"mainline": marks}, **checks)


@dataclass(frozen=True)
class Invariance:
    """A change that must not move any prediction by more than ``tolerance`` (in units of the prediction)."""

    name: str
    change: Callable[[pd.DataFrame], pd.DataFrame]
    tolerance: float = 1e-9


@dataclass(frozen=True)
class Direction:
    """A change that must move the predictions up (or down) for at least ``share`` of the rows."""

    name: str
    change: Callable[[pd.DataFrame], pd.DataFrame]
    up: bool
    share: float = 0.95


@dataclass(frozen=True)
class Minimum:
    """Minimum function: rows changed by ``better`` score higher by ``margin`` on average than changed by ``worse``."""

    name: str
    better: Callable[[pd.DataFrame], pd.DataFrame]
    worse: Callable[[pd.DataFrame], pd.DataFrame]
    margin: float = 0.0


@dataclass(frozen=True)
class Robustness:
    """Damage that may cost at most ``max_loss`` of the primary metric; the generator makes it repeatable."""

    name: str
    damage: Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]
    max_loss: float


Behaviour = Invariance | Direction | Minimum | Robustness


@dataclass(frozen=True)
class Value:
    """Business value of acting on a prediction: ``gain`` for a hit, ``cost`` of every act, in ``unit``."""

    gain: float
    cost: float
    unit: str = "EUR"


Grouping = Callable[["pd.DataFrame"], "pd.Series[Any]"]


@dataclass(frozen=True)
class Project:
    """A loaded project. ``marks`` and ``dtypes`` are in schema order."""

    name: str
    row: type[DataFrameModel]
    marks: Mapping[str, Marks]
    columns: tuple[str, ...]
    build_features: Callable[[Sequence[str]], Any]
    build_estimator: Callable[..., Any]
    space: Mapping[str, Sequence[Any]]
    slices: Mapping[str, Grouping]
    groups: Mapping[str, Grouping]
    behaviours: Sequence[Behaviour]
    value: Value | None
    trusted: tuple[str, ...] = ()

    @property
    def protected(self) -> tuple[str, ...]:
        """Columns that the schema marks as protected."""
        return tuple(name for name, marks in self.marks.items() if marks.protected)


def load_schema(name: str) -> tuple[type[DataFrameModel], dict[str, Marks]]:
    """Return the project's row model and the marks of each of its columns.

    Raises:
        UserError: there is no such package, or its ``schema.py`` holds no ``Row``.
    """
    row = _attribute(name, "schema", "Row")
    try:
        schema = row.to_schema()
    except Exception as error:  # Pandera raises this and that for a field that it cannot make a column of
        raise broken(name, "schema.py", error) from error
    return row, {key: (field.metadata or {}).get("mainline", Marks()) for key, field in schema.columns.items()}


def load_project(name: str) -> Project:
    """Return the project in package ``name`` (heavy: imports its features and model).

    Raises:
        UserError: a module or a name of the contract is missing; the message says which.
    """
    row, marks = load_schema(name)
    columns = tuple(_attribute(name, "features", "COLUMNS"))
    unknown = [item for item in columns if item not in marks]
    if unknown:
        raise UserError(
            f"{name}.features.COLUMNS: {', '.join(unknown)}: not in {name}.schema.Row",
            f"use the schema's names: {', '.join(marks)}",
        )
    return Project(
        name=name,
        row=row,
        marks=marks,
        columns=columns,
        build_features=_attribute(name, "features", "build"),
        build_estimator=_attribute(name, "model", "build"),
        space=_attribute(name, "model", "SPACE"),
        slices=_attribute(name, "expectations", "SLICES") or {},
        groups=_attribute(name, "expectations", "GROUPS") or {},
        behaviours=_attribute(name, "expectations", "BEHAVIOURS") or (),
        value=_attribute(name, "expectations", "VALUE"),
        trusted=tuple(_attribute(name, "model", "TRUSTED", ())),
    )


def about(name: str) -> str:
    """Return what the project says of itself: the docstring of its package.

    It is read from the source: under PYTHONOPTIMIZE=2 Python keeps no docstrings.
    """
    import ast

    _attribute(name, "schema", "Row")
    source = sys.modules[name].__file__
    return (ast.get_docstring(ast.parse(Path(source).read_bytes())) or "").strip() if source else ""


_REQUIRED = object()


def _attribute(package: str, module: str, name: str, default: Any = _REQUIRED) -> Any:
    """Return ``package.module.name``, or ``default`` if the contract lets it be absent.

    The folder ``src`` of the working directory is searched first.
    """
    source = str(Path("src").resolve())
    if Path("src", package).is_dir() and source not in sys.path:
        sys.path.insert(0, source)
    path = f"{package}.{module}"
    try:
        loaded = importlib.import_module(path)
    except Exception as error:  # whatever the project's own code raises
        if not isinstance(error, ModuleNotFoundError) or error.name not in (package, path):
            raise broken(package, f"{module}.py", error) from error
        raise UserError(
            f"project {package!r}: no module {path} (params.yaml, key project)",
            f"create src/{package}/{module}.py, or name another package in params.yaml; src/bank is the example",
        ) from error
    found = getattr(loaded, name, default)
    if found is _REQUIRED:
        raise UserError(f"src/{package}/{module}.py: {name} is missing", "see the contract in src/mainline/project.py")
    return found


def broken(package: str, place: str, error: Exception) -> UserError:
    """Return ``error`` as a mistake in the project's code, at the line there that led to it, else ``place``."""
    lines = [
        (frame.filename, frame.lineno)
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).parent.name == package
    ]
    name, line = lines[-1] if lines else (place, None)
    if isinstance(error, SyntaxError) and error.filename:
        name, line = error.filename, error.lineno
    said = error.msg if isinstance(error, SyntaxError) else (str(error).splitlines() or [""])[0][:300]
    place = f"src/{package}/{Path(name).name}" + (f":{line}" if line else "")
    return UserError(f"{place}: {type(error).__name__}: {said}", "mend it there; src/bank is the example")


def scores(model: Any, frame: pd.DataFrame) -> NDArray[np.float64]:
    """Return predictions for raw rows: P(positive) ``(n,)``, class probabilities ``(n, k)``, or values ``(n,)``."""
    import numpy as np

    if not hasattr(model, "predict_proba"):
        return np.asarray(model.predict(frame), dtype=np.float64)
    probabilities = np.asarray(model.predict_proba(frame), dtype=np.float64)
    return probabilities[:, 1] if probabilities.shape[1] == 2 else probabilities
