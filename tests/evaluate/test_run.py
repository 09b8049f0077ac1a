from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mainline.errors import UserError
from mainline.evaluate.metrics import metrics_for
from mainline.evaluate.plots import plots
from mainline.evaluate.run import evaluate, flat_metrics
from mainline.project import Direction, Invariance, Marks, Robustness

KEYS = {
    "task", "primary", "level", "resamples", "rows", "metrics", "baseline", "slices", "months", "calibration",
    "threshold", "behaviours", "fairness", "size_mb", "gates", "lost",
}  # fmt: skip


class Three:
    """Three classes with the chances that made the labels."""

    def predict_proba(self, rows: pd.DataFrame) -> np.ndarray:
        raw = np.exp(np.column_stack([rows["x"], np.zeros(len(rows)), -rows["x"]]) * 2)
        return raw / raw.sum(axis=1, keepdims=True)


class Line:
    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        return 3 * rows["x"].to_numpy() + 1


def multiclass(frame: pd.DataFrame) -> pd.DataFrame:
    generator = np.random.default_rng(4)
    names = np.array(["low", "mid", "high"])
    return frame.assign(y=[names[generator.choice(3, p=p)] for p in Three().predict_proba(frame)])


def regression(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(y=3 * frame["x"] + 1 + np.random.default_rng(4).normal(size=len(frame)))


@pytest.fixture
def case(frame, chance, settings_for, project_for, training):
    """Return a function of the task that gives rows, model, project, settings and training.json."""
    off = {"floors": {}, "slice_floors": {}, "fairness_gap": 0.3, "calibration_error": None}
    shake = Robustness("x shakes", lambda rows, g: rows.assign(x=rows["x"] + g.normal(0, 0.01, len(rows))), 0.2)
    still = Invariance("colour", lambda rows: rows.assign(colour="red"))

    def build(task: str, **change: Any) -> tuple[Any, ...]:
        data = {"time": change.pop("time", "day")}
        if task == "binary":
            return frame, chance(), project_for(**change), settings_for(data=data), training
        rest = {
            "data": {**data, "positive": None},
            "model": {"task": task},
            "evaluate": {"primary": "accuracy" if task == "multiclass" else "rmse"},
            "gates": off,
        }
        parts = {"behaviours": (still, shake), "value": None, **change}
        if task == "multiclass":
            parts["marks"] = {"y": Marks(one_of=("low", "mid", "high"))}
            known = {"classes": ["low", "mid", "high"], "prior": [0.3, 0.4, 0.3]}
            return multiclass(frame), Three(), project_for(**parts), settings_for(**rest), known
        return regression(frame), Line(), project_for(**parts), settings_for(**rest), {"classes": None, "prior": 1.0}

    return build


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_each_task_gives_the_whole_report_twice_the_same_and_fit_for_json(case, task) -> None:
    found = evaluate(*case(task), 1_500_000)
    text = json.dumps(found, allow_nan=False, sort_keys=True)
    assert text == json.dumps(evaluate(*case(task), 1_500_000), sort_keys=True)
    assert set(found) == KEYS
    assert set(found["metrics"]) == set(found["baseline"]) == set(metrics_for(task))
    assert all(gate["passed"] for gate in found["gates"])
    assert [month["month"] for month in found["months"]] == ["2024-01", "2024-02", "2024-03"]
    assert sum(entry["rows"] for entry in found["slices"]) == found["rows"] == 2000
    assert found["size_mb"] == 1.5
    for entry in found["metrics"].values():
        assert entry["low"] <= entry["value"] <= entry["high"]


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_model_that_knows_something_beats_the_constant_prediction(case, task) -> None:
    found = evaluate(*case(task), 1)
    for name, metric in metrics_for(task).items():
        if not metric.signed:
            assert metric.badness(found["metrics"][name]["value"]) < metric.badness(found["baseline"][name]), name


def test_a_constant_prediction_has_an_auc_of_a_half(case) -> None:
    assert evaluate(*case("binary"), 1)["baseline"]["roc_auc"] == 0.5


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_without_a_time_column_months_are_empty_and_the_report_says_so(case, task) -> None:
    found = evaluate(*case(task, time=None), 1)
    assert found["months"] == []
    assert "No time column: nothing by month." in found["lost"]


def test_what_is_not_declared_is_said(case, project_for) -> None:
    marks = {"sex": Marks(protected=True), "y": Marks(one_of=("no", "yes"))}
    frame, model, _, settings, training = case("binary")
    bare = project_for(slices={}, groups={}, behaviours=(), value=None, marks=marks)
    found = evaluate(frame, model, bare, settings, {**training, "prior": None}, 1)
    for start in ("No prior", "No value", "No slices", "No behaviours", "No groups"):
        assert sum(sentence.startswith(start) for sentence in found["lost"]) == 1, start
    assert (found["threshold"], found["slices"], found["fairness"], found["baseline"]) == (None, [], [], {})
    other = evaluate(
        frame, model, project_for(marks=marks, groups={"age": lambda f: f["colour"]}), settings, training, 1
    )
    assert any(sentence.startswith("The schema marks sex as protected") for sentence in other["lost"])


def test_a_sound_report_misses_nothing(case) -> None:
    assert evaluate(*case("binary"), 1)["lost"] == []


def test_no_duration_is_in_the_report(case) -> None:
    assert "latency_ms" not in {gate["gate"] for gate in evaluate(*case("binary"), 1)["gates"]}


def test_behaviours_see_raw_rows_without_the_label_and_the_bookkeeping(case) -> None:
    seen: list[str] = []

    def look(rows: pd.DataFrame) -> pd.DataFrame:
        seen.extend(rows.columns)
        return rows.assign(lucky="yes")

    evaluate(*case("binary", behaviours=(Direction("d", look, up=True),)), 1)
    assert seen == ["x", "lucky", "colour", "sex", "day"]


def test_the_groups_are_compared_at_the_threshold_that_pays(case, project_for) -> None:
    from mainline.project import Value

    found = evaluate(*case("binary", value=Value(gain=10.0, cost=0.0)), 1)  # acting costs nothing: everyone is chosen
    assert {group["selected"] for group in found["fairness"][0]["groups"]} == {1.0}
    without = evaluate(*case("binary", value=None), 1)
    assert max(group["selected"] for group in without["fairness"][0]["groups"]) < 0.9


def test_a_multi_class_task_of_two_classes_works(case, frame, chance) -> None:
    _, _, project, settings, _ = case("multiclass")
    found = evaluate(frame, chance(), project, settings, {"classes": ["no", "yes"], "prior": [0.5, 0.5]}, 1)
    assert found["metrics"]["accuracy"]["value"] > 0.6


def test_a_model_of_another_run_is_refused(case) -> None:
    frame, model, project, settings, training = case("multiclass")
    with pytest.raises(UserError, match="3 classes apart, training.json lists 2"):
        evaluate(frame, model, project, settings, {**training, "classes": ["low", "mid"]}, 1)


def test_no_rows_are_refused(case) -> None:
    frame, *rest = case("binary")
    with pytest.raises(UserError, match="no rows"):
        evaluate(frame.head(0), *rest, 1)


def test_an_unknown_primary_metric_is_refused_before_any_work(case, settings_for) -> None:
    frame, _, project, _, training = case("binary")
    with pytest.raises(UserError, match=r"evaluate\.primary: 'auc'"):
        evaluate(frame, None, project, settings_for(evaluate={"primary": "auc"}), training, 1)


def test_flat_metrics_are_numbers_only(case) -> None:
    found = evaluate(*case("binary"), 2_000_000)
    flat = flat_metrics(found)
    assert list(flat) == [*metrics_for("binary"), "calibration_error", "value_per_row", "fairness_gap", "size_mb"]
    assert flat["roc_auc"] == found["metrics"]["roc_auc"]["value"] and flat["size_mb"] == 2.0
    flat = flat_metrics(evaluate(*case("regression"), 1))
    assert "calibration_error" not in flat and "value_per_row" not in flat
    assert all(isinstance(value, float) for value in flat.values())


TABLES = {
    "binary": ["roc.csv", "precision_recall.csv", "calibration.csv", "value.csv"],
    "multiclass": ["confusion.csv", "calibration.csv"],
    "regression": ["residuals.csv"],
}


@pytest.mark.parametrize("task", list(TABLES))
def test_plots_are_small_tables_and_the_same_each_time(case, task) -> None:
    found, again = plots(*case(task)), plots(*case(task))
    assert list(found) == TABLES[task]
    for name, table in found.items():
        assert 0 < len(table) <= 200, name
        assert table.to_csv(index=False) == again[name].to_csv(index=False)


def test_the_roc_table_has_the_area_of_the_metric_and_both_ends(case) -> None:
    roc = plots(*case("binary"))["roc.csv"]
    area = np.trapezoid(roc["true_positive_rate"], roc["false_positive_rate"])
    assert area == pytest.approx(evaluate(*case("binary"), 1)["metrics"]["roc_auc"]["value"], abs=0.005)
    ends = roc.iloc[[0, -1]][["false_positive_rate", "true_positive_rate"]]
    assert ends.to_numpy().tolist() == [[0, 0], [1, 1]]


def test_the_confusion_table_counts_every_row(case) -> None:
    table = plots(*case("multiclass"))["confusion.csv"]
    accuracy = evaluate(*case("multiclass"), 1)["metrics"]["accuracy"]["value"]
    assert table["rows"].sum() == 2000
    assert table.loc[table["actual"] == table["predicted"], "rows"].sum() / 2000 == accuracy


def test_without_a_value_the_value_table_keeps_its_header(case) -> None:
    table = plots(*case("binary", value=None))["value.csv"]
    assert list(table) == ["threshold", "acted", "total", "per_row"] and table.empty
