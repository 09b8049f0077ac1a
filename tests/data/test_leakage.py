"""Separation is 0.5 for noise of any shape, 1.0 for a copy of the label; a feature that knows the answer is named."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mainline.data.leakage import check_leakage, separation
from mainline.errors import UserError
from mainline.project import Marks

DRAWS = 40


def noise(generator: np.random.Generator, kind: str, rows: int) -> pd.Series:
    if kind == "numbers":
        return pd.Series(generator.normal(size=rows))
    kinds = {"few values": 4, "many values": rows // 2, "unique values": 10**12}
    return pd.Series(generator.integers(0, kinds[kind], rows).astype(str))


def outcome(generator: np.random.Generator, task: str, rows: int) -> np.ndarray:
    if task == "regression":
        return generator.normal(size=rows)
    return generator.integers(0, 5, rows) if task == "multiclass" else (generator.random(rows) < 0.1).astype(int)


@pytest.mark.parametrize("kind", ["numbers", "few values", "many values", "unique values"])
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_noise_separates_nothing(kind: str, task: str) -> None:
    found = []
    for seed in range(DRAWS):
        generator = np.random.default_rng(seed)
        found.append(separation(noise(generator, kind, 1000), outcome(generator, task, 1000), task == "regression"))
    assert min(found) >= 0.5
    assert np.mean(found) < 0.56, "0.5 but for chance, however many values there are"
    assert max(found) < 0.65


@pytest.mark.parametrize("name", ["as it is", "renamed", "negated", "with holes"])
@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_a_copied_label_separates_perfectly(name: str, task: str) -> None:
    target = outcome(np.random.default_rng(1), task, 1000)
    copies = {
        "as it is": pd.Series(target),
        "renamed": pd.Series(target).map(lambda code: f"class {code}"),
        "negated": pd.Series(-target),
        "with holes": pd.Series(target).where(target != 0).astype(float),
    }
    assert separation(copies[name], target, False) == 1.0


@pytest.mark.parametrize("sign", [1, -1])
def test_a_copied_value_separates_nearly_perfectly(sign: int) -> None:
    target = outcome(np.random.default_rng(1), "regression", 1000)
    assert separation(pd.Series(sign * target), target, True) > 0.99


def test_a_known_strength_is_measured() -> None:
    # Two normals one standard deviation apart have an area of 0.76 under the ROC curve.
    generator = np.random.default_rng(3)
    target = generator.integers(0, 2, 20_000)
    assert separation(pd.Series(generator.normal(target)), target, False) == pytest.approx(0.76, abs=0.015)
    # Both tails mean the same: ranks alone would see nothing in it.
    tails = generator.normal(0, 1 + 3 * target)
    assert separation(pd.Series(tails), target, False) > 0.75


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_a_constant_and_an_empty_column_separate_nothing(task: str) -> None:
    target = outcome(np.random.default_rng(1), task, 100)
    for column in (pd.Series([1] * 100), pd.Series([None] * 100, dtype="float64"), pd.Series(["x"] * 100)):
        assert separation(column, target, task == "regression") == 0.5


@pytest.fixture
def case(settings_for):
    """Rows with one sound column, one leak and two that are known too late; a function that checks some of them."""
    generator = np.random.default_rng(2)
    target = generator.integers(0, 2, 400)
    rows = pd.DataFrame(
        {
            "row_id": range(400), "contact_date": pd.Timestamp("2020-01-01"), "y": np.where(target, "yes", "no"),
            "sound": generator.normal(size=400), "leak": np.where(target, "a", "b"),
            "late": generator.normal(size=400), "spare": generator.normal(size=400),
        }
    )  # fmt: skip
    marks = {name: Marks(known="after" if name in ("late", "y") else "before") for name in rows}

    def check(*columns: str, **keys):
        return check_leakage(rows, target, marks, columns, settings_for(**keys))

    return check


def test_sound_features_pass_and_the_rest_is_accounted_for(case) -> None:
    found = {item["column"]: item for item in case("sound", features__drop=["spare"])}
    assert list(found) == ["sound", "leak", "late", "spare"], "id, time and label need no word"
    assert found["sound"]["kept"] and found["sound"]["reason"] == ""
    assert found["leak"]["score"] == 1.0 and "alone separates the target at 1.000" in found["leak"]["reason"]
    assert found["late"]["reason"] == "known only after the event"
    assert found["spare"]["reason"] == "left out by features.drop"


def test_every_leak_is_named_at_once(case) -> None:
    with pytest.raises(UserError) as caught:
        case("sound", "leak", "late", "y", "row_id", "contact_date")
    for words in ("leak: alone", "late: known only", "y: is the label", "row_id: is the row's id", "contact_date: is"):
        assert words in caught.value.problem
    assert "sound" not in caught.value.problem
    assert "COLUMNS" in caught.value.fix


def test_the_bound_is_the_settings(case) -> None:
    assert case("sound", "leak", data__checks__separation=1.0)
