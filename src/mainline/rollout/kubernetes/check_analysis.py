"""Checks of an AnalysisTemplate: what it asks exists, and no data is never a success."""

from __future__ import annotations

import operator
import re
from collections.abc import Sequence
from typing import Literal

from mainline.rollout.kubernetes import queries
from mainline.rollout.kubernetes.workload import Manifest

Outcome = Literal["success", "failure", "inconclusive"]
# The only form that is allowed: an index into an empty result is an error, which Argo Rollouts answers with an abort,
# and a negated comparison would let NaN through.
CONDITION = re.compile(r"len\(result\) == 1 && result\[0\] (<=|<|>=|>) (-?\d+(?:\.\d+)?)")
COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def holds(condition: str, result: Sequence[float]) -> bool:
    """Return whether a condition of the allowed form is met by what a query returned."""
    found = CONDITION.fullmatch(condition)
    return bool(found and len(result) == 1 and COMPARE[found[1]](result[0], float(found[2])))


def outcome(metric: Manifest, result: Sequence[float]) -> Outcome:
    """Return what Argo Rollouts makes of one measurement: failure first, then success, else inconclusive."""
    if holds(metric["failureCondition"], result):
        return "failure"
    return "success" if holds(metric["successCondition"], result) else "inconclusive"


def metric_faults(metric: Manifest, declared: set[str]) -> list[str]:
    """Return what is wrong with one measurement."""
    query = metric["provider"]["prometheus"]["query"]
    found = [f"condition {metric[key]!r}: not of the form that leaves no data and NaN inconclusive"
             for key in ("successCondition", "failureCondition") if not CONDITION.fullmatch(metric[key])]  # fmt: skip
    bounds = [float(number) for key in ("successCondition", "failureCondition")
              for _, number in CONDITION.findall(metric[key])]  # fmt: skip
    edges = [bound + shift for bound in bounds for shift in (-1e-9, 0, 1e-9)]
    if any(holds(metric["successCondition"], [edge]) and holds(metric["failureCondition"], [edge]) for edge in edges):
        found.append("success and failure overlap")
    if metric["failureLimit"] != 0:
        found.append("failureLimit: a failed measurement has to count")
    if ("count" in metric) == ("interval" in metric):
        found.append("either count (a verdict) or interval (a watch), not both")
    if "count" in metric and (metric["count"], metric["inconclusiveLimit"]) != (1, 0):
        # A metric whose count is reached counts as successful, however many of its measurements said nothing.
        found.append("a verdict is one measurement, and inconclusive is its outcome then")
    found += queries.faults(query)
    found += [f"argument {name} is not declared" for name in sorted(set(queries.ARGUMENT.findall(query)) - declared)]
    return [f"{metric['name']}: {fault}" for fault in found]


def template_faults(template: Manifest) -> list[str]:
    """Return what is wrong with a template."""
    spec = template["spec"]
    declared = {item["name"] for item in spec.get("args", [])}
    names = [metric["name"] for metric in spec["metrics"]]
    found = ["two metrics have one name"] if len(set(names)) != len(names) else []
    for item in spec.get("args", []):
        if item["name"] == "namespace" and item.get("value") != template["metadata"].get("namespace"):
            found.append("argument namespace: is another than the template's")
    return found + [fault for metric in spec["metrics"] for fault in metric_faults(metric, declared)]
