"""Every kind of check that a schema can hold is told in words, with its rows."""

from __future__ import annotations

import pandas as pd
import pandera.pandas as pa
import pytest

from mainline.data.rows import check_rows, empty_columns
from mainline.project import column


def frame(**columns: list) -> pd.DataFrame:
    made = pd.DataFrame(columns)
    return made.assign(_batch="f.csv", _line=range(2, len(made) + 2))


def found(model: type[pa.DataFrameModel], known: set[str] | None = None, **columns: list) -> list[tuple]:
    violations = check_rows(frame(**columns), model.to_schema(), known or set())
    return [(item.column, item.check, item.count, item.line) for item in violations]


def test_sound_rows_have_no_violations() -> None:
    class Row(pa.DataFrameModel):
        a: int = column(ge=1)
        b: str = column(one_of=("x", "y"))

    assert found(Row, a=[1, 2], b=["x", "y"]) == []


@pytest.mark.parametrize(
    ("checks", "values", "words"),
    [
        ({"ge": 1}, [1, 0], "is below 1"),
        ({"le": 1}, [1, 2], "is above 1"),
        ({"gt": 1}, [2, 1], "is not above 1"),
        ({"lt": 1}, [0, 1], "is not below 1"),
        ({"isin": [1, 2]}, [1, 3], "is not one of 1, 2"),
        ({"ne": 1}, [2, 1], "fails not_equal_to(1)"),
        ({"unique": True}, [1, 1], "is not unique"),
        ({}, [1, None], "is missing"),
    ],
)
def test_each_check_in_words(checks, values, words) -> None:
    class Row(pa.DataFrameModel):
        a: float = column(**checks)

    (only,) = found(Row, a=values)
    assert only[:2] == ("a", words)
    if words != "is not unique":
        assert only[2:] == (1, 3), "one row, and its line"


def test_one_violation_a_check_in_schema_order() -> None:
    class Row(pa.DataFrameModel):
        a: float = column(ge=1, le=5, unique=True)
        b: str = column(str_matches="^x")

    told = found(Row, b=["y", "x", "x", "x"], a=[0, 9, 9, None])
    assert [item[0] for item in told] == ["a", "a", "a", "a", "b"]
    assert sorted(told) == [
        ("a", "is above 5", 2, 3),
        ("a", "is below 1", 1, 2),
        ("a", "is missing", 1, 5),
        ("a", "is not unique", 2, 3),
        ("b", "fails str_matches('^x')", 1, 2),
    ]


def test_missing_values_that_were_told_before_are_not_told_again() -> None:
    class Row(pa.DataFrameModel):
        a: float = column(ge=1)

    assert found(Row, {"a"}, a=[None, 0]) == [("a", "is below 1", 1, 3)]


def test_rename_is_suspected_when_only_case_or_space_differ() -> None:
    class Row(pa.DataFrameModel):
        a: str = column(one_of=("cellular", "unknown"))

    (renamed,) = check_rows(frame(a=["unknown", " CELLULAR"]), Row.to_schema(), set())
    (other,) = check_rows(frame(a=["unknown", "satellite"]), Row.to_schema(), set())
    assert renamed.hint == "' CELLULAR' looks like a renamed 'cellular': mend it upstream"
    assert other.hint == ""


def test_checks_of_several_columns_are_told_once() -> None:
    class Row(pa.DataFrameModel):
        low: int = column(ge=-100)
        high: int = column()
        note: str = column(nullable=True)

        @pa.dataframe_check
        def low_is_below_high(cls, rows: pd.DataFrame) -> pd.Series:
            return rows["low"] < rows["high"]

        class Config:
            unique = ["low", "note"]

    together = found(Row, low=[1, 5, 5, 0], high=[2, 3, 4, 9], note=["x", "y", "y", None])
    assert sorted(together) == [
        ("", "2 of 4 rows: fails low_is_below_high", 2, 3),
        ("", "2 of 4 rows: not unique in low, note together", 2, 3),
    ]


def test_checks_of_the_whole_column_have_no_line_of_their_own() -> None:
    class Row(pa.DataFrameModel):
        a: int = column()

        @pa.check("a", name="the mean is small")
        def small(cls, values: pd.Series) -> bool:
            return bool(values.mean() < 3)

        @pa.dataframe_check
        def many(cls, rows: pd.DataFrame) -> bool:
            return len(rows) > 100

    whole = found(Row, a=[5, 6])
    assert ("a", "fails the mean is small", 2, 2) in whole
    assert ("", "fails many", 2, 2) in whole
    assert len(whole) == 2


def test_a_check_that_fails_itself_says_so() -> None:
    class Row(pa.DataFrameModel):
        a: int = column()

        @pa.check("a")
        def broken(cls, values: pd.Series) -> pd.Series:
            raise RuntimeError("about Ana Ruiz")

        @pa.dataframe_check
        def other(cls, rows: pd.DataFrame) -> pd.Series:
            return rows["colour"] == "red"

    words = {item[1] for item in found(Row, a=[1])}
    assert words == {
        "fails broken (the check itself fails: RuntimeError)",
        "fails other (the check itself fails: KeyError)",
    }


def test_a_column_without_any_value_is_told_of() -> None:
    class Some(pa.DataFrameModel):
        a: float = column(nullable=True)
        b: float = column()
        y: float = column(nullable=True)

    rows = pd.DataFrame({"a": [None] * 2, "b": [None] * 2, "y": [None] * 2, "_batch": "x.csv", "_line": [2, 3]})
    (found,) = empty_columns(rows, Some.to_schema(), "y")
    assert (found.column, found.level, found.batch) == ("a", "warning", "x.csv")
    assert empty_columns(rows.assign(a=[None, 1.0]), Some.to_schema(), "y") == []
