"""Was the champion trained on test rows: by id, else by date, else by line; and when it cannot be known."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
import yaml

from mainline.compare.seen import seen_rows
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
