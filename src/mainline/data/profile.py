"""The small, mergeable summary of a window of rows: counts per bin of each column.

Bins are fixed once, on reference rows; every later window is counted in the same bins, so two profiles merge by adding
counts and compare without the rows they came from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_CATEGORIES = 1000
# Values that no bin has are kept with their counts, but only so many a column: those with the smallest hashes, because
# that choice is the same whatever the order in which windows are merged.
MAX_UNSEEN = 100
MAX_LENGTH = 80
# Further cuts where bins have a margin: the way to the outer edges is long, and rows are not spread evenly on it.
TAILS = (0.001, 0.005, 0.01, 0.99, 0.995, 0.999)


@dataclass(frozen=True)
class Bins:
    """How one column is counted. Numbers: ``len(edges) + 1`` bins, right edges included, the outer two open. Text:
    one bin a value of ``values`` and one for any other. Both: a last bin for missing values.

    Attributes:
        sd: standard deviation of the reference's numbers, those beyond the outer edges set to these; with it, the outer
            two bins count what is far out of range. None: the bins were made without such a margin.
    """

    edges: tuple[float, ...] = ()
    values: tuple[str, ...] | None = None
    sd: float | None = None

    @property
    def labels(self) -> list[str]:
        """Names of the bins, in the order of the counts."""
        if self.values is not None:
            return [*self.values, "(other)", "(missing)"]
        lower, upper = ["-inf", *map(_short, self.edges)], [*map(_short, self.edges), "inf"]
        return [*(f"({low}, {high}]" for low, high in zip(lower, upper, strict=True)), "(missing)"]


@dataclass(frozen=True)
class Profile:
    """Counts of a window: ``rows`` in all, and per column the bins with an int64 count each.

    ``unseen`` has, for some columns, values that no bin has and how many rows hold each: at most ``MAX_UNSEEN`` a
    column. In a column of numbers these are texts that are no number; they are counted as missing.
    """

    rows: int
    bins: Mapping[str, Bins]
    counts: Mapping[str, NDArray[np.int64]]
    unseen: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def __add__(self, other: Profile) -> Profile:
        """Return the profile of both windows together.

        Raises:
            ValueError: the two were counted in different bins.
        """
        if self.bins != other.bins:
            raise ValueError("profiles with different bins do not merge: count both windows in the same bins")
        counts = {name: self.counts[name] + other.counts[name] for name in self.bins}
        both = [name for name in self.bins if name in self.unseen or name in other.unseen]
        unseen = {name: _merge(self.unseen.get(name, {}), other.unseen.get(name, {})) for name in both}
        return Profile(self.rows + other.rows, self.bins, counts, unseen)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values; :meth:`from_dict` takes them back."""
        columns = {
            name: {
                "edges": list(bins.edges),
                "values": None if bins.values is None else list(bins.values),
                "counts": self.counts[name].tolist(),
                **({} if bins.sd is None else {"sd": bins.sd}),
                **({"unseen": dict(sorted(self.unseen[name].items()))} if name in self.unseen else {}),
            }
            for name, bins in self.bins.items()
        }
        return {"rows": self.rows, "columns": columns}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Profile:
        """Return the profile that :meth:`to_dict` wrote."""
        columns = raw["columns"]
        bins = {
            name: Bins(tuple(item["edges"]), None if item["values"] is None else tuple(item["values"]), item.get("sd"))
            for name, item in columns.items()
        }
        counts = {name: np.asarray(item["counts"], dtype=np.int64) for name, item in columns.items()}
        unseen = {name: dict(item["unseen"]) for name, item in columns.items() if "unseen" in item}
        return cls(int(raw["rows"]), bins, counts, unseen)


