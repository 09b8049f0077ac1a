from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mainline.data.target import as_text, classes, encode
from mainline.errors import UserError
from mainline.project import Marks

COLOURS = {"y": Marks(one_of=("red", "green", "blue"))}


@pytest.fixture
def settings(settings_for):
    def build(task: str, positive: str | None = None):
        return settings_for(model__task=task, data__positive=positive)

    return build


def rows(*labels) -> pd.DataFrame:
    return pd.DataFrame({"y": list(labels)})


def test_binary_has_the_positive_class_last(settings) -> None:
    frame = rows("no", "yes", "no")
    for positive, codes in (("yes", [0, 1, 0]), ("no", [1, 0, 1])):
        names = classes({"y": Marks(one_of=("no", "yes"))}, settings("binary", positive), frame)
        assert names is not None and names[-1] == positive
        found = encode(frame, settings("binary", positive), names)
        assert found.tolist() == codes and found.dtype == np.int64


def test_classes_are_in_the_order_of_the_schema_and_only_those_that_occur(settings) -> None:
    assert classes(COLOURS, settings("multiclass"), rows("blue", "red", "red", None)) == ("red", "blue")
    assert classes({"y": Marks()}, settings("multiclass"), rows("b", "a")) == ("a", "b")
    assert encode(rows("blue", "red"), settings("multiclass"), ("red", "green", "blue")).tolist() == [2, 0]


def test_regression_is_numbers(settings) -> None:
    assert classes({"y": Marks()}, settings("regression"), rows(1.5)) is None
    found = encode(rows(1, 2), settings("regression"), None)
    assert found.tolist() == [1.0, 2.0] and found.dtype == np.float64


@pytest.mark.parametrize(("label", "shown"), [("pink", "pink"), (None, "nan")])
def test_a_label_that_is_no_class_is_named(label, shown, settings) -> None:
    with pytest.raises(UserError, match=f"y: {shown}: not among the classes red, blue"):
        encode(rows("red", label), settings("multiclass"), ("red", "blue"))


def test_whole_number_labels_keep_their_names_when_some_are_missing(settings) -> None:
    # Given 0 and 1 as labels; newest rows have none yet, so pandas makes the column float
    binary = settings("binary", "1")
    for frame in (rows(0, 1, 1), rows(0.0, 1.0, 1.0)):
        assert classes({"y": Marks()}, binary, frame) == ("0", "1")
        assert encode(frame, binary, ("0", "1")).tolist() == [0, 1, 1]
    assert classes({"y": Marks()}, binary, rows(0, 1, None)) == ("0", "1")


def test_as_text() -> None:
    found = as_text(pd.Series([1.0, None, 3.0], index=[5, 6, 7]))
    assert found[5] == "1" and pd.isna(found[6]) and list(found.index) == [5, 6, 7]
    assert as_text(pd.Series([1.5, 2.0])).tolist() == ["1.5", "2.0"]
    assert as_text(pd.Series([True, False])).tolist() == ["True", "False"]
    assert as_text(pd.Series(["a"])).tolist() == ["a"]
