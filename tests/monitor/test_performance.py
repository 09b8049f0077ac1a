"""What was realised is what the metrics say of the joined rows; what is estimated says what it cannot see."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from mainline.config import load_settings
from mainline.evaluate.metrics import metrics_for
from mainline.monitor.estimate import CANNOT_SEE, estimate
from mainline.monitor.outcomes import join
from mainline.monitor.performance import performance
from mainline.project import Value, load_project

NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
CLASSES = ("no", "yes")


@pytest.fixture(scope="module")
def settings():
    made = load_settings()
    return made.model_copy(update={"evaluate": made.evaluate.model_copy(update={"resamples": 200})})


@pytest.fixture(scope="module")
def project(settings):
    return load_project(settings.project)


@pytest.fixture
def report(record, settings, project):
    """``report(labelled, flip)``: of 600 calibrated predictions, so many with an outcome, a share of those wrong."""

    def run(labelled: int = 600, flip: float = 0.0, expected: float | None = None, **changes):
        generator = np.random.default_rng(0)
        score = generator.beta(2, 5, 600).round(6)
        happened = (generator.random(600) < score) ^ (generator.random(600) < flip)
        features = {"age": 30, "job": "student", "contact": "cellular", "housing": "no", "pdays": -1}
        records = [
            record(i, f"2026-01-{1 + i // 30:02d}T00:00:00.000Z", score=score[i], features=features, **changes)
            for i in range(600)
        ]
        records += [
            {"kind": "feedback", "request_id": f"r{i}", "row": 0, "time": None, "outcome": CLASSES[int(happened[i])]}
            for i in range(labelled)
        ]
        joined = join(records, None, known=CLASSES, since=None, until=None, now=NOW, delay_days=14)
        loss = float(-(score * np.log(score) + (1 - score) * np.log(1 - score)).mean())
        return performance(joined, settings, project, CLASSES, {"log_loss": expected or loss})

    return run


def test_a_calibrated_model_is_ok_and_its_estimate_is_near(report) -> None:
    found = report()
    real, guess = found["realised"], found["estimate"]["metrics"]
    assert found["verdict"] == "OK" and found["coverage"] == 1.0
    for name in ("log_loss", "brier", "roc_auc"):
        assert real["metrics"][name]["low"] <= guess[name] <= real["metrics"][name]["high"], name
    assert guess["mean_label"] == pytest.approx(real["mean_label"], abs=0.06)
    assert guess["value_per_row"] == pytest.approx(real["value"]["per_row"], abs=5)
    assert abs(real["gap_z"]) < 3 and real["calibration"]["error"] < 0.1
    assert [(item["slice"], item["group"], item["rows"]) for item in real["slices"]][0] == ("contact", "cellular", 600)
    assert [item["month"] for item in real["months"]] == ["2026-01"]


def test_flipped_outcomes_are_worse_and_the_estimate_cannot_see_them(report) -> None:
    found = report(flip=0.3)
    assert found["verdict"] == "WORSE" and "in test" in found["reason"]
    assert found["estimate"]["metrics"] == report()["estimate"]["metrics"]
    assert "cannot see" in found["estimate"]["cannot_see"] == CANNOT_SEE


@pytest.mark.parametrize(("labelled", "verdict"), [(0, "NO LABELS"), (50, "INSUFFICIENT DATA"), (200, "OK")])
def test_few_outcomes_are_never_green(report, labelled: int, verdict: str) -> None:
    found = report(labelled)
    assert found["verdict"] == verdict and found["reason"]
    assert found["coverage"] == pytest.approx(labelled / 600, abs=1e-6)
    assert (found["realised"] is None) == (labelled == 0)


def test_predictions_without_a_score_are_counted(report) -> None:
    found = report(latency_ms=None)
    assert found["without_score"] == 0


def test_the_estimate_is_the_expectation_over_outcomes() -> None:
    generator = np.random.default_rng(1)
    score = generator.beta(2, 5, 3000)
    guess = estimate(score, metrics_for("binary"), Value(80.0, 8.0))
    assert guess is not None
    for name, metric in metrics_for("binary").items():
        drawn = [metric.function((generator.random(3000) < score).astype(int), score) for _ in range(40)]
        assert guess[name] == pytest.approx(np.mean(drawn), abs=0.006), name
    assert estimate(score, metrics_for("regression"), None) is None


def test_several_classes_have_an_estimate_too() -> None:
    generator = np.random.default_rng(1)
    score = generator.dirichlet([2, 3, 4], 2000)
    guess = estimate(score, metrics_for("multiclass"), None)
    y = np.array([generator.choice(3, p=row) for row in score])
    for name, metric in metrics_for("multiclass").items():
        assert guess is not None and guess[name] == pytest.approx(metric.function(y, score), abs=0.05), name


def test_a_row_without_a_score_takes_no_part(record, settings, project) -> None:
    records = [record(i, "2026-01-01T00:00:00.000Z", score=score) for i, score in enumerate([0.2, None, "x", 0.4])]
    joined = join(records, None, known=CLASSES, since=None, until=None, now=NOW, delay_days=14)
    found = performance(joined, settings, project, CLASSES, {})
    assert found["without_score"] == 2 and found["estimate"]["metrics"]["mean_label"] == pytest.approx(0.3)
    assert isinstance(joined.rows, pd.DataFrame)
