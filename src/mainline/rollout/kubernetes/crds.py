"""The fields that we use of types which Kubernetes itself does not know, exactly; everything else is a fault.

Field names: Gateway API v1 (HTTPRoute, channel Standard), Argo Rollouts 1.8 (Rollout, AnalysisTemplate of
argoproj.io/v1alpha1) with the traffic plugin argoproj-labs/gatewayAPI, Argo CD 2.12 (Application of
argoproj.io/v1alpha1), Prometheus operator (PodMonitor of monitoring.coreos.com/v1).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
Duration = Annotated[str, Field(pattern=r"^[1-9]\d*[smh]$")]
Weight = Annotated[int, Field(ge=0, le=100)]
Labels = dict[str, Annotated[str, Field(max_length=63)]]


class Strict(BaseModel):
    """Base: names as in Kubernetes, no unknown field, no conversion."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, alias_generator=to_camel)


class Metadata(Strict):
    name: Name
    namespace: Name | None = None
    labels: Labels = {}


class PathMatch(Strict):
    type: Literal["Exact", "PathPrefix"]
    value: str = Field(pattern=r"^/")


class Match(Strict):
    path: PathMatch
    method: Literal["GET", "POST"] | None = None


class Backend(Strict):
    name: Name
    port: int = Field(ge=1, le=65535)
    weight: Weight | None = None


class HeaderModifier(Strict):
    remove: list[str] = Field(min_length=1)


class Mirror(Strict):
    backend_ref: Backend
    percent: int | None = Field(default=None, ge=0, le=100)


class Filter(Strict):
    type: Literal["RequestHeaderModifier", "RequestMirror"]
    request_header_modifier: HeaderModifier | None = None
    request_mirror: Mirror | None = None

    @model_validator(mode="after")
    def _type_says_which(self) -> Filter:
        if (self.type == "RequestMirror") != (self.request_mirror is not None):
            raise ValueError("type and content differ")
        if (self.type == "RequestHeaderModifier") != (self.request_header_modifier is not None):
            raise ValueError("type and content differ")
        return self


class RouteTimeouts(Strict):
    request: Annotated[str, Field(pattern=r"^[1-9]\d*s$")]


class RouteRule(Strict):
    matches: list[Match] = Field(min_length=1, max_length=64)
    filters: list[Filter] = []
    backend_refs: list[Backend] = Field(min_length=1, max_length=16)
    timeouts: RouteTimeouts


class Parent(Strict):
    name: Name
    namespace: Name


class HTTPRouteSpec(Strict):
    parent_refs: list[Parent] = Field(min_length=1)
    hostnames: list[str] = Field(default=[], max_length=16)
    rules: list[RouteRule] = Field(min_length=1, max_length=16)


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


class Selector(Strict):
    match_labels: Labels = Field(min_length=1)


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


class MetricsEndpoint(Strict):
    port: str
    path: Literal["/metrics"]
    interval: Duration


class PodMonitorSpec(Strict):
    selector: Selector
    pod_metrics_endpoints: list[MetricsEndpoint] = Field(min_length=1)


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


SPECS: Mapping[tuple[str, str], type[Strict]] = {
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): HTTPRouteSpec,
    ("argoproj.io/v1alpha1", "Rollout"): RolloutSpec,
    ("argoproj.io/v1alpha1", "AnalysisTemplate"): AnalysisTemplateSpec,
    ("argoproj.io/v1alpha1", "Application"): ApplicationSpec,
    ("monitoring.coreos.com/v1", "PodMonitor"): PodMonitorSpec,
}


def faults(manifest: Mapping[str, Any]) -> list[str] | None:
    """Return what is wrong with a custom resource by our models; None for a type that they do not know."""
    model = SPECS.get((manifest["apiVersion"], manifest["kind"]))
    if model is None:
        return None
    found = [f"{key}: unknown field" for key in sorted(set(manifest) - {"apiVersion", "kind", "metadata", "spec"})]
    for part, shape in (("metadata", Metadata), ("spec", model)):
        try:
            shape.model_validate(manifest.get(part))
        except ValidationError as error:
            found += [f"{'.'.join(map(str, (part, *item['loc'])))}: {item['msg']}" for item in error.errors()]
    return found
