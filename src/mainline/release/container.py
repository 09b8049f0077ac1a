"""A container image of a release, by whichever engine there is."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from mainline import console
from mainline.errors import UserError
from mainline.github import KEYS
from mainline.release.bento import container_command
from mainline.release.store import STORE, find
from mainline.release.verify import faults

REGISTRY_KEYS = ("REGISTRY_USER", "REGISTRY_TOKEN")


def without_keys() -> dict[str, str]:
    """Return this process's environment without keys: a build runs what packages bring along."""
    return {key: value for key, value in os.environ.items() if key not in (*KEYS, *REGISTRY_KEYS)}


def container(release: str, store: Path = STORE, tag: str = "") -> tuple[str, str]:
    """Build the image of a release that is whole; return the engine and the image's name.

    Raises:
        UserError: the release is absent or damaged, there is no engine, or the engine failed.
    """
    found = find(release, store)
    wrong = faults(release, store)
    if wrong:
        raise UserError(wrong[0], f"`mainline release restore {release}`")
    name = tag or str(found.manifest["bento"])
    command = container_command(found.bento, name)
    if subprocess.run(command, env=without_keys(), check=False).returncode != 0:
        raise UserError(f"{Path(command[0]).name} build failed", "its own words stand above")
    console.say(f"image {name}", "pass")
    return command[0], name
