"""A container image of a release, by whichever engine there is."""

from __future__ import annotations

import subprocess
from pathlib import Path

from mainline import console
from mainline.errors import UserError
from mainline.release.bento import container_command
from mainline.release.store import STORE, find
from mainline.release.verify import faults


def container(release: str, store: Path = STORE, tag: str = "") -> str:
    """Build the image of a release that is whole; return its name.

    Raises:
        UserError: the release is absent or damaged, there is no engine, or the engine failed.
    """
    found = find(release, store)
    wrong = faults(release, store)
    if wrong:
        raise UserError(wrong[0], f"`mainline release restore {release}`")
    name = tag or str(found.manifest["bento"])
    command = container_command(found.bento, name)
    if subprocess.run(command, check=False).returncode != 0:
        raise UserError(f"{Path(command[0]).name} build failed", "its own words stand above")
    console.say(f"image {name}", "pass")
    return name
