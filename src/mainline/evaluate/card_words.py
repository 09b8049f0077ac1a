"""What every section of the card shares: the inputs under one name, and how numbers and names are written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mainline.config import Settings
from mainline.evaluate.document import Code
from mainline.project import Marks

NONE = "–"
METRICS = {
    "log_loss": "log loss",
    "brier": "Brier score",
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
    "r2": "R²",
    "bias": "bias",
}


@dataclass(frozen=True)
class Facts:
    """The inputs of a card."""

    validation: Mapping[str, Any]
    split: Mapping[str, Any]
    training: Mapping[str, Any]
    evaluation: Mapping[str, Any]
    settings: Settings
    marks: Mapping[str, Marks]
    plots: Mapping[str, pd.DataFrame]

    @property
    def reports(self) -> tuple[Mapping[str, Any], ...]:
        return self.validation, self.split, self.training, self.evaluation

    @property
    def primary(self) -> str:
        return str(self.evaluation["primary"])

    @property
    def metrics(self) -> Mapping[str, Mapping[str, Any]]:
        """Metrics by name, the primary one first, then in the order of every table."""
        known, order = self.evaluation.get("metrics") or {}, list(METRICS)
        place = {name: order.index(name) if name in order else len(order) for name in known}
        return {name: known[name] for name in sorted(known, key=lambda name: (name != self.primary, place[name], name))}

    @property
    def primary_entry(self) -> Mapping[str, Any]:
        return self.metrics.get(self.primary, {})

    @property
    def baseline(self) -> Mapping[str, Any]:
        return self.evaluation.get("baseline") or {}

    @property
    def gates_judged(self) -> list[Mapping[str, Any]]:
        """Gates that are switched on; one without a bound counts only if it fails."""
        return [
            gate for gate in self.evaluation.get("gates") or () if gate.get("bound") is not None or not gate["passed"]
        ]

    @property
    def gates_failed(self) -> list[Mapping[str, Any]]:
        return [gate for gate in self.gates_judged if not gate["passed"]]

    @property
    def calibration_bound(self) -> float:
        """How far a month's mean prediction may be from its observed rate before the card warns."""
        bound = self.settings.gates.calibration_error
        return 0.1 if bound is None else bound

    @property
    def drifted_months(self) -> list[Mapping[str, Any]]:
        """Months of a binary task whose mean prediction is further from the observed rate than the bound.

        A month that is too small to be judged counts only beyond three standard errors, where chance is no excuse.
        """
        if self.settings.model.task != "binary":
            return []
        return [
            item
            for item in self.evaluation.get("months") or ()
            if plain(item.get("mean_score"))
            and plain(item.get("mean_label"))
            and abs(item["mean_score"] - item["mean_label"]) > max(self.calibration_bound, _chance(item))
        ]

    def interval(self, entry: Mapping[str, Any]) -> str:
        """Return " (95 % interval 0.2 to 0.3)", or nothing without an interval."""
        low, high = entry.get("low"), entry.get("high")
        if low is None or high is None:
            return ""
        return f" ({percent(self.evaluation['level'], 0)} interval {number(low)} to {number(high)})"


def _chance(month: Mapping[str, Any]) -> float:
    """Return three standard errors of a rate (normal approximation) for a month that is not judged, else 0."""
    if month["judged"]:
        return 0.0
    rate = min(max(month["mean_score"], 0.0), 1.0)
    return 3 * math.sqrt(rate * (1 - rate) / max(month["rows"], 1))


def coded(text: str) -> tuple[str | Code, ...]:
    """Return ``text`` with the parts between backticks as code."""
    return tuple(Code(part) if index % 2 else part for index, part in enumerate(text.split("`")) if part)


def plain(value: Any) -> bool:
    """Return whether ``value`` is one number (a mean over several classes is a list, an unknown one is None)."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def number(value: Any, digits: int | None = None) -> str:
    """Return a number as people write it: 0.1234, 12.35, 1,235; a dash for None."""
    if not plain(value):
        return NONE
    size = abs(value)
    if value != 0 and size < 0.0005 and digits is None:
        return f"{value:.1e}".replace(".0e", "e")
    if digits is None:
        if float(value).is_integer():
            return f"{value:,.0f}"
        digits = 4 if size < 10 else 2 if size < 1000 else 0
        return f"{value:,.{digits}f}".rstrip("0").rstrip(".") if digits else f"{value:,.0f}"
    return f"{value + 0.0:,.{digits}f}"


def metric(name: str, value: Any) -> str:
    """Return a metric with a fixed number of digits, so that columns line up."""
    if not plain(value):
        return NONE
    return f"{value + 0.0:.4f}" if abs(value) < 10 else number(value)


def cut(value: Any) -> str:
    """Return a threshold with at least two decimals: 0.10, 0.0834."""
    text = number(value)
    return f"{value:.2f}" if plain(value) and len(text.partition(".")[2]) < 2 else text


def percent(value: Any, digits: int = 1) -> str:
    """Return a share as a percentage; a dash for None."""
    return f"{100 * value:.{digits}f} %" if plain(value) else NONE


def plural(count: int, noun: str) -> str:
    """Return ``count`` with its noun, which takes an s."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
