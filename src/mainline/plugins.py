"""The DVC plugin that a storage needs: as a dependency, in the lock, in the environment."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from mainline import child
from mainline.errors import UserError
from mainline.files import write_atomic

PLUGINS = {"s3": "dvc-s3>=3.2", "gs": "dvc-gs>=3.0", "azure": "dvc-azure>=3.1", "ssh": "dvc-ssh>=4.1"}


def ensure_plugin(root: Path, scheme: str, seconds: float = 1800) -> list[str]:
    """Make the plugin for ``scheme`` a dependency, lock it, install it; return what had to be done, as sentences.

    Nothing is downloaded when it is locked and importable already.

    Raises:
        UserError: pyproject.toml cannot be extended by itself, or locking or installing failed; both files may be
            changed by then, and the caller puts them back.
    """
    requirement = PLUGINS[scheme]
    name = _name(requirement)
    steps = []
    pyproject = root / "pyproject.toml"
    text = pyproject.read_text(encoding="utf-8")
    extended = add_dependency(text, requirement)
    if extended != text:
        write_atomic(pyproject, extended)
        steps.append(f"pyproject.toml: added {requirement} to the dependencies")
    lock = (root / "requirements.lock").read_text(encoding="utf-8")
    locked = re.search(rf"^{re.escape(name)}==", lock, re.MULTILINE)
    if not locked:
        _script(root, "lock.py", seconds)
        steps.append(f"requirements.lock: resolved with {name}")
    if not locked or importlib.util.find_spec(name.replace("-", "_")) is None:
        _script(root, "bootstrap.py", seconds)
        steps.append(f".venv: installed {name}")
    return steps


def add_dependency(text: str, requirement: str) -> str:
    """Return the text of a pyproject.toml with ``requirement`` in ``[project].dependencies``; as it was if it is there.

    Raises:
        UserError: the list is not written in a form that can be extended safely.
    """
    before = tomllib.loads(text)["project"].get("dependencies", [])
    if _name(requirement) in map(_name, before):
        return text
    place = re.search(r"^dependencies\s*=\s*\[(?:\n(\s+))?", text, re.MULTILINE)
    if place:
        entry = f'"{requirement}",\n{place[1]}' if place[1] else f'"{requirement}", '
        extended = text[: place.end()] + entry + text[place.end() :]
        if sorted(tomllib.loads(extended)["project"]["dependencies"]) == sorted([*before, requirement]):
            return extended
    raise UserError(
        f"pyproject.toml: no list [project].dependencies that {requirement} could be added to",
        f'add "{requirement}" to the dependencies yourself, then run the same command again',
    )


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def _script(root: Path, name: str, seconds: float) -> None:
    command = [sys.executable, str(root / "scripts" / name)]
    try:
        done = child.run(command, root, seconds=seconds)
    except subprocess.TimeoutExpired as error:
        raise UserError(f"scripts/{name}: no end after {seconds:.0f} seconds", "check the network") from error
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1].removeprefix("mainline: ")
        problem, _, fix = last.partition("; fix: ")
        raise UserError(problem, fix or f"run `python scripts/{name}` to see more")
