"""The ONNX model at work: from columns of raw values to predictions, on one thread."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FACTS, ONNX = "serving.json", "model.onnx"  # in the folder artifacts/serving
MISSING = ""  # a missing text; no vocabulary holds it, so the model's encoder takes it as it takes an unseen one


def open_session(content: bytes) -> Any:
    """Return the session of an ONNX model; one thread, because a row is too little work to share."""
    # Read by the import: later, the runtime has already given this machine an id below ~/.cache, to report home with.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def feed(columns: Mapping[str, Any], inputs: Sequence[Mapping[str, str]]) -> dict[str, NDArray[Any]]:
    """Return ``columns`` (each ``(n,)``) as the model's inputs, each ``(n, 1)``; missing: NaN or the empty text."""
    fed: dict[str, NDArray[Any]] = {}
    for item in inputs:
        name, values = item["name"], columns[item["name"]]
        if item["kind"] == "text":
            texts = np.asarray(values, dtype=object)
            fed[name] = np.where(_missing(texts), MISSING, texts).reshape(-1, 1)
        else:
            fed[name] = np.asarray(values, dtype=np.float64).astype(np.float32).reshape(-1, 1)
    return fed


def run(session: Any, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    """Return P(positive) ``(n,)``, class probabilities ``(n, k)`` or values ``(n,)``."""
    found = np.asarray(session.run(None, inputs)[0], dtype=np.float64)
    if found.ndim == 2 and found.shape[1] == 1:
        return found[:, 0]
    return found[:, 1] if found.ndim == 2 and found.shape[1] == 2 else found


def _missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    import pandas as pd

    return np.asarray(pd.isna(values), dtype=bool)
