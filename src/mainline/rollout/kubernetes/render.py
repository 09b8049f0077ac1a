"""The files: a base and two components from params.yaml alone, and an overlay that says which release is where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from mainline.files import write_atomic
from mainline.rollout.kubernetes.canary import canary, shadow
from mainline.rollout.kubernetes.plan import ENVIRONMENTS, Image, Target
from mainline.rollout.kubernetes.workload import VERSION, Manifest, base

HEAD = "# Written by `mainline kubernetes render` from params.yaml: change it there.\n"
SECURITY = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}


class _Dumper(yaml.SafeDumper):
    """Block style, no anchors, and text of several lines as such."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def dump(documents: Sequence[Any]) -> str:
    """Return the documents as YAML; equal values are equal bytes."""
    return yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, width=10_000, explicit_start=len(documents) > 1)


def patch(kind: str, name: str, operations: Iterable[tuple[str, str, Any]]) -> Manifest:
    """Return a kustomize patch of one resource by JSON patch operations (op, path, value)."""
    listed = [{"op": op, "path": path, "value": value} for op, path, value in operations]
    return {"target": {"kind": kind, "name": name}, "patch": dump([listed])}


def kustomization(kind: str = "Kustomization", **parts: Any) -> str:
    """Return a kustomization.yaml."""
    api = "kustomize.config.k8s.io/" + ("v1alpha1" if kind == "Component" else "v1beta1")
    return HEAD + dump([{"apiVersion": api, "kind": kind, **parts}])


def _folder(path: str, files: Mapping[str, list[Manifest]], kind: str, patches: list[Manifest]) -> dict[str, str]:
    more = {"patches": patches} if patches else {}
    tree = {f"{path}/{name}": HEAD + dump(documents) for name, documents in files.items()}
    return {f"{path}/kustomization.yaml": kustomization(kind, resources=sorted(files), **more), **tree}


def _image(kind_name: str, image: Image) -> Manifest:
    label = VERSION.replace("/", "~1")
    return patch("Deployment", kind_name, [
        ("replace", "/spec/template/spec/containers/0/image", image.reference),
        ("replace", f"/spec/template/metadata/labels/{label}", image.release),
    ])  # fmt: skip


def overlay(target: Target, environment: str, image: Image, candidate: Image | None = None) -> dict[str, str]:
    """Return the files of one environment; ``candidate`` is the release that gets a copy of production's requests."""
    name, folder = target.name, f"overlays/{environment}"
    space = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": target.namespace(environment), "labels": SECURITY},
    }
    patches = [_image(name, image)]
    components = []
    if environment == "production":
        components.append("../../components/canary")
        label = VERSION.replace("/", "~1")
        patches.append(patch("Rollout", name, [("replace", f"/metadata/labels/{label}", image.release)]))
        if candidate:
            components.append("../../components/shadow")
            patches.append(_image(f"{name}-shadow", candidate))
    else:
        sizes = [("replace", "/spec/minReplicas", 1), ("replace", "/spec/maxReplicas", 2)]
        patches.append(patch("HorizontalPodAutoscaler", name, sizes))
    parts: Manifest = {"namespace": target.namespace(environment), "resources": ["namespace.yaml", "../../base"]}
    if components:
        parts["components"] = components
    return {
        f"{folder}/kustomization.yaml": kustomization(**parts, patches=patches),
        f"{folder}/namespace.yaml": HEAD + dump([space]),
    }


def tree(
    target: Target, image: Image, candidate: Image | None = None, environments: Sequence[str] = ENVIRONMENTS
) -> dict[str, str]:
    """Return every file by its path below the folder that it goes to."""
    name = target.name
    weights = [
        {"name": f"{name}-stable", "port": 80, "weight": 100},
        {"name": f"{name}-canary", "port": 80, "weight": 0},
    ]
    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": f"{name}-shadow", "port": 80}}}
    scaled = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": name}
    # Only predictions are split or copied: an outcome that is reported twice would count twice.
    with_canary = [
        patch("Deployment", name, [("add", "/spec/replicas", 0)]),
        patch("HorizontalPodAutoscaler", name, [("replace", "/spec/scaleTargetRef", scaled)]),
        patch("HTTPRoute", name, [("replace", "/spec/rules/0/backendRefs", weights)]),
    ]
    with_shadow = [patch("HTTPRoute", name, [("add", "/spec/rules/0/filters/-", mirror)])]
    files = {
        **_folder("base", base(target), "Kustomization", []),
        **_folder("components/canary", canary(target), "Component", with_canary),
        **_folder("components/shadow", shadow(target), "Component", with_shadow),
    }
    for environment in environments:
        files |= overlay(target, environment, image, candidate if environment == "production" else None)
    return dict(sorted(files.items()))


def write(files: Mapping[str, str], folder: Path) -> list[Path]:
    """Write the files below ``folder``; other files there stay. Return their paths."""
    return [write_atomic(folder / path, text) for path, text in files.items()]


def read(folder: Path) -> dict[str, str]:
    """Return every YAML file below ``folder`` by its path."""
    found = sorted(path for path in folder.rglob("*.yaml") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in found}
