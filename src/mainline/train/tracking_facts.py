"""Settings and evaluation as flat names and numbers that MLflow accepts."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

Path = tuple[str, ...]


def flatten(value: Mapping[str, Any], above: str = "") -> dict[str, str]:
    """Return nested settings as ``{"data.checks.alpha": "0.01"}``; lists, nulls and empty mappings become JSON."""
    flat: dict[str, str] = {}
    for key, item in value.items():
        name = f"{above}{key}"
        if isinstance(item, Mapping) and item:
            flat |= flatten(item, f"{name}.")
        else:
            flat[name] = item if isinstance(item, str) else json.dumps(item, sort_keys=True)
    return flat


def measurements(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """Return every finite number of evaluation.json under a name that MLflow accepts."""
    found = [(path, float(value)) for path, value in _walk(evaluation) if _finite(value)]
    names = safe_names([path for path, _ in found])
    return {names[path]: value for path, value in found}


def safe_names(paths: list[Path]) -> dict[Path, str]:
    """Return a different name for each path: letters, digits and ``_ - . space /``, at most 200 characters.

    A path that would get the name of another also carries the beginning of its hash.
    """
    plain = {path: "/".join(_safe(part) for part in path) for path in paths}
    count = Counter(name.casefold()[:200] for name in plain.values())
    return {
        path: name if count[name.casefold()[:200]] == 1 and len(name) <= 200 else f"{name[:190]}-{_mark(path)}"
        for path, name in plain.items()
    }


def _safe(part: str) -> str:
    kept = re.sub(r"[^A-Za-z0-9_\-. ]", "_", part).strip()
    return kept if kept.strip(".") else "_" * max(len(kept), 1)


def _mark(path: Path) -> str:
    return hashlib.sha256("\x00".join(path).encode()).hexdigest()[:8]


def _finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _walk(evaluation: Mapping[str, Any]) -> Iterator[tuple[Path, Any]]:
    for name, entry in (evaluation.get("metrics") or {}).items():
        yield (name,), entry.get("value")
        yield (name, "low"), entry.get("low")
        yield (name, "high"), entry.get("high")
    for name, value in (evaluation.get("baseline") or {}).items():
        yield ("constant", name), value
    for entry in evaluation.get("slices") or ():
        yield from _group(("slice", str(entry["slice"]), str(entry["group"])), entry)
    for entry in evaluation.get("months") or ():
        yield from _group(("month", str(entry["month"])), entry)
    for entry in evaluation.get("fairness") or ():
        yield ("fairness_gap", str(entry["column"])), entry.get("gap")
    for entry in evaluation.get("behaviours") or ():
        yield ("behaviour", str(entry["name"])), entry.get("value")
    yield ("calibration_error",), (evaluation.get("calibration") or {}).get("error")
    threshold = evaluation.get("threshold") or {}
    yield ("threshold",), threshold.get("value")
    yield ("value_total",), threshold.get("total")
    yield ("value_per_row",), threshold.get("per_row")
    yield ("size_mb",), evaluation.get("size_mb")
    yield ("gates_failed",), sum(not gate["passed"] for gate in evaluation.get("gates") or ())


def _group(path: Path, entry: Mapping[str, Any]) -> Iterator[tuple[Path, Any]]:
    for key in ("rows", "mean_score", "mean_label"):
        yield (*path, key), entry.get(key)
    for name, value in entry["metrics"].items():
        yield (*path, name), value
