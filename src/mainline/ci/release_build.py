"""One build a release: made here once, or taken from where it was made before; packed as one file, trusted by hash."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from mainline.ci.release_verdict import merged_verdict
from mainline.compare.scoring import environment
from mainline.console import say, warn
from mainline.errors import UserError
from mainline.github import GitHub
from mainline.release.build import build
from mainline.release.ledger import Deploy
from mainline.release.restore import outputs, restore
from mainline.release.store import STORE, Release, find, place
from mainline.release.verify import faults

DIST = Path("dist")
SECONDS = 3600.0


def make(deploy: Deploy, server: GitHub, root: Path = Path()) -> Release:
    """Return the release of this commit, built of the outputs that its lock pins and entered into the ledger.

    Where they are in no cache or remote they are made again; other bytes are released if the model gives the same
    scores, and the manifest and the ledger say so.

    Its verdict is that of the merged pull request. Only the entry is written by a process that holds a key; the
    project's code runs without one.

    Raises:
        UserError: the commit may not become a release, or its outputs cannot be had.
    """
    outputs(root, other_bytes=True)
    command = [sys.executable, "-m", "mainline.cli", "release", "build", "--no-ledger"]
    sys.stdout.flush()
    done = subprocess.run(
        command, cwd=root, env=environment(root), stdin=subprocess.DEVNULL, timeout=SECONDS, check=False
    )
    if done.returncode != 0:
        raise UserError("the release was not built", "the lines above say what stopped it")
    return build(root, root / STORE, deploy, lambda commit: merged_verdict(commit, server, root)).release


def fetch(release: str, deploy: Deploy, server: GitHub | None, root: Path = Path()) -> Release:
    """Return a release of the ledger, whole: from the store, from an earlier run's artifact, or built again.

    Any run may upload an artifact of any name, so it counts only if it is what the ledger has, byte for byte.

    Raises:
        UserError: the ledger does not know it, or none of the three ways leads to it.
    """
    pinned, store = deploy.entry(release).digests.get("manifest"), root / STORE
    if not faults(release, store, pinned):
        return find(release, store)
    try:
        for artifact in server.artifacts(artifact_name(release)) if server and pinned else []:
            with tempfile.TemporaryDirectory(prefix="mainline-artifact-") as work:
                archive = Path(work, "artifact.zip")
                server.download(artifact, archive)  # type: ignore[union-attr]
                if _take(archive, release, pinned or "", store):
                    say(f"release {release}: taken from artifact {artifact}, and as the ledger has it", "pass")
                    return find(release, store)
    except UserError as error:
        warn(f"release {release}: no artifact: {error}")
    asked = "no earlier run has it any more" if server and pinned else "no earlier run was asked (no token)"
    say(f"release {release}: {asked}; it is built again from its commit")
    return restore(release, deploy, root, store)


def artifact_name(release: str) -> str:
    """Return the name of the artifact that holds a packed release."""
    return f"release-{release}"


def pack(release: Release, folder: Path = DIST) -> Path:
    """Write a release as ``<id>.tar.gz`` into ``folder``: one file to upload and attest, the same each time."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{release.id}.tar.gz"
    with (
        target.open("wb") as raw,
        gzip.GzipFile("", "wb", 6, raw, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in sorted(release.path.rglob("*")):
            if path.is_file() or path.is_symlink():
                info = archive.gettarinfo(path, f"{release.id}/{path.relative_to(release.path).as_posix()}")
                info.mtime, info.uid, info.gid, info.uname, info.gname = 0, 0, 0, "", ""
                with path.open("rb") as content:
                    archive.addfile(info, content if info.isreg() else None)
    return target


def unpack(file: Path, release: str, deploy: Deploy, root: Path = Path()) -> Release:
    """Put a packed release into the store.

    Raises:
        UserError: the file is absent, or is not what the ledger has under this id.
    """
    pinned = deploy.entry(release).digests.get("manifest") or ""
    wrong = _wrong(file, release, pinned, root / STORE)
    if wrong:
        raise UserError(f"{file}: {wrong}", "start the workflow again: the release is built anew or fetched")
    return find(release, root / STORE)


def _take(archive: Path, release: str, pinned: str, store: Path) -> bool:
    """Return whether the ZIP archive of an artifact held the release, now in the store."""
    try:
        with zipfile.ZipFile(archive) as content, tempfile.TemporaryDirectory(prefix="mainline-artifact-") as work:
            wrong = _wrong(Path(content.extract(f"{release}.tar.gz", work)), release, pinned, store)
    except (KeyError, zipfile.BadZipFile, OSError) as error:
        wrong = f"holds no {release}.tar.gz ({error})"
    if wrong:
        warn(f"an artifact named {artifact_name(release)} is left alone: {wrong}")
    return not wrong


def _wrong(file: Path, release: str, pinned: str, store: Path) -> str:
    """Move a packed release into the store and return an empty text, or return why it was not moved."""
    with tempfile.TemporaryDirectory(prefix="mainline-unpack-") as work:
        try:
            with tarfile.open(file) as archive:
                archive.extractall(work, filter="data")
        except (OSError, EOFError, tarfile.TarError) as error:
            return f"cannot be unpacked ({error})"
        found = faults(release, Path(work), pinned)
        if found:
            return found[0]
        with place(store, release) as folder:
            shutil.copytree(Path(work, release), folder, dirs_exist_ok=True, symlinks=True)
    return ""
