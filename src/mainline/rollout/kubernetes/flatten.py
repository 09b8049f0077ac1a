"""What an overlay comes to: the small part of kustomize that the rendered files use, so that checking needs no tool.

The tests hold it equal to ``kubectl kustomize``. Anything else that kustomize knows is refused, not passed over.
"""

from __future__ import annotations

import copy
import posixpath
from collections.abc import Mapping
from typing import Any

import yaml

from mainline.errors import UserError
from mainline.rollout.kubernetes.workload import Manifest

KNOWN = {"apiVersion", "kind", "namespace", "resources", "components", "patches"}
FIX = "render the files again; change params.yaml, not them"


def _fail(path: str, problem: str) -> UserError:
    return UserError(f"{path}: {problem}", FIX)


def documents(path: str, text: str) -> list[Manifest]:
    """Return the manifests in a file.

    Raises:
        UserError: it is not YAML, or holds something that is not a manifest.
    """
    try:
        found = [item for item in yaml.safe_load_all(text) if item is not None]
    except yaml.YAMLError as error:
        raise _fail(path, f"is not valid YAML: {error}") from error
    for item in found:
        named = isinstance(item, dict) and {"apiVersion", "kind"} <= set(item)
        if not named:
            raise _fail(path, "holds something without apiVersion and kind")
    return found


def _operate(found: Manifest, operation: Mapping[str, Any], path: str) -> None:
    *parents, last = [
        part.replace("~1", "/").replace("~0", "~") for part in str(operation["path"]).split("/")[1:]
    ]  # fmt: skip
    place: Any = found
    try:
        for part in parents:
            place = place[int(part)] if isinstance(place, list) else place[part]
        if isinstance(place, list):
            if operation["op"] == "add" and last == "-":
                place.append(copy.deepcopy(operation["value"]))
                return
            place[int(last)] = copy.deepcopy(operation["value"])
        elif operation["op"] == "replace" and last not in place:
            raise KeyError(last)
        else:
            place[last] = copy.deepcopy(operation["value"])
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise _fail(path, f"patch {operation['op']} {operation['path']}: there is no such place") from error


def _patch(found: list[Manifest], item: Mapping[str, Any], path: str) -> None:
    wanted = item["target"]
    hits = [one for one in found if (one["kind"], one["metadata"]["name"]) == (wanted["kind"], wanted["name"])]
    if not hits:
        raise _fail(path, f"patch of {wanted['kind']} {wanted['name']}: there is none")
    for operation in yaml.safe_load(item["patch"]):
        if operation["op"] not in ("add", "replace"):
            raise _fail(path, f"patch operation {operation['op']!r} is not known here")
        for hit in hits:
            _operate(hit, operation, path)


def flatten(files: Mapping[str, str], folder: str, found: list[Manifest] | None = None) -> list[Manifest]:
    """Return the manifests of the kustomization in ``folder``, patched.

    Raises:
        UserError: a file is missing or broken, a patch hits nothing, or the kustomization uses what is not known here.
    """
    path = f"{folder}/kustomization.yaml"
    if path not in files:
        raise _fail(path, "not there")
    (plan,) = documents(path, files[path])
    unknown = set(plan) - KNOWN
    if unknown:
        raise _fail(path, f"{', '.join(sorted(unknown))}: not known here")
    found = [] if found is None else found
    for name in plan.get("resources", []):
        inside = posixpath.normpath(f"{folder}/{name}")
        if inside in files:
            found += documents(inside, files[inside])
        else:
            found += flatten(files, inside)
    for name in plan.get("components", []):
        flatten(files, posixpath.normpath(f"{folder}/{name}"), found)
    for item in plan.get("patches", []):
        _patch(found, item, path)
    for item in found:
        if plan.get("namespace") and item["kind"] != "Namespace":
            item["metadata"]["namespace"] = plan["namespace"]
    return found
