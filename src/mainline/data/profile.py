"""The small, mergeable summary of a window of rows: counts per bin of each column.

Bins are fixed once, on reference rows; every later window is counted in the same bins, so two profiles merge by adding
counts and compare without the rows they came from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_CATEGORIES = 1000


@dataclass(frozen=True)
class Bins:
    """How one column is counted. Numbers: ``len(edges) + 1`` bins, right edges included, the outer two open. Text:
    one bin a value of ``values`` and one for any other. Both: a last bin for missing values.
    """

    edges: tuple[float, ...] = ()
    values: tuple[str, ...] | None = None

    @property
    def labels(self) -> list[str]:
        """Names of the bins, in the order of the counts."""
        if self.values is not None:
            return [*self.values, "(other)", "(missing)"]
        lower, upper = ["-inf", *map(_short, self.edges)], [*map(_short, self.edges), "inf"]
        return [*(f"({low}, {high}]" for low, high in zip(lower, upper, strict=True)), "(missing)"]


@dataclass(frozen=True)
class Profile:
    """Counts of a window: ``rows`` in all, and per column the bins with an int64 count each."""

    rows: int
    bins: Mapping[str, Bins]
    counts: Mapping[str, NDArray[np.int64]]

    def __add__(self, other: Profile) -> Profile:
        """Return the profile of both windows together.

        Raises:
            ValueError: the two were counted in different bins.
        """
        if self.bins != other.bins:
            raise ValueError("profiles with different bins do not merge: count both windows in the same bins")
        counts = {name: self.counts[name] + other.counts[name] for name in self.bins}
        return Profile(self.rows + other.rows, self.bins, counts)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values; :meth:`from_dict` takes them back."""
        columns = {
            name: {
                "edges": list(bins.edges),
                "values": None if bins.values is None else list(bins.values),
                "counts": self.counts[name].tolist(),
            }
            for name, bins in self.bins.items()
        }
        return {"rows": self.rows, "columns": columns}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Profile:
        """Return the profile that :meth:`to_dict` wrote."""
        columns = raw["columns"]
        bins = {
            name: Bins(tuple(item["edges"]), None if item["values"] is None else tuple(item["values"]))
            for name, item in columns.items()
        }
        counts = {name: np.asarray(item["counts"], dtype=np.int64) for name, item in columns.items()}
        return cls(int(raw["rows"]), bins, counts)


def make_bins(frame: pd.DataFrame, columns: Sequence[str], quantiles: int) -> dict[str, Bins]:
    """Return bins for ``columns``: numbers cut into up to ``quantiles`` equal counts, the commonest texts by value."""
    made = {}
    for name in columns:
        values = frame[name]
        if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
            numbers = values.dropna().to_numpy(dtype=np.float64)
            cuts = np.quantile(numbers, np.linspace(0, 1, quantiles + 1)[1:-1], method="lower") if len(numbers) else []
            made[name] = Bins(edges=tuple(float(cut) for cut in np.unique(cuts)))
        else:
            found = values.dropna().astype("str").value_counts().sort_index().nlargest(MAX_CATEGORIES)
            made[name] = Bins(values=tuple(sorted(str(value) for value in found.index)))
    return made


def count(frame: pd.DataFrame, bins: Mapping[str, Bins]) -> Profile:
    """Return the profile of ``frame`` in ``bins``."""
    return Profile(len(frame), dict(bins), {name: _count(frame[name], item) for name, item in bins.items()})


def _count(values: pd.Series, bins: Bins) -> NDArray[np.int64]:
    missing = values.isna().to_numpy(dtype=bool)
    if bins.values is None:
        numbers = pd.to_numeric(values[~missing]).to_numpy(dtype=np.float64)
        where = np.searchsorted(np.asarray(bins.edges), numbers, side="left")
        size = len(bins.edges) + 1
    else:
        where = pd.Index(bins.values).get_indexer(pd.Index(values[~missing].astype("str")))
        size = len(bins.values) + 1
        where = np.where(where < 0, size - 1, where)
    return np.append(np.bincount(where, minlength=size), missing.sum()).astype(np.int64)


def _short(number: float) -> str:
    return f"{number:g}"
