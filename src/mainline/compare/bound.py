"""A gate as the verdict sees it: its number, its bound, its direction, and what follows when it is not passed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["reject", "hold", "note"]
Way = Literal["<=", ">="]
COUNTED = ("split", "lock", "remote", "evaluation")


@dataclass(frozen=True)
class Bound:
    """A gate as a row of verdict.json.

    ``level`` is what the verdict becomes through it, None if it is passed; "note": not passed, but passed over, because
    the champion misses it too (see :mod:`mainline.compare.below`).
    """

    gate: str
    value: float | None
    bound: float | None
    direction: Way
    passed: bool
    note: str
    level: Level | None

    def row(self) -> dict[str, Any]:
        """Return the gate as a row of verdict.json."""
        return asdict(self)

    def sentence(self) -> str:
        """Return what did not hold, with number, bound and direction."""
        if self.value is None:
            return f"{self.gate}: {self.note or 'could not be computed'}"
        if self.gate in COUNTED:
            return f"{self.gate}: {self.note} ({self.value:g} found, must be {self.direction} {self.bound:g})"
        words = f"{self.gate}: {self.value:g}, must be {self.direction} {self.bound:g}"
        return f"{words} ({self.note})" if self.note else words


def is_number(value: Any) -> bool:
    """Return whether ``value`` is one finite number."""
    return isinstance(value, int | float) and math.isfinite(value)


def usable(span: Mapping[str, Any] | None) -> bool:
    """Return whether ``span`` has a value and both ends of its interval."""
    return span is not None and all(is_number(span.get(key)) for key in ("value", "low", "high"))
