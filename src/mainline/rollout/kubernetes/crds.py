"""The fields that we use of types which Kubernetes itself does not know, exactly; everything else is a fault.

Here: Gateway API v1 (HTTPRoute, channel Standard) and the Prometheus operator (PodMonitor of monitoring.coreos.com/v1),
field names from their documentation. Argo's are in ``crds_argo``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from mainline.rollout.kubernetes.crd_types import Duration, Metadata, Name, Selector, Strict, Weight
from mainline.rollout.kubernetes.crds_argo import AnalysisTemplateSpec, ApplicationSpec, RolloutSpec


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


class MetricsEndpoint(Strict):
    port: str
    path: Literal["/metrics"]
    interval: Duration


class PodMonitorSpec(Strict):
    selector: Selector
    pod_metrics_endpoints: list[MetricsEndpoint] = Field(min_length=1)


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
