from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bank.schema import Row
from mainline.data.split import read_rows
from mainline.evaluate.check_rows import ROWS, places
from mainline.project import Marks, load_project, scores
from mainline.release.golden import answer, golden, plain, stand_in
from mainline.train.artifact import load_model


def test_the_golden_rows_are_real_requests_with_the_exact_models_answers(built: Any) -> None:
    content = built.only().golden()
    assert content["tolerance"] == 1e-6
    rare = [row for row in content["rows"] if row.get("rare")]
    assert len(content["rows"]) - len(rare) == ROWS and content["rows"][ROWS:] == rare
    columns = json.loads((built.folder / "artifacts/training.json").read_text())["columns"]
    assert all(set(row["request"]) == set(columns) for row in content["rows"])
    frame = pd.DataFrame([row["request"] for row in content["rows"]], columns=columns)
    known = Row.to_schema().select_columns(list(frame))
    known.validate(frame)
    exact = scores(load_model(built.folder / "artifacts/model.skops", load_project("bank").trusted), frame)
    expected = np.array([row["expected"]["probability"] for row in content["rows"]])
    assert np.abs(exact - expected).max() < 1e-9
    assert len(set(expected)) > ROWS / 2, "rows that all get one answer would prove nothing"
    limit = json.loads((built.folder / "reports/evaluation.json").read_text())["threshold"]["value"]
    assert [row["expected"]["decision"] for row in content["rows"]] == list(exact >= limit)
    test = read_rows(built.folder / "artifacts/test.parquet")
    assert json.loads(frame.iloc[[0, ROWS - 1]].to_json()) == json.loads(
        test[list(frame)].iloc[[0, -1]].set_axis([0, ROWS - 1]).to_json()
    )


def test_a_value_that_occurs_once_in_7000_rows_is_among_the_golden_rows() -> None:
    n = 7000
    rows = pd.DataFrame({
        "job": np.where(np.arange(n) % 2, "clerk", "cook"), "count": np.arange(n) % 3, "flag": np.arange(n) % 2 == 0,
        "day": pd.Timestamp("2009-01-01") + pd.to_timedelta(np.arange(n) % 200, unit="D"),
        "balance": np.arange(n) % 1000 * 1.0, "note": [f"word {number}" for number in range(n)], "name": "Ada",
    })  # fmt: skip
    planted = {
        ("job", "diver"): 11, ("count", 77): 222, ("job", None): 3333, ("balance", -5.0): 4444, ("balance", 9e9): 4567,
        ("balance", None): 5555, ("note", None): 6001, ("day", pd.Timestamp("1999-01-01")): 6666, ("name", "Bob"): 6900,
    }  # fmt: skip
    for (column, value), place in planted.items():
        rows.loc[place, column] = value
    assert not set(np.linspace(0, n - 1, ROWS).astype(int)) & set(planted.values())
    marks = {name: Marks() for name in rows} | {"name": Marks(pii="drop")}
    content = golden(
        rows,
        SimpleNamespace(predict=lambda frame: frame["balance"].fillna(0.0)),
        replace(load_project("bank"), marks=marks),
        {"columns": list(rows), "task": "regression"},
        0.5,
    )
    assert [row["request"]["note"] for row in content["rows"]][:2] == ["word 0", "word 23"]
    rare = {row["request"]["note"]: row["request"] for row in content["rows"] if row.get("rare")}
    found = {column: [request[column] for request in rare.values()] for column in ("job", "count", "balance", "day")}
    assert "diver" in found["job"] and None in found["job"] and 77 in found["count"]
    assert {-5.0, 9e9, None} <= set(found["balance"]) and "1999-01-01T00:00:00" in found["day"]
    assert None in rare, "a text that is in no row"
    assert "word 6900" not in rare, "a personal value is none that a request may stand out by"
    assert len(content["rows"]) <= ROWS + len(planted), "nothing is added that the spread rows have"
    assert places(rows) == places(rows.copy().set_index(np.arange(n)[::-1]))


def test_a_personal_value_is_nobodys_and_the_answer_is_that_to_the_stand_in() -> None:
    rows = pd.DataFrame({"age": [20, 30, 70], "job": ["a", "b", "a"], "name": ["Ada", "Bob", "Cy"], "ok": [1, 2, 3]})
    marks = {"age": Marks(pii="hash"), "job": Marks(pii="drop", one_of=("b", "a")), "name": Marks(pii="hash"),
             "ok": Marks()}  # fmt: skip
    project = replace(load_project("bank"), marks=marks)
    model = SimpleNamespace(predict=lambda frame: frame["age"] * 1.0)
    content = golden(rows, model, project, {"columns": list(rows), "task": "regression"}, 0.5)
    assert [row["request"]["ok"] for row in content["rows"]] == [1, 2, 3]
    shown = [{key: value for key, value in row["request"].items() if key != "ok"} for row in content["rows"]]
    assert shown[0] == shown[1] == shown[2]
    assert shown[0]["age"] == 30
    assert shown[0]["job"] == "b"
    assert not {"Ada", "Bob", "Cy"} & {shown[0]["name"]}
    assert {row["expected"]["value"] for row in content["rows"]} == {30.0}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, 2.0, np.nan], 1.5),
        ([True, False], False),
        (pd.to_datetime(["2020-01-01"] * 2), pd.Timestamp("2020-01-01")),
    ],
)
def test_stand_ins_are_of_the_columns_kind(values: Any, expected: Any) -> None:
    assert stand_in(pd.Series(values), Marks(pii="hash")) == expected


def test_missing_values_and_times_are_json() -> None:
    values = [None, np.nan, pd.NaT, pd.Timestamp("2020-01-02"), np.int64(3), np.float64(0.5), "x", True]
    assert [plain(value) for value in values] == [None, None, None, "2020-01-02T00:00:00", 3, 0.5, "x", True]


def test_answers_of_every_task() -> None:
    many = {"task": "multiclass", "classes": ["a", "b"]}
    assert answer(np.array([0.25, 0.75]), many, 0.5) == {"probabilities": {"a": 0.25, "b": 0.75}, "decision": "b"}
    assert answer(np.float64(2), {"task": "regression"}, 0.5) == {"value": 2.0}
    assert answer(np.float64(0.1), {"task": "binary"}, 0.1) == {"probability": 0.1, "decision": True}
