"""The figures: what they count, and that two workers add up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from mainline.serve.metrics import Metrics


def values(metrics: Metrics, name: str) -> dict[tuple[str, ...], float]:
    """Return the samples of ``name`` that are not 0, by their labels beyond the release."""
    return {
        tuple(value for key, value in sorted(sample.labels.items()) if key != "release"): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
        if sample.name == name and sample.value
    }


@pytest.fixture
def metrics(tmp_path: Path) -> Metrics:
    return Metrics("r1", "canary", ["age", "job"], tmp_path / "m")


def test_requests_by_status_and_their_time(metrics: Metrics) -> None:
    metrics.request(200, 0.0004, False)
    metrics.request(200, 0.3, False)
    metrics.request(422, 0.0004, True)
    metrics.request(299, 99.0, False)
    assert values(metrics, "mainline_requests_total") == {
        ("200", "canary"): 2, ("422", "shadow"): 1, ("500", "canary"): 1,
    }  # fmt: skip
    found = values(metrics, "mainline_request_seconds_bucket")
    assert found[("0.0005", "canary")] == 1 and found[("0.25", "canary")] == 1 and found[("0.5", "canary")] == 2
    assert found[("10.0", "canary")] == 2 and found[("+Inf", "canary")] == 3
    assert values(metrics, "mainline_request_seconds_sum")[("canary",)] == pytest.approx(99.3004)


@pytest.mark.parametrize("size", [1, 7])
def test_scores_fall_into_the_bucket_of_their_upper_edge(metrics: Metrics, size: int) -> None:
    scores = [0.0, 0.05, 0.050001, 0.5, 0.999, 1.0, 0.3][:size] if size > 1 else [0.05]
    metrics.predictions(np.array(scores), len(scores), False)
    found = values(metrics, "mainline_score_bucket")
    for edge in (0.05, 0.1, 0.5, 1.0):
        assert found.get((repr(edge), "canary"), 0) == sum(score <= edge for score in scores)
    assert values(metrics, "mainline_score_count") == {("canary",): len(scores)}
    assert values(metrics, "mainline_score_sum")[("canary",)] == pytest.approx(sum(scores))


def test_a_regression_has_no_histogram_of_scores(metrics: Metrics) -> None:
    metrics.predictions(None, 3, False)
    assert values(metrics, "mainline_predictions_total") == {("canary",): 3}
    assert values(metrics, "mainline_score_count") == {}


def test_values_feedback_and_lost_records(metrics: Metrics) -> None:
    metrics.values({"job": 2}, {"age": 1}, False)
    metrics.feedback()
    metrics.dropped(5)
    metrics.dropped(6)
    assert values(metrics, "mainline_unseen_total") == {("job", "canary"): 2}
    assert values(metrics, "mainline_missing_total") == {("age", "canary"): 1}
    assert values(metrics, "mainline_feedback_total") == {("canary",): 1}
    assert values(metrics, "mainline_log_dropped_total") == {("canary",): 6}


def test_every_worker_is_counted_whichever_is_asked(
    metrics: Metrics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.getpid", lambda: 999999)
    second = Metrics("r1", "canary", ["age", "job"], tmp_path / "m")
    metrics.request(200, 0.1, False)
    second.request(200, 0.1, False)
    second.request(504, 0.1, False)
    expected = {("200", "canary"): 2, ("504", "canary"): 1}
    assert values(metrics, "mainline_requests_total") == values(second, "mainline_requests_total") == expected


def test_without_a_folder_a_worker_counts_for_itself(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    alone = Metrics("r1", "shadow", [], tmp_path / "file" / "m")
    alone.request(200, 0.1, True)
    assert values(alone, "mainline_requests_total") == {("200", "shadow"): 1}
