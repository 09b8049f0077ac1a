"""What is kept of a window: its profile, and from when to when it was seen; windows merge without their rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mainline.data.profile import Bins, Profile
from mainline.monitor.drift import LATENCY

# From 0.1 ms to 100 s, 12 bins a decade: a quantile is known to within 21 %.
LATENCY_BINS = Bins(edges=tuple(float(f"{edge:.4g}") for edge in np.logspace(-1, 5, 73)))


@dataclass(frozen=True)
class Watched:
    """The profile of a window, and the times (ISO, UTC) of its first and last row; None if it has none, or no times."""

    profile: Profile
    first: str | None = None
    last: str | None = None

    def __add__(self, other: Watched) -> Watched:
        """Return both together; raises ValueError as the profiles do."""
        return Watched(
            self.profile + other.profile,
            min((time for time in (self.first, other.first) if time), default=None),
            max((time for time in (self.last, other.last) if time), default=None),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values; :meth:`from_dict` takes them back."""
        return {"first": self.first, "last": self.last, "profile": self.profile.to_dict()}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Watched:
        """Return what :meth:`to_dict` wrote."""
        return cls(Profile.from_dict(raw["profile"]), raw["first"], raw["last"])


def empty(bins: Mapping[str, Bins]) -> Profile:
    """Return the profile of no rows."""
    sizes = {name: len(item.values if item.values is not None else item.edges) for name, item in bins.items()}
    extra = {name: 2 for name in bins}
    return Profile(0, dict(bins), {name: np.zeros(sizes[name] + extra[name], dtype=np.int64) for name in bins})


def watched_bins(reference: Profile) -> dict[str, Bins]:
    """Return the bins in which windows are counted: the reference's, and those of the latency."""
    return {**reference.bins, LATENCY: LATENCY_BINS}


def reference_id(reference: Profile) -> str:
    """Return 12 hex digits that change when the reference does: what was judged against another is no history."""
    return hashlib.sha256(json.dumps(reference.to_dict(), sort_keys=True).encode()).hexdigest()[:12]


def quantile(profile: Profile, name: str, share: float) -> float | None:
    """Return the upper edge of the bin that holds the ``share`` quantile of a column of numbers; None without rows."""
    counts, edges = profile.counts[name][:-1], profile.bins[name].edges
    if not counts.sum():
        return None
    where = int(np.searchsorted(np.cumsum(counts), share * counts.sum(), side="left"))
    return float(edges[min(where, len(edges) - 1)])
