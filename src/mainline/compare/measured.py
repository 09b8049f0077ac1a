"""The challenger's own numbers: measured anew, held against the file that the pipeline wrote."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mainline.compare.integrity import Finding
from mainline.paths import EVALUATION, METRICS

if TYPE_CHECKING:
    from mainline.compare.scoring import Predictions

# Intervals depend on the resamples, which are fewer here; "gates" follow from the rest and the params of today.
SKIPPED = {"low", "high", "resamples", "gates"}
TOLERANCE = 2e-6  # numbers are rounded to six digits


def same_evaluation(fresh: Mapping[str, Any], file: Mapping[str, Any]) -> Finding:
    """Return where evaluation.json differs from the same measurements made anew."""
    return Finding(tuple(_differences(fresh, file, "")), note="measured again, same numbers")


def same_metrics(evaluation: Mapping[str, Any], file: Mapping[str, Any]) -> Finding:
    """Return where metrics.json, which `dvc metrics diff` shows, differs from what it is taken from."""
    from mainline.evaluate.run import flat_metrics

    return Finding(
        tuple(_differences(flat_metrics(evaluation), file, "", METRICS)), note="measured again, same numbers"
    )


def _differences(fresh: Any, file: Any, where: str, name: Path = EVALUATION) -> list[str]:
    if isinstance(fresh, Mapping) and isinstance(file, Mapping):
        return [
            line
            for key in sorted(fresh.keys() | file.keys())
            # Bins of the calibration have a low and a high that are measurements.
            if key not in SKIPPED or ("bins" in where and key != "resamples")
            for line in _differences(fresh.get(key), file.get(key), f"{where}.{key}" if where else key, name)
        ]
    if isinstance(fresh, list | tuple) and isinstance(file, list) and len(fresh) == len(file):
        return [
            line
            for number, (one, other) in enumerate(zip(fresh, file, strict=True))
            for line in _differences(one, other, f"{where}[{number}]", name)
        ]
    numbers = all(isinstance(item, int | float) and not isinstance(item, bool) for item in (fresh, file))
    if fresh == file or (numbers and math.isclose(fresh, file, rel_tol=1e-9, abs_tol=TOLERANCE)):
        return []
    return [f"{where}: {name} says {_short(file)}, measured again it is {_short(fresh)}"]


def _short(value: Any) -> str:
    return str(value)[:60]


def champion_evaluation(numbers: Mapping[str, Any], task: str) -> dict[str, Any]:
    """Return what ``model_gates`` needs to judge the champion, from the numbers that both models were compared by.

    Behaviours are not among them: only the challenger is asked how it reacts to a change.
    """
    return {
        "task": task,
        "metrics": {entry["metric"]: {"value": entry["champion"]} for entry in numbers["metrics"]},
        "slices": [
            {**entry, "metrics": entry["champion"], "intervals": {i["metric"]: i["champion"] for i in entry["floors"]}}
            for entry in numbers["slices"]
        ],
        "calibration": numbers["calibration"]["champion"],
        "fairness": [{"column": item["column"], "gap": item["champion"]} for item in numbers["fairness"]["columns"]],
        "behaviours": [],
        "size_mb": numbers["size"]["champion_mb"],
    }


def alone(evaluation: Mapping[str, Any], predicted: Predictions | None) -> dict[str, Any]:
    """Return the numbers of verdict.json where there is no champion to hold the challenger against."""
    none = {"difference": None, "worse": None}
    gaps = [entry["gap"] for entry in evaluation["fairness"]]

    def part(entry: Mapping[str, Any], *names: str) -> dict[str, Any]:
        kept = {name: entry[name] for name in (*names, "rows", "judged")}
        return {**kept, "champion": None, "challenger": entry["metrics"], **none}

    return {
        "metrics": [
            {"metric": name, "better": item["better"], "champion": None, "challenger": item["value"], **none}
            for name, item in evaluation["metrics"].items()
        ],
        "slices": [part(entry, "slice", "group") for entry in evaluation["slices"]],
        "months": [part(entry, "month") for entry in evaluation["months"]],
        "calibration": {"champion": None, "challenger": evaluation["calibration"]},
        "fairness": {
            "champion": None,
            "challenger": max(gaps) if gaps and None not in gaps else None,
            "columns": [
                {"column": entry["column"], "champion": None, "challenger": entry["gap"]}
                for entry in evaluation["fairness"]
            ],
        },
        "value": {"champion": None, "challenger": evaluation["threshold"], "difference": None},
        "latency": {"champion_ms": None, "challenger_ms": predicted.latency_ms, "ratio": None} if predicted else None,
        "size": {"champion_mb": None, "challenger_mb": evaluation["size_mb"]},
    }
