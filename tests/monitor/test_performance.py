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


def test_each_window_has_its_own_figures(report, settings) -> None:
    windows = report(labelled=300)["windows"]
    assert [item["window"] for item in windows] == ["2026-01"] and settings.monitor.window == "month"
    assert windows[0]["rows"] == 600 and windows[0]["known"] == 300 and windows[0]["by_score"]["rows"] == 300
    whole = report(labelled=300)["realised"]["metrics"]["log_loss"]
    assert [windows[0][name] for name in ("realised", "low", "high")] == [
        whole[name] for name in ("value", "low", "high")
    ]
    assert windows[0]["lag_days"] is None and sum(windows[0]["lags"]) == 0, "these outcomes have no time"


def test_windows_without_outcomes_have_an_estimate_only(report) -> None:
    (only,) = report(labelled=0)["windows"]
    assert only["estimate"] and only["known"] == 0 and only["realised"] is None and only["mean_label"] is None


def test_the_lag_is_counted_and_few_outcomes_get_no_interval(record, settings, project) -> None:
    rules = settings.model_copy(update={"monitor": settings.monitor.model_copy(update={"window": "day"})})
    records = [record(i, f"2026-01-0{1 + i % 2}T00:00:00.000Z", score=0.3) for i in range(40)]
    for i in range(30):
        day = 2 + i % 2 + 9 * (i > 20)
        known = {"kind": "feedback", "time": f"2026-01-{day:02d}T00:00:00.000Z", "outcome": "yes" if i % 3 else "no"}
        records.append({**known, "request_id": f"r{i}", "row": 0})
    joined = join(records, None, known=CLASSES, since=None, until=None, now=NOW, delay_days=0)
    first, second = performance(joined, rules, project, CLASSES, {"log_loss": 1.0})["windows"]
    assert (first["window"], first["rows"], first["known"]) == ("2026-01-01", 20, 15)
    assert first["lags"] == [11, 0, 0, 4, 0, 0, 0, 0] and second["lags"] == [10, 0, 0, 5, 0, 0, 0, 0]
    assert first["lag_days"] == 1.0 and first["low"] is None and first["realised"] is not None
