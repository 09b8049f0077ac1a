"""A project made by hand, and rows whose true chances are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mainline.project import Marks, Project


def build_features(columns: Sequence[str]) -> ColumnTransformer:
    numbers = [name for name in columns if name != "word"]
    words = [name for name in columns if name == "word"]
    return ColumnTransformer([("n", StandardScaler(), numbers), ("w", OneHotEncoder(sparse_output=False), words)])


@pytest.fixture
def project_for() -> Callable[..., Project]:
    """Return a function that builds a project on columns a, b and word; parts can be replaced."""

    def build(**parts: Any) -> Project:
        usual: dict[str, Any] = {
            "name": "toy", "row": None, "columns": ("a", "b", "word"), "build_features": build_features,
            "marks": {name: Marks() for name in ("a", "b", "word", "y")},
            "build_estimator": lambda seed, *, C=1.0: LogisticRegression(C=C, random_state=seed),
            "space": {}, "slices": {}, "groups": {}, "behaviours": (), "value": None,
        }  # fmt: skip
        return Project(**{**usual, **parts})

    return build


@pytest.fixture
def rows_for() -> Callable[..., pd.DataFrame]:
    """Return a function that gives rows whose ``chance`` and ``level`` are known, in order of time."""

    def build(size: int = 600, seed: int = 1) -> pd.DataFrame:
        generator = np.random.default_rng(seed)
        frame = pd.DataFrame({"a": generator.normal(size=size), "b": generator.normal(size=size),
                              "word": generator.choice(["x", "y", "z"], size)})  # fmt: skip
        level = frame["a"] - 0.5 * frame["b"] + 0.5 * (frame["word"] == "x")
        chance = 1 / (1 + np.exp(-level))
        return frame.assign(
            level=level, chance=chance, binary=(generator.random(size) < chance).astype(int),
            three=np.digitize(level + generator.logistic(size=size), [-1, 1]),
            value=level + generator.normal(0, 0.1, size),
        )  # fmt: skip

    return build
