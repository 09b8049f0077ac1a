"""A packed release: one file, the same each time, and nothing of it is opened before its hash is the ledger's.

The file is a plain tar: an artifact is compressed anyway, and compressed bytes would depend on the version of zlib.
"""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mainline.files import sha256
from mainline.release.store import Release

DIST = Path("dist")
MEMBERS = 100_000
BLOCK = 1024 * 1024
HASH, SIZE = "archive", "archive_bytes"  # in the digests of a release's entry in the ledger
ZIP_MORE = 64 * 1024  # what a ZIP archive of one file is larger than the file, at most, besides a hundredth


class Wrong(Exception):
    """The file is not the packed release; the text says why."""


@dataclass(frozen=True)
class Seal:
    """What the ledger has of a packed release: SHA-256 and bytes of the file."""

    hash: str
    size: int

    @property
    def zipped(self) -> int:
        """The largest ZIP archive that can hold the file."""
        return self.size + self.size // 100 + ZIP_MORE


def seal_of(digests: Mapping[str, str]) -> Seal | None:
    """Return the seal in the ledger, None for a release that was entered without one."""
    size = digests.get(SIZE, "")
    return Seal(digests[HASH], int(size)) if digests.get(HASH) and size.isdigit() and len(size) < 16 else None


def sealed(file: Path) -> dict[str, str]:
    """Return what the ledger shall have of a packed release."""
    return {HASH: sha256(file), SIZE: str(file.stat().st_size)}


def pack(release: Release, folder: Path = DIST) -> Path:
    """Write a release as ``<id>.tar`` into ``folder``: one file to upload and attest, the same each time."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{release.id}.tar"
    with tarfile.open(target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(release.path.rglob("*")):
            if path.is_file() or path.is_symlink():
                info = archive.gettarinfo(path, f"{release.id}/{path.relative_to(release.path).as_posix()}")
                info.mtime, info.uid, info.gid, info.uname, info.gname = 0, 0, 0, "", ""
                info.mode = 0o755 if info.mode & 0o100 else 0o644
                if info.issym():
                    archive.addfile(info)
                    continue
                # A file with two names is written twice, so that each stands for itself.
                info.type, info.linkname, info.size = tarfile.REGTYPE, "", path.stat().st_size
                with path.open("rb") as content:
                    archive.addfile(info, content)
    return target


def take_out(archive: Path, name: str, seal: Seal, target: Path) -> None:
    """Write the one file ``name`` of an artifact, a ZIP archive, to ``target``; never more bytes than the ledger says.

    Raises:
        Wrong: there is no such file in it, or it is not the one that the ledger has.
    """
    try:
        with zipfile.ZipFile(archive) as content:
            if (entries := len(content.infolist())) != 1:
                raise Wrong(f"it holds {entries} files, not {name} alone")
            with content.open(name) as stream, target.open("wb") as out:
                left = seal.size
                while block := stream.read(min(BLOCK, left + 1)):
                    left -= len(block)
                    if left < 0:
                        raise Wrong(f"{name} is larger than the ledger says ({seal.size:,} bytes)")
                    out.write(block)
    except (KeyError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise Wrong(f"it holds no {name} ({error})") from error
    check(target, seal)


def check(file: Path, seal: Seal) -> None:
    """Hold a packed release against the ledger, without opening it.

    Raises:
        Wrong: it is not there, or is another file.
    """
    try:
        size = file.stat().st_size
        found = sha256(file) if size == seal.size else ""
    except OSError as error:
        raise Wrong(f"cannot be read ({error})") from error
    if size != seal.size:
        raise Wrong(f"has {size:,} bytes, the ledger says {seal.size:,}")
    if found != seal.hash:
        raise Wrong(f"has SHA-256 {found[:12]}, the ledger says {seal.hash[:12]}")


def unpack(file: Path, release: str, folder: Path) -> None:
    """Write what a packed release holds into ``folder``; only files and links within its own folder.

    Raises:
        Wrong: something else is in it, or it cannot be read.
    """
    links: dict[Path, str] = {}
    try:
        with tarfile.open(file, mode="r:") as archive:
            for number, member in enumerate(archive):
                path = _inside(member.name, release)
                if number >= MEMBERS:
                    raise Wrong(f"holds more than {MEMBERS:,} files")
                if member.issym():
                    _inside((PurePosixPath(member.name).parent / member.linkname).as_posix(), release)
                    links[folder / path] = member.linkname
                elif member.isreg() and not member.issparse():
                    _write(archive, member, folder / path)
                else:
                    raise Wrong(f"{member.name!r} is neither a file nor a link")
        # Last, so that no file is written through a link.
        for place, target in links.items():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(target)
        home = (folder / release).resolve()
        for place in links:
            if not place.resolve().is_relative_to(home):
                raise Wrong(f"{place.name!r} is a link that leads out of the release")
    except (OSError, EOFError, tarfile.TarError, ValueError) as error:
        raise Wrong(f"cannot be unpacked ({error})") from error


def _inside(name: str, release: str) -> PurePosixPath:
    """Return where a member goes, without steps up.

    Raises:
        Wrong: it would be outside the folder of ``release``.
    """
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            if not parts:
                raise Wrong(f"{name!r} leads out of the release")
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    if name.startswith("/") or "\0" in name or len(parts) < 2 or parts[0] != release:
        raise Wrong(f"{name!r} leads out of the release")
    return PurePosixPath(*parts)


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    """Write one file. No member can be larger than the archive, whose size was checked: tar compresses nothing."""
    content = archive.extractfile(member)
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as out:
        while content is not None and (block := content.read(BLOCK)):
            out.write(block)
    target.chmod(0o755 if member.mode & 0o100 else 0o644)
