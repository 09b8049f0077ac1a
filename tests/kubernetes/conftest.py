from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from mainline.config import Kubernetes
from mainline.rollout.kubernetes.flatten import flatten
from mainline.rollout.kubernetes.plan import Image, Plan, Service, Target
from mainline.rollout.kubernetes.render import tree
from mainline.rollout.kubernetes.workload import VERSION

STABLE = Image("shop.example/bank@sha256:" + "a" * 64, "bank-aaaaaaaaaaaa")
CANDIDATE = Image("shop.example/bank@sha256:" + "b" * 64, "bank-bbbbbbbbbbbb")
Find = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def bank() -> Target:
    return Target("bank", Plan(), Service(), Kubernetes())


@pytest.fixture(scope="session")
def files(bank: Target) -> dict[str, str]:
    return tree(bank, STABLE, CANDIDATE)


@pytest.fixture(scope="session")
def rendered(files: dict[str, str]) -> list[dict[str, Any]]:
    return flatten(files, "overlays/production")


@pytest.fixture
def production(rendered: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Production with a candidate in shadow: every manifest there is; the test may break it."""
    return copy.deepcopy(rendered)


@pytest.fixture
def find(production: list[dict[str, Any]]) -> Find:
    def one(kind: str, name: str = "bank") -> dict[str, Any]:
        return next(item for item in production if (item["kind"], item["metadata"]["name"]) == (kind, name))

    return one


def replica_set(digest: str, pods: Image, owner: str = "Rollout") -> dict[str, Any]:
    """Return a ReplicaSet as Argo Rollouts (or a Deployment) makes it."""
    labels = {"app.kubernetes.io/name": "bank", VERSION: pods.release}
    key = "rollouts-pod-template-hash" if owner == "Rollout" else "pod-template-hash"
    return {
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {"name": f"bank-{digest}", "labels": {**labels, key: digest},
                     "ownerReferences": [{"kind": owner, "name": "bank", "controller": True}]},
        "spec": {"replicas": 2, "template": {
            "metadata": {"labels": {**labels, key: digest}},
            "spec": {"containers": [{"name": "mesh", "image": "mesh:1"},
                                    {"name": "service", "image": pods.reference}]}}},
    }  # fmt: skip


def analysis_run(digest: str, step: int, phase: str, **metrics: tuple[str, str]) -> dict[str, Any]:
    """Return an AnalysisRun of a step; ``metrics`` are phase and value by name."""
    results = [{"name": name, "phase": found, "count": 1,
                "measurements": [{"phase": found, "value": value, "startedAt": "2026-01-01T00:00:00Z"}]}
               for name, (found, value) in metrics.items()]  # fmt: skip
    return {
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun",
        "metadata": {"name": f"bank-{digest}-2-{step}", "creationTimestamp": f"2026-01-01T00:{step:02d}:00Z",
                     "labels": {"rollouts-pod-template-hash": digest, "rollout-type": "Step", "step-index": str(step)}},
        "status": {"phase": phase, "metricResults": results},
    }  # fmt: skip


@dataclass
class Argo:
    """A stand-in for Argo CD and Argo Rollouts: what it is told, and what ``kubectl get … -o json`` says of it.

    ``proven`` were stable before: back to one of them takes no steps (``rollbackWindow``).
    """

    images: list[Image] = field(default_factory=list)
    status: dict[str, Any] = field(default_factory=dict)
    spec: dict[str, Any] = field(default_factory=dict)
    runs: list[dict[str, Any]] = field(default_factory=list)
    generation: int = 1
    proven: set[str] = field(default_factory=set)

    def digest(self, pods: Image) -> str:
        return hashlib.sha256(pods.reference.encode()).hexdigest()[:10]

    def sync(self, pods: Image | None) -> None:
        """Apply what the folder names: the first one and a proven one get everybody at once, others begin a canary."""
        if pods is None or self.status.get("currentPodHash") == self.digest(pods):
            return
        first, self.generation = not self.status.get("stableRS"), self.generation + 1
        if pods not in self.images:
            self.images.append(pods)
        self.status = {
            "currentPodHash": self.digest(pods),
            "stableRS": self.status.get("stableRS", ""),
            "canary": {"weights": {"canary": {"weight": 0}, "stable": {"weight": 100}}},
            "currentStepIndex": 0, "phase": "Progressing", "message": "more replicas need to be updated",
            "observedGeneration": str(self.generation), "workloadObservedGeneration": str(self.generation),
        }  # fmt: skip
        if first or self.digest(pods) in self.proven:
            self.promote()

    def promote(self) -> None:
        self.status |= {"stableRS": self.status["currentPodHash"], "phase": "Healthy", "currentStepIndex": 14}
        self.status["canary"] = {"weights": {"canary": {"weight": 0}, "stable": {"weight": 100}}}
        self.status.pop("message", None)
        self.proven.add(self.status["currentPodHash"])

    def weigh(self, weight: int, step: int) -> None:
        self.status["canary"] = {"weights": {"canary": {"weight": weight}, "stable": {"weight": 100 - weight}}}
        pause = {"reason": "CanaryPauseStep", "startTime": "2026-01-01T00:00:00Z"}
        self.status |= {"currentStepIndex": step, "phase": "Paused", "message": "CanaryPauseStep",
                        "controllerPause": True, "pauseConditions": [pause]}  # fmt: skip

    def abort(self, why: str) -> None:
        said = f"RolloutAborted: Rollout aborted update to revision 2: {why}"
        self.status |= {"abort": True, "abortedAt": "2026-01-01T00:00:00Z", "phase": "Degraded", "message": said}
        self.status |= {"currentStepIndex": 0, "controllerPause": False, "pauseConditions": []}
        self.status["canary"] = {"weights": {"canary": {"weight": 0}, "stable": {"weight": 100}}}

    def answer(self) -> dict[str, Any]:
        rollout = {
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
            "metadata": {"name": "bank", "generation": self.generation,
                         "annotations": {"rollout.argoproj.io/workload-generation": str(self.generation)}},
            "spec": self.spec, "status": self.status,
        }  # fmt: skip
        found = [rollout] if self.status else []
        sets = [replica_set(self.digest(pods), pods) for pods in self.images]
        other = [replica_set("5d4f", STABLE, owner="Deployment")]
        return {"apiVersion": "v1", "kind": "List", "items": [*found, *sets, *other, *self.runs]}


@pytest.fixture
def argo() -> Argo:
    """Stable serves, the candidate has begun."""
    made = Argo()
    made.sync(STABLE)
    made.sync(CANDIDATE)
    return made


@pytest.fixture
def empty() -> Argo:
    return Argo()


@pytest.fixture(scope="session")
def run_of() -> Callable[..., dict[str, Any]]:
    return analysis_run
