"""A column looked at once for each distinct value, or by its ends alone, fares as each cell would in the service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pyarrow as arrow
import pytest

from mainline.project import column
from mainline.serve.batch_cells import Numbers, column_of, from_parquet, from_text
from mainline.serve.batch_check import check_columns
from mainline.serve.batch_model import interval_columns
from mainline.serve.request import Checker, make_checker
from mainline.serve.rules import Fault, Rule


class Row(pa.DataFrameModel):
    age: int = column(ge=18, le=100)
    income: float = column(gt=0, lt=1e6, nullable=True)
    score: float = column(in_range={"min_value": 0, "max_value": 1})
    floor: int = column(ge=0, ne=13)
    plan: str = column(one_of=("basic", "plus"))
    y: str = column(one_of=("no", "yes"), known="after")


CHECKER = make_checker(Row, {name: (item.metadata or {})["mainline"] for name, item in Row.to_schema().columns.items()},
                       ("age", "income", "score", "floor", "plan"), "y")  # fmt: skip
GOOD = {"age": ["20", "30", "40"], "income": ["1.5", "2", "3e3"], "score": ["0", "0.5", "1"], "floor": ["1", "2", "3"]}
ODD = ["", "17", "18", "100", "101", "13", "0", "-0", "0.0", "30.0", "30.5", " 31 ", "1e1", "1e400", "nan", "NaN",
       "inf", "-inf", "0x20", "0X20", "1_0", "+5", "5.", ".5", "abc", "1,5", "9" * 30, "9" * 500, "true", "٣", "½",
       "1 000", "2147483648", "9223372036854775807", "9223372036854775808", "-1", "1e-320", "\t7", "1e2",
       "999999.9999999999"]  # fmt: skip


def verdict(value: Any, rule: Rule) -> bool:
    """Return whether the service would take the JSON value."""
    if value is None:
        return rule.nullable
    try:
        return rule.fault(rule.read(value)) is None
    except Fault:
        return False


@pytest.mark.parametrize("name", list(GOOD))
@pytest.mark.parametrize("value", ODD)
def test_one_odd_cell_among_good_ones(name: str, value: str) -> None:
    rule, text = CHECKER.rules[name], [*GOOD[name], value, GOOD[name][0]]
    interval = name in interval_columns(CHECKER, Row)
    cells = arrow.chunked_array([arrow.array([item or None for item in text], arrow.string())])
    found = column_of(cells, rule, True, interval)
    json = [from_text(item or None, rule.kind) for item in text]
    good = np.array([verdict(item, rule) for item in json])
    assert found.passing(rule, False).tolist() == good.tolist()
    expected = [
        float("nan") if item is None else rule.read(item) for item, passes in zip(json, good, strict=True) if passes
    ]
    assert np.array_equal(found.typed(rule, good), expected, equal_nan=True)
    assert [found.at(index) == json[index] for index in range(5)].count(False) == 0
    # The short way is taken exactly for whole columns of allowed numbers.
    if isinstance(found, Numbers):
        assert good.all()


def test_the_short_way_is_taken_where_it_may_be() -> None:
    assert interval_columns(CHECKER, Row) == {"age", "income", "score"}, "floor has a hole at 13"
    for name in ("age", "income", "score"):
        cells = arrow.chunked_array([arrow.array(GOOD[name])])
        assert isinstance(column_of(cells, CHECKER.rules[name], True, True), Numbers)
    for values in ([20, 30], np.array([20, 30], dtype=np.int8), np.array([20, 30], dtype=np.uint64)):
        assert isinstance(
            column_of(arrow.chunked_array([arrow.array(values)]), CHECKER.rules["age"], False, True), Numbers
        )
    too_big = arrow.chunked_array([arrow.array(np.array([20, 2**63], dtype=np.uint64))])
    assert column_of(too_big, CHECKER.rules["age"], False, True).passing(CHECKER.rules["age"], False).tolist() == [
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("values", "name"),
    [
        (pd.array([20, None, 17], dtype="Int64"), "age"), (np.array([20.0, 20.5, np.nan]), "age"),
        (np.array([1, np.nan, np.inf]), "income"), (np.array([True, False]), "age"), (["20", "30"], "age"),
        (pd.Categorical(["basic", "gold", "basic"]), "plan"), ([None, "plus"], "plan"), ([1, 2], "plan"),
        (np.array([0.1, 0.2], dtype=np.float32), "score"), ([None, None], "income"), ([], "age"),
    ],
)  # fmt: skip
def test_typed_cells_of_parquet_fare_as_their_json_would(values: Any, name: str) -> None:
    rule = CHECKER.rules[name]
    cells = arrow.chunked_array([arrow.Array.from_pandas(values)])
    found = column_of(cells, rule, False, name in interval_columns(CHECKER, Row))
    json = [from_parquet(item) for item in cells.to_pylist()]
    assert found.passing(rule, False).tolist() == [verdict(item, rule) for item in json]


def columns_of(rows: pd.DataFrame, checker: Checker, model: type[pa.DataFrameModel]) -> dict[str, Any]:
    table = arrow.Table.from_pandas(rows.astype("str"), preserve_index=False)
    return {
        name: column_of(table.column(name), checker.rules[name], True, name in interval_columns(checker, model))
        for name in table.column_names
    }


class Strict(Row):
    """With checks that only Pandera can make: of one column, and of two."""

    @pa.check("age")
    def is_even(cls, ages: pd.Series) -> pd.Series:
        return ages % 2 == 0

    @pa.dataframe_check
    def earns_by_age(cls, rows: pd.DataFrame) -> pd.Series:
        return rows["income"] < 100 * rows["age"]


def test_a_projects_own_checks_refuse_the_same_rows_as_in_the_service(make_marks: Callable[..., Any]) -> None:
    checker = make_checker(Strict, make_marks(Strict), ("age", "income", "score", "floor", "plan"), "y")
    rows = pd.DataFrame({"age": [20, 21, 22, 17, 24, 26], "income": [1, 1, 2200.0, 1, 1, 1], "score": 0.5, "floor": 1,
                         "plan": ["basic"] * 4 + ["gold", "plus"]})  # fmt: skip
    good, rejects, _ = check_columns(columns_of(rows, checker, Strict), 6, checker, frozenset())
    assert good.tolist() == [not checker.check([row]).problems for row in rows.to_dict("records")]
    assert good.tolist() == [True, False, False, False, False, True]
    assert [(reject.row, reject.column) for reject in rejects] == [(1, "age"), (2, ""), (3, "age"), (4, "plan")]


@pytest.fixture
def make_marks() -> Callable[..., Any]:
    return lambda model: {name: (item.metadata or {})["mainline"] for name, item in model.to_schema().columns.items()}
