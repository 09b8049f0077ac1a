"""params.yaml as frozen, strict settings: an unknown key or a wrong type is an error that names the key."""

from __future__ import annotations

import datetime as dt
import ipaddress
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from mainline.errors import UserError

Task = Literal["binary", "multiclass", "regression"]
Share = Annotated[float, Field(gt=0, lt=1)]


def _date(value: object) -> object:
    """Return the date in an ISO text; DVC cannot read a bare YAML date, so that is refused with the reason."""
    if isinstance(value, dt.date):
        raise ValueError(f'dates stand in quotes, because DVC reads no others: "{value}"')
    if not isinstance(value, str):
        return value
    try:
        return dt.date.fromisoformat(value)
    except ValueError as error:
        raise ValueError(f"{value!r} is not a date like 2009-05-31") from error


def _network(value: str) -> str:
    """Return the network as it is, or say why it is none."""
    ipaddress.ip_network(value)
    return value


Date = Annotated[dt.date, BeforeValidator(_date)]


class Room(BaseModel):
    """Base of all settings: frozen, no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Checks(Room):
    """Bounds of the data checks (see ``mainline.data.validate`` and ``mainline.data.leakage``)."""

    min_rows: int = Field(ge=1)
    max_age_days: int | None = Field(ge=0)
    late_rows: Literal["refuse", "accept"]
    distribution: Literal["stop", "warn", "off"]
    effect: Share
    alpha: Share
    separation: float = Field(gt=0.5, le=1)


class Data(Room):
    """Where the batches are, what their columns mean, and where the clock stands."""

    batches: str
    id: str | None
    time: str | None
    label: str
    positive: str | None
    as_of: Date | None
    label_delay_days: int | None = Field(ge=0)
    test_window_days: int = Field(ge=1)
    test_share: Share
    checks: Checks

    @model_validator(mode="after")
    def _clock_needs_time(self) -> Data:
        if self.time is None and self.as_of is not None:
            raise ValueError("as_of needs a time column: name one in data.time, or set as_of to null")
        return self


class Features(Room):
    drop: list[str]


class Calibration(Room):
    method: Literal["sigmoid", "isotonic", "none"]
    share: Share


class Search(Room):
    enabled: bool
    folds: int = Field(ge=2)
    factor: int = Field(ge=2)


class Model(Room):
    task: Task
    seed: int = Field(ge=0)
    estimator: dict[str, Any]
    calibration: Calibration
    search: Search


class Evaluate(Room):
    primary: str
    resamples: int = Field(ge=100)
    level: Share
    min_rows: int = Field(ge=1)


class Gates(Room):
    """Absolute bounds; null switches a bound off, and the report says so."""

    floors: dict[str, float]
    calibration_error: float | None
    slice_floors: dict[str, float]
    fairness_gap: float | None
    latency_ms: float | None
    size_mb: float | None


class Compare(Room):
    """Bounds on the challenger against the champion (see ``mainline.compare.gates``); null switches one off.

    Every margin is how much worse the challenger may be, in the units of what is compared.
    """

    rule: Literal["non_inferior", "superior"] = "non_inferior"
    margin: float = Field(default=0.01, ge=0)
    min_rows: int = Field(default=500, ge=1)
    slice_margin: float | None = Field(default=0.05, ge=0)
    calibration_margin: float | None = Field(default=0.02, ge=0)
    fairness_margin: float | None = Field(default=0.1, ge=0)
    value_margin: float | None = Field(default=0.1, ge=0)
    latency_ratio: float | None = Field(default=3.0, gt=0)
    size_ratio: float | None = Field(default=3.0, gt=0)


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
    """The cluster that ``mainline kubernetes render`` writes for; nothing else reads this room."""

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


class Rollout(Room):
    """How a release gets its users (see ``mainline.rollout.plan``)."""

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

    @field_validator("weights")
    @classmethod
    def _weights_rise(cls, weights: list[int]) -> list[int]:
        if weights != sorted(set(weights)) or weights[-1:] != [100]:
            raise ValueError(f"weights rise from step to step and end with 100 (got {weights})")
        return weights


class Settings(Room):
    """The whole of params.yaml."""

    project: str
    data: Data
    features: Features
    model: Model
    evaluate: Evaluate
    gates: Gates
    compare: Compare = Compare()
    serve: Serve = Serve()
    score: Score = Score()
    kubernetes: Kubernetes = Kubernetes()
    rollout: Rollout = Rollout()

    @model_validator(mode="after")
    def _positive_fits_task(self) -> Settings:
        if (self.model.task == "binary") != (self.data.positive is not None):
            raise ValueError("data.positive names the positive class of a binary task, and is null for any other task")
        return self


def load_settings(path: Path = Path("params.yaml")) -> Settings:
    """Return the settings in ``path``.

    Raises:
        UserError: the file is absent, is not YAML, or holds an unknown key, a missing key or a wrong type;
            every such key is named at once.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: not there", "run the command from the top of the repository") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path}: is not valid YAML: {error}", "mend the line that it names") from error
    try:
        return Settings.model_validate(raw)
    except ValidationError as error:
        lines = [f"{path}: {_key(item['loc'])}: {_say(item)}" for item in error.errors()]
        raise UserError("\n".join(lines), "docs/make-it-yours.md lists every key with its type") from error


def _key(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "(top level)"


def _say(item: Any) -> str:
    if item["type"] == "extra_forbidden":
        return f"unknown key (value {item['input']!r})"
    if item["type"] == "missing":
        return "key is missing"
    return f"{item['msg']} (got {item['input']!r})" if item["type"] != "value_error" else str(item["msg"])
