"""The stages as a user runs them: files in, files out, for every kind of task and with every optional key null."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mainline.project

STAGES = ("validate", "split", "train", "evaluate")
WRITTEN = {
    "validate": ["artifacts/rows.parquet", "reports/validation.json"],
    "split": ["artifacts/test.parquet", "artifacts/train.parquet", "reports/split.json"],
    "train": [
        "artifacts/model.skops",
        "artifacts/profile.json",
        "artifacts/serving/model.onnx",
        "artifacts/serving/serving.json",
        "artifacts/training.json",
    ],
    "evaluate": ["artifacts/check.json", "reports/evaluation.json", "reports/metrics.json"],
}


def run_all(scratch: Any) -> dict[str, Any]:
    """Run the four stages and return their reports by stem."""
    for stage in STAGES:
        code, output = scratch.run(stage)
        assert code == 0, output
    names = ("reports/validation", "reports/split", "artifacts/training", "reports/evaluation", "reports/metrics")
    return {Path(name).name: json.loads((scratch.folder / f"{name}.json").read_text()) for name in names}


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for room in ("artifacts", "reports")
        for path in sorted((folder / room).rglob("*"))
        if path.is_file()
    }


def test_each_stage_writes_its_files_and_the_second_run_the_same_bytes(scratch: Any) -> None:
    seen: set[str] = set()
    for stage in STAGES:
        code, output = scratch.run(stage)
        assert code == 0, output
        new = {name for name in files(scratch.folder) if not name.startswith("reports/plots/")} - seen
        assert sorted(new) == WRITTEN[stage]
        seen |= new
    first = files(scratch.folder)
    assert any(name.startswith("reports/plots/") for name in first)
    run_all(scratch)
    assert files(scratch.folder) == first
    assert not any(str(scratch.folder).encode() in content for content in first.values()), "no path of this machine"


def test_personal_values_stay_out_of_the_report(scratch: Any) -> None:
    # Given a row_id (marked pii="hash") that occurs twice, and one that is no number
    rows = scratch.batches["2009-05.csv"].astype({"row_id": object})
    rows.loc[5, "row_id"] = secret = 7_654_321
    rows.loc[6, "row_id"] = secret
    rows.loc[8, "row_id"] = "Ana Ruiz"
    scratch.batches["2009-05.csv"] = rows
    scratch.write()
    # When it is validated
    code, output = scratch.run("validate")
    report = (scratch.folder / "reports" / "validation.json").read_text()
    # Then both faults are told, and neither value
    assert code == 1 and "is not unique" in output and "is not a whole number" in output
    for text in (output, report):
        assert str(secret) not in text and "Ana" not in text and "sha256:" in text


def test_a_shift_of_a_personal_column_is_told_without_its_values(scratch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a newest batch in which one value of poutcome has become the only one, and poutcome is personal
    scratch.batches["2009-05.csv"]["poutcome"] = "failure"
    scratch.write()
    assert "most grown: failure" in scratch.run("validate")[1]
    row, marks = mainline.project.load_schema("bank")
    personal = marks | {"poutcome": replace(marks["poutcome"], pii="hash")}
    monkeypatch.setattr(mainline.project, "load_schema", lambda name: (row, personal))
    # When it is validated
    code, output = scratch.run("validate")
    report = (scratch.folder / "reports" / "validation.json").read_text()
    # Then the shift is told, and not its value
    assert code == 1 and "poutcome: the newest batch differs" in output
    assert "failure" not in output and "failure" not in report


def test_a_failed_check_hands_nothing_on(scratch: Any) -> None:
    scratch.batches["2009-05.csv"].loc[3, "age"] = 7
    scratch.write()
    assert scratch.run("validate")[0] == 1
    assert list(files(scratch.folder)) == ["reports/validation.json"]
    assert scratch.run("split")[0] == 1


NULLS: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "time": (
        {"data__time": None, "data__as_of": None},
        [
            ("validation", "No time column: freshness, overlaps and the order of batches cannot be checked."),
            ("split", "No time column: the split is random"),
            ("evaluation", "No time column: nothing by month."),
        ],
    ),
    "id": ({"data__id": None}, [("validation", "No id column: duplicate rows cannot be found.")]),
    "label delay": ({"data__label_delay_days": None}, [("split", "No label delay: every outcome is taken as known")]),
    "as-of date": ({"data__as_of": None}, []),
    "all": (
        {"data__time": None, "data__as_of": None, "data__id": None, "data__label_delay_days": None},
        [
            ("validation", "No id column"), ("validation", "No time column"), ("split", "the split is random"),
            ("evaluation", "nothing by month"),
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("key", NULLS)
def test_what_is_null_is_lost_and_said(key: str, scratch: Any, change: Callable[..., None]) -> None:
    keys, sentences = NULLS[key]
    change(**keys)
    reports = run_all(scratch)
    for report, sentence in sentences:
        assert any(sentence in found for found in reports[report]["lost"]), reports[report]["lost"]
    timeless = "data__time" in keys
    assert reports["split"]["kind"] == ("random" if timeless else "time")
    assert (reports["evaluation"]["months"] == []) is timeless
    assert reports["metrics"]["roc_auc"] > 0.6, "and the model is still a model"
    code, output = scratch.run("summary")
    assert code in (0, 1)
    for _, sentence in sentences:
        assert sentence in output


def test_with_every_key_nothing_is_lost_of_these(scratch: Any) -> None:
    reports = run_all(scratch)
    # ``month`` is another one in each batch, so no shift of it could count.
    assert reports["validation"]["lost"] == ["Moved too much before for any shift to count: month."]
    assert reports["split"]["lost"] == []
    assert not any("No time" in sentence for sentence in reports["evaluation"]["lost"])


SCHEMA = '''"""A made-up shop."""
import datetime as dt
import pandera.pandas as pa
from mainline.project import column

class Row(pa.DataFrameModel):
    number: int = column(ge=1)
    day: dt.datetime = column()
    size: float = column(nullable=True)
    kind: str = column(one_of=("a", "b"), protected=True)
    label: LABEL
    class Config:
        strict = True
'''
FEATURES = """from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder

