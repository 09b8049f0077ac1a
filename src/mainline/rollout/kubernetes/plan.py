"""What the files are rendered from: the plan, the cluster, and which image is which release."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mainline.config import Kubernetes, Settings
from mainline.errors import UserError

DIGEST = re.compile(r"[a-z0-9]+(?:[._/:-][a-z0-9]+)*@sha256:[0-9a-f]{64}")
RELEASE = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?")
NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?")
NO_IMAGE = "sha256:" + "0" * 64
PORT = 3000
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
    """What a canary goes through.

    Attributes:
        steps: share of the traffic at each step, percent, rising; 100 ends it.
        seconds: length of a step, at least.
        requests: requests that the canary answers in a step, at least; with fewer the rollout is held.
        latency_requests: below so many the 99th percentile is noise (drift-and-canary, 1.4): it is then judged only
            at the last step, which waits for as many.
        error_share, error_count: server errors at or above both abort at once.
        score: whether the service's score is a probability, whose distribution can be compared.
    """

    steps: tuple[int, ...] = (1, 5, 25, 50, 100)
    seconds: int = 600
    requests: int = 300
    latency_requests: int = 1000
    error_share: float = 0.05
    error_count: int = 20
    score: bool = True

    def __post_init__(self) -> None:
        rising = all(low < high for low, high in zip(self.steps, self.steps[1:], strict=False))
        if not self.steps or not rising or self.steps[0] < 1 or self.steps[-1] != 100:
            raise UserError(
                f"rollout.steps {list(self.steps)}: do not rise from at least 1 to 100",
                "write percentages such as [1, 5, 25, 50, 100]",
            )


@dataclass(frozen=True)
class Target:
    """What params.yaml says of the cluster; equal targets give equal bytes."""

    name: str
    plan: Plan
    cluster: Kubernetes

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
    """Return what params.yaml says."""
    return Target(
        name=settings.project.replace("_", "-"),
        plan=Plan(score=settings.model.task != "regression"),
        cluster=settings.kubernetes,
    )


def placeholder(name: str) -> Image:
    """Return the image of the files that are committed: a digest that no image has."""
    return Image(f"{name}@{NO_IMAGE}", f"{name}-000000000000")
