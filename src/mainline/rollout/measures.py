"""What was seen of a rollout: numbers only. Collected by ``observe``, judged by ``analysis``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from mainline.rollout.statistics import Floats, Mean, Window

# Upper edges of the latency buckets, milliseconds; Envoy counts in the same ones.
EDGES = tuple(round(0.5 * 1.19**power, 2) for power in range(64))
EMPTY = np.empty(0)
SIDES = ("candidate", "stable")


@dataclass(frozen=True)
class Span:
    """A stretch of time in which nobody but the candidate answered: quantiles of its latency, milliseconds."""

    p50: float
    p99: float


@dataclass(frozen=True)
class Arm:
    """One side since the phase began.

    Attributes:
        requests, errors: attempts as the proxy counted them, before any fallback hid an error from the user.
        latency: counts per bucket of :data:`EDGES`, and one above; from each look as many as the side with fewer had.
        scores: scores as logged, oldest first.
        beside: those of moments at which both sides had users, equally many of each side.
        earlier: the same release's scores in shadow, of the moments at which both answered.
        dropped: copies that the proxy kept back, because too many were under way to the candidate.
        values: business value of the requests whose outcome is known, by step.
    """

    requests: int = 0
    errors: int = 0
    latency: tuple[float, ...] = ()
    scores: Floats = field(default_factory=lambda: EMPTY)
    beside: Floats = field(default_factory=lambda: EMPTY)
    earlier: Floats = field(default_factory=lambda: EMPTY)
    dropped: int = 0
    values: tuple[Mean, ...] = ()
    memory_mb: float | None = None
    ready: bool = True

    @property
    def value(self) -> Mean:
        """Return the value of all steps together."""
        return sum(self.values, Mean())


@dataclass(frozen=True)
class Share:
    """So many hits of n: equal decisions of pairs, errors of attempts."""

    n: int = 0
    hits: int = 0


@dataclass(frozen=True)
class Pairs:
    """Both releases on the same requests.

    Attributes:
        difference: moments of the absolute difference of the scores.
        slices: agreement by (slice, group).
        correlation: of the two scores; NaN when one does not vary.
        spread: standard deviation of stable's scores.
        unanswered: requests that stable has answered and the candidate, after some seconds, has not.
        settled: whether enough time has passed to say so.
    """

    all: Share = Share()
    slices: Mapping[tuple[str, str], Share] = field(default_factory=dict)
    difference: Mean = Mean()
    largest: float = 0.0
    correlation: float = float("nan")
    spread: float = float("nan")
    decided: bool = True
    unanswered: int = 0
    settled: bool = True


@dataclass(frozen=True)
class Observation:
    """All that one decision looks at.

    Attributes:
        seconds, total_seconds: since the step and since the rollout began.
        step_requests: of the candidate, since the step began.
        windows: those with an error on either side, since the phase began.
        before: attempts and errors of stable since the rollout began, for the step without a concurrent stable.
        alone: attempts and errors of the candidate while no stable ran beside it.
        usual: stable's latency since the rollout began, counts per bucket.
        spans: the candidate's latency while no stable ran beside it, oldest first.
        trouble: what ends a rollout at once: a process that died, a broken contract; empty when all is well.
        waiting: what cannot be judged now, such as a stable that is not ready; empty when all is well.
    """

    seconds: float
    total_seconds: float
    step_requests: int
    candidate: Arm
    stable: Arm
    windows: tuple[Window, ...] = ()
    before: Share = Share()
    alone: Share = Share()
    usual: tuple[float, ...] = ()
    spans: tuple[Span, ...] = ()
    pairs: Pairs = Pairs()
    expected: Pairs | None = None
    trouble: str = ""
    waiting: str = ""