COLUMNS = ("size", "kind")

def build(columns):
    return ColumnTransformer([("size", SimpleImputer(), ["size"]), ("kind", OneHotEncoder(), ["kind"])])
"""
EXPECTATIONS = """from mainline.project import Invariance, Robustness
SLICES = {"kind": lambda rows: rows["kind"]}
GROUPS = {}
BEHAVIOURS = (
    Invariance("the number is not looked at", lambda rows: rows.assign(number=0)),
    Robustness("size is sometimes missing", lambda rows, g: rows.assign(
        size=rows["size"].mask(g.random(len(rows)) < 0.05)), max_loss=0.2),
)
VALUE = None
"""
ESTIMATORS = {
    "multiclass": "LogisticRegression(C=C, random_state=seed)",
    "binary": "LogisticRegression(C=C, random_state=seed)",
    "regression": "Ridge(alpha=1 / C)",
}


@pytest.fixture
def shop(scratch: Any, change: Callable[..., None]):
    """Return a function that turns the scratch project into a shop of its own for a task; reports come back."""
    path, loaded = list(sys.path), set(sys.modules)

    def build(task: str, label_type: str, label: Callable[[pd.DataFrame, np.random.Generator], Any], **keys: Any):
        name = f"shop_{task}_{len(label_type)}"
        folder = scratch.folder / "src" / name
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text('"""A made-up shop."""\n')
        (folder / "schema.py").write_text(SCHEMA.replace("LABEL", label_type))
        (folder / "features.py").write_text(FEATURES)
        (folder / "model.py").write_text(
            f"from sklearn.linear_model import LogisticRegression, Ridge\nSPACE = {{'C': [0.1, 1.0]}}\n"
            f"def build(seed, *, C=1.0):\n    return {ESTIMATORS[task]}\n"
        )
        (folder / "expectations.py").write_text(EXPECTATIONS)
        importlib.invalidate_caches()
        for batch in list(scratch.batches):
            scratch.file(batch).unlink()
        scratch.batches.clear()
        for month in range(1, 6):
            generator = np.random.default_rng(month)
            rows = pd.DataFrame({
                "number": np.arange(200) + 1000 * month,
                "day": [f"2009-0{month}-{1 + index * 28 // 200:02d}" for index in range(200)],
                "size": np.round(generator.normal(size=200), 4), "kind": generator.choice(["a", "b"], 200),
            })  # fmt: skip
            scratch.batches[f"2009-0{month}.csv"] = rows.assign(label=label(rows, generator))
        usual = {"project": name, "data__id": "number", "data__time": "day", "data__label": "label",
                 "data__positive": None, "model__task": task, "gates__floors": {}, "gates__slice_floors": {},
                 "evaluate__min_rows": 30, "data__checks__separation": 0.99}  # fmt: skip
        change(**(usual | keys))
        return run_all(scratch)

    yield build
    sys.path[:] = path
    for name in set(sys.modules) - loaded:
        if name.startswith("shop_"):
            del sys.modules[name]


def three(rows: pd.DataFrame, generator: np.random.Generator) -> Any:
    level = 2 * rows["size"] + (rows["kind"] == "a") + generator.logistic(size=len(rows))
    return np.array(["low", "middle", "high"])[np.digitize(level, [-1, 1])]


def test_several_classes_end_to_end(shop: Any, scratch: Any) -> None:
    reports = shop("multiclass", 'str = column(one_of=("low", "middle", "high"), known="after")', three)
    training, evaluation = reports["training"], reports["evaluation"]
    assert training["classes"] == ["low", "middle", "high"] and training["calibration"]["method"] == "sigmoid"
    assert len(training["prior"]) == 3 and sum(training["prior"]) == pytest.approx(1, abs=1e-5)
    assert evaluation["metrics"]["log_loss"]["value"] < evaluation["baseline"]["log_loss"] - 0.1
    assert [item["passed"] for item in evaluation["behaviours"]] == [True, True]
    assert [item["group"] for item in evaluation["slices"]] == ["a", "b"]
    profile = json.loads((scratch.folder / "artifacts" / "profile.json").read_text())
    assert {f"(score) {index}" for index in range(3)} < set(profile["columns"])
    assert scratch.run("summary")[0] in (0, 1)


def test_a_regression_end_to_end(shop: Any, scratch: Any) -> None:
    def value(rows: pd.DataFrame, generator: np.random.Generator) -> Any:
        return np.round(2 * rows["size"] + (rows["kind"] == "a") + generator.normal(size=len(rows)), 3)

    reports = shop("regression", 'float = column(known="after")', value, evaluate__primary="rmse")
    assert reports["training"]["classes"] is None and reports["training"]["calibration"]["method"] == "none"
    assert reports["training"]["prior"] == pytest.approx(0.5, abs=0.3)
    evaluation = reports["evaluation"]
    assert evaluation["metrics"]["rmse"]["value"] == pytest.approx(1, abs=0.2)
    assert evaluation["baseline"]["rmse"] > 1.8 and evaluation["calibration"] is None
    assert "A regression has no probabilities: no calibration error." in evaluation["lost"]
    assert scratch.run("summary")[0] in (0, 1)


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_without_a_time_too_and_with_a_search(task: str, shop: Any) -> None:
    def value(rows: pd.DataFrame, generator: np.random.Generator) -> Any:
        return np.round(rows["size"] + generator.normal(size=len(rows)), 3)

    keys = {"data__time": None, "data__as_of": None, "model__search__enabled": True, "evaluate__primary": "rmse"}
    kind = "float = column()"
    if task == "multiclass":
        keys["evaluate__primary"], kind = "log_loss", "str = column()"
    reports = shop(task, kind, three if task == "multiclass" else value, **keys)
    assert reports["split"]["kind"] == "random"
    assert reports["split"]["test"]["rows"] == 200
    assert reports["training"]["search"]["best"]["C"] in (0.1, 1.0)


def test_labels_that_are_numbers_and_still_unknown_for_the_newest_rows(shop: Any) -> None:
    # Given 0 and 1 as labels, and no outcome yet for the last days of May
    def later(rows: pd.DataFrame, generator: np.random.Generator) -> Any:
        found = pd.Series((rows["size"] + generator.logistic(size=len(rows)) > 0).astype(int)).astype("Int64")
        return found.mask(rows["day"] > "2009-05-20")

    reports = shop("binary", 'int = column(nullable=True, known="after")', later, data__positive="1",
                   data__label_delay_days=None)  # fmt: skip
    assert reports["training"]["classes"] == ["0", "1"]
    assert reports["split"]["test"]["to"] == "2009-05-20" and reports["split"]["unlabelled"]["rows"] > 20
    assert reports["metrics"]["roc_auc"] > 0.6
