"""Where data and outputs are kept: which remote, and whether it holds all that ``*.dvc`` and the lock name."""

from __future__ import annotations

import importlib.util
import json
import os
import re
from pathlib import Path

from mainline import dvc
from mainline.address import shown
from mainline.doctor.found import Check, Found, NotSeen, broken, gap, ok, optional
from mainline.doctor.sight import Sight
from mainline.embedded import embedded_faults
from mainline.errors import UserError
from mainline.objects import data_outputs, expand, place, stage_outputs
from mainline.plugins import PLUGINS
from mainline.remote import is_embedded

AREA = "storage of your own"
MOVE = "make remote URL=s3://bucket/path (or gs://, azure://, ssh://, a folder)"
PUSH = "dvc push; what is not here either: make run, then dvc push"
SECONDS = 60.0
SILENT = "does not answer"


def remote(sight: Sight) -> Found:
    """Data and outputs are kept in storage of one's own, that is there."""
    name, section = dvc.default_remote(sight.root)
    url = str(section.get("url", ""))
    if not name:
        return gap("no DVC remote", MOVE)
    if not url:
        return broken(f"{name}: is the default remote, and has no URL", f"dvc remote modify {name} url URL")
    if is_embedded(sight.root):
        return optional("embedded: built in, for the example's data and the outputs of small models", MOVE)
    scheme, found, _ = url.partition("://")
    if found and scheme in PLUGINS:
        plugin = re.split(r"[^\w-]", PLUGINS[scheme])[0]
        if importlib.util.find_spec(plugin.replace("-", "_")) is None:
            return broken(
                f"{name}: {shown(url)} needs {plugin}, which is not installed", f"mainline remote {shown(url)}"
            )
    elif not found and not folder_of(sight.root, url).is_dir():
        return broken(f"{name}: there is no folder {url}", f"mount it, or {MOVE}")
    return ok(f"{name}: {shown(url)}")


def objects(sight: Sight) -> Found:
    """The remote holds every object that ``*.dvc`` names, and those of the lock unless it is the built-in one."""
    name, section = dvc.default_remote(sight.root)
    url = str(section.get("url", ""))
    if not url:
        raise NotSeen("not checked: no DVC remote")
    try:
        if is_embedded(sight.root):
            return _embedded(sight.root)
        if "://" in url:
            return _asked(sight, name, url)
        return _folder(sight.root, name, folder_of(sight.root, url))
    except UserError as error:
        return broken(error.problem, error.fix)


def folder_of(root: Path, url: str) -> Path:
    """Return the folder of a remote that is one; a relative path starts at ``.dvc``."""
    return Path(os.path.normpath(root / ".dvc" / url))


def _embedded(root: Path) -> Found:
    faults = embedded_faults(root)
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        return broken(f".dvc/embedded: {', '.join(faults[:3])}{more}", "git checkout -- .dvc/embedded")
    return ok(f"{len(expand(data_outputs(root), root / '.dvc' / 'embedded'))} objects of the data are there, whole")


def _folder(root: Path, name: str, folder: Path) -> Found:
    wanted = expand([*data_outputs(root), *stage_outputs(root)], folder)
    gone = [f"{path} ({oid[:12]})" for oid, path in wanted.items() if not place(folder, oid).is_file()]
    if gone:
        return broken(f"{name} lacks {_some(gone)}", PUSH)
    return ok(f"{len(wanted)} objects are in {name} (`mainline remote --verify` reads them back)")


def _asked(sight: Sight, name: str, url: str) -> Found:
    """Return what DVC says that the remote lacks; it needs the lists of folders, which may be fetched for that."""
    if sight.online is False:
        raise NotSeen(f"{name}: not checked: offline")
    try:
        done = dvc.run(["status", "--cloud", "--json"], sight.root, SECONDS, shown(url))
    except UserError as error:
        return _silent(sight, name, error.problem, error.fix)
    if done.returncode != 0:
        for pattern, problem, fix in dvc.CAUSES:
            if re.search(pattern, done.stderr):
                return _silent(sight, name, problem, fix) if SILENT in problem else broken(f"{name}: {problem}", fix)
        return broken(f"{name}: {dvc.said(done.stderr)}", "mainline remote --verify")
    try:
        states: dict[str, str] = json.loads(done.stdout or "{}")
    except ValueError as error:
        raise NotSeen(f"{name}: DVC's answer cannot be read") from error
    gone = sorted(path for path, state in states.items() if state in ("new", "missing"))
    if gone:
        return broken(f"{name} lacks {_some(gone)}", PUSH)
    return ok(f"all that *.dvc and dvc.lock name is in {name}")


def _silent(sight: Sight, name: str, problem: str, fix: str) -> Found:
    if sight.online:
        return broken(f"{name}: {problem}", fix)
    raise NotSeen(f"{name}: {problem}; whether there is a network is not known")


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


CHECKS = (
    Check("storage", AREA, remote, "room for data that are too large for the repository"),
    Check("objects", AREA, objects, "every runner finds the rows and models that the commits name"),
)
