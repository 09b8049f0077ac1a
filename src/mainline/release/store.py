"""The store: one folder a release, complete or not there at all, and found again by its id."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mainline.errors import UserError
from mainline.files import read_json
from mainline.release.state import entry_path

STORE = Path(".mainline", "releases")
MANIFEST = "release.json"
BENTO = "bento"
CARD = "card.md"
CARD_PAGE = "card.html"
SBOM = "sbom.cdx.json"
GOLDEN = "golden.json"
PARTIAL = ".part-"


@dataclass(frozen=True)
class Release:
    """A release in the store; ``manifest`` is the content of its release.json (see docs/release.md)."""

    id: str
    path: Path
    manifest: Mapping[str, Any] = field(repr=False)

    @property
    def bento(self) -> Path:
        """The folder that BentoML serves."""
        return self.path / BENTO

    @property
    def commit(self) -> str:
        """The commit that it was made of."""
        return str(self.manifest["commit"])

    @property
    def digests(self) -> dict[str, str]:
        """What the id was made from."""
        return dict(self.manifest["digests"])

    def golden(self) -> dict[str, Any]:
        """Return the golden rows: requests, expected answers, tolerance."""
        return dict(read_json(self.path / GOLDEN))


def find(release: str, store: Path = STORE) -> Release:
    """Return a release; that its files are whole is for ``verify`` to say.

    Raises:
        UserError: it is not in the store, or its release.json is not its own.
    """
    entry_path(release)
    folder = store / release
    if not (folder / MANIFEST).is_file():
        raise UserError(
            f"release {release}: is not in {store}",
            f"`mainline release restore {release}` builds it again from its commit; "
            "`mainline release list` shows those there are",
        )
    manifest = read_json(folder / MANIFEST)
    if not isinstance(manifest, dict) or manifest.get("id") != release:
        raise UserError(
            f"{folder / MANIFEST}: is not the manifest of {release}", f"`mainline release restore {release}`"
        )
    return Release(release, folder.resolve(), manifest)


def every(store: Path = STORE, warn: Callable[[str], None] = lambda _: None) -> list[Release]:
    """Return all releases in the store, oldest commit first; ``warn`` is told of those that are damaged."""
    found = []
    for path in store.glob(f"*/{MANIFEST}"):
        if not path.parent.name.startswith("."):
            try:
                found.append(find(path.parent.name, store))
            except UserError as error:
                warn(str(error))
    return sorted(found, key=lambda item: (str(item.manifest.get("created")), item.id))


@contextmanager
def place(store: Path, release: str) -> Iterator[Path]:
    """Yield an empty folder to build ``release`` in; it takes the release's place when the block ends without error.

    One build at a time; what a killed one has left is removed.

    Raises:
        UserError: another build is running.
    """
    store.mkdir(parents=True, exist_ok=True)
    with (store / ".lock").open("a") as guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError("another `mainline release build` is running here", "wait until it has ended") from error
        for left in store.glob(f"{PARTIAL}*"):
            shutil.rmtree(left, ignore_errors=True)
        part, final, old = store / f"{PARTIAL}{release}", store / release, store / f"{PARTIAL}old-{release}"
        part.mkdir()
        try:
            yield part
            if final.exists():
                final.rename(old)
            part.rename(final)
        finally:
            shutil.rmtree(part, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)
