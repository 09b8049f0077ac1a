"""What changed, and above all: which gate was loosened."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from mainline.compare.changes import data_diff, dependency_diff, feature_diff, flat, gates_diff, notes, params_diff

PARAMS: dict[str, Any] = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8"))


def changed(key: str, value: Any) -> dict[str, Any]:
    made = copy.deepcopy(PARAMS)
    *rooms, last = key.split(".")
    room = made
    for name in rooms:
        room = room[name]
    if value is KeyError:
        del room[last]
    else:
        room[last] = value
    return made


def test_params_by_dotted_key() -> None:
    assert flat({"a": {"b": 1, "c": {}}, "d": [1]}) == {"a.b": 1, "a.c": {}, "d": [1]}
    assert params_diff(PARAMS, PARAMS) == []
    found = params_diff(PARAMS, changed("model.estimator", {"C": 0.5}))
    assert found == [{"key": "model.estimator.C", "before": 1.0, "after": 0.5}]
    assert params_diff({"a": 1}, {"b": None}) == [
        {"key": "a", "before": 1, "after": None},
        {"key": "b", "before": None, "after": None},
    ]


@pytest.mark.parametrize(
    ("key", "value", "looser"),
    [
        ("gates.floors.roc_auc", 0.5, True),
        ("gates.floors.roc_auc", 0.7, False),
        ("gates.floors.roc_auc", KeyError, True),
        ("gates.floors.log_loss", 0.9, True),
        ("gates.floors.log_loss", 0.3, False),
        ("gates.floors", {}, True),
        ("gates.slice_floors.roc_auc", 0.4, True),
        ("gates.calibration_error", 0.2, True),
        ("gates.calibration_error", None, True),
        ("gates.fairness_gap", 0.1, False),
        ("gates.latency_ms", 500, True),
        ("gates.size_mb", 1, False),
        ("compare.rule", "superior", False),
        ("compare.margin", 0.5, True),
        ("compare.min_rows", 10, True),
        ("compare.min_rows", 5000, False),
        ("compare.latency_ratio", None, True),
        ("compare.slice_margin", 0.01, False),
        ("evaluate.min_rows", 5000, True),
        ("evaluate.level", 0.5, True),
        ("evaluate.primary", "roc_auc", True),
        ("data.checks.distribution", "warn", True),
        ("data.checks.late_rows", "accept", True),
        ("data.checks.min_rows", 1, True),
        ("data.checks.effect", 0.5, True),
        ("data.checks.alpha", 0.0001, True),
        ("data.checks.alpha", 0.05, False),
        ("data.checks.separation", 1.0, True),
        ("data.checks.max_age_days", None, True),
    ],
)
def test_a_bound_that_moved(key: str, value: Any, looser: bool) -> None:
    found = gates_diff(PARAMS, changed(key, value), "binary")
    assert found and all(item["key"].startswith(key) for item in found if item["after"] is not None)
    assert any(item["looser"] for item in found) is looser


def test_a_room_left_out_has_its_defaults() -> None:
    strict = changed("compare.margin", 0.001)
    (found,) = gates_diff(strict, changed("compare", None), "binary")
    assert (found["key"], found["before"], found["after"], found["looser"]) == ("compare.margin", 0.001, 0.01, True)


def test_what_is_no_bound_is_no_gate() -> None:
    assert gates_diff(PARAMS, changed("data.as_of", "2009-08-31"), "binary") == []
    assert gates_diff(PARAMS, changed("model.seed", 1), "binary") == []


def test_data() -> None:
    before = {"rows": 10, "batches": [{"file": "a", "sha256": "1"}, {"file": "b", "sha256": "2"}]}
    shift = {"column": "x", "effect": 0.2, "bound": 0.1, "verdict": "moved", "gained": "g"}
    batches = [{"file": "b", "sha256": "3"}, {"file": "c", "sha256": "4"}]
    after = {"rows": 12, "batches": batches, "distribution": [{**shift, "p": 0}]}
    found = data_diff(before, after)
    assert (found["rows_before"], found["rows_after"]) == (10, 12)
    assert (found["batches_added"], found["batches_removed"], found["batches_changed"]) == (["c"], ["a"], ["b"])
    assert found["drift"] == [shift]
    assert data_diff(None, after)["batches_added"] == ["b", "c"]
    texts = [item.text for item in notes({"gates": [], "data": found})]
    assert texts == ["batches removed: a", "batches changed: b"]


def test_features_and_dependencies() -> None:
    assert feature_diff({"columns": ["a", "b"]}, {"columns": ["b", "c"]}) == {"added": ["c"], "removed": ["a"]}
    assert feature_diff(None, {"columns": ["b"]}) == {"added": [], "removed": []}
    before = "numpy==2.0 \\\n    --hash=sha256:1\nSciPy==1.0 ; python_version < '3.12' \\\nscipy==1.1 ; x\nold==1\n"
    after = "numpy==2.1 \\\n    --hash=sha256:1\nscipy==1.0 ; y\nscipy==1.1\nnew[extra]==3\n"
    assert dependency_diff(before, after) == [
        {"package": "new", "before": None, "after": "3"},
        {"package": "numpy", "before": "2.0", "after": "2.1"},
        {"package": "old", "before": "1", "after": None},
    ]


def test_a_loosened_gate_is_always_said() -> None:
    gates = gates_diff(PARAMS, changed("gates.floors.roc_auc", 0.5), "binary")
    (note,) = notes({"gates": gates, "data": data_diff(None, {})})
    assert note.level == "note"
    assert note.text == "gates.floors.roc_auc: from 0.6 to 0.5: this change loosens a gate"
