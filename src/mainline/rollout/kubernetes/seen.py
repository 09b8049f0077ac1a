"""What a cluster says of a Rollout, its ReplicaSets and its AnalysisRuns, read out of what ``kubectl`` printed.

Field names: RolloutStatus and AnalysisRunStatus of Argo Rollouts' v1alpha1. What is missing counts as not known: then
nothing is settled, and nothing is done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mainline.errors import UserError
from mainline.rollout.kubernetes.workload import VERSION

HASH = "rollouts-pod-template-hash"
WORKLOAD = "rollout.argoproj.io/workload-generation"
STEP_PAUSE = "CanaryPauseStep"
HEALTHY, DEGRADED, PAUSED = "Healthy", "Degraded", "Paused"
BAD = ("Failed", "Error", "Inconclusive")
RUNS = 6  # AnalysisRuns that are told of


@dataclass(frozen=True)
class Pods:
    """The pods of one revision: the release that their label names, and the image that they run."""

    release: str
    image: str


@dataclass(frozen=True)
class Seen:
    """A Rollout as it is; all empty when the cluster has none.

    Attributes:
        settled: whether Argo Rollouts has read the newest Rollout and Deployment; if not, the rest is about older ones.
        phase, message: Argo's own words.
        stable: pods that it calls stable; None before there are any.
        current: pods of the newest template, the candidate's while one is tried; None until there are any.
        promoted: whether the newest pods are the stable ones.
        only: whether there is no other revision than the newest: it was begun with it, and made no steps.
        weight: per cent of the requests that Argo has given to the newest.
        pause: why it waits, and since when; empty when it does not, or waits for the time of a step only.
        analysis: the newest revision's measurements.
    """

    settled: bool = False
    phase: str = ""
    message: str = ""
    stable: Pods | None = None
    current: Pods | None = None
    promoted: bool = False
    only: bool = False
    weight: int = 0
    step: int | None = None
    aborted: bool = False
    pause: str = ""
    analysis: tuple[dict[str, Any], ...] = ()

    def figures(self) -> dict[str, Any]:
        """Return what the ledger keeps of it."""
        named = {"stable": self.stable, "current": self.current}
        return {
            "phase": self.phase, "message": self.message, "weight": self.weight, "step": self.step,
            "aborted": self.aborted, "pause": self.pause, "analysis": list(self.analysis),
            **{key: pods.release if pods else None for key, pods in named.items()},
        }  # fmt: skip

    def reason(self) -> str:
        """Return why it stopped, as far as Argo says: its message, and each measurement that did not succeed."""
        measured = [item for run in self.analysis for item in run["metrics"]]
        bad = [f"{item['name']}: {item['phase']} ({item['message']})" for item in measured if item["phase"] in BAD]
        return "; ".join(dict.fromkeys(filter(None, (self.message, *bad)))) or "it gave no reason"


def read(content: Mapping[str, Any], name: str) -> Seen:
    """Return what the list ``content`` says of the Rollout ``name``; an empty :class:`Seen` if it has none.

    Raises:
        UserError: something in it is not what Argo Rollouts' v1alpha1 says; the field is named.
    """
    try:
        items = list(content["items"])
        rollouts = [item for item in items if item["kind"] == "Rollout" and item["metadata"]["name"] == name]
        if not rollouts:
            return Seen()
        runs = [item for item in items if item["kind"] == "AnalysisRun"]
        sets = {item["metadata"]["labels"][HASH]: _pods(item) for item in items
                if item["kind"] == "ReplicaSet" and _owner(item, name)}  # fmt: skip
        return _seen(rollouts[0], sets, runs)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise UserError(
            f"Rollout {name}: the cluster's answer is not one of Argo Rollouts ({type(error).__name__}: {error})",
            "Argo Rollouts 1.8 or newer is needed (docs/kubernetes.md)",
        ) from error


def _seen(rollout: Mapping[str, Any], sets: Mapping[str, Pods], runs: Sequence[Mapping[str, Any]]) -> Seen:
    status = rollout.get("status") or {}
    stable, current = str(status.get("stableRS") or ""), str(status.get("currentPodHash") or "")
    if stable and stable not in sets:
        raise ValueError(f"status.stableRS {stable} has no ReplicaSet")
    weights = (status.get("canary") or {}).get("weights") or {}
    weight = int(weights["canary"]["weight"]) if weights else 0
    if not 0 <= weight <= 100:
        raise ValueError(f"status.canary.weights.canary.weight: {weight}")
    index = status.get("currentStepIndex")
    return Seen(
        settled=_settled(rollout, status) and current in sets,
        phase=str(status.get("phase") or ""),
        message=_message(status),
        stable=sets.get(stable),
        current=sets.get(current),
        promoted=bool(stable) and stable == current,
        only=set(sets) == {current},
        weight=weight,
        step=int(index) if index is not None else None,
        aborted=status.get("abort") is True,
        pause=_pause(rollout, status),
        analysis=_analysis(runs, current),
    )


def _settled(rollout: Mapping[str, Any], status: Mapping[str, Any]) -> bool:
    metadata = rollout["metadata"]
    deployment = (metadata.get("annotations") or {}).get(WORKLOAD)
    pairs = [(metadata.get("generation"), status.get("observedGeneration")),
             (deployment, status.get("workloadObservedGeneration"))]  # fmt: skip
    # A pause that somebody has ended, and Argo has not seen yet.
    unpausing = status.get("controllerPause") is True and not status.get("pauseConditions")
    return not unpausing and all(made is not None and str(made) == str(found) for made, found in pairs)


def _pause(rollout: Mapping[str, Any], status: Mapping[str, Any]) -> str:
    """Return what only a person ends; a step's own pause ends by itself."""
    if (rollout.get("spec") or {}).get("paused") is True:
        return "paused by hand"
    return "; ".join(f"{item['reason']} since {item['startTime']}" for item in status.get("pauseConditions") or []
                     if item["reason"] != STEP_PAUSE)  # fmt: skip


