"""What every section of the comparison's report shares: the verdict read with care, and how its parts are written.

A verdict may be incomplete (no champion, a step that failed), so nothing here trusts a key to be there: a number that
is missing becomes a dash, a list that is missing is empty.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mainline.evaluate.blocks import Badge, Block, Code, Inline, Table
from mainline.evaluate.card_words import METRICS, NONE, metric, plain

Part = Mapping[str, Any]
SIGNED = frozenset({"bias"})
HIGHER = frozenset({"roc_auc", "average_precision", "accuracy", "macro_f1", "r2"})
LONGEST = 300


@dataclass(frozen=True)
class Section:
    """Blocks that stay or go together; of a report that is too long the highest ``rank`` goes first."""

    name: str
    rank: int
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class View:
    """The inputs of a report, and the ``most`` rows that a table of it may have (None: all)."""

    verdict: Part
    plots: Mapping[str, pd.DataFrame]
    links: Mapping[str, str]
    most: int | None

    @property
    def primary(self) -> str:
        return str(self.verdict.get("primary") or "")

    @property
    def primary_words(self) -> str:
        return METRICS.get(self.primary, self.primary) or "primary metric"

    @property
    def metrics(self) -> list[Part]:
        """The metrics, the primary one first."""
        return sorted(parts(self.verdict, "metrics"), key=lambda item: item.get("metric") != self.primary)

    @property
    def compared(self) -> bool:
        """Whether there is any number of a champion to show."""
        return any(finite(item.get("champion")) is not None for item in self.metrics)

    @property
    def looser(self) -> list[Part]:
        """Changed gates that are looser, or of which nobody can tell."""
        return [item for item in parts(part(self.verdict, "changes"), "gates") if item.get("looser") is not False]

    @property
    def passed_over(self) -> list[Part]:
        """Gates that are missed, and do not count because the champion misses them too."""
        found = parts(self.verdict, "gates")
        return [item for item in found if item.get("passed") is not True and item.get("level") == "note"]

    def change(self, name: str, item: Part, champion: Any, challenger: Any) -> str:
        """Return "better", "worse", "same" (the interval is 0) or "unclear" (it holds 0); "" without an interval.

        ``item`` has "difference" (challenger minus champion) and perhaps "worse": by how much, whichever way is better.
        """
        for key in ("worse", "difference"):
            low, high = finite(part(item, key).get("low")), finite(part(item, key).get("high"))
            if low is None or high is None:
                continue
            if low <= 0 <= high:
                return "same" if low == high else "unclear"
            if key == "worse":
                return "worse" if low > 0 else "better"
            if name in SIGNED:
                one, two = finite(champion), finite(challenger)
                return "" if one is None or two is None else "worse" if abs(two) > abs(one) else "better"
            better = next((entry.get("better") for entry in self.metrics if entry.get("metric") == name), None)
            higher = better == "higher" if better in ("higher", "lower") else name in HIGHER
            return "better" if (low > 0) == higher else "worse"
        return ""

    def table(
        self, head: tuple[str, ...], rows: list[tuple[Inline, ...]], numeric: tuple[int, ...] = (), folded: str = ""
    ) -> Table:
        """Return a table with at most ``most`` rows, the last of them saying how many are not shown."""
        if self.most is not None and len(rows) > self.most:
            rest = f"and {len(rows) - self.most + 1:,} more: see report.html"
            rows = [*rows[: self.most - 1], (rest, *("" for _ in head[1:]))]
        return Table(head, tuple(rows), numeric, folded)


def part(whole: Any, key: str) -> Part:
    """Return the object under ``key``, empty if there is none."""
    found = whole.get(key) if isinstance(whole, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def parts(whole: Any, key: str) -> list[Part]:
    """Return the objects of the list under ``key``, empty if there is none."""
    return [item for item in things(whole, key) if isinstance(item, Mapping)]


def things(whole: Any, key: str) -> list[Any]:
    """Return the list under ``key``, empty if there is none."""
    found = whole.get(key) if isinstance(whole, Mapping) else None
    return list(found) if isinstance(found, (list, tuple)) else []


def finite(value: Any) -> float | None:
    """Return ``value`` if it is one finite number, else None."""
    try:
        return float(value) if plain(value) and math.isfinite(value) else None
    except OverflowError:  # a whole number beyond what a float holds
        return None


def text(value: Any, most: int = LONGEST) -> str:
    """Return ``value`` in words, at most ``most`` characters; a dash for None."""
    found = NONE if value is None else str(value)
    return found if len(found) <= most else found[: most - 1] + "…"


def setting(value: Any) -> Code:
    """Return a value of params.yaml as it would stand there."""
    return Code(text(json.dumps(value, ensure_ascii=False, sort_keys=True, default=str), 160))


def commit(value: Any) -> Code | str:
    """Return the short form of a commit or a hash; a dash for None."""
    found = str(value or "")
    return Code(found[:12] if re.fullmatch(r"[0-9a-f]{7,64}", found) else text(found, 60)) if found else NONE


def signed(value: Any) -> str:
    """Return a difference with its sign: +0.0012, -0.5, 0."""
    found = finite(value)
    if found is None:
        return NONE
    if found == 0:
        return "0"
    size = abs(found)
    return f"{found:+.1e}" if size < 0.00005 else f"{found:+.4f}" if size < 10 else f"{found:+,.0f}"


def difference(entry: Any) -> tuple[str, str]:
    """Return a difference and its interval, each in words."""
    found = entry if isinstance(entry, Mapping) else {}
    if finite(found.get("low")) is None or finite(found.get("high")) is None:
        return signed(found.get("value")), NONE
    return signed(found.get("value")), f"{signed(found['low'])} to {signed(found['high'])}"


def value_of(name: str, value: Any) -> str:
    """Return a metric as the model card writes it; a dash for None, NaN and infinity."""
    return metric(name, finite(value))


def mark(change: str) -> Inline:
    """Return the word for a change with its arrow: up is better, whichever way the metric runs."""
    if change in ("better", "worse"):
        return Badge(f"{'▲' if change == 'better' else '▼'} {change}", change == "better", sign=False)
    return {"same": "= same", "unclear": "≈ unclear"}.get(change, NONE)
