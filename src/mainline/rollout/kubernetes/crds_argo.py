"""Argo Rollouts 1.8 (Rollout, AnalysisTemplate) with the traffic plugin argoproj-labs/gatewayAPI, and Argo CD 2.12.

Each is argoproj.io/v1alpha1; field names from the projects' documentation.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from mainline.rollout.kubernetes.crd_types import Duration, Name, Selector, Strict, Weight


class FieldRef(Strict):
    field_path: str = Field(pattern=r"^metadata\.labels\['[^']+'\]$")


class ValueFrom(Strict):
    field_ref: FieldRef


class Argument(Strict):
    name: str
    value: str | None = None
    value_from: ValueFrom | None = None


class TemplateRef(Strict):
    template_name: Name


class Analysis(Strict):
    templates: list[TemplateRef] = Field(min_length=1)
    args: list[Argument] = []


class Background(Analysis):
    starting_step: int = Field(ge=0)


class Pause(Strict):
    duration: Duration


class Step(Strict):
    set_weight: Weight | None = None
    pause: Pause | None = None
    analysis: Analysis | None = None

    @model_validator(mode="after")
    def _one_thing(self) -> Step:
        if sum(value is not None for value in (self.set_weight, self.pause, self.analysis)) != 1:
            raise ValueError("a step does exactly one thing")
        return self


class Plugin(Strict):
    http_route: Name
    namespace: Name


class Plugins(Strict):
    gateway: Plugin = Field(alias="argoproj-labs/gatewayAPI")


class TrafficRouting(Strict):
    plugins: Plugins


class Canary(Strict):
    stable_service: Name
    canary_service: Name
    traffic_routing: TrafficRouting
    max_unavailable: int
    max_surge: int
    scale_down_delay_seconds: int = Field(ge=30)
    abort_scale_down_delay_seconds: int = Field(ge=0)
    analysis: Background
    steps: list[Step] = Field(min_length=1)


class Strategy(Strict):
    canary: Canary


class WorkloadRef(Strict):
    api_version: Literal["apps/v1"]
    kind: Literal["Deployment"]
    name: Name


class RollbackWindow(Strict):
    revisions: int = Field(ge=1)


class RolloutSpec(Strict):
    revision_history_limit: int = Field(ge=1)
    progress_deadline_seconds: int = Field(ge=1)
    progress_deadline_abort: bool
    rollback_window: RollbackWindow
    selector: Selector
    workload_ref: WorkloadRef
    strategy: Strategy


class Prometheus(Strict):
    address: str = Field(pattern=r"^https?://")
    query: str = Field(min_length=1)


class Provider(Strict):
    prometheus: Prometheus


class Metric(Strict):
    name: Name
    success_condition: str
    failure_condition: str
    count: int | None = Field(default=None, ge=1)
    interval: Duration | None = None
    initial_delay: Duration | None = None
    failure_limit: int = Field(ge=0)
    inconclusive_limit: int = Field(ge=0)
    provider: Provider


class AnalysisTemplateSpec(Strict):
    args: list[Argument] = []
    metrics: list[Metric] = Field(min_length=1)


class Source(Strict):
    repo_url: str = Field(alias="repoURL", pattern=r"^https://.+\.git$")
    target_revision: Literal["deploy"]
    path: str


class Destination(Strict):
    server: Literal["https://kubernetes.default.svc"]
    namespace: Name


class IgnoreDifferences(Strict):
    group: str
    kind: str
    jq_path_expressions: list[str] = []
    json_pointers: list[str] = []


class Automated(Strict):
    prune: bool
    self_heal: bool


class SyncPolicy(Strict):
    automated: Automated
    sync_options: list[Literal["ApplyOutOfSyncOnly=true", "RespectIgnoreDifferences=true"]]


class ApplicationSpec(Strict):
    project: str
    source: Source
    destination: Destination
    sync_policy: SyncPolicy
    ignore_differences: list[IgnoreDifferences] = []
