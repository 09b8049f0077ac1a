from __future__ import annotations

import json

import pandas as pd
import pytest

from mainline.data.violations import EXAMPLES, Violation, _plain


def rows(values: list) -> pd.DataFrame:
    return pd.DataFrame({"a": values, "_batch": "f.csv", "_line": range(2, len(values) + 2)})


def test_of_rows_keeps_five_examples_and_counts_all() -> None:
    found = Violation.of_rows("a", "is odd", rows([1, 3, 5, 7, 9, 11]).iloc[1:], 40, "make it even")
    assert (found.count, found.share, found.batch, found.line) == (5, 0.125, "f.csv", 3)
    assert len(found.examples) == EXAMPLES
    assert found.examples[0] == {"batch": "f.csv", "line": 3, "value": 3}
    assert found.level == "error"


def test_of_rows_can_show_other_values() -> None:
    bad = rows([None, None])
    found = Violation.of_rows("a", "is not a number", bad, 2, values=pd.Series(["n/a", "?"], index=bad.index))
    assert found.shown() == "'n/a', '?'"


def test_sentence_names_column_check_values_rows_and_hint() -> None:
    found = Violation.of_rows("a", "is odd", rows([1, 1, 3]), 1000, "make it even")
    assert found.sentence() == "a: is odd: 1, 3 (3 rows, 0.3%); make it even"
    assert Violation.of_rows("a", "is odd", rows([1]), 1000).sentence() == "a: is odd: 1 (1 row, 0.1%)"
    assert Violation("", "header only", 0, 1.0, "f.csv", 1).sentence() == "header only"


def test_to_dict_is_ready_for_json() -> None:
    found = Violation.of_rows("a", "is late", rows([pd.Timestamp("2020-01-31 10:00"), float("nan"), 1e12]), 3)
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert [example["value"] for example in record["examples"]] == ["2020-01-31T10:00:00", None, 10**12]
    assert set(record) == {"column", "check", "count", "share", "batch", "line", "examples", "hint", "level"}


@pytest.mark.parametrize(
    ("value", "plain"),
    [(None, None), (float("nan"), None), (pd.NaT, None), (3.0, 3), (3.5, 3.5), ("x", "x"), (True, True)],
)
def test_plain(value, plain) -> None:
    assert _plain(value) == plain and type(_plain(value)) is type(plain)


def test_long_values_are_cut_and_times_keep_their_hour() -> None:
    rows = pd.DataFrame({"a": ["x" * 5000], "_batch": ["a.csv"], "_line": [2]})
    said = Violation.of_rows("a", "is wrong", rows, 1).sentence()
    assert len(said) < 150 and "(5,000 characters)" in said
    assert _plain(pd.Timestamp("2024-02-29 22:00")) == "2024-02-29T22:00:00"
