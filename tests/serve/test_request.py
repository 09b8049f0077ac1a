"""The request check agrees with Pandera on thousands of rows, and says what is wrong in words."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pytest
from pandera.errors import SchemaErrors

from bank.schema import Row
from mainline.errors import UserError
from mainline.project import Marks, column, load_schema
from mainline.serve.model import example
from mainline.serve.request import SHOWN, Checker, Refused, make_checker, read_rows

COLUMNS = ("age", "balance", "campaign", "pdays", "previous", "job", "marital", "education", "default", "housing",
           "loan", "contact", "poutcome")  # fmt: skip
ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 17, 18, 100, 101, 30.0, 30.5, -0.0, 1e300, -1e300, 10**30, 2**63, -(2**63), "", " ",
    "30", "yes", "Yes", " yes", "no", "unknown", "UNKNOWN", "ä", "2009-05-31", "2009-02-30", "2009-05-31T12:00:00Z",
    "abc", "abcd", "abcdef", "xbc", [], {}, [1], "\ud800", 4.0, 5, 7.25, "a", "b", "c", -5, 2.5, 1000,
)  # fmt: skip


class Every(pa.DataFrameModel):
    """A column for each check that a Field offers."""

    between: int = column(in_range={"min_value": 1, "max_value": 5, "include_min": False, "include_max": True})
    small: pa.Int8 = column()
    above: float = column(gt=0.5, lt=7.5)
    maybe: float = column(nullable=True, ge=0)
    count: pd.Int64Dtype = column(nullable=True, le=100)
    flag: bool = column()
    when: dt.datetime = column(ge=pd.Timestamp("2009-01-01"))
    kind: pd.CategoricalDtype = pa.Field(dtype_kwargs={"categories": ["a", "b"]}, metadata={"mainline": Marks()})
    word: str = column(str_length={"min_value": 1, "max_value": 4})
    start: str = column(str_startswith="a")
    end: str = column(str_endswith="c")
    match: str = column(str_matches=r"[a-c]+$")
    inside: str = column(str_contains="b")
    wrong: str = column(notin=["a", "yes"])
    one: int = column(eq=1)
    other: int = column(ne=1)
    chosen: int = column(isin=[1, 5, 30])
    free: str = column(nullable=True)


GOOD: dict[str, Any] = {
    "between": 3, "small": 100, "above": 1.5, "maybe": None, "count": None, "flag": True, "when": "2009-05-31",
    "kind": "a", "word": "abc", "start": "abc", "end": "abc", "match": "abc", "inside": "abc", "wrong": "no", "one": 1,
    "other": 5, "chosen": 30, "free": None,
}  # fmt: skip


def typed(value: Any, kind: str) -> tuple[Any, bool]:
    """Return a JSON value as the schema's type has it, and whether it is of that type at all."""
    match kind:
        case "int":
            whole = isinstance(value, float) and math.isfinite(value) and value == int(value)
            fits = (isinstance(value, int) and not isinstance(value, bool)) or whole
            return (int(value), True) if fits and -(2**63) <= int(value) < 2**63 else (None, False)
        case "float":
            return (
                (float(value), True)
                if isinstance(value, (int, float)) and not isinstance(value, bool)
                else (None, False)
            )
        case "bool":
            return (value, True) if isinstance(value, bool) else (None, False)
        case "time":
            try:
                when = pd.Timestamp(value) if isinstance(value, str) and len(value) >= 10 else None
            except ValueError:
                return None, False
            if when is None:
                return None, False
            return (when.tz_convert("UTC").tz_localize(None) if when.tzinfo else when), True
    if not isinstance(value, str):
        return None, False
    try:
        value.encode()
    except UnicodeEncodeError:
        return None, False
    return value, True


def kind_of(dtype: str) -> str:
    low = dtype.lower()
    found = [
        kind for part, kind in (("int", "int"), ("float", "float"), ("bool", "bool"), ("date", "time")) if part in low
    ]
    return found[0] if found else "text"


