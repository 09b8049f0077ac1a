"""Where a model comes from: commit, data, lock file, packages. All is read from disk and git; nothing is sent."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mainline.files import sha256

MODEL_PACKAGES = ("scikit-learn", "numpy", "pandas", "skops", "scipy")


@dataclass(frozen=True)
class Commit:
    """The commit of the work tree; each part is None outside git (``branch`` also on a detached head)."""

    sha: str | None = None
    branch: str | None = None
    dirty: bool | None = None


def commit() -> Commit:
    """Return the commit of the working directory.

    ``dirty`` covers changed and new files, but not ``dvc.lock``: DVC rewrites it while the pipeline runs.
    """
    command = ["git", "--no-optional-locks", "status", "--porcelain=v2", "--branch", "--", ".", ":(exclude)dvc.lock"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return Commit()
    lines = done.stdout.splitlines()
    heads = dict(line.removeprefix("# branch.").split(" ", 1) for line in lines if line.startswith("# branch."))
    sha, branch = heads.get("oid"), heads.get("head")
    return Commit(
        sha=None if sha in (None, "(initial)") else sha,
        branch=None if branch in (None, "(detached)") else branch,
        dirty=any(not line.startswith("#") for line in lines),
    )


def data_hash(batches: Sequence[Mapping[str, Any]]) -> str:
    """Return one SHA-256 over names and hashes of all batches, whatever their order in the report."""
    lines = sorted(f"{item['sha256']}  {item['file']}\n" for item in batches)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def dvc_md5(pointer: Path) -> str | None:
    """Return the MD5 that a ``*.dvc`` file pins, None if there is no such file or it pins none."""
    try:
        outs = (yaml.safe_load(pointer.read_text(encoding="utf-8")) or {}).get("outs") or [{}]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError):
        return None
    found = outs[0].get("md5")
    return None if found is None else str(found)


def lock_hash(path: Path) -> str | None:
    """Return the SHA-256 of the lock file, None without one."""
    return sha256(path) if path.is_file() else None


def environment() -> dict[str, Any]:
    """Return Python, platform and the version of every installed package, in alphabetical order."""
    packages = {item.name: item.version for item in importlib.metadata.distributions() if item.name}
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": {name: packages[name] for name in sorted(packages, key=str.lower)},
    }


def model_requirements() -> list[str]:
    """Return what a machine must install to load the model, pinned to what is installed here."""
    return [f"{name}=={importlib.metadata.version(name)}" for name in MODEL_PACKAGES]
