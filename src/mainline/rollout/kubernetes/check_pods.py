"""Checks of pods: what a schema lets pass, and what would still stop, slow down or endanger the service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mainline.release.image import DIGEST
from mainline.rollout.kubernetes.plan import LOG, NO_IMAGE, PORT
from mainline.rollout.kubernetes.workload import UNRELEASED, VERSION, Manifest

PROBES = {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}


def _image(image: str, version: str | None, placeholder: bool) -> Iterator[str]:
    if not DIGEST.fullmatch(image):
        yield f"image {image}: not by digest (NAME@sha256:…)"
    elif image.endswith(NO_IMAGE) and not placeholder:
        yield f"image {image}: the placeholder; render with --image"
    if version in (None, UNRELEASED):
        yield f"label {VERSION}: does not say the release"


def _container(container: Manifest) -> Iterator[str]:
    name = container["name"]
    security: Manifest = container.get("securityContext", {})
    if security.get("allowPrivilegeEscalation") is not False:
        yield f"container {name}: allowPrivilegeEscalation is not false"
    if security.get("readOnlyRootFilesystem") is not True:
        yield f"container {name}: the root filesystem can be written"
    if security.get("capabilities", {}) != {"drop": ["ALL"]}:
        yield f"container {name}: capabilities are not all dropped"
    if security.get("privileged") or security.get("runAsNonRoot") is False or security.get("runAsUser") == 0:
        yield f"container {name}: runs as root"
    ports = {port["name"] for port in container.get("ports", [])}
    for probe, path in PROBES.items():
        asked = container.get(probe, {}).get("httpGet", {})
        if asked.get("path") != path or asked.get("port") not in ports:
            yield f"container {name}: {probe} does not ask {path} on a port of its own"
    if str(PORT) not in container.get("args", []) or PORT not in [port["containerPort"] for port in container["ports"]]:
        yield f"container {name}: does not serve on port {PORT}"
    resources = container.get("resources", {})
    if not {"cpu", "memory"} <= set(resources.get("requests", {})) or "memory" not in resources.get("limits", {}):
        yield f"container {name}: no request of cpu and memory, or no limit of memory"


def _writable(spec: Manifest) -> Iterator[str]:
    volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
    for name, volume in volumes.items():
        if set(volume) != {"name", "emptyDir"} or "sizeLimit" not in volume["emptyDir"]:
            yield f"volume {name}: is not an emptyDir with a sizeLimit"
    for container in spec["containers"]:
        mounts = {mount["mountPath"]: mount["name"] for mount in container.get("volumeMounts", [])}
        for path in ("/tmp", LOG):
            if mounts.get(path) not in volumes:
                yield f"container {container['name']}: {path} cannot be written"


def pod_faults(template: Manifest, timeout: int, placeholder: bool = False) -> list[str]:
    """Return what is wrong with a pod template; ``timeout`` is how many seconds a request may take."""
    spec: Manifest = template["spec"]
    labels: dict[str, str] = template["metadata"].get("labels", {})
    found: list[str] = []
    security: dict[str, Any] = spec.get("securityContext", {})
    if security.get("runAsNonRoot") is not True or not security.get("runAsUser") or not security.get("runAsGroup"):
        found.append("runs as root: runAsNonRoot, runAsUser and runAsGroup have to say otherwise")
    if security.get("seccompProfile") != {"type": "RuntimeDefault"}:
        found.append("seccompProfile is not RuntimeDefault")
    if spec.get("automountServiceAccountToken") is not False:
        found.append("a service account token is mounted")
    found += [f"{key} is set" for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    if not spec.get("topologySpreadConstraints"):
        found.append("no topologySpreadConstraints: all pods may share one node")
    for constraint in spec.get("topologySpreadConstraints", []):
        if not constraint["labelSelector"]["matchLabels"].items() <= labels.items():
            found.append("topologySpreadConstraints: the selector matches other pods")
    grace = spec.get("terminationGracePeriodSeconds", 30)
    for container in spec["containers"]:
        found += _image(container["image"], labels.get(VERSION), placeholder)
        found += _container(container)
        leave = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        if leave < 5:
            found.append(f"container {container['name']}: preStop does not wait until the gateway has heard of it")
        if grace <= leave + timeout:
            found.append(f"terminationGracePeriodSeconds {grace} is not longer than preStop and time-out together")
    return found + list(_writable(spec))


def track(template: Manifest) -> str:
    """Return the track that the pods of a template are started with; empty when it is not said."""
    for item in template["spec"]["containers"][0].get("env", []):
        if item["name"] == "MAINLINE_TRACK":
            return str(item.get("value", ""))
    return ""