def _message(status: Mapping[str, Any]) -> str:
    canary = status.get("canary") or {}
    said = [status.get("message") if status.get("phase") != PAUSED else ""]
    for key in ("currentStepAnalysisRunStatus", "currentBackgroundAnalysisRunStatus"):
        text = (canary.get(key) or {}).get("message")
        said.append(text if text and text not in str(said[0]) else "")
    return "; ".join(str(text) for text in said if text)[:600]


def _owner(item: Mapping[str, Any], name: str) -> bool:
    owners = item["metadata"].get("ownerReferences") or []
    return any(owner["kind"] == "Rollout" and owner["name"] == name for owner in owners)


def _pods(item: Mapping[str, Any]) -> Pods:
    template = item["spec"]["template"]
    (image,) = [container["image"] for container in template["spec"]["containers"] if container["name"] == "service"]
    return Pods(str(template["metadata"]["labels"][VERSION]), str(image))


def _analysis(runs: Sequence[Mapping[str, Any]], current: str) -> tuple[dict[str, Any], ...]:
    """Return the measurements of one revision, oldest run first."""
    own = [item for item in runs if (item["metadata"].get("labels") or {}).get(HASH) == current]
    own.sort(key=lambda item: str(item["metadata"].get("creationTimestamp")))
    return tuple(_run(item) for item in own[-RUNS:])


def _run(item: Mapping[str, Any]) -> dict[str, Any]:
    status, labels = item.get("status") or {}, item["metadata"].get("labels") or {}
    metrics = []
    for found in status.get("metricResults") or []:
        last = (found.get("measurements") or [{}])[-1]
        value = str(last.get("value") or "")
        said = str(found.get("message") or last.get("message") or value)[:300]
        phase = str(found.get("phase") or "")
        metrics.append({"name": str(found["name"]), "phase": phase, "value": value, "message": said})
    return {
        "name": item["metadata"]["name"],
        "type": labels.get("rollout-type"),
        "step": labels.get("step-index"),
        "phase": str(status.get("phase") or ""),
        "message": str(status.get("message") or "")[:300],
        "metrics": metrics,
    }
