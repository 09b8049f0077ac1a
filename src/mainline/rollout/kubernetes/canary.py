"""The canary on Kubernetes: Argo Rollouts moves the weights of the route, step by step, and asks Prometheus in between.

Every measurement has three outcomes, as on a laptop: success goes on, failure aborts, and anything else (too little
traffic, no series, NaN, a value in between) is inconclusive, which pauses the rollout until a person has looked.
"""

from __future__ import annotations

from typing import Any

from mainline.rollout.kubernetes import queries
from mainline.rollout.kubernetes.plan import Plan, Target
from mainline.rollout.kubernetes.queries import CANARY, SHADOW, Arm
from mainline.rollout.kubernetes.workload import VERSION, Manifest, deployment, labels, manifest, service

API = "argoproj.io/v1alpha1"
STANDARD_ERRORS = 3
# Beyond its bound a ratio holds; beyond this multiple of it, it aborts.
TOO_SLOW = 4 / 3
# A distribution that moved may be the very reason for the new model, so a person looks; this far off, nobody has to.
OTHER_SCORES = 0.75


def metric(target: Target, name: str, query: str, good: str, bad: str, **more: Any) -> Manifest:
    """Return a measurement; a result that is not one number meets neither condition, and neither does NaN."""
    return {
        "name": name,
        "successCondition": f"len(result) == 1 && result[0] {good}",
        "failureCondition": f"len(result) == 1 && result[0] {bad}",
        **(more or {"count": 1, "failureLimit": 0, "inconclusiveLimit": 0}),
        "provider": {"prometheus": {"address": target.cluster.prometheus, "query": query}},
    }


def template(target: Target, name: str, metrics: list[Manifest], environment: str = "production") -> Manifest:
    """Return an AnalysisTemplate with the arguments that the queries of ``metrics`` use."""
    used = {argument for item in metrics
            for argument in queries.ARGUMENT.findall(item["provider"]["prometheus"]["query"])}  # fmt: skip
    args: list[Manifest] = [{"name": item} for item in sorted(used - {"namespace"})]
    args.append({"name": "namespace", "value": target.namespace(environment)})
    return manifest(API, "AnalysisTemplate", f"{target.name}-{name}", {"args": args, "metrics": metrics})


def verdict(target: Target, arm: Arm) -> list[Manifest]:
    """Return what has to hold at every step: enough traffic, no more errors or refusals, scores in their place."""
    more = f"> {STANDARD_ERRORS}", f"<= {STANDARD_ERRORS}"
    measured = [
        metric(target, "traffic", queries.traffic(arm), ">= 1", "< 0"),
        metric(target, "errors", queries.more_often("5..", arm), more[1], more[0]),
        metric(target, "refusals", queries.more_often("4..", arm), more[1], more[0]),
    ]
    if target.scores:
        near = f"<= {target.cluster.score_distance}"
        measured.append(metric(target, "scores", queries.score_distance(arm), near, f"> {OTHER_SCORES}"))
    return measured


def latency(target: Target, arm: Arm) -> list[Manifest]:
    """Return the measurement of the 99th percentile against the stable's; none when params.yaml switches it off."""
    ratio = target.plan.latency_ratio
    if ratio is None:
        return []
    query = queries.latency_ratio(arm, target.plan.latency_requests, target.plan.latency_floor_ms)
    return [metric(target, "latency", query, f"<= {ratio:g}", f"> {ratio * TOO_SLOW:g}")]


def limits(target: Target) -> Manifest:
    """Return the hard limit, watched all the way; the verdict is the steps', so a quiet look here decides nothing."""
    plan = target.plan
    query = queries.breach(CANARY, plan.hard_errors)
    share = f"< {plan.hard_error_rate}", f">= {plan.hard_error_rate}"
    # Without a count it runs until the rollout ends. Ten looks without a series: the metrics are gone, which holds.
    return metric(target, "breach", query, *share, interval="30s", initialDelay="60s", failureLimit=0,
                  inconclusiveLimit=10)  # fmt: skip


def templates(target: Target) -> list[Manifest]:
    """Return the AnalysisTemplates of the canary."""
    found = [template(target, "step", verdict(target, CANARY)), template(target, "limits", [limits(target)])]
    slow = latency(target, CANARY)
    return [*found, template(target, "latency", slow)] if slow else found


def arguments(**values: str) -> list[Manifest]:
    """Return the arguments of an analysis; the release is the label that the overlay sets on the Rollout."""
    release = {"name": "release", "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{VERSION}']"}}}
    return [release, *({"name": name, "value": value} for name, value in values.items())]


def steps(name: str, plan: Plan) -> list[Manifest]:
    """Return the steps of the plan: weight, time, verdict.

    At 100 % there is no concurrent stable to compare with: that step is the wait under the hard limit, during which the
    stable pods are still there to go back to.
    """
    shown: list[Manifest] = []
    compared = [weight for weight in plan.weights if weight < 100]
    for weight in compared:
        enough = plan.requests >= plan.latency_requests or weight == compared[-1]
        whole = enough and plan.latency_ratio is not None
        requests = max(plan.requests, plan.latency_requests) if whole else plan.requests
        asked = [f"{name}-step", *([f"{name}-latency"] if whole else [])]
        shown += [
            {"setWeight": weight},
            {"pause": {"duration": f"{plan.seconds}s"}},
            {
                "analysis": {
                    "templates": [{"templateName": item} for item in asked],
                    "args": arguments(window=f"{plan.seconds}s", requests=str(requests)),
                }
            },
        ]
    return [*shown, {"setWeight": 100}, {"pause": {"duration": f"{plan.seconds}s"}}]


def rollout(target: Target) -> Manifest:
    """Return the Rollout; it takes its pods from the Deployment, which then runs none itself."""
    name = target.name
    canary = {
        "stableService": f"{name}-stable",
        "canaryService": f"{name}-canary",
        "trafficRouting": {
            "plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": name, "namespace": target.namespace("production")}}
        },
        "maxUnavailable": 0,
        "maxSurge": 1,
        "scaleDownDelaySeconds": target.plan.seconds,
        "abortScaleDownDelaySeconds": 300,
        "analysis": {
            "templates": [{"templateName": f"{name}-limits"}],
            "startingStep": 1,
            "args": arguments(window="120s"),
        },
        "steps": steps(name, target.plan),
    }
    spec = {
        "revisionHistoryLimit": 5,
        "progressDeadlineSeconds": 300,
        # A canary that never gets ready aborts instead of waiting for somebody to see it.
        "progressDeadlineAbort": True,
        # The way back to a proven release is not a canary again.
        "rollbackWindow": {"revisions": 3},
        "selector": {"matchLabels": labels(name)},
        "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "strategy": {"canary": canary},
    }
    return manifest(API, "Rollout", name, spec, labels={**labels(name), VERSION: "unreleased"})


def canary(target: Target) -> dict[str, list[Manifest]]:
    """Return the files of the component ``canary``."""
    return {
        "rollout.yaml": [rollout(target)],
        "service.yaml": [service(target, f"{target.name}-canary")],
        "analysis.yaml": templates(target),
    }


def shadow(target: Target) -> dict[str, list[Manifest]]:
    """Return the files of the component ``shadow``: pods of its own, so that nothing of theirs counts as an answer."""
    name = f"{target.name}-shadow"
    judged = [*verdict(target, SHADOW), *latency(target, SHADOW)]
    return {
        "deployment.yaml": [deployment(target, name, "shadow", "shadow", replicas=1)],
        "service.yaml": [service(target, name, "shadow")],
        "analysis.yaml": [template(target, "shadow", judged)],
    }
