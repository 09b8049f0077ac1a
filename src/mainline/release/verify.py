"""``mainline release verify``: hash everything again and name the first file that is not what it was."""

from __future__ import annotations

import json
from pathlib import Path

from mainline.files import sha256
from mainline.release.identity import PARTS, listing, release_id
from mainline.release.store import MANIFEST, STORE


def faults(release: str, store: Path = STORE, manifest: str | None = None) -> list[str]:
    """Return what is wrong with a release, as sentences that name the file; empty when every byte is as it was built.

    ``manifest`` is the SHA-256 of release.json that the ledger holds. Without it, only what contradicts itself is seen:
    whoever changes a file and its hash in release.json remains unnoticed.
    """
    folder = store / release
    file = folder / MANIFEST
    if not file.is_file():
        return [f"{file}: not there"]
    if manifest is not None and (found := sha256(file)) != manifest:
        return [f"{file}: the ledger has SHA-256 {manifest[:12]}, on disk is {found[:12]}"]
    text = file.read_bytes()
    try:
        content = json.loads(text)
        listed: dict[str, str] = dict(content["files"])
        parts = {name: str(content["digests"][name]) for name in PARTS}
        named, project = str(content["id"]), str(content["project"])
    except (ValueError, KeyError, TypeError) as error:
        return [f"{file}: is no manifest ({type(error).__name__}: {error})"]
    if json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n" != text:
        return [f"{file}: its text is not as it was written"]
    if named != release or release_id(project, parts) != release:
        return [f"{file}: its digests do not give the id {release}"]
    have = listing(folder)
    have.pop(MANIFEST)
    changed = [
        f"{folder / path}: the manifest has SHA-256 {want[:12]}, on disk is {have.get(path, 'nothing')[:12]}"
        for path, want in sorted(listed.items())
        if have.get(path) != want
    ]
    return changed + _added(folder, sorted(set(have) - set(listed)))


def _added(folder: Path, paths: list[str]) -> list[str]:
    """Return a sentence for each file that was put in; for compiled Python, which Python leaves itself, one for all."""
    compiled = [path for path in paths if "/__pycache__/" in path]
    found = [f"{folder / path}: is not in the manifest" for path in paths if path not in compiled]
    if compiled:
        found.append(
            f"{folder / compiled[0]}: compiled Python that is not in the manifest, {len(compiled)} files; delete the "
            "folders __pycache__, and start the service with `mainline serve --bento`, which leaves none"
        )
    return found
