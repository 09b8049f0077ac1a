from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from mainline.config import METRICS, Settings, load_settings
from mainline.errors import UserError

ROOT = Path(__file__).parents[1]


@pytest.fixture
def params() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))


def changed(params: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    params = copy.deepcopy(params)
    *rooms, last = key.split(".")
    room = params
    for name in rooms:
        room = room[name]
    room[last] = value
    return params


def keys(room: dict[str, Any], prefix: str = "") -> list[str]:
    free = ("model.estimator", "gates.floors", "gates.slice_floors")
    return [
        key
        for name, value in room.items()
        for key in ([f"{prefix}{name}", *keys(value, f"{prefix}{name}.")]
                    if isinstance(value, dict) and f"{prefix}{name}" not in free else [f"{prefix}{name}"])
    ]  # fmt: skip


def load(params: Any, tmp_path: Path) -> Settings:
    path = tmp_path / "params.yaml"
    path.write_text(params if isinstance(params, str) else yaml.safe_dump(params), encoding="utf-8")
    return load_settings(path)


def test_the_templates_own_params_are_valid_and_frozen() -> None:
    settings = load_settings(ROOT / "params.yaml")
    assert settings.data.label == "y"
    with pytest.raises(ValidationError, match="frozen"):
        settings.data.label = "z"  # type: ignore[misc]


def test_every_key_is_needed_and_none_is_unknown(params, tmp_path: Path) -> None:
    # The rooms that came later have defaults, so that an older params.yaml still loads.
    later = ("compare", "serve", "score", "release", "rollout", "kubernetes", "monitor", "retrain")
    for key in (key for key in keys(params) if key.split(".")[0] not in later):
        without = changed(params, key, None)
        *rooms, last = key.split(".")
        room = without
        for name in rooms:
            room = room[name]
        del room[last]
        with pytest.raises(UserError, match=rf"params.yaml: {key}: key is missing"):
            load(without, tmp_path)
    for room in ("", "data.", "data.checks.", "features.", "model.", "model.calibration.", "model.search.",
                 "evaluate.", "gates.", "compare.", "serve.", "serve.log.", "score.", "kubernetes.", "release.",
                 "rollout.", "rollout.shadow.", "rollout.analysis.", "rollout.ab.", "rollout.proxy.",
                 "rollout.rehearsal.", "monitor.", "retrain."):  # fmt: skip
        with pytest.raises(UserError, match=rf"params.yaml: {room}colour: unknown key \(value 'red'\)"):
            load(changed(params, f"{room}colour", "red"), tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model.seed", "7"), ("model.seed", 7.0), ("model.seed", -1), ("model.seed", True),
        ("data.test_share", 0), ("data.test_share", 1.0), ("data.test_window_days", 0),
        ("data.label_delay_days", -1), ("data.as_of", "31/05/2009"), ("data.as_of", "2009-02-30"),
        ("data.checks.separation", 0.5), ("data.checks.late_rows", "maybe"), ("data.checks.distribution", True),
        ("data.checks.alpha", 1), ("model.task", "ranking"), ("model.calibration.method", "platt"),
        ("model.search.folds", 1), ("model.search.enabled", "yes"), ("features.drop", "age"),
        ("evaluate.resamples", 99), ("gates.floors", {"roc_auc": "high"}), ("gates.size_mb", "5 MB"),
        ("kubernetes.prometheus", "prometheus:9090"), ("kubernetes.cpu", "half"), ("kubernetes.memory", "1"),
        ("kubernetes.score_distance", 0.75), ("kubernetes.log", "/log"),
        ("kubernetes.image", "shop/bank:latest"), ("rollout.target", "moon"),
        ("rollout.weights", [5, 1, 100]), ("rollout.weights", [1, 50]), ("rollout.mode", "big_bang"),
        ("rollout.analysis.latency_requests", 100), ("rollout.proxy.port", 70000), ("rollout.ab.split", 100),
    ],
)  # fmt: skip
def test_a_wrong_value_names_its_key_and_itself(key, value, params, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load(changed(params, key, value), tmp_path)
    first = caught.value.problem.splitlines()[0]
    assert f"params.yaml: {key}" in first
    shown = next(iter(value.values())) if isinstance(value, dict) else value
    assert repr(shown) in first or "dates stand in quotes" in first or str(shown) in first


@pytest.mark.parametrize("key", ["data.id", "data.time", "data.label_delay_days", "data.as_of", "gates.fairness_gap",
                                 "gates.latency_ms", "gates.size_mb", "gates.calibration_error",
                                 "data.checks.max_age_days"])  # fmt: skip
def test_what_may_be_null(key: str, params, tmp_path: Path) -> None:
    if key == "data.time":
        params = changed(params, "data.as_of", None)
    assert load(changed(params, key, None), tmp_path)


@pytest.mark.parametrize("change", [{"mode": "blue_green"}, {"mode": "ab"}, {"weights": [100]}])
def test_what_argo_rollouts_cannot_follow_is_refused_with_its_target(change, params, tmp_path: Path) -> None:
    params["rollout"] |= {"target": "kubernetes"}
    assert load(params, tmp_path).rollout.target == "kubernetes"
    params["rollout"] |= change
    with pytest.raises(UserError, match="target kubernetes takes mode canary and at least two weights"):
        load(params, tmp_path)


def test_two_faults_are_told_at_once(params, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load(changed(changed(params, "model.seed", "x"), "data.idd", 1), tmp_path)
    assert len(caught.value.problem.splitlines()) == 2


def test_an_as_of_date_needs_a_time(params, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="params.yaml: data: .*as_of needs a time column"):
        load(changed(params, "data.time", None), tmp_path)


@pytest.mark.parametrize(("task", "positive"), [("binary", None), ("multiclass", "yes"), ("regression", "yes")])
def test_the_positive_class_belongs_to_a_binary_task(task, positive, params, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="data.positive names the positive class of a binary task"):
        load(changed(changed(params, "model.task", task), "data.positive", positive), tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [("a: [1", "is not valid YAML"), ("", r"params.yaml: \(top level\)"), ("- 1", r"\(top level\)")],
)
def test_a_file_that_is_no_settings(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=words):
        load(text, tmp_path)


def test_an_absent_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="params.yaml: not there"):
        load_settings(tmp_path / "params.yaml")


def test_every_metric_of_another_task_is_named_at_once(params, tmp_path: Path) -> None:
    other = changed(changed(params, "model.task", "regression"), "data.positive", None)
    with pytest.raises(UserError) as caught:
        load(other, tmp_path)
    assert [line.split(": ")[1] for line in caught.value.problem.splitlines()] == [
        "evaluate.primary", "gates.floors", "gates.floors", "gates.slice_floors",
    ]  # fmt: skip
    assert caught.value.fix == "use mae, rmse, r2, bias"


def test_the_metrics_are_those_that_are_measured() -> None:
    from mainline.evaluate.metrics import metrics_for

    assert {task: set(names) for task, names in METRICS.items()} == {task: set(metrics_for(task)) for task in METRICS}
