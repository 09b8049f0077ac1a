"""The objects that ``*.dvc`` and ``dvc.lock`` name, and whether a folder in DVC's layout really holds them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mainline.errors import UserError

EMBEDDED = Path(".dvc", "embedded")


@dataclass(frozen=True)
class Output:
    """A file or folder that DVC keeps.

    Attributes:
        path: where it stands in the work tree, relative to the top.
        oid: its MD5 in hex, with ``.dir`` behind it for a folder.
        source: the file that names it (``data.dvc``, ``dvc.lock``).
        entry: the keys that DVC needs to find it again (md5, size, nfiles, hash).
    """

    path: str
    oid: str
    source: str
    entry: Mapping[str, Any]


def data_outputs(root: Path) -> list[Output]:
    """Return what the ``*.dvc`` files at the top name, in order of their names."""
    return [
        output
        for file in sorted(root.glob("*.dvc"))
        if file.is_file()
        for output in _outputs(_load(file).get("outs", []), file.name)
    ]


def stage_outputs(root: Path) -> list[Output]:
    """Return what ``dvc.lock`` names and a remote should hold; empty without a ``dvc.lock``.

    Outputs that ``dvc.yaml`` marks ``cache: false`` or ``push: false`` live in git or nowhere, so they are left out.
    """
    lock, pipeline = root / "dvc.lock", root / "dvc.yaml"
    if not lock.is_file():
        return []
    kept_out = _kept_out(_load(pipeline)) if pipeline.is_file() else set()
    return [
        output
        for stage in (_load(lock).get("stages") or {}).values()
        for output in _outputs(stage.get("outs", []), lock.name)
        if output.path not in kept_out
    ]


def place(folder: Path, oid: str) -> Path:
    """Return where ``folder`` (a cache, or a remote that is a folder) keeps the object ``oid``."""
    return folder / "files" / "md5" / oid[:2] / oid[2:]


def expand(outputs: Iterable[Output], *folders: Path) -> dict[str, str]:
    """Return the path of every object behind ``outputs``, keyed by object id.

    A folder's list is read from the first of ``folders`` that holds it whole; without one it stands for itself alone.
    """
    found: dict[str, str] = {}
    for output in outputs:
        found.setdefault(output.oid, output.path)
        if not output.oid.endswith(".dir"):
            continue
        for folder in folders:
            if intact(folder, output.oid):
                for item in json.loads(place(folder, output.oid).read_bytes()):
                    found.setdefault(item["md5"], f"{output.path}/{item['relpath']}")
                break
    return found


def intact(folder: Path, oid: str) -> bool:
    """Return whether ``folder`` holds ``oid`` and its bytes give the MD5 that it is named by."""
    try:
        with place(folder, oid).open("rb") as stream:
            return hashlib.file_digest(stream, "md5").hexdigest() == oid.removesuffix(".dir")
    except FileNotFoundError:
        return False


def embedded_faults(root: Path) -> list[str]:
    """Return what is wrong with the remote that is committed in the repository; empty when all is well.

    It may hold the data that ``*.dvc`` names, and earlier lists of the same files; pipeline outputs have no place
    there.
    """
    folder = root / EMBEDDED
    if not folder.is_dir():
        return []
    wanted = expand(data_outputs(root), folder)
    faults = []
    for oid, path in wanted.items():
        if not place(folder, oid).is_file():
            faults.append(f"{path} ({oid}) is missing")
        elif not intact(folder, oid):
            faults.append(f"{path} ({oid}) is damaged: its bytes do not fit its name")
    for file in sorted(item for item in folder.rglob("*") if item.is_file()):
        oid = file.parent.name + file.name
        if oid in wanted or (oid.endswith(".dir") and _earlier_list(folder, oid, wanted)):
            continue
        faults.append(f"{file.relative_to(root).as_posix()} is named by no .dvc file")
    return faults


def _earlier_list(folder: Path, oid: str, wanted: Mapping[str, str]) -> bool:
    return intact(folder, oid) and all(item["md5"] in wanted for item in json.loads(place(folder, oid).read_bytes()))


def _kept_out(pipeline: Mapping[str, Any]) -> set[str]:
    return {
        path
        for stage in (pipeline.get("stages") or {}).values()
        for kind in ("outs", "metrics", "plots")
        for item in stage.get(kind, [])
        if isinstance(item, dict)
        for path, options in item.items()
        if isinstance(options, dict) and (options.get("cache") is False or options.get("push") is False)
    }


def _outputs(entries: Iterable[Mapping[str, Any]], source: str) -> list[Output]:
    keys = ("md5", "size", "nfiles", "hash")
    return [
        Output(item["path"], item["md5"], source, {key: item[key] for key in keys if key in item})
        for item in entries
        if "md5" in item
    ]


def _load(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise UserError(f"{file.name}: is not valid YAML: {error}", f"git checkout -- {file.name}") from error
    return content if isinstance(content, dict) else {}