def make_bins(
    frame: pd.DataFrame, columns: Sequence[str], quantiles: int, margin: float | None = None
) -> dict[str, Bins]:
    """Return bins for ``columns``: numbers cut into up to ``quantiles`` equal counts, the commonest texts by value.

    With ``margin``, numbers get an outer edge on both sides: the 0.1 % and 99.9 % quantiles, moved out by ``margin``
    times the span between them (a constant column: times its size). What lies beyond is far out of range.
    """
    made = {}
    for name in columns:
        values = frame[name]
        if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
            numbers = values.dropna().to_numpy(dtype=np.float64)
            shares = [*np.linspace(0, 1, quantiles + 1)[1:-1], *(TAILS if margin is not None else ())]
            cuts = np.quantile(numbers, shares, method="lower") if len(numbers) else []
            edges = [float(cut) for cut in np.unique(cuts)]
            sd = None
            if margin is not None and len(numbers):
                low, high = _range(numbers, margin)
                edges = [low, *(edge for edge in edges if low < edge < high), high]
                sd = _digits(float(np.clip(numbers, low, high).std()))
            made[name] = Bins(edges=tuple(edges), sd=sd)
        else:
            found = values.dropna().astype("str").value_counts().sort_index().nlargest(MAX_CATEGORIES)
            made[name] = Bins(values=tuple(sorted(str(value) for value in found.index)))
    return made


def _range(numbers: NDArray[np.float64], margin: float) -> tuple[float, float]:
    low, high = (float(value) for value in np.quantile(numbers, [0.001, 0.999], method="lower"))
    pad = margin * ((high - low) or abs(low) or 1.0)
    return _digits(low - pad), _digits(high + pad)


def count(frame: pd.DataFrame, bins: Mapping[str, Bins]) -> Profile:
    """Return the profile of ``frame`` in ``bins``."""
    counts, unseen = {}, {}
    for name, item in bins.items():
        counts[name], strange = _count(frame[name], item)
        if strange:
            unseen[name] = strange
    return Profile(len(frame), dict(bins), counts, unseen)


def _count(values: pd.Series, bins: Bins) -> tuple[NDArray[np.int64], dict[str, int]]:
    if bins.values is not None:
        return _count_texts(values, bins.values)
    strange: dict[str, int] = {}
    if pd.api.types.is_numeric_dtype(values):
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        read = pd.to_numeric(values.astype(object), errors="coerce")
        strange = _found(values[read.isna() & values.notna()].astype("str").value_counts())
        numbers = read.to_numpy(dtype=np.float64, na_value=np.nan)
    missing = np.isnan(numbers)
    known = numbers[~missing] if missing.any() else numbers
    where = np.searchsorted(np.asarray(bins.edges), known, side="left")
    return np.append(np.bincount(where, minlength=len(bins.edges) + 1), missing.sum()).astype(np.int64), strange


def _count_texts(values: pd.Series, known: tuple[str, ...]) -> tuple[NDArray[np.int64], dict[str, int]]:
    """Return the counts; each distinct text is looked up once, however many rows hold it."""
    codes, texts = pd.factorize(values, use_na_sentinel=True)
    each = np.bincount(codes[codes >= 0], minlength=len(texts))
    words = pd.Index(texts).astype("str")
    place = pd.Index(known).get_indexer(words)
    counts = np.zeros(len(known) + 2, dtype=np.int64)
    np.add.at(counts, np.where(place < 0, len(known), place), each)
    counts[-1] = (codes < 0).sum()
    return counts, _found(pd.Series(each[place < 0], index=words[place < 0]))


def _found(counts: pd.Series[int]) -> dict[str, int]:
    shortened: dict[str, int] = {}
    for value, rows in counts[counts > 0].items():
        key = str(value)[:MAX_LENGTH]
        shortened[key] = shortened.get(key, 0) + int(rows)
    return _merge(shortened, {})


def _merge(left: Mapping[str, int], right: Mapping[str, int]) -> dict[str, int]:
    """Return the sums of both, cut to the values with the smallest hashes.

    A value that is among these of the whole is among them in every part that holds it, so its count is exact.
    """
    names = {*left, *right}
    if len(names) > MAX_UNSEEN:
        names = set(sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())[:MAX_UNSEEN])
    return {name: left.get(name, 0) + right.get(name, 0) for name in sorted(names)}


def _digits(number: float) -> float:
    """Return six digits of ``number``: the last bits of a sum or a mean are not the same on every machine."""
    return float(f"{number:.6g}")


def _short(number: float) -> str:
    return f"{number:g}"
