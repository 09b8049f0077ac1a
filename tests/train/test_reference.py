from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mainline.project import Marks
from mainline.train.reference import prior, reference_profile

ROWS = pd.DataFrame({"a": np.arange(100.0), "name": [f"n{index % 3}" for index in range(100)], "unused": 1})


class Chances:
    """A model that gives fixed chances."""

    def __init__(self, classes: int) -> None:
        self.classes = classes

    def predict_proba(self, rows: pd.DataFrame) -> np.ndarray:
        first = np.linspace(0, 0.5, len(rows))
        rest = (1 - first) / (self.classes - 1)
        return np.column_stack([first, *[rest] * (self.classes - 1)])


def profile(model, **marks: Marks):
    return reference_profile(ROWS, model, ["a", "name"], {"a": Marks(), "name": Marks(), **marks}, 10)


def test_features_and_score_are_counted() -> None:
    found = profile(Chances(2))
    assert found.rows == 100 and list(found.bins) == ["a", "name", "(score)"]
    counts = found.counts["a"].tolist()
    assert sum(counts) == 100 and counts[0] == counts[-2] == counts[-1] == 0, "nothing far out of range, or missing"
    assert counts[2:-4] == [9, *[10] * 8], "ten equal parts, less the rows between the cuts in the tails"
    assert found.bins["a"].edges[0] < -20 and found.bins["a"].edges[-1] > 120 and found.bins["a"].sd is not None
    assert found.counts["name"].tolist() == [34, 33, 33, 0, 0]
    assert min(found.bins["(score)"].edges[1:]) >= 0.5, "the chance of the positive, not of the negative"


def test_each_class_has_its_score() -> None:
    assert list(profile(Chances(3)).bins)[2:] == ["(score) 0", "(score) 1", "(score) 2"]


def test_personal_values_are_hashed_or_left_out() -> None:
    hashed = profile(Chances(2), name=Marks(pii="hash"))
    assert all(value.startswith("sha256:") for value in hashed.bins["name"].values)
    assert hashed.counts["name"].sum() == 100
    assert "name" not in profile(Chances(2), name=Marks(pii="drop")).bins


def test_the_last_bits_of_a_score_do_not_matter() -> None:
    class Shaken(Chances):
        def predict_proba(self, rows):
            return super().predict_proba(rows) * (1 + 1e-12)

    assert profile(Chances(2)).to_dict() == profile(Shaken(2)).to_dict()


@pytest.mark.parametrize(
    ("target", "names", "expected"),
    [
        (np.array([0, 1, 1, 1]), ("no", "yes"), 0.75),
        (np.array([0, 2, 2, 1]), ("a", "b", "c"), [0.25, 0.25, 0.5]),
        (np.array([0, 0]), ("a", "b", "c"), [1.0, 0.0, 0.0]),
        (np.array([1.0, 2.5]), None, 1.75),
    ],
)
def test_prior_is_the_constant_prediction(target, names, expected) -> None:
    assert prior(target, names) == expected
