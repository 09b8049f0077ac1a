"""Whether the actions that the workflows use are the commits that their version comments claim."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mainline.errors import UserError
from mainline.files import write_atomic
from mainline.github import GitHub

USES = re.compile(r"(uses:\s*)([\w.-]+/[\w.-]+)((?:/[\w./-]+)?)@([\w.-]+)(?:(\s+# )(\S+))?")


@dataclass(frozen=True)
class Pin:
    """One ``uses:`` line: where it stands, what it names, and what GitHub says that version is."""

    file: Path
    action: str
    ref: str
    version: str
    commit: str

    @property
    def sound(self) -> bool:
        """Whether the line names the very commit of its version."""
        return self.ref == self.commit


def pins(root: Path, server: Callable[[str], GitHub]) -> Iterator[Pin]:
    """Yield each action that a workflow below ``root`` uses; ``server`` connects to the repository it is given.

    Raises:
        UserError: GitHub does not know the action or the version.
    """
    known: dict[tuple[str, str], str] = {}
    for file in sorted((root / ".github").rglob("*.yml")):
        for _, action, _, ref, _, comment in USES.findall(file.read_text(encoding="utf-8")):
            version = comment or ref
            if (action, version) not in known:
                known[action, version] = server(action).commit(version)
            yield Pin(file, action, ref, version, known[action, version])


def write_pins(found: list[Pin]) -> None:
    """Put the commit, with its version as a comment, in the place of each reference that is not sound."""
    for file in {pin.file for pin in found if not pin.sound}:
        text = file.read_text(encoding="utf-8")
        for pin in found:
            if pin.file == file and not pin.sound:
                old = re.compile(rf"({re.escape(pin.action)}(?:/[\w./-]+)?)@{re.escape(pin.ref)}(?:\s+# \S+)?(?=\s)")
                text = old.sub(rf"\g<1>@{pin.commit} # {pin.version}", text)
        write_atomic(file, text)


def check(root: Path, server: Callable[[str], GitHub], *, write: bool) -> list[str]:
    """Return a sentence for each action that is not pinned to the commit of its version; with ``write``, mend them.

    Raises:
        UserError: as :func:`pins`; or no workflow uses an action, which means that the folder is the wrong one.
    """
    found = list(pins(root, server))
    if not found:
        raise UserError(f"{root / '.github'}: no workflow uses an action", "run it at the top of the repository")
    if write:
        write_pins(found)
    return sorted(
        {f"{pin.action}@{pin.ref}: {pin.version} is {pin.commit}" for pin in found if not pin.sound},
    )
