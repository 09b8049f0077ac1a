"""One build a release: made here once, or taken from where it was made before."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from mainline.ci.release_archive import DIST, Seal, Wrong, check, pack, seal_of, sealed, take_out
from mainline.ci.release_archive import unpack as unpack_into
from mainline.ci.release_verdict import merged_verdict
from mainline.compare.scoring import environment
from mainline.config import load_settings
from mainline.console import say, warn
from mainline.errors import UserError
from mainline.github import GitHub
from mainline.release.build import build
from mainline.release.ledger import Deploy
from mainline.release.restore import outputs, restore
from mainline.release.store import STORE, Release, find, place
from mainline.release.verify import faults

WORKFLOW = ".github/workflows/release.yml"
SECONDS = 3600.0


def make(deploy: Deploy, server: GitHub, root: Path = Path(), waived: str = "") -> Release:
    """Return the release of this commit, built of the outputs that its lock pins and entered into the ledger.

    Where they are in no cache or remote they are made again; other bytes are released if the model gives the same
    scores, and the manifest and the ledger say so.

    Its verdict is that of the merged pull request; ``waived`` says why it may go without one. Only the entry is written
    by a process that holds a key; the project's code runs without one.

    Raises:
        UserError: the commit may not become a release, its outputs cannot be had, or it has no verdict and needs one.
    """
    outputs(root, other_bytes=True)
    command = [sys.executable, "-m", "mainline.cli", "release", "build", "--no-ledger"]
    sys.stdout.flush()
    done = subprocess.run(
        command, cwd=root, env=environment(root), stdin=subprocess.DEVNULL, timeout=SECONDS, check=False
    )
    if done.returncode != 0:
        raise UserError("the release was not built", "the lines above say what stopped it")

    def ask(commit: str) -> dict[str, Any]:
        found = merged_verdict(commit, server, root, waived)
        needed = load_settings(root / "params.yaml").release.require_verdict and not waived
        if needed and found["verdict"] != "promote":
            raise UserError(
                f"{commit[:12]} has no verdict that says promote: {found['reason']}",
                "start the workflow `release` by hand with `without_verdict`",
            )
        return found

    return build(root, root / STORE, deploy, ask).release


def fetch(release: str, deploy: Deploy, server: GitHub | None, root: Path = Path()) -> Release:
    """Return a release of the ledger, whole: from the store, from an earlier run's artifact, or built again.

    An artifact counts only if a run of the workflow `release` on the default branch has uploaded it, and only if it is,
    byte for byte, the file whose hash the ledger has; it is not opened before. A release that was entered without such
    a hash is built again.

    Raises:
        UserError: the ledger does not know it, or none of the three ways leads to it.
    """
    digests, store = deploy.entry(release).digests, root / STORE
    pinned, seal = digests.get("manifest"), seal_of(digests)
    if not faults(release, store, pinned):
        return find(release, store)
    try:
        for artifact in server.artifacts(artifact_name(release), WORKFLOW) if server and pinned and seal else []:
            with tempfile.TemporaryDirectory(prefix="mainline-artifact-") as work:
                if _take(artifact, server, release, Path(work), (seal, pinned, store)):  # type: ignore[arg-type]
                    say(f"release {release}: taken from artifact {artifact}, and as the ledger has it", "pass")
                    return find(release, store)
    except UserError as error:
        warn(f"release {release}: no artifact: {error}")
    asked = "no earlier run has it any more" if server else "no earlier run was asked (no token)"
    if seal is None:
        asked = "the ledger has no hash of its packed file, so no artifact is opened"
    say(f"release {release}: {asked}; it is built again from its commit")
    return restore(release, deploy, root, store)


def artifact_name(release: str) -> str:
    """Return the name of the artifact that holds a packed release."""
    return f"release-{release}"


def enter_seal(release: Release, deploy: Deploy, root: Path = Path()) -> Path:
    """Pack a release, and enter hash and size of the file into the ledger unless they are there; return the file.

    Raises:
        UserError: the ledger cannot be changed.
    """
    file = pack(release, root / DIST)
    entry, fresh = deploy.entry(release.id), sealed(file)
    if not fresh.items() <= entry.digests.items():
        made = replace(entry, digests={**entry.digests, **fresh})
        deploy.commit(f"Pack {release.id}\n\n{file.name}", expect=deploy.head(), entries=[made])
    return file


def unpack(file: Path, release: str, deploy: Deploy, root: Path = Path()) -> Release:
    """Put a packed release into the store.

    Raises:
        UserError: the file is absent, or is not what the ledger has under this id.
    """
    digests = deploy.entry(release).digests
    known = seal_of(digests)
    try:
        if known is None:
            raise Wrong("the ledger has no hash of the packed file")
        check(file, known)
        _into_store(file, release, digests.get("manifest") or "", root / STORE)
    except Wrong as error:
        raise UserError(f"{file}: {error}", "start the workflow again: the release is built anew or fetched") from error
    return find(release, root / STORE)


def _take(artifact: int, server: GitHub, release: str, work: Path, wanted: tuple[Seal, str, Path]) -> bool:
    """Return whether an artifact held the release, now in the store."""
    known, pinned, store = wanted
    zipped, file = work / "artifact.zip", work / f"{release}.tar"
    try:
        server.download(artifact, zipped, known.zipped)
        take_out(zipped, file.name, known, file)
        _into_store(file, release, pinned, store)
    except (Wrong, UserError) as error:
        why = error.problem if isinstance(error, UserError) else str(error)
        warn(f"artifact {artifact}, named {artifact_name(release)}, is left alone: {why}")
        return False
    return True


def _into_store(file: Path, release: str, pinned: str, store: Path) -> None:
    """Move a packed release, whose hash was checked, into the store.

    Raises:
        Wrong: what is in it is not what the ledger has.
    """
    with tempfile.TemporaryDirectory(prefix="mainline-unpack-") as work:
        unpack_into(file, release, Path(work))
        found = faults(release, Path(work), pinned)
        if found:
            raise Wrong(found[0])
        with place(store, release) as folder:
            shutil.copytree(Path(work, release), folder, dirs_exist_ok=True, symlinks=True)
