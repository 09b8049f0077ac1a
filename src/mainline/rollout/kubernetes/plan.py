"""What the files are rendered from: the plan, the cluster, and which image is which release."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from mainline.config import Kubernetes, Settings
from mainline.errors import UserError
from mainline.release.image import DIGEST

RELEASE = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?")
NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?")
NO_IMAGE = "sha256:" + "0" * 64
PORT = 3000
# The one folder for the log in a pod.
LOG = "/var/log/mainline"
ENVIRONMENTS = ("staging", "production")


@dataclass(frozen=True)
class Image:
    """An image by digest, and the release that it holds.

    Raises:
        UserError: the image is named by a tag, which can be moved, or the release id is not one.
    """

    reference: str
    release: str

    def __post_init__(self) -> None:
        if not DIGEST.fullmatch(self.reference):
            raise UserError(
                f"image {self.reference!r}: is not named by digest",
                "use NAME@sha256:<64 hex digits>; a tag can be moved after the release was judged",
            )
        if not RELEASE.fullmatch(self.release):
            raise UserError(
                f"release {self.release!r}: is no release id",
                "use the id that `mainline release build` printed (letters, digits, dots, dashes; at most 63)",
            )


@dataclass(frozen=True)
class Plan:
    """What a canary goes through: the room ``rollout`` of params.yaml, as far as Argo Rollouts can follow it.

    Attributes:
        weights: share of the traffic at each step, percent, rising; 100 ends it.
        requests: requests that the canary answers in a step, at least; with fewer the rollout is held.
        seconds: length of a step.
        latency_ratio: of the canary's 99th percentile to stable's; null: not judged.
        latency_floor_ms: a 99th percentile below this is never too slow.
        latency_requests: below so many the 99th percentile is noise. Steps that ask for fewer do without it, and the
            last step waits for as many.
        hard_error_rate, hard_errors: server errors at or above both abort at once.
    """

    weights: tuple[int, ...] = (1, 5, 25, 50, 100)
    requests: int = 300
    seconds: int = 300
    latency_ratio: float | None = 1.5
    latency_floor_ms: float = 5
    latency_requests: int = 1000
    hard_error_rate: float = 0.05
    hard_errors: int = 20

    def __post_init__(self) -> None:
        rising = all(low < high for low, high in zip(self.weights, self.weights[1:], strict=False))
        if len(self.weights) < 2 or not rising or self.weights[0] < 1 or self.weights[-1] != 100:
            raise UserError(
                f"rollout.weights {list(self.weights)}: do not rise in steps from at least 1 to 100",
                "write percentages such as [1, 5, 25, 50, 100]",
            )


@dataclass(frozen=True)
class Service:
    """What the pods have to know of the room ``serve`` of params.yaml.

    Attributes:
        timeout: seconds after which a request gets its 504.
        drain: seconds that a stopped service takes to answer what it has accepted.
        key: name of the environment variable with the API key; null: no key is asked for.
    """

    timeout: int = 5
    drain: int = 20
    key: str | None = None


@dataclass(frozen=True)
class Target:
    """All of params.yaml that the files depend on; equal targets give equal bytes.

    ``scores`` says whether the service's score is a probability, whose distribution can be compared.
    """

    name: str
    plan: Plan
    service: Service
    cluster: Kubernetes
    scores: bool = True

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise UserError(
                f"project {self.name!r}: cannot name things in Kubernetes",
                "use at most 40 of a-z, 0-9 and -, starting with a letter",
            )

    def namespace(self, environment: str) -> str:
        """Return the namespace of an environment."""
        return f"{self.name}-{environment}"


def target(settings: Settings) -> Target:
    """Return what params.yaml says.

    Raises:
        UserError: the plan is not one that Argo Rollouts can follow.
    """
    rooms: dict[str, Any] = settings.model_dump()
    rollout, serve = rooms.get("rollout"), rooms.get("serve")
    if rollout and rollout["mode"] != "canary":
        raise UserError(
            f"rollout.mode {rollout['mode']}: is not rendered for Kubernetes",
            "set it to canary, or roll out on a host with `mainline rollout`",
        )
    folder = serve["log"]["folder"] if serve else LOG
    if settings.kubernetes.log and not PurePosixPath(folder).is_relative_to(LOG):
        raise UserError(
            f"serve.log.folder {folder}: cannot be written in a pod, and kubernetes.log ships from it",
            f"set it to {LOG} or a folder below",
        )
    return Target(
        name=settings.project.replace("_", "-"),
        plan=_plan(rollout) if rollout else Plan(),
        service=_service(serve) if serve else Service(),
        cluster=settings.kubernetes,
        scores=settings.model.task != "regression",
    )


def _plan(rollout: dict[str, Any]) -> Plan:
    judged = rollout["analysis"]
    return Plan(
        weights=tuple(int(weight) for weight in rollout["weights"]),
        requests=int(rollout["requests"]),
        seconds=math.ceil(rollout["seconds"]),
        latency_ratio=judged["latency_ratio"],
        latency_floor_ms=float(judged["latency_floor_ms"]),
        latency_requests=int(judged["latency_requests"]),
        hard_error_rate=float(judged["hard_error_rate"]),
        hard_errors=int(judged["hard_errors"]),
    )


def _service(serve: dict[str, Any]) -> Service:
    return Service(math.ceil(serve["timeout_seconds"]), math.ceil(serve["drain_seconds"]), serve["api_key_env"])


def placeholder(name: str) -> Image:
    """Return the image of the files that are committed: a digest that no image has."""
    return Image(f"{name}@{NO_IMAGE}", f"{name}-000000000000")
