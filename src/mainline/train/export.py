"""The fast path of the service: the model as ONNX, if it converts and predicts what the exact model predicts.

The exact model stays the truth. Its copy is held against it on every training row, and on rows made to be awkward:
missing and unseen values, numbers at and beyond the edges, and mixtures that never occurred.
"""

from __future__ import annotations

import copy
import hashlib
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.frozen import FrozenEstimator

from mainline.files import write_atomic, write_json
from mainline.project import scores
from mainline.train.onnx_run import FACTS, ONNX, feed, open_session, run

if TYPE_CHECKING:
    from numpy.typing import NDArray

PARITY = 1e-6
PROBES = 200  # rows of each kind of awkward rows
MIXED = 2000
UNSEEN = "(unseen)"
SPREADS = 10.0  # how far beyond the seen values the edges are probed, in widths of the seen range

Feed = dict[str, "NDArray[Any]"]
Scoring = Callable[[pd.DataFrame], "NDArray[np.float64]"]


@dataclass(frozen=True)
class Export:
    """What becomes ``artifacts/serving``: the facts for serving.json, and the bytes of model.onnx if there is one."""

    facts: dict[str, Any]
    onnx: bytes | None


def export(model: Any, rows: pd.DataFrame, columns: Sequence[str], seed: int) -> Export:
    """Return the fastest path to the predictions of ``model`` that is proven on ``rows``.

    ``facts``: "path" (onnx or exact), "reason", "parity" (bound of the differences of predictions, relative where those
    are beyond 1; None when there was nothing to compare), "rows" (compared), "inputs" (name and kind of ``columns``),
    "refused" (awkward values that the exact model itself cannot take, as [column, "missing" or "unseen"]), "sha256" of
    the ONNX file.
    """
    inputs = [{"name": name, "kind": kind(rows[name])} for name in columns]
    facts: dict[str, Any] = {"inputs": inputs, "parity": None, "rows": 0, "refused": [], "sha256": None}
    probes, facts["refused"] = _answered(model, rows, columns, seed)
    try:
        content = convert(model, inputs)
        fast = session_scores(content, inputs)
        worst = 0.0
        for frame, exact in [(rows, scores(model, rows)), *probes]:
            found = fast(frame)
            if found.shape != exact.shape:
                raise ValueError(f"its predictions have the shape {found.shape}, not {exact.shape}")
            # A value far beyond 1 has fewer digits after the point: there the relative difference counts.
            difference = float((np.abs(found - exact) / np.maximum(np.abs(exact), 1.0)).max())
            worst = max(worst, difference if np.isfinite(difference) else float("inf"))
            facts["rows"] += len(frame)
    # The converter and the runtime raise whatever an estimator they do not know makes them stumble over.
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        reason = f"does not convert to ONNX ({type(error).__name__}: {lines[0][:160]})"
        return Export({**facts, "path": "exact", "reason": reason, "rows": 0}, None)
    facts["parity"] = bound(worst) if np.isfinite(worst) else None
    if worst > PARITY:
        reason = f"as ONNX, a prediction differs by up to {bound(worst):g}, more than {PARITY:g}"
        return Export({**facts, "path": "exact", "reason": reason}, None)
    reason = f"ONNX predicts the same to {PARITY:g}"
    return Export({**facts, "path": "onnx", "reason": reason, "sha256": hashlib.sha256(content).hexdigest()}, content)


def bound(difference: float) -> float:
    """Return ``difference`` rounded up to a power of ten.

    ONNX Runtime chooses its kernels by the processor, and no variable pins them: further digits of a difference would
    make the outputs of the stage differ from machine to machine.
    """
    return float(f"1e{math.ceil(math.log10(difference))}") if 0 < difference < math.inf else difference