def pandera_refuses(rows: list[dict[str, Any]], model: Any, names: list[str]) -> set[int]:
    """Return which rows Pandera refuses, its types aside; a value of another type is refused by ``typed``."""
    schema = model.to_schema()
    refused: set[int] = set()
    made: dict[str, Any] = {}
    for name in names:
        values = []
        kind = kind_of(str(schema.columns[name].dtype))
        for index, row in enumerate(rows):
            value, fits = (None, True) if row.get(name) is None else typed(row[name], kind)
            if name not in row or not fits:
                refused.add(index)
            values.append(value)
        if kind in ("int", "float"):
            made[name] = pd.array(values, dtype="Int64" if kind == "int" else "Float64")
        else:
            made[name] = pd.Series(values, dtype="datetime64[us]" if kind == "time" else "object")
        if kind == "text":
            made[name] = made[name].astype(pd.StringDtype(na_value=np.nan))
    loose = schema.select_columns(names).update_columns({name: {"dtype": None, "coerce": False} for name in names})
    for name in names:
        dtype = schema.columns[name].dtype
        if getattr(dtype, "categories", None) is not None:
            loose = loose.update_column(name, checks=[pa.Check.isin(list(dtype.categories))])
        if "int8" in str(dtype).lower():
            loose = loose.update_column(name, checks=[pa.Check.in_range(-128, 127)])
    loose.strict = False
    try:
        loose.validate(pd.DataFrame(made), lazy=True)
    except SchemaErrors as errors:
        cases = errors.failure_cases
        assert cases["index"].notna().all(), cases[cases["index"].isna()]
        refused |= set(cases["index"].astype(int))
    return refused


def spoiled(good: dict[str, Any], names: list[str], size: int, generator: np.random.Generator) -> list[dict[str, Any]]:
    """Return rows of which most have one or two odd values, or lack a field."""
    rows = []
    for _ in range(size):
        row = dict(good)
        for name in generator.choice(names, generator.integers(0, 3), replace=False):
            row[str(name)] = ODD[generator.integers(len(ODD))]
            if generator.random() < 0.05:
                del row[str(name)]
        rows.append(row)
    return rows


@pytest.fixture(scope="module")
def bank() -> Checker:
    model, marks = load_schema("bank")
    return make_checker(model, marks, COLUMNS, "y")


def every_checker(model: Any = Every, **options: Any) -> Checker:
    schema = model.to_schema()
    marks = {name: (item.metadata or {}).get("mainline", Marks()) for name, item in schema.columns.items()}
    names = list(options.pop("columns", schema.columns))
    return make_checker(model, marks, names, options.pop("label", "none of them"), **options)


def disagreements(checker: Checker, model: Any, rows: list[dict[str, Any]], names: list[str]) -> list[Any]:
    ours = {problem["row"] for problem in checker.check(rows).problems}
    return [rows[index] for index in sorted(ours ^ pandera_refuses(rows, model, names))]


def test_the_check_and_pandera_agree_on_thousands_of_rows_of_the_example(bank: Checker, row: dict[str, Any]) -> None:
    rows = spoiled(row, list(COLUMNS), 4000, np.random.default_rng(1))
    assert disagreements(bank, Row, rows, list(COLUMNS)) == []
    bad = sum(bool(bank.check([one]).problems) for one in rows)
    assert 1000 < bad < 3500, "the rows must be of both kinds for this to mean anything"


def test_the_check_and_pandera_agree_on_every_check_of_a_field() -> None:
    names = list(Every.to_schema().columns)
    rows = spoiled(GOOD, names, 4000, np.random.default_rng(2))
    checker = every_checker()
    assert checker.notes == [], "all of these are compiled"
    assert checker.check([GOOD]).problems == []
    assert disagreements(checker, Every, rows, names) == []


@pytest.mark.parametrize("name", list(GOOD))
def test_each_column_of_every_kind_has_an_odd_value_that_is_refused(name: str) -> None:
    checker = every_checker()
    refused = [value for value in ODD if checker.check([GOOD | {name: value}]).problems]
    assert refused, "a rule that refuses nothing"
    for value in refused:
        (problem,) = checker.check([GOOD | {name: value}]).problems
        assert problem["field"] == name and problem["problem"].startswith("is ") or "does not" in problem["problem"]
        assert "allowed" in problem


