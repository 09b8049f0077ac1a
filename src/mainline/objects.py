"""The objects that ``*.dvc`` and ``dvc.lock`` name, and whether a folder in DVC's layout really holds them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mainline.errors import UserError
from mainline.files import replace_atomic
from mainline.paths import CHECK, KEPT

EMBEDDED = Path(".dvc", "embedded")
KEPT_BYTES = 5_000_000  # of outputs in the repository, at most; above it only check.json is kept there


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


def model_outputs(root: Path) -> list[Output]:
    """Return the outputs in ``dvc.lock`` that ``KEPT`` lists: what train, evaluate and card make, no rows."""
    names = {path.as_posix() for path in KEPT}
    return [output for output in stage_outputs(root) if output.path in names]


def kept_outputs(root: Path) -> list[Output]:
    """Return the outputs that go into the remote inside the repository: those of the model.

    Above ``KEPT_BYTES`` in total it is check.json alone.
    """
    found = model_outputs(root)
    if sum(int(output.entry.get("size", 0)) for output in found) <= KEPT_BYTES:
        return found
    return [output for output in found if output.path == CHECK.as_posix()]


def bring(outputs: Iterable[Output], source: Path, target: Path) -> list[str]:
    """Copy the objects behind ``outputs`` that ``source`` holds whole into ``target``; return the ids of those copied.

    Both are folders in DVC's layout. What ``target`` holds whole already is left alone.
    """
    copied = []
    for oid in expand(outputs, source, target):
        if not intact(target, oid) and intact(source, oid):
            origin = place(source, oid)
            replace_atomic(place(target, oid), lambda temporary, origin=origin: shutil.copyfile(origin, temporary))  # type: ignore[misc]
            copied.append(oid)
    return copied


def md5(path: Path) -> str | None:
    """Return the MD5 that DVC gives a file, or a folder (then with ``.dir``); None if there is neither."""
    if path.is_file():
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "md5").hexdigest()
    if not path.is_dir():
        return None
    files = sorted(item for item in path.rglob("*") if item.is_file())
    listed = [{"md5": md5(item), "relpath": item.relative_to(path).as_posix()} for item in files]
    ordered = json.dumps(sorted(listed, key=lambda item: str(item["relpath"])), sort_keys=True)
    return hashlib.md5(ordered.encode(), usedforsecurity=False).hexdigest() + ".dir"


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