def save_export(folder: Path, exported: Export) -> None:
    """Write serving.json and model.onnx to ``folder``; the ONNX file of an earlier run goes first.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    (folder / ONNX).unlink(missing_ok=True)
    if exported.onnx is not None:
        write_atomic(folder / ONNX, exported.onnx)
    write_json(folder / FACTS, exported.facts)


def kind(values: pd.Series) -> str:
    """Return what a column holds: flag, number, time or text."""
    if pd.api.types.is_bool_dtype(values):
        return "flag"
    if pd.api.types.is_numeric_dtype(values):
        return "number"
    return "time" if pd.api.types.is_datetime64_any_dtype(values) else "text"


def convert(model: Any, inputs: Sequence[Mapping[str, str]]) -> bytes:
    """Return ``model`` as ONNX with one input a column and one output, "score"; equal models give equal bytes.

    Raises:
        Exception: whatever the converter raises for what it does not know.
    """
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    strange = [item["name"] for item in inputs if item["kind"] == "time"]
    if strange:
        raise TypeError(f"{strange[0]}: a time has no type in ONNX")
    types = [
        (item["name"], (StringTensorType if item["kind"] == "text" else FloatTensorType)([None, 1])) for item in inputs
    ]
    classifier = hasattr(model, "predict_proba")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        onnx = convert_sklearn(_thawed(model), "model", types, options={"zipmap": False} if classifier else None)
    # The label is left out: what would compute it would be run for every request.
    kept = [item for item in onnx.graph.output if item.name == "probabilities" or not classifier]
    if len(kept) != 1:
        raise ValueError(f"the outputs are {', '.join(item.name for item in onnx.graph.output)}")
    del onnx.graph.output[:]
    onnx.graph.output.extend(kept)
    _name_inputs(onnx.graph, [item["name"] for item in inputs])
    return _canonical(onnx)


def _name_inputs(graph: Any, names: Sequence[str]) -> None:
    """Give the inputs of ``graph`` the names of the columns; the converter allows no spaces and the like in them."""
    if len(graph.input) != len(names):
        raise ValueError(f"it has {len(graph.input)} inputs for {len(names)} columns")
    changed = {item.name: name for item, name in zip(graph.input, names, strict=True) if item.name != name}
    for item in graph.input:
        item.name = changed.get(item.name, item.name)
    for node in graph.node:
        node.input[:] = [changed.get(name, name) for name in node.input]


def _canonical(onnx: Any) -> bytes:
    """Return the bytes of an ONNX model in an order that depends on its content alone.

    The converter puts nodes that do not depend on each other in the order of their addresses in memory, and so the
    sets of operators.
    """
    waiting = sorted(onnx.graph.node, key=lambda node: bytes(node.SerializeToString(deterministic=True)))
    made = {item.name for item in (*onnx.graph.input, *onnx.graph.initializer)} | {""}
    ordered: list[Any] = []
    while waiting:
        ready = next(node for node in waiting if made.issuperset(node.input))
        waiting.remove(ready)
        ordered.append(ready)
        made |= set(ready.output)
    initializers = sorted(onnx.graph.initializer, key=lambda item: str(item.name))
    opsets = sorted(onnx.opset_import, key=lambda item: str(item.domain))
    del onnx.graph.node[:], onnx.graph.initializer[:], onnx.opset_import[:]
    onnx.opset_import.extend(opsets)
    onnx.graph.node.extend(ordered)
    onnx.graph.initializer.extend(initializers)
    return bytes(onnx.SerializeToString(deterministic=True))


def session_scores(content: bytes, inputs: Sequence[Mapping[str, str]]) -> Scoring:
    """Return a function from raw rows to predictions by the ONNX model, shaped as ``mainline.project.scores`` does."""
    session = open_session(content)
    return lambda frame: run(session, feed({item["name"]: frame[item["name"]] for item in inputs}, inputs))


def _thawed(model: Any) -> Any:
    """Return a copy of ``model`` with frozen estimators laid open: the converter knows what is inside, not the ice."""
    final = model.steps[-1][1] if hasattr(model, "steps") else model
    if not hasattr(final, "calibrated_classifiers_"):
        return model
    thawed = copy.deepcopy(model)
    final = thawed.steps[-1][1] if hasattr(thawed, "steps") else thawed
    for part in (final, *final.calibrated_classifiers_):
        if isinstance(part.estimator, FrozenEstimator):
            part.estimator = part.estimator.estimator
    return thawed


def _answered(
    model: Any, rows: pd.DataFrame, columns: Sequence[str], seed: int
) -> tuple[list[tuple[pd.DataFrame, NDArray[np.float64]]], list[list[str]]]:
    """Return the awkward rows with the exact predictions for them, and what the exact model could not take."""
    probes = list(_awkward(rows, columns, np.random.Generator(np.random.PCG64(seed))))
    together = pd.concat([frame for _, _, frame in probes], ignore_index=True)
    try:
        return [(together, scores(model, together))], []
    except Exception:  # a project's own code may raise anything; which rows it cannot take is found one by one
        answered, refused = [], []
    for name, what, frame in probes:
        try:
            answered.append((frame, scores(model, frame)))
        except Exception:  # that it does is the finding
            refused.append([name, what])
    return answered, refused


def _awkward(
    rows: pd.DataFrame, columns: Sequence[str], generator: np.random.Generator
) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield (column, what, rows) for every column in turn, then mixtures of values that never occurred together."""
    some = rows[list(columns)].iloc[np.sort(generator.permutation(len(rows))[:PROBES])]
    for name in columns:
        holds = kind(rows[name])
        yield (
            name,
            "missing",
            some.assign(**{name: some[name].astype(object).mask(np.ones(len(some), bool))}).astype(
                {name: "float64" if holds in ("number", "flag") else some[name].dtype}
            ),
        )
        if holds == "text":
            yield name, "unseen", some.assign(**{name: pd.Series(UNSEEN, index=some.index, dtype=some[name].dtype)})
        elif holds == "number":
            low, high = float(rows[name].min()), float(rows[name].max())
            wide = SPREADS * max(high - low, 1.0)
            ends = generator.choice(np.round([low, high, low - wide, high + wide, 0.0]), len(some))
            yield name, "unseen", some.assign(**{name: ends})
    if columns:
        size = min(MIXED, len(rows))
        parts = {
            name: rows[name].take(generator.integers(0, len(rows), size)).reset_index(drop=True) for name in columns
        }
        yield "", "mixed", pd.DataFrame(parts)
