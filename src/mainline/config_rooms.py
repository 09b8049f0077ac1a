"""The rooms of params.yaml that come after the pipeline, and what all rooms are made of."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

Share = Annotated[float, Field(gt=0, lt=1)]


def _network(value: str) -> str:
    """Return the network as it is, or say why it is none."""
    ipaddress.ip_network(value)
    return value


class Room(BaseModel):
    """Base of all settings: frozen, no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ServeLog(Room):
    """The prediction log (see ``mainline.serve.log``)."""

    folder: str = ".mainline/log"
    sample: float = Field(default=1.0, ge=0, le=1)
    keep_days: int | None = Field(default=90, ge=1)
    rotate_mb: float = Field(default=64.0, gt=0)
    rotate_minutes: float = Field(default=60.0, gt=0)
    flush_ms: float = Field(default=100.0, gt=0)
    sync_seconds: float = Field(default=1.0, ge=0)
    waiting: int = Field(default=10_000, ge=1)


class Serve(Room):
    """The service (see ``mainline.serve``)."""

    accept: list[str] = []
    max_rows: int = Field(default=1000, ge=1)
    max_body_kb: int = Field(default=1024, ge=1)
    timeout_seconds: float = Field(default=5.0, gt=0)
    drain_seconds: int = Field(default=20, ge=1)
    api_key_env: str | None = None
    log: ServeLog = ServeLog()


class Score(Room):
    """Batch scoring (see ``mainline.serve.batch``)."""

    max_rejected: float = Field(default=0.01, ge=0, le=1)
    chunk_mb: float = Field(default=8.0, gt=0)


class Kubernetes(Room):
    """The cluster that ``mainline kubernetes`` writes for, and where its images go."""

    image: str | None = Field(default=None, pattern=r"^(?:[a-z0-9.-]+(?::\d+)?/)?[a-z0-9._/-]+$")
    gateway: str = "gateway"
    gateway_namespace: str = "gateway-system"
    hostname: str | None = None
    prometheus: str = Field(default="http://prometheus.monitoring.svc:9090", pattern=r"^https?://[^\s]+$")
    prometheus_namespace: str = "monitoring"
    min_replicas: int = Field(default=2, ge=1)
    max_replicas: int = Field(default=6, ge=1)
    cpu: str = Field(default="500m", pattern=r"^\d+m?$")
    memory: str = Field(default="1Gi", pattern=r"^\d+[MG]i$")
    score_distance: float = Field(default=0.2, gt=0, lt=0.75)
    log: str | None = Field(default=None, pattern=r"^\w+://\S+$")
    storage_cidrs: list[Annotated[str, AfterValidator(_network)]] = []

    @model_validator(mode="after")
    def _fits_together(self) -> Kubernetes:
        if self.min_replicas > self.max_replicas:
            raise ValueError("min_replicas is above max_replicas")
        if self.log and not self.storage_cidrs:
            raise ValueError("log is in an object store, but storage_cidrs lets the pods reach none")
        return self


class Shadow(Room):
    pairs: int = Field(default=2000, ge=1)
    max_seconds: float = Field(default=3600, gt=0)


class RolloutAnalysis(Room):
    """Bounds of the canary analysis (see ``mainline.rollout.analysis``); null switches one off."""

    alpha: Share = 0.05
    min_errors: int = Field(default=5, ge=1)
    hard_error_rate: Share = 0.05
    hard_errors: int = Field(default=20, ge=1)
    latency_ratio: float | None = Field(default=1.5, gt=1)
    latency_floor_ms: float = Field(default=5, ge=0)
    latency_requests: int = Field(default=1000, ge=1000)
    memory_mb: float | None = Field(default=2048, gt=0)
    answered: Share = 0.98
    agreement_margin: Share = 0.1
    slice_margin: Share = 0.2
    score_margin: float = Field(default=0.5, gt=0)
    drift_margin: Share = 0.1
    value_margin: float | None = Field(default=1.0, ge=0)
    min_rows: int = Field(default=100, ge=1)


class SplitTest(Room):
    """Mode ``ab``: a fixed split until enough outcomes are known, then one test."""

    split: int = Field(default=50, ge=1, le=99)
    effect: float = Field(default=1.0, gt=0)
    sd: float | None = Field(default=None, gt=0)
    alpha: Share = 0.05
    power: Share = 0.8