@pytest.mark.parametrize(
    ("change", "field", "words", "hint"),
    [
        ({"poutcome": "SUCCESS"}, "poutcome", "is not allowed", "did you mean 'success'?"),
        ({"job": " admin. "}, "job", "is not allowed", "did you mean 'admin.'?"),
        ({"job": "pilot"}, "job", "is not allowed", None),
        ({"age": True}, "age", "is not a whole number", None),
        ({"age": "30"}, "age", "is not a whole number", None),
        ({"age": 30.5}, "age", "is not a whole number", None),
        ({"age": 17}, "age", "is below 18", None),
        ({"age": 101}, "age", "is above 100", None),
        ({"balance": 10**30}, "balance", "is too large a number", None),
        ({"age": None}, "age", "is missing: the value is null", None),
        ({"job": 3}, "job", "is not text", None),
        ({"job": ["a"]}, "job", "is not text", None),
        (
            {"duration": 60},
            "duration",
            "is known only after the event: a prediction may not use it",
            "leave the field out",
        ),
        ({"y": "yes"}, "y", "is known only after the event: a prediction may not use it", "leave the field out"),
        ({"Age": 30}, "Age", "is not a field of this model", "did you mean 'age'?"),
        ({"ballance": 30}, "ballance", "is not a field of this model", "did you mean 'balance'?"),
        ({"zzz": 30}, "zzz", "is not a field of this model", "leave the field out"),
        ({"day": 32}, "day", "is above 31", None),
        ({"contact_date": "31.05.2009"}, "contact_date", "is not a date like 2009-05-31", None),
    ],
)
def test_a_problem_names_field_value_and_what_is_allowed(
    bank: Checker, row: dict[str, Any], change: dict[str, Any], field: str, words: str, hint: str | None
) -> None:
    (problem,) = bank.check([row, row | change]).problems
    assert (problem["row"], problem["field"], problem["problem"]) == (1, field, words)
    assert problem.get("hint") == hint
    if field in COLUMNS:
        assert problem["allowed"] == bank.rules[field].allowed()


def test_every_problem_of_every_row_is_told_at_once(bank: Checker, row: dict[str, Any]) -> None:
    problems = bank.check([row | {"age": 1, "job": "X"}, {}, row]).problems
    assert [(item["row"], item["field"]) for item in problems] == [
        (0, "age"), (0, "job"), *((1, name) for name in bank.rules if name in COLUMNS),
    ]  # fmt: skip


def test_a_hint_is_looked_for_only_where_it_is_shown(bank: Checker, row: dict[str, Any], monkeypatch) -> None:
    looked = []
    monkeypatch.setattr("difflib.get_close_matches", lambda *_: looked.append(1) or [])
    assert len(bank.check([row | {f"field{number}": 1 for number in range(5 * SHOWN)}]).problems) == 5 * SHOWN
    assert len(looked) == SHOWN, "each costs a good part of a millisecond, and a body holds tens of thousands"


def test_a_column_of_the_schema_that_the_model_does_not_need_may_be_sent_and_is_checked(
    bank: Checker, row: dict[str, Any]
) -> None:
    assert bank.check([row | {"day": 3, "row_id": 7}]).rows[0]["day"] == 3
    assert bank.check([row | {"month": "xxx"}]).problems


def test_whole_floats_are_whole_numbers_and_numbers_are_read_as_their_type(bank: Checker, row: dict[str, Any]) -> None:
    assert type(bank.check([row | {"age": 30.0}]).rows[0]["age"]) is int
    assert type(every_checker().check([GOOD | {"above": 2}]).rows[0]["above"]) is float


def test_a_personal_value_is_not_sent_back(bank: Checker, row: dict[str, Any]) -> None:
    (problem,) = bank.check([row | {"row_id": 0}]).problems
    assert (problem["field"], problem["value"]) == ("row_id", None)
    (problem,) = bank.check([row | {"surname": "Moro"}]).problems
    assert problem["value"] is None


def test_long_and_nested_values_are_shown_short(bank: Checker, row: dict[str, Any]) -> None:
    shown = [bank.check([row | {"job": value}]).problems[0]["value"] for value in ("x" * 500, {"a": 1}, [1])]
    assert shown == ["x" * 80 + "…", "a JSON object", "a JSON array"]


