"""A tiny world: rows whose true chances are known, so that a sound model passes every gate and one fault breaks one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mainline.config import Settings
from mainline.project import Direction, Invariance, Marks, Minimum, Project, Robustness, Value

PARAMS: dict[str, Any] = {
    "project": "toy",
    "data": {
        "batches": "data",
        "id": None,
        "time": "day",
        "label": "y",
        "positive": "yes",
        "as_of": None,
        "label_delay_days": None,
        "test_window_days": 60,
        "test_share": 0.2,
        "checks": {
            "min_rows": 1,
            "max_age_days": None,
            "late_rows": "accept",
            "distribution": "off",
            "effect": 0.1,
            "alpha": 0.01,
            "separation": 0.8,
        },
    },
    "features": {"drop": []},
    "model": {
        "task": "binary",
        "seed": 7,
        "estimator": {},
        "calibration": {"method": "none", "share": 0.1},
        "search": {"enabled": False, "folds": 4, "factor": 3},
    },
    "evaluate": {"primary": "log_loss", "resamples": 100, "level": 0.95, "min_rows": 100},
    "gates": {
        "floors": {"roc_auc": 0.7, "log_loss": 0.6},
        "calibration_error": 0.08,
        "slice_floors": {"roc_auc": 0.6},
        "fairness_gap": 0.2,
        "latency_ms": 50.0,
        "size_mb": 5.0,
    },
}


def merged(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """Return ``base`` with the leaves of ``change`` put in; ``floors`` and ``slice_floors`` are replaced whole."""
    deep = {"data", "model", "evaluate", "gates"}
    return {
        key: merged(value, change[key]) if key in change and key in deep else change.get(key, value)
        for key, value in base.items()
    }


@pytest.fixture
def settings_for() -> Callable[..., Settings]:
    def build(**change: Any) -> Settings:
        return Settings.model_validate(merged(PARAMS, change))

    return build


@dataclass(frozen=True)
class Chance:
    """A binary model that says the truth, unless ``fault`` (chances, rows) -> chances spoils it."""

    fault: Callable[[np.ndarray, pd.DataFrame], np.ndarray] = lambda chance, rows: chance

    def predict_proba(self, rows: pd.DataFrame) -> np.ndarray:
        level = pd.to_numeric(rows["x"]).fillna(0.0).to_numpy() + np.where(rows["lucky"] == "yes", 1.0, 0.0)
        chance = np.clip(self.fault(1 / (1 + np.exp(-2.0 * level)), rows), 0.0, 1.0)
        return np.column_stack([1 - chance, chance])


@pytest.fixture
def chance() -> type[Chance]:
    return Chance


@pytest.fixture
def frame() -> pd.DataFrame:
    """2,000 rows over three months; columns x, lucky, colour, sex, day, the bookkeeping columns and the label."""
    generator = np.random.default_rng(1)
    rows = 2000
    built = pd.DataFrame(
        {
            "x": generator.normal(size=rows),
            "lucky": np.where(generator.random(rows) < 0.3, "yes", "no"),
            "colour": generator.choice(["red", "green", "blue"], rows),
            "sex": generator.choice(["f", "m"], rows),
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(rows) * 90 // rows, unit="D"),
            "_batch": "one.csv",
            "_line": np.arange(rows) + 2,
        }
    )
    chance = Chance().predict_proba(built)[:, 1]
    return built.assign(y=np.where(generator.random(rows) < chance, "yes", "no"))


BEHAVIOURS = (
    Invariance("colour does not matter", lambda rows: rows.assign(colour="red")),
    Direction("luck raises the score", lambda rows: rows.assign(lucky="yes"), up=True),
    Minimum("lucky beats unlucky", lambda rows: rows.assign(lucky="yes"), lambda rows: rows.assign(lucky="no"), 0.05),
    Robustness("x shakes a little", lambda rows, g: rows.assign(x=rows["x"] + g.normal(0, 0.05, len(rows))), 0.05),
)


@pytest.fixture
def project_for() -> Callable[..., Project]:
    def build(**change: Any) -> Project:
        parts: dict[str, Any] = {
            "name": "toy",
            "row": None,
            "marks": {"y": Marks(one_of=("no", "yes"))},
            "columns": ("x", "lucky"),
            "build_features": None,
            "build_estimator": None,
            "space": {},
            "slices": {"colour": lambda rows: rows["colour"]},
            "groups": {"sex": lambda rows: rows["sex"]},
            "behaviours": BEHAVIOURS,
            "value": Value(gain=10.0, cost=5.0),
        }
        return Project(**{**parts, **change})

    return build


@pytest.fixture
def training() -> dict[str, Any]:
    return {"classes": ["no", "yes"], "prior": 0.5}
