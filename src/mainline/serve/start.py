"""``mainline serve``: look before the start, then become BentoML's server."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mainline.config import load_settings
from mainline.errors import UserError
from mainline.files import read_json
from mainline.numerics import pinned
from mainline.paths import EVALUATION, MODEL, PROFILE, SERVING, TRAINING
from mainline.serve.identity import api_key, identity

NEEDED = (MODEL, PROFILE, TRAINING, SERVING, EVALUATION)


@dataclass(frozen=True)
class Start:
    """What replaces this process: command, environment and working directory."""

    command: list[str]
    environment: dict[str, str]
    folder: Path


def prepare(bento: str, host: str, port: int, workers: int, track: str, log: str) -> Start:
    """Return how to start the service of the working tree, or of the built Bento in the folder ``bento``.

    Raises:
        UserError: outputs are absent, or not those that dvc.lock pins; the address cannot be had; a setting is wrong.
    """
    here = Path.cwd()
    root = here if not bento else Path(bento).resolve() / "src"
    if bento and not (root / "service.py").is_file():
        raise UserError(f"{bento}: not a built Bento of this template", "name the folder that holds bento.yaml")
    settings = load_settings(root / "params.yaml")
    check_outputs(root)
    check_address(host, port)
    own = {
        "OTEL_SDK_DISABLED": "true",
        "BENTOML_DO_NOT_TRACK": "True",
        "BENTOML_HOME": os.environ.get("BENTOML_HOME") or str(here / ".mainline" / "bentoml"),
        "MAINLINE_WORKERS": str(workers),
        # A release never changes: compiled Python must not be put into its folder. A place that was named is kept: what
        # several clones share is compiled once (9 s of CPU to the first start, 4 s from then on).
        **({"PYTHONPYCACHEPREFIX": _pycache(here)} if bento else {}),
        "MAINLINE_RELEASE": os.environ.get("MAINLINE_RELEASE") or _release(bento),
        "MAINLINE_TRACK": track or os.environ.get("MAINLINE_TRACK") or "stable",
        "MAINLINE_LOG": _absolute(log or os.environ.get("MAINLINE_LOG") or settings.serve.log.folder, here),
        "MAINLINE_LOG_SPOOL": _absolute(settings.serve.log.folder, here),
    }
    environment = pinned(os.environ) | own
    identity(environment)
    api_key(settings.serve.api_key_env, environment)
    options = {
        "--host": host,
        "--port": str(port),
        "--working-dir": str(root),
        "--timeout-graceful-shutdown": str(settings.serve.drain_seconds),
        "--timeout-keep-alive": "75",
    }
    command = [sys.executable, "-m", "bentoml", "serve", "service:service"]
    return Start([*command, *(part for pair in options.items() for part in pair)], environment, root)


def become(start: Start) -> None:
    """Replace this process by the service: signals reach BentoML's supervisor directly. Does not return."""
    from mainline.serve.metrics import clean_folders

    clean_folders(os.getpid())
    os.chdir(start.folder)
    sys.stdout.flush()
    os.execve(start.command[0], start.command, start.environment)


def check_outputs(root: Path) -> None:
    """Hold what the service reads against the hashes that dvc.lock pins.

    Raises:
        UserError: an output is absent, or is not the pinned one; the message names it and both hashes.
    """
    missing = [str(path) for path in NEEDED if not (root / path).exists()]
    if missing:
        raise UserError(f"{', '.join(missing)}: not there, so there is nothing to serve", "run `dvc repro` first")
    lock = root / "dvc.lock"
    if not lock.is_file():
        raise UserError(f"{lock}: not there", "run `dvc repro` first")
    pinned = pins(yaml.safe_load(lock.read_text(encoding="utf-8")) or {})
    for path in NEEDED:
        expected, found = pinned.get(path.as_posix()), digest(root / path)
        if expected is None:
            raise UserError(f"dvc.lock: pins no {path}", "run `dvc repro` first")
        if found != expected:
            raise UserError(
                f"{path}: damaged or changed: its hash is {found[:12]}, and dvc.lock pins {expected[:12]}",
                "run `dvc checkout --force`, or `dvc repro` if you changed code or params",
            )


def pins(lock: Mapping[str, Any]) -> dict[str, str]:
    """Return the MD5 of every output that a parsed dvc.lock names."""
    stages = (lock.get("stages") or {}).values()
    return {str(out["path"]): str(out["md5"]) for stage in stages for out in stage.get("outs") or () if "md5" in out}


def digest(path: Path) -> str:
    """Return the MD5 of a file as DVC has it; of a folder, the MD5 of DVC's listing, with ``.dir``."""
    if path.is_file():
        return _md5(path.read_bytes())
    files = sorted(item for item in path.rglob("*") if item.is_file())
    listing = [{"md5": _md5(item.read_bytes()), "relpath": item.relative_to(path).as_posix()} for item in files]
    listing.sort(key=lambda entry: entry["relpath"])
    return _md5(json.dumps(listing, sort_keys=True).encode()) + ".dir"


def check_address(host: str, port: int) -> None:
    """Find out whether the address can be had.

    Raises:
        UserError: the host is no address of this machine, or the port is taken.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen()
        except (OSError, OverflowError) as error:
            raise UserError(
                f"{host}:{port}: cannot be had ({getattr(error, 'strerror', None) or error})",
                "end what listens there, or name another with --port (or --host)",
            ) from error


def _pycache(here: Path) -> str:
    return os.environ.get("PYTHONPYCACHEPREFIX") or str(here / ".mainline" / "pycache")


def _release(bento: str) -> str:
    """Return the id of the release that the Bento is part of, if it is part of one."""
    manifest = Path(bento).resolve().parent / "release.json"
    return str(read_json(manifest).get("id") or "unreleased") if bento and manifest.is_file() else "unreleased"


def _absolute(place: str, here: Path) -> str:
    return place if "://" in place else str(here / place)


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
