"""The remote inside the repository: the example's data, and the outputs of the model that ``dvc.lock`` names.

So every clone, runner and fork has the model's bytes by their hash. The outputs are kept while the lock names them and
up to a bound in size; then they leave the work tree, and git's history has them. See docs/decisions/0027.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mainline import child
from mainline.dvc import cache_folder
from mainline.objects import (
    EMBEDDED,
    KEPT_BYTES,
    bring,
    data_outputs,
    expand,
    intact,
    kept_outputs,
    model_outputs,
    place,
)
from mainline.paths import CHECK, KEPT
from mainline.remote import is_embedded

SECONDS = 60.0


@dataclass(frozen=True)
class Kept:
    """What :func:`keep` did: ids of objects. ``large`` is the size of the outputs if they are too large to be kept."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    large: int | None

    def words(self) -> str:
        """Return it as a sentence for the user, empty when nothing was done."""
        if not self.added and not self.removed:
            return ""
        done = f"{len(self.added)} objects added, {len(self.removed)} removed"
        return f"{EMBEDDED.as_posix()} keeps the outputs that dvc.lock names ({done}): commit it with dvc.lock"

    def warning(self) -> str:
        """Return why the model itself is not kept, empty when it is."""
        if self.large is None:
            return ""
        return (
            f"the outputs of the model are {self.large / 1e6:,.1f} MB, and the repository keeps {KEPT_BYTES / 1e6:.0f} "
            f"MB at most: only {CHECK} is kept; `make remote URL=…` keeps the model in storage of your own"
        )


def keep(root: Path = Path(), cache: Path | None = None) -> Kept:
    """Put the outputs that ``dvc.lock`` names into the embedded remote, and take those out that it no longer names.

    ``cache`` is DVC's cache, which is asked for when it is not given. Data are left alone, and so is the folder when
    storage of one's own is the default remote. Outputs above the bound are not added.

    Raises:
        UserError: DVC's configuration is broken, or a file cannot be written.
    """
    if not is_embedded(root) or not (root / "dvc.lock").is_file():
        return Kept((), (), None)
    folder, wanted = root / EMBEDDED, kept_outputs(root)
    source = cache or cache_folder(root)
    added = bring(wanted, source, folder)
    removed = []
    for oid in _unnamed(root, source):
        place(folder, oid).unlink()
        if not any(place(folder, oid).parent.iterdir()):
            place(folder, oid).parent.rmdir()
        removed.append(oid)
    every = model_outputs(root)
    large = sum(int(output.entry.get("size", 0)) for output in every) if len(every) > len(wanted) else None
    return Kept(tuple(added), tuple(removed), large)


def embedded_faults(root: Path) -> list[str]:
    """Return what is wrong with the remote that is committed in the repository; empty when all is well.

    It must hold the data that ``*.dvc`` names. It may hold earlier lists of the same files and the outputs that
    ``dvc.lock`` names or named before, which `mainline repro` and the pull request's run bring up to date.
    """
    folder = root / EMBEDDED
    if not folder.is_dir():
        return []
    faults = []
    for oid, path in expand(data_outputs(root), folder).items():
        if not place(folder, oid).is_file():
            faults.append(f"{path} ({oid}) is missing")
        elif not intact(folder, oid):
            faults.append(f"{path} ({oid}) is damaged: its bytes do not fit its name")
    there = [(oid, path) for oid, path in expand(model_outputs(root), folder).items() if place(folder, oid).is_file()]
    faults += [
        f"{path} ({oid}) is damaged: its bytes do not fit its name" for oid, path in there if not intact(folder, oid)
    ]
    size = sum(place(folder, oid).stat().st_size for oid, _ in there)
    if size > 2 * KEPT_BYTES:  # what was there before the outputs grew above the bound is left
        faults.append(f"the outputs of the model in it are {size / 1e6:,.1f} MB, too large for the repository")
    named = _named(root, folder)
    unnamed = [oid for oid in _objects(folder) if oid not in named]
    earlier = _earlier_outputs(root, folder) if unnamed else set()
    for oid in unnamed:
        if oid not in earlier:
            name = place(EMBEDDED, oid).as_posix()
            faults.append(f"{name} is named by no .dvc file, and is not an output that the repository keeps")
    return faults


def lacking(root: Path) -> list[str]:
    """Return the outputs that the embedded remote should keep and lacks, with their ids."""
    folder = root / EMBEDDED
    return [f"{path} ({oid})" for oid, path in expand(kept_outputs(root), folder).items() if not intact(folder, oid)]


def _named(root: Path, *folders: Path) -> Mapping[str, str]:
    """Return the objects that may be in the embedded remote, by id: data, earlier lists of them, kept outputs."""
    data = expand(data_outputs(root), *folders)
    lists = [oid for oid in _objects(root / EMBEDDED) if oid.endswith(".dir") and _is_part(root / EMBEDDED, oid, data)]
    return {**dict.fromkeys(lists, "an earlier list"), **data, **expand(model_outputs(root), *folders)}


def _is_part(folder: Path, oid: str, data: Mapping[str, str]) -> bool:
    return intact(folder, oid) and all(item["md5"] in data for item in json.loads(place(folder, oid).read_bytes()))


def _objects(folder: Path) -> Iterator[str]:
    return (file.parent.name + file.name for file in sorted(folder.rglob("*")) if file.is_file())


def _unnamed(root: Path, cache: Path) -> list[str]:
    """Return the objects that :func:`keep` may take away.

    An object that git knows is taken away if it was an output; other objects that git knows are left to
    :func:`embedded_faults`. Nothing is taken away while a list of data is not at hand: it may name the object.
    """
    folder = root / EMBEDDED
    if any(output.oid.endswith(".dir") and not (intact(folder, output.oid) or intact(cache, output.oid))
           for output in data_outputs(root)):  # fmt: skip
        return []
    named = _named(root, folder, cache)
    unnamed = [oid for oid in _objects(folder) if oid not in named]
    if not unnamed:
        return []
    known = {
        Path(name).parent.name + Path(name).name
        for name in _git(root, "ls-files", "-z", "--", str(EMBEDDED)).split("\0")
    }
    earlier = _earlier_outputs(root, folder)
    return [oid for oid in unnamed if oid not in known or oid in earlier]


def _earlier_outputs(root: Path, folder: Path) -> set[str]:
    """Return the objects of kept outputs that ``dvc.lock`` names or named in any commit before this one."""
    names, path, found = {item.as_posix() for item in KEPT}, "", set()
    options = ("--format=", "--patch", "--unified=5", "--no-ext-diff", "--no-textconv", "--no-color")
    for line in _git(root, "log", *options, "--", "dvc.lock").splitlines():
        key, _, value = line[1:].strip().removeprefix("- ").partition(": ")
        if key == "path":
            path = value
        elif key == "md5" and path in names:
            found.add(value)
    for oid in [item for item in found if item.endswith(".dir") and intact(folder, item)]:
        found |= {item["md5"] for item in json.loads(place(folder, oid).read_bytes())}
    return found


def _git(root: Path, *arguments: str) -> str:
    """Return what git printed, nothing where there is no repository."""
    try:
        done = child.run(["git", "--no-optional-locks", *arguments], root, seconds=SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
