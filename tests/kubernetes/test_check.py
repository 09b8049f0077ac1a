"""Each fault is planted in manifests that are right otherwise, and has to be found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from mainline.errors import UserError
from mainline.rollout.kubernetes.check import check, faults, schema_faults, sense_faults
from mainline.rollout.kubernetes.flatten import flatten
from mainline.rollout.kubernetes.render import write
from mainline.rollout.kubernetes.run import run_check

DELETE = object()


def change(manifest: dict[str, Any], path: str, value: Any) -> None:
    """Set (or delete) what stands at ``a.b.0.c``; a key that holds dots is written with ``~``."""
    *parents, last = [part.replace("~", ".") for part in path.split(".")]
    place: Any = manifest
    for part in parents:
        place = place[int(part)] if isinstance(place, list) else place[part]
    key: Any = int(last) if isinstance(place, list) else last
    if value is DELETE:
        del place[key]
    else:
        place[key] = value


def test_what_is_rendered_has_no_fault(files) -> None:
    assert check(files) == {"production": [], "staging": []}


POD = "spec.template.spec."
ONE = POD + "containers.0."
VERSION = "app~kubernetes~io/version"


@pytest.mark.parametrize(
    ("kind", "path", "value", "words"),
    [
        # pods
        ("Deployment", ONE + "image", "shop.example/bank:1", "not by digest"),
        ("Deployment", ONE + "image", f"bank@sha256:{'0' * 64}", "the placeholder"),
        ("Deployment", ONE + "args", ["python"], "does not serve on port 3000"),
        ("Deployment", ONE + "ports.0.containerPort", 80, "does not serve on port 3000"),
        ("Deployment", ONE + "livenessProbe", DELETE, "livenessProbe does not ask /livez"),
        ("Deployment", ONE + "readinessProbe.httpGet.path", "/livez", "readinessProbe does not ask /readyz"),
        ("Deployment", ONE + "startupProbe.httpGet.port", "web", "startupProbe does not ask /livez on a port"),
        ("Deployment", ONE + "securityContext.readOnlyRootFilesystem", False, "root filesystem can be written"),
        ("Deployment", ONE + "securityContext.allowPrivilegeEscalation", True, "allowPrivilegeEscalation"),
        ("Deployment", ONE + "securityContext.capabilities.drop", [], "capabilities are not all dropped"),
        ("Deployment", ONE + "securityContext.capabilities.add", ["NET_ADMIN"], "capabilities are not all dropped"),
        ("Deployment", ONE + "securityContext.runAsUser", 0, "runs as root"),
        ("Deployment", ONE + "resources.limits", DELETE, "no limit of memory"),
        ("Deployment", ONE + "resources.requests.cpu", DELETE, "no request of cpu"),
        ("Deployment", ONE + "volumeMounts.1", DELETE, "/tmp cannot be written"),
        ("Deployment", ONE + "lifecycle", DELETE, "preStop does not wait"),
        ("Deployment", POD + "securityContext.runAsNonRoot", False, "runs as root"),
        ("Deployment", POD + "securityContext.runAsUser", 0, "runs as root"),
        ("Deployment", POD + "securityContext.seccompProfile.type", "Unconfined", "seccompProfile"),
        ("Deployment", POD + "automountServiceAccountToken", True, "token is mounted"),
        ("Deployment", POD + "hostNetwork", True, "hostNetwork is set"),
        ("Deployment", POD + "terminationGracePeriodSeconds", 16, "is not longer than preStop and time-out"),
        ("Deployment", POD + "topologySpreadConstraints", DELETE, "all pods may share one node"),
        ("Deployment", POD + "topologySpreadConstraints.0.labelSelector.matchLabels", {"a": "b"}, "other pods"),
        ("Deployment", POD + "volumes.0.emptyDir.sizeLimit", DELETE, "emptyDir with a sizeLimit"),
        ("Deployment", POD + "serviceAccountName", "default", "no such service account"),
        ("Deployment", f"spec.template.metadata.labels.{VERSION}", "unreleased", "does not say the release"),
        # selectors and references
        ("Deployment", "spec.selector.matchLabels", {"app~kubernetes~io/name": "shop"}, "does not match its own pods"),
        ("Service bank-canary", "spec.selector", {"app": "bank"}, "the selector matches no pod"),
        ("Service bank-stable", "spec.ports.0.targetPort", "web", "no pod has a port web"),
        ("PodDisruptionBudget", "spec.selector.matchLabels", {"app": "bank"}, "the selector matches no pod"),
        ("PodMonitor", "spec.selector.matchLabels", {"app": "bank"}, "the selector matches no pod"),
        ("PodMonitor", "spec.podMetricsEndpoints.0.port", "metrics", "no pod has a port metrics"),
        ("NetworkPolicy bank-in", "spec.podSelector.matchLabels", {"app": "bank"}, "the selector matches no pod"),
        ("HorizontalPodAutoscaler", "spec.scaleTargetRef.name", "shop", "there is no Rollout shop to scale"),
        ("HorizontalPodAutoscaler", "spec.minReplicas", 9, "minReplicas is above maxReplicas"),
        ("ServiceAccount", "automountServiceAccountToken", True, "its token is mounted"),
        ("Service bank-stable", "metadata.namespace", "default", "several namespaces"),
        # network
        ("NetworkPolicy bank-deny", "spec.policyTypes", ["Ingress"], "nothing shuts every pod"),
        ("NetworkPolicy bank-deny", "spec.ingress", [{}], "nothing shuts every pod"),
        ("NetworkPolicy bank-in", "spec.ingress.0.from", DELETE, "lets anybody in"),
        ("NetworkPolicy bank-in", "spec.egress", [{"ports": [{"port": 443}]}], "out to anywhere"),
        # routes
        ("HTTPRoute", "spec.rules.0.backendRefs.1.weight", 5, "do not sum to 100"),
        ("HTTPRoute", "spec.rules.0.backendRefs.0.name", "bank", "there is no Service bank with port 80"),
        ("HTTPRoute", "spec.rules.1.backendRefs.0.port", 81, "there is no Service bank-stable with port 81"),
        ("HTTPRoute", "spec.rules.0.filters.1.requestMirror.backendRef.name", "bank-canary", "not started as shadow"),
        ("HTTPRoute", "spec.rules.1.backendRefs.0.name", "bank-shadow", "another track than stable"),
        ("HTTPRoute", "spec.rules.0.filters.0", DELETE, "a client may say x-shadow"),
        # the canary
        ("Deployment", "spec.replicas", 2, "runs pods itself"),
        ("Rollout", "spec.workloadRef.name", "shop", "there is no Deployment shop"),
        ("Rollout", "spec.selector.matchLabels", {"app": "bank"}, "the selector is another"),
        ("Rollout", f"metadata.labels.{VERSION}", "bank-cccccccccccc", "says another release than its pods"),
        ("Rollout", "spec.strategy.canary.canaryService", "bank-c", "there is no Service bank-c"),
        ("Rollout", "spec.strategy.canary.canaryService", "bank-stable", "are one Service"),
        ("HTTPRoute", "spec.rules.0.backendRefs", [{"name": "bank-stable", "port": 80, "weight": 100}], "rests at"),
        ("Rollout", "spec.strategy.canary.trafficRouting.plugins.argoproj-labs/gatewayAPI.httpRoute", "shop",
         "there is no HTTPRoute bank-production/shop"),
        ("Rollout", "spec.strategy.canary.trafficRouting.plugins.argoproj-labs/gatewayAPI.namespace", "default",
         "there is no HTTPRoute default/bank"),
        ("Rollout", "spec.strategy.canary.analysis.templates.0.templateName", "other", "no such AnalysisTemplate"),
        ("Rollout", "spec.strategy.canary.analysis.templates.0.templateName", "bank-step", "again and again"),
        ("Rollout", "spec.strategy.canary.steps.2.analysis.args.1", DELETE, "argument window is not given"),
        ("Rollout", "spec.strategy.canary.steps.2.analysis.args.1.value", "5s", "window is not the time of the step"),
        ("Rollout", "spec.strategy.canary.steps.2.analysis.args.0.valueFrom.fieldRef.fieldPath",
         "metadata.labels['version']", "the Rollout has no such label"),
        ("Rollout", "spec.strategy.canary.steps.2.analysis.templates.0.templateName", "bank-limits", "never ends"),
        ("Rollout", "spec.strategy.canary.steps.2", DELETE, "at 1 % nothing is judged"),
        ("Rollout", "spec.strategy.canary.steps.1", DELETE, "at 1 % it does not wait"),
        ("Rollout", "spec.strategy.canary.steps.3.setWeight", 60, "do not rise"),
        ("Rollout", "spec.strategy.canary.steps.12", DELETE, "do not rise from at least 1 to 100"),
        ("Rollout", "spec.strategy.canary.steps.11.analysis.templates.1", DELETE, "leaves out latency"),
        ("AnalysisTemplate bank-step", "spec.metrics.1.successCondition", "result[0] <= 3", "errors: condition"),
    ],
)  # fmt: skip
def test_a_planted_fault_is_found(kind: str, path: str, value, words: str, production, find) -> None:
    name, _, rest = kind.partition(" ")
    change(find(name, rest or "bank"), path, value)
    found = sense_faults(production)
    assert [fault for fault in found if words in fault], found


@pytest.mark.parametrize(
    "kind", ["PodDisruptionBudget", "HorizontalPodAutoscaler", "NetworkPolicy", "HTTPRoute", "PodMonitor"]
)
def test_what_is_left_out_is_missed(kind: str, production) -> None:
    assert f"there is no {kind}" in sense_faults([item for item in production if item["kind"] != kind])


def test_replicas_that_fight_the_autoscaler(files) -> None:
    staging = flatten(files, "overlays/staging")
    change(next(item for item in staging if item["kind"] == "Deployment"), "spec.replicas", 2)
    (fault,) = sense_faults(staging)
    assert "sets replicas, which belong to the autoscaler" in fault


def test_without_pods_there_is_nothing_to_serve(production) -> None:
    assert "there is no Deployment" in sense_faults([item for item in production if item["kind"] != "Deployment"])


def test_two_of_one_name(production) -> None:
    assert "two manifests have the same kind and name" in sense_faults([*production, production[0]])


@pytest.mark.parametrize(
    ("kind", "path", "value", "words"),
    [
        ("Deployment", "spec.replicas", -1.5, "spec.replicas"),
        ("Deployment", ONE + "imagePullPolice", "Always", "Additional properties are not allowed"),
        ("Deployment", ONE + "lifecycle.preStop.sleep.seconds", "10", "spec.template.spec.containers.0"),
        ("HorizontalPodAutoscaler", "apiVersion", "autoscaling/v2beta2", "no schema knows it"),
        ("Service bank-stable", "kind", "Servce", "no schema knows it"),
        ("PodMonitor", "kind", "ServiceMonitor", "no schema knows it"),
        ("HTTPRoute", "apiVersion", "gateway.networking.k8s.io/v1beta1", "no schema knows it"),
        ("HTTPRoute", "spec.rules.0.backendRefs.0.weight", 101, "weight: Input should be less than or equal to 100"),
        ("HTTPRoute", "spec.rules.0.backendRefs.0.weight", "99", "Input should be a valid integer"),
        ("HTTPRoute", "spec.rules.0.filters.1.type", "Mirror", "filters.1.type"),
        ("HTTPRoute", "spec.rules.0.filters.1.type", "RequestHeaderModifier", "type and content differ"),
        ("HTTPRoute", "spec.rules.0.filters.1.requestMirror.percentage", 5, "Extra inputs are not permitted"),
        ("HTTPRoute", "spec.rules.0.timeouts.request", "5", "timeouts.request"),
        ("Rollout", "spec.strategy.canary.steps.0.setWeight", 101, "setWeight: Input should be less"),
        ("Rollout", "spec.strategy.canary.steps.0.pause", {"duration": "5s"}, "a step does exactly one thing"),
        ("Rollout", "spec.strategy.canary.steps.1.pause.duration", 300, "pause.duration"),
        ("Rollout", "spec.strategy.canary.setWeight", 5, "Extra inputs are not permitted"),
        ("Rollout", "spec.template", {}, "spec.template: Extra inputs"),
        ("Rollout", "metadata.labels", {"a": 1}, "metadata.labels.a"),
        ("Rollout", "specs", {}, "specs: unknown field"),
        ("AnalysisTemplate bank-step", "spec.metrics.0.successCondition", DELETE, "successCondition: Field required"),
        ("AnalysisTemplate bank-step", "spec.metrics.0.provider.prometheus.url", "x", "Extra inputs"),
    ],
)  # fmt: skip
def test_a_planted_fault_of_form_is_found(kind: str, path: str, value, words: str, find) -> None:
    name, _, rest = kind.partition(" ")
    manifest = find(name, rest or "bank")
    change(manifest, path, value)
    found = schema_faults(manifest)
    assert [fault for fault in found if words in fault], found


def test_form_comes_before_sense_and_both_stop(production, find) -> None:
    change(find("Deployment"), ONE + "image", "bank:1")
    assert faults(production) == ["Deployment bank: image bank:1: not by digest (NAME@sha256:…)"]
    change(find("Rollout"), "spec.strategy.canary.steps.0.setWeight", 101)
    assert [fault.split(":")[0] for fault in faults(production)] == ["Rollout bank"]


def test_the_command_names_every_fault_and_the_folder(files, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("mainline.rollout.kubernetes.check.schema_faults", lambda _: [])
    path = "components/canary/rollout.yaml"
    text = files[path].replace("setWeight: 50", "setWeight: 20").replace("bank-canary", "bank-c")
    write({**files, path: text}, tmp_path)
    with pytest.raises(UserError) as caught:
        run_check(tmp_path)
    assert "overlays/production: Rollout bank: there is no Service bank-c" in caught.value.problem
    assert "do not rise" in caught.value.problem and "staging" not in caught.value.problem
    with pytest.raises(UserError, match="holds no overlays"):
        run_check(tmp_path / "base")


def test_a_custom_resource_that_nobody_knows_is_a_fault(production) -> None:
    production.append(yaml.safe_load("{apiVersion: example.com/v1, kind: Thing, metadata: {name: x}, spec: {}}"))
    assert "Thing x: example.com/v1 Thing: no schema knows it" in faults(production)
