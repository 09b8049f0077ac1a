"""Was the champion trained on test rows: by id, else by date, else by line; and when it cannot be known."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
import yaml

from mainline.compare.seen import own_split, seen_rows
from mainline.config import Data, Settings


def data(**change: Any) -> Data:
    from pathlib import Path

    params = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8"))
    params["data"] |= change
    return Settings.model_validate(params).data


def rows(first: int, count: int, start: str, batch: str = "a.csv") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "row_id": range(first, first + count),
            "contact_date": pd.date_range(start, periods=count),
            "_batch": batch,
            "_line": range(first, first + count),
        }
    )


SPLIT = {"kind": "time", "train": {"to": "2009-03-18"}}
BATCHES: Any = ({"batches": [{"file": "a.csv", "sha256": "1"}]}, {"batches": [{"file": "a.csv", "sha256": "1"}]})


@pytest.mark.parametrize(("first", "expected"), [(101, 0), (100, 1), (96, 5)])
def test_by_id(first: int, expected: int) -> None:
    train, test = rows(1, 100, "2009-01-01"), rows(first, 10, "2009-02-01")
    assert seen_rows(test, data(), train, SPLIT)[0] == expected


@pytest.mark.parametrize(("start", "expected"), [("2009-03-19", 0), ("2009-03-18", 1), ("2009-03-09", 10)])
def test_by_date_without_ids_or_rows(start: str, expected: int) -> None:
    test = rows(1, 10, start)
    assert seen_rows(test, data(id=None), rows(1, 5, "2009-01-01"), SPLIT)[0] == expected
    assert seen_rows(test, data(), None, SPLIT)[0] == expected


def test_by_line_without_id_and_time() -> None:
    nothing = data(id=None, time=None, as_of=None)
    train, test = rows(1, 100, "2009-01-01"), rows(96, 10, "2009-02-01")
    assert seen_rows(test, nothing, train, {"kind": "random"}, BATCHES)[0] == 5
    renamed: Any = ({"batches": [{"file": "a.csv", "sha256": "2"}]}, BATCHES[1])
    assert seen_rows(test, nothing, train, {"kind": "random"}, renamed)[0] == 0


def test_what_cannot_be_known_is_not_zero() -> None:
    test = rows(1, 5, "2009-01-01")
    assert seen_rows(test, data(), None, None)[0] is None
    assert seen_rows(test, data(), None, {"kind": "random", "train": {"to": "2009-01-01"}})[0] is None


def inputs(trained: int, as_of: str | None = "2009-05-31") -> dict[str, Any]:
    return {"split": {**SPLIT, "as_of": as_of}, "training": {"rows": trained}, "validation": BATCHES[0]}


def test_a_split_that_keeps_its_promises() -> None:
    # The newest test row is of the last day whose outcomes are known: 14 days before the as-of date
    found = own_split(rows(101, 10, "2009-05-08"), rows(1, 100, "2009-01-01"), data(), inputs(100))
    assert (found.faults, found.known) == ((), True)


@pytest.mark.parametrize(
    ("first", "start", "trained", "says"),
    [
        (100, "2009-05-08", 100, "1 of 10 test rows are among the training rows"),
        (101, "2009-05-09", 100, "1 rows are later than 2009-05-17"),
        (101, "2009-05-08", 110, "the model was trained on 110 rows, artifacts/train.parquet has 100"),
    ],
)
def test_a_split_that_breaks_them(first: int, start: str, trained: int, says: str) -> None:
    (fault,) = own_split(rows(first, 10, start), rows(1, 100, "2009-01-01"), data(), inputs(trained)).faults
    assert says in fault


def test_training_rows_from_the_future_are_found_without_an_as_of_date() -> None:
    found = own_split(rows(101, 1, "2009-01-01"), rows(1, 100, "2009-03-01"), data(as_of=None), inputs(100))
    assert found.faults == ("22 rows are later than 2009-05-17, the newest day whose outcomes are known",)
    plain = data(as_of=None, time=None)
    assert own_split(rows(101, 1, "2009-01-01"), rows(1, 100, "2009-03-01"), plain, inputs(100, None)).faults == ()
