"""How often the comparison is wrong: false rejections of an equal model, and worse models that get through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from mainline.compare.gates import primary_gate
from mainline.compare.paired import compared, differences, value_metric
from mainline.config import Settings
from mainline.evaluate.metrics import metrics_for
from mainline.project import Value

ROWS, DRAWS = 7000, 50


@pytest.fixture(scope="module")
def settings() -> Settings:
    from pathlib import Path

    params = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8"))
    params["evaluate"]["resamples"] = 200
    return Settings.model_validate(params)


def world(seed: int, rows: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
    """Return outcomes and true logits that resemble the example: 12 % positives, ROC AUC of about 0.66."""
    generator = np.random.default_rng(seed)
    logit = -2.15 + 0.6 * generator.standard_normal(rows)
    return (generator.random(rows) < 1 / (1 + np.exp(-logit))).astype(np.int64), logit


def chance(logit: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logit))


def loss(y: np.ndarray, score: np.ndarray) -> float:
    found = metrics_for("binary")["log_loss"].function(y, score)
    assert found is not None
    return found


def levels(settings: Settings, challenger: Callable[[np.ndarray, int], np.ndarray]) -> list[str | None]:
    """Return the level of the primary gate in each of 50 worlds."""
    primary = {"log_loss": metrics_for("binary")["log_loss"]}
    found = []
    for seed in range(DRAWS):
        y, logit = world(seed)
        scores = (chance(logit), chance(challenger(logit, seed)))
        worse = differences(y, scores, primary, settings)["log_loss"]["worse"]
        found.append(primary_gate(worse, settings.compare, "log_loss").level)
    return found


def test_the_same_model_is_never_rejected(settings: Settings) -> None:
    assert levels(settings, lambda logit, seed: logit) == [None] * DRAWS


def test_a_retrained_equal_model_is_rejected_in_one_of_twenty_at_most(settings: Settings) -> None:
    """Retraining moves every score a little: here by a standard deviation of 0.1 in the logit."""

    def retrained(logit: np.ndarray, seed: int) -> np.ndarray:
        return logit + 0.1 * np.random.default_rng([seed, 1]).standard_normal(len(logit))

    found = levels(settings, retrained)
    assert found.count("reject") <= DRAWS * 0.05
    assert found.count(None) >= DRAWS * 0.95


def blunt(logit: np.ndarray, seed: int) -> np.ndarray:
    """Ranking noise: scores shaken."""
    return logit + 0.63 * np.random.default_rng([seed, 2]).standard_normal(len(logit))


def low(logit: np.ndarray, seed: int) -> np.ndarray:
    """Every chance too low, the ranking unchanged."""
    return logit - 0.68


@pytest.mark.parametrize("fault", [blunt, low])
def test_a_challenger_worse_by_twice_the_margin_is_rejected(settings: Settings, fault: Any) -> None:
    # Given a fault that costs twice the margin on average
    worlds = [(seed, *world(seed)) for seed in range(20)]
    cost = [loss(y, chance(fault(logit, seed))) - loss(y, chance(logit)) for seed, y, logit in worlds]
    assert np.mean(cost) == pytest.approx(2 * settings.compare.margin, abs=0.002)
    # Then at least eight in ten are rejected, and none promoted
    found = levels(settings, fault)
    assert found.count("reject") >= DRAWS * 0.8, f"{found.count('reject')} of {DRAWS}"
    assert found.count(None) == 0


def test_signs(settings: Settings) -> None:
    y, logit = world(1)
    score, worse = chance(logit), chance(logit * 0.2 - 1.5)
    found = differences(y, (score, worse), metrics_for("binary"), settings)
    for name, entry in found.items():
        span = entry["difference"]
        assert span["value"] == pytest.approx(entry["challenger"] - entry["champion"], abs=2e-6), name
        assert span["low"] <= span["value"] <= span["high"], name
        turned = entry["worse"]["value"] * (1 if entry["better"] == "lower" else -1)
        assert turned == pytest.approx(span["value"]), name
    assert found["log_loss"]["worse"]["low"] > 0


def test_a_bias_is_compared_by_its_size(settings: Settings) -> None:
    y = np.zeros(500)
    generator = np.random.default_rng(0)
    noise = generator.normal(0, 0.1, 500)
    bias = {"bias": metrics_for("regression")["bias"]}
    entry = differences(y, (noise + 1, noise - 2), bias, settings)["bias"]
    assert entry["difference"]["value"] == pytest.approx(-3.0)
    assert entry["worse"]["value"] == pytest.approx(1.0, abs=0.1) and entry["worse"]["low"] > 0.9


def test_undefined_is_null(settings: Settings) -> None:
    y, logit = world(1, 200)
    entry = differences(y, (chance(logit), chance(logit) * np.nan), metrics_for("binary"), settings)["log_loss"]
    assert (entry["challenger"], entry["difference"], entry["worse"]) == (None, None, None)


def test_the_value_of_a_row(settings: Settings) -> None:
    metric = value_metric(Value(gain=10.0, cost=5.0))
    assert metric.function(np.array([1, 0, 1, 0]), np.array([0.9, 0.8, 0.1, 0.1])) == pytest.approx(0.0)
    assert metric.function(np.array([1, 0, 1, 0]), np.array([0.9, 0.1, 0.6, 0.1])) == pytest.approx(2.5)


def test_a_slice_ruined_shows_in_that_slice_alone(settings: Settings) -> None:
    from types import SimpleNamespace

    y, logit = world(3)
    colour = np.where(np.arange(ROWS) % 10 == 0, "blue", np.where(np.arange(ROWS) == 1, "rare", "red"))
    day = pd.Timestamp("2009-03-19") + pd.to_timedelta(np.arange(ROWS) * 50 // ROWS, unit="D")
    frame = pd.DataFrame({"colour": colour, "contact_date": day})
    project: Any = SimpleNamespace(
        slices={"colour": lambda rows: rows["colour"]}, groups={"colour": lambda rows: rows["colour"]},
        value=Value(gain=80.0, cost=8.0),
    )  # fmt: skip
    ruined = np.where(colour == "blue", -logit - 4.3, logit)
    found = compared(frame, y, chance(logit), chance(ruined), project, settings)
    parts = {entry["group"]: entry for entry in found["slices"]}
    assert parts["blue"]["worse"]["low"] > 0.02
    assert parts["red"]["worse"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert (parts["rare"]["judged"], parts["rare"]["difference"]) == (False, None)
    assert [entry["month"] for entry in found["months"]] == ["2009-03", "2009-04", "2009-05"]
    assert found["value"]["difference"]["value"] < 0
    assert found["fairness"]["columns"][0]["column"] == "colour"
