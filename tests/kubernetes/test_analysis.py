"""What the analysis asks, what it makes of an answer, and that no answer is never a success."""

from __future__ import annotations

import copy
import math
import re
from pathlib import Path
from typing import Any

import pytest

from mainline.rollout.kubernetes import queries
from mainline.rollout.kubernetes.check_analysis import metric_faults, outcome, template_faults

NAMES = {"traffic", "errors", "refusals", "scores", "latency", "breach"}


@pytest.fixture(scope="module")
def metrics(rendered) -> dict[str, dict[str, Any]]:
    templates = [item for item in rendered if item["kind"] == "AnalysisTemplate"]
    return {metric["name"]: metric for item in templates for metric in item["spec"]["metrics"]}


@pytest.mark.parametrize("name", sorted(NAMES))
@pytest.mark.parametrize("result", [[], [math.nan], [0.0, 0.0]])
def test_no_data_is_never_a_success_and_never_an_abort(name: str, result: list[float], metrics) -> None:
    assert set(metrics) == NAMES
    assert outcome(metrics[name], result) == "inconclusive"


@pytest.mark.parametrize(
    ("name", "success", "inconclusive", "failure"),
    [
        ("traffic", 1.0, 0.99, None),
        ("errors", 3.0, None, 3.01),
        ("refusals", -9.0, None, 3.01),
        ("scores", 0.2, 0.5, 0.76),
        ("latency", 1.5, 1.9, 2.01),
        ("breach", 0.049, None, 0.05),
    ],
)
def test_three_outcomes(name: str, success, inconclusive, failure, metrics) -> None:
    expected = {"success": success, "inconclusive": inconclusive, "failure": failure}
    for word, value in expected.items():
        assert value is None or outcome(metrics[name], [value]) == word


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("successCondition", "result[0] <= 3", "not of the form"),  # an error on no data, which aborts
        ("successCondition", "len(result) == 0 || result[0] <= 3", "not of the form"),
        ("successCondition", "len(result) == 1 && !(result[0] > 3)", "not of the form"),  # true for NaN
        ("failureCondition", "len(result) == 1 && result[0] > 2", "overlap"),
        ("failureCondition", "len(result) == 1 && result[0] < 3", "overlap"),
        ("failureLimit", 1, "failureLimit"),
        ("inconclusiveLimit", 1, "a verdict is one measurement"),
        ("count", 3, "a verdict is one measurement"),
        ("interval", "30s", "either count"),
        ("provider", {"prometheus": {"query": "sum(increase(mainline_request_total{namespace=\"x\"}[5m]))"}},
         "metric mainline_request_total is none of the service's"),
        ("provider", {"prometheus": {"query": 'up{namespace="{{args.place}}"}'}}, "argument place is not declared"),
    ],
)  # fmt: skip
def test_a_planted_fault_in_a_measurement_is_found(key: str, value, words: str, metrics) -> None:
    declared = {"release", "namespace", "window", "requests"}
    good = metrics["errors"]
    assert metric_faults(good, declared) == []
    found = metric_faults({**good, key: value}, declared)
    assert [fault for fault in found if words in fault], found


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ('sum(increase(mainline_requests{namespace="x"}[5m]))', "metric mainline_requests is none of the service's"),
        ('sum(increase(mainline_requests_total{namespace="x",code="500"}[5m]))',
         "label code is none of mainline_requests_total's"),
        ('sum(increase(mainline_requests_total{release="x"}[5m]))',
         "mainline_requests_total is not held to one namespace"),
        ("sum(increase(mainline_requests_total[5m]))", "mainline_requests_total is read without labels"),
        ('sum by (pot)(increase(mainline_requests_total{namespace="x"}[5m]))', "label pot is unknown"),
        ('sum(increase(mainline_requests_total{namespace="x"}[5m])', "unequal brackets ()"),
        ('summe(increase(mainline_requests_total{namespace="x"}[5m]))', "metric summe is none of the service's"),
        ('sum(up{namespace="x"})', "metric up is none of the service's"),
    ],
)  # fmt: skip
def test_a_query_that_could_never_answer_is_found(query: str, fault: str) -> None:
    assert queries.faults(query) == [fault]


def test_a_template_of_another_namespace_and_two_metrics_of_one_name(rendered) -> None:
    template = copy.deepcopy(next(item for item in rendered if item["metadata"]["name"] == "bank-step"))
    assert template_faults(template) == []
    template["spec"]["metrics"].append(template["spec"]["metrics"][0])
    template["metadata"]["namespace"] = "bank-staging"
    assert template_faults(template) == [
        "two metrics have one name", "argument namespace: is another than the template's"
    ]  # fmt: skip


def test_the_metrics_are_the_services(tmp_path: Path) -> None:
    service = pytest.importorskip(
        "mainline.serve.metrics", reason="the service is not there: its metrics are a list here"
    )
    text = service.Metrics("r", "stable", ("age",), tmp_path).text().decode()
    served: dict[str, set[str]] = {}
    for name, inside in re.findall(r"^(\w+)\{(.*)\} ", text, re.MULTILINE):
        served.setdefault(name, set()).update(re.findall(r'(\w+)="', inside))
    assert served == {name: set(labels | queries.OWN) for name, labels in queries.METRICS.items()}