class Proxy(Room):
    """Envoy in front of the services."""

    port: int = Field(default=10000, ge=0, le=65535)
    replicas: int = Field(default=1, ge=1)
    keep_previous: bool = True
    body_kb: int = Field(default=1024, ge=1)
    requests_per_second: int | None = Field(default=None, ge=1)
    timeout_seconds: float = Field(default=15, gt=0)
    idle_seconds: float = Field(default=2, gt=0)


class Rehearsal(Room):
    """A rollout with replayed traffic: the requests are real, the plan's counts and times are these."""

    rate: int = Field(default=150, ge=1)
    users: int = Field(default=500, ge=1)
    pairs: int = Field(default=600, ge=1)
    shadow_seconds: float = Field(default=60, gt=0)
    requests: int = Field(default=20, ge=1)
    seconds: float = Field(default=4, ge=0)
    max_seconds: float = Field(default=600, gt=0)


class Host(Room):
    """A machine that follows branch ``deploy``, as the workflows wait for it (see ``mainline.ci.host``)."""

    poll_seconds: float = Field(default=10, gt=0)
    silence_seconds: float = Field(default=600, gt=0)


class Release(Room):
    """What the workflow ``release`` asks of a commit before it builds it (see ``mainline.ci.release_plan``)."""

    require_verdict: bool = True


class Rollout(Room):
    """How a release gets its users (see ``mainline.rollout.plan``)."""

    target: Literal["rehearsal", "host", "kubernetes"] = "rehearsal"
    approval: Literal["none", "required"] = "none"
    mode: Literal["canary", "blue_green", "ab"] = "canary"
    weights: list[Annotated[int, Field(ge=1, le=100)]] = [1, 5, 25, 50, 100]
    requests: int = Field(default=300, ge=1)
    seconds: float = Field(default=300, ge=0)
    max_seconds: float = Field(default=43200, gt=0)
    ready_seconds: float = Field(default=60, gt=0)
    tick_seconds: float = Field(default=5, gt=0)
    shadow: Shadow = Shadow()
    analysis: RolloutAnalysis = RolloutAnalysis()
    ab: SplitTest = SplitTest()
    proxy: Proxy = Proxy()
    rehearsal: Rehearsal = Rehearsal()
    host: Host = Host()

    @field_validator("weights")
    @classmethod
    def _weights_rise(cls, weights: list[int]) -> list[int]:
        if weights != sorted(set(weights)) or weights[-1:] != [100]:
            raise ValueError(f"weights rise from step to step and end with 100 (got {weights})")
        return weights

    @model_validator(mode="after")
    def _argo_can_follow(self) -> Rollout:
        if self.target == "kubernetes" and (self.mode != "canary" or len(self.weights) < 2):
            raise ValueError("target kubernetes takes mode canary and at least two weights")
        return self


class Monitor(Room):
    """Watching production (see ``mainline.monitor``)."""

    folder: str = ".mainline/monitor"
    window: Literal["hour", "day", "week", "month"] = "day"
    reference: Literal["training", "rolling"] = "training"
    rolling_windows: int = Field(default=10, ge=1)
    min_rows: int = Field(default=500, ge=1)
    effect: Share = 0.1
    alpha: Share = 0.01
    contract_alpha: Share = 0.001
    history: int = Field(default=20, ge=2)
    max_silence_hours: float | None = Field(default=24.0, gt=0)
    margin: float = Field(default=0.02, ge=0)
    min_labels: int = Field(default=100, ge=1)
    latency_p99_ms: float | None = Field(default=None, gt=0)
    min_volume: int | None = Field(default=None, ge=0)
    late_share: Share = 0.01
    clean_windows: int = Field(default=3, ge=1)
    summary_columns: int = Field(default=3, ge=1)
    mute_days: int = Field(default=30, ge=1)
    max_beat_hours: float = Field(default=48.0, gt=0)


class Retrain(Room):
    """Where new batches come from (see ``mainline.retrain``)."""

    source: str = Field(default="log", min_length=1)
    batches: int | None = Field(default=None, ge=1)
