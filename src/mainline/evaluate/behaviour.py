"""Behavioural tests: what must happen to the predictions when the rows are changed (Ribeiro and others 2020).

A test that cannot be computed is not passed, and says why. That holds too for a change that changes nothing: it would
pass with any model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mainline.config import Task
from mainline.evaluate.metrics import Floats, Metric, rounded
from mainline.project import Behaviour, Direction, Invariance, Minimum, Robustness, scores

NOISE = 1e-12  # smaller moves of a prediction are floating-point noise
Change = Callable[[pd.DataFrame], pd.DataFrame]


class _Uncomputable(Exception):
    """The reason why a test has no result."""


@dataclass(frozen=True)
class _Bench:
    """What every test needs: raw rows, the model, and its predictions for the rows as they are."""

    rows: pd.DataFrame
    model: Any
    task: Task
    y: NDArray[Any]
    before: Floats
    primary: Metric
    seed: int

    def changed(self, change: Change) -> pd.DataFrame:
        """Return the rows after ``change``.

        Raises:
            _Uncomputable: it fails, adds or loses columns or rows, or reorders them.
        """
        # The change gets a copy: one that works in place must not spoil the rows of the next test.
        after = _tried("the change fails", lambda: change(self.rows.copy()))
        if not isinstance(after, pd.DataFrame):
            raise _Uncomputable(f"the change returned {type(after).__name__}, not a DataFrame")
        absent = [str(name) for name in after.columns if name not in self.rows.columns]
        lost = [str(name) for name in self.rows.columns if name not in after.columns]
        if absent or lost:
            raise _Uncomputable(
                f"the change touches a column that the rows do not have: {', '.join(absent)}"
                if absent
                else f"the change loses columns: {', '.join(lost)}"
            )
        if not after.index.equals(self.rows.index):
            raise _Uncomputable(f"the change returned other rows than it got ({len(after)} for {len(self.rows)})")
        return after[list(self.rows.columns)]

    def predict(self, rows: pd.DataFrame) -> Floats:
        """Return finite predictions in the shape of ``before``."""
        after: Floats = _tried(
            "the model fails on the changed rows", lambda: as_classes(scores(self.model, rows), self.task)
        )
        if after.shape != self.before.shape or not np.isfinite(after).all() or not np.isfinite(self.before).all():
            raise _Uncomputable("a prediction is not a finite number")
        return after


def as_classes(score: Floats, task: Task) -> Floats:
    """Return class probabilities ``(n, k)`` for a multi-class task, also if it has two classes; others as they are."""
    return np.column_stack([1 - score, score]) if task == "multiclass" and score.ndim == 1 else score


def behaviours(
    rows: pd.DataFrame,
    y: NDArray[Any],
    score: Floats,
    model: Any,
    declared: Sequence[Behaviour],
    task: Task,
    primary: Metric,
    seed: int,
) -> list[dict[str, Any]]:
    """Return one entry for each declared behaviour: the "behaviours" of evaluation.json.

    ``rows`` are the raw columns that a change may touch; ``score`` are the model's predictions for them.
    """
    bench = _Bench(rows.reset_index(drop=True), model, task, y, score, primary, seed)
    return [_entry(bench, item) for item in declared]


def _entry(bench: _Bench, item: Behaviour) -> dict[str, Any]:
    value: float | None = None
    passed = False
    try:
        if len(bench.rows) == 0:
            raise _Uncomputable("there are no test rows")
        if isinstance(item, Invariance):
            value, passed, detail = _invariance(bench, item)
        elif isinstance(item, Direction):
            value, passed, detail = _direction(bench, item)
        elif isinstance(item, Minimum):
            value, passed, detail = _minimum(bench, item)
        else:
            value, passed, detail = _robustness(bench, item)
    except _Uncomputable as reason:
        detail = f"could not be computed: {reason}"
    if isinstance(item, Invariance):
        bound, direction = item.tolerance, "<="
    elif isinstance(item, Robustness):
        bound, direction = item.max_loss, "<="
    else:
        bound, direction = (item.share if isinstance(item, Direction) else item.margin), ">="
    return {
        "kind": type(item).__name__.lower(),
        "name": item.name,
        "value": rounded(value),
        "bound": float(bound),
        "direction": direction,
        "passed": bool(passed),
        "detail": detail,
    }


def _invariance(bench: _Bench, item: Invariance) -> tuple[float, bool, str]:
    after = bench.changed(item.change)
    touched = _touched(bench.rows, after)
    moves = np.abs(bench.predict(after) - bench.before).reshape(len(after), -1).max(axis=1)
    largest, count = float(moves.max()), int((moves > item.tolerance).sum())
    if largest <= item.tolerance:
        return largest, True, f"no prediction moved by more than {item.tolerance:g}; {touched.sum()} rows were changed"
    return largest, False, f"{count} of {len(after)} predictions moved, by up to {largest:.2g}"


def _direction(bench: _Bench, item: Direction) -> tuple[float, bool, str]:
    _one_number(bench)
    after = bench.changed(item.change)
    touched = _touched(bench.rows, after)
    moves = (bench.predict(after) - bench.before)[touched] * (1 if item.up else -1)
    share = float((moves > NOISE).mean())
    way = "up" if item.up else "down"
    return share, share >= item.share, f"{(moves > NOISE).sum()} of {len(moves)} changed rows moved {way}"


def _minimum(bench: _Bench, item: Minimum) -> tuple[float, bool, str]:
    _one_number(bench)
    better, worse = bench.changed(item.better), bench.changed(item.worse)
    _touched(better, worse)
    high, low = float(bench.predict(better).mean()), float(bench.predict(worse).mean())
    # Higher means higher: with a margin of 0, a model that sees no difference must not pass.
    return high - low, high - low >= item.margin and high - low > NOISE, f"mean {high:.6f} against {low:.6f}"


def _robustness(bench: _Bench, item: Robustness) -> tuple[float, bool, str]:
    generator = np.random.Generator(np.random.PCG64(bench.seed))
    after = bench.changed(lambda rows: item.damage(rows, generator))
    touched = _touched(bench.rows, after)
    name = bench.primary.name
    sound = bench.primary.function(bench.y, bench.before)
    harmed = bench.primary.function(bench.y, bench.predict(after))
    if sound is None or harmed is None:
        raise _Uncomputable(f"{name} is undefined on the test rows")
    loss = float(bench.primary.badness(harmed) - bench.primary.badness(sound))
    return loss, loss <= item.max_loss, f"{name} {sound:.6f} to {harmed:.6f}; {touched.sum()} rows were damaged"


def _one_number(bench: _Bench) -> None:
    if bench.task == "multiclass":
        raise _Uncomputable("higher and lower have no meaning for several classes; use Invariance or Robustness")


def _touched(before: pd.DataFrame, after: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which rows differ in any column; missing equals missing.

    Raises:
        _Uncomputable: none does.
    """
    differ = np.zeros(len(before), dtype=bool)
    # Most columns are as they were; turning each of a million values into an object takes seconds a column.
    for name in [name for name in before.columns if not before[name].equals(after[name])]:
        old, new = before[name].astype(object), after[name].astype(object)
        differ |= ((old != new) & ~(old.isna() & new.isna())).to_numpy(dtype=bool)
    if not differ.any():
        raise _Uncomputable("the change changes no row")
    return differ


def _tried(what: str, action: Callable[[], Any]) -> Any:
    """Return the result of the project's code, which may raise anything; the reason is made repeatable."""
    try:
        return action()
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        # Addresses in memory and folders of this machine differ between two equal runs.
        text = re.sub(r"(?:/[\w.@+-]+){2,}", "(path)", re.sub(r"0x[0-9a-fA-F]+", "(address)", lines[0]))
        raise _Uncomputable(f"{what} ({type(error).__name__}: {text[:200]})") from error