def test_accepted_columns_are_counted_and_let_through() -> None:
    model, marks = load_schema("bank")
    checker = make_checker(model, marks, COLUMNS, "y", accept=["age", "job"])
    good = dict(
        zip(
            COLUMNS,
            (30, 1, 1, -1, 0, "admin.", "single", "tertiary", "no", "no", "no", "cellular", "other"),
            strict=True,
        )
    )
    found = checker.check([good | {"age": 300, "job": "pilot"}, good | {"age": None}, good])
    assert found.problems == []
    assert (dict(found.unseen), dict(found.missing)) == ({"age": 1, "job": 1}, {"age": 1})
    assert [one["age"] for one in found.rows] == [300, None, 30]
    assert checker.check([good | {"age": "x"}, good | {"age": 10**400}]).problems[1]["row"] == 1


def test_accepting_needs_a_model_that_can_take_it() -> None:
    model, marks = load_schema("bank")
    with pytest.raises(UserError, match="serve.accept: job: the model fails on a value there that is unseen"):
        make_checker(model, marks, COLUMNS, "y", accept=["job"], refused=[("job", "unseen")])
    make_checker(model, marks, COLUMNS, "y", accept=["age"], refused=[("job", "unseen")])
    with pytest.raises(UserError, match="the model needs duration"):
        make_checker(model, marks, ["duration"], "y")


class Own(pa.DataFrameModel):
    """Checks that only Pandera can run."""

    even: int = column()
    low: int = column(ge=0)
    high: int = column()
    label: str = column(known="after")

    @pa.check("even")
    def is_even(cls, values: Any) -> Any:
        return values % 2 == 0

    @pa.dataframe_check
    def in_order(cls, frame: Any) -> Any:
        return frame["low"] <= frame["high"]

    @pa.dataframe_check
    def fits_label(cls, frame: Any) -> Any:
        return frame["label"] != "x"


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [({}, None, ""), ({"even": 3}, "even", "fails the check is_even"), ({"low": 9}, None, "fails the check in_order")],
)
def test_a_check_of_the_projects_own_is_run_by_pandera(change: dict[str, Any], field: str | None, words: str) -> None:
    checker = every_checker(Own, columns=["even", "low", "high"], label="label")
    assert len(checker.notes) == 2
    good = {"even": 2, "low": 1, "high": 5}
    problems = checker.check([good, good | change]).problems
    assert [(item["row"], item["field"], item["problem"]) for item in problems] == (
        [(1, field, words)] if change else []
    )


def test_a_type_that_json_cannot_carry_is_refused_at_the_start() -> None:
    class Strange(pa.DataFrameModel):
        span: pd.Timedelta = pa.Field()

    with pytest.raises(UserError, match="span: type timedelta"):
        every_checker(Strange)


@pytest.mark.parametrize("body", [b"\xff", b'{"a": Infinity}', b"nope", b'"text"', b"[" * 9999, b'{"a":"\\ud800"}'])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(Refused) as caught:
        read_rows(body, 10)
    assert caught.value.status == 422


def test_a_check_costs_microseconds(bank: Checker, row: dict[str, Any]) -> None:
    """No bound in seconds: it is held against parsing the same row's JSON in Python, a hundredfold."""
    import json
    import time

    def best(action: Callable[[], Any]) -> float:
        times = []
        for _ in range(20):
            start = time.perf_counter()
            for _ in range(50):
                action()
            times.append(time.perf_counter() - start)
        return min(times)

    text = json.dumps(row)
    assert best(lambda: bank.check([row])) < 100 * best(lambda: json.loads(text))


def test_the_row_that_warms_the_service_up_has_the_types_of_the_schema() -> None:
    checker = every_checker(columns=["flag", "small"])
    bins = {
        "flag": {"values": ["False", "True"], "edges": [], "counts": [1, 5, 0, 0]},
        "small": {"values": None, "edges": [2.0, 3.0], "counts": [1, 5, 1, 0]},
    }
    made = example({"columns": bins}, checker)
    assert made == {"flag": True, "small": 3} and type(made["flag"]) is bool
    assert checker.check([made]).problems == []
