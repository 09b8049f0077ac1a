"""The outputs of a pull request's run on their way to storage of one's own.

The run of a pull request's code has no key that writes. It uploads the objects that storage lacks. The job `push` runs
main's code: it takes those that the lock names and whose bytes fit their names, and no others.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from mainline import stored
from mainline.ci import artifact
from mainline.console import say
from mainline.dvc import cache_folder
from mainline.errors import UserError
from mainline.objects import Output, expand, intact, place, stage_outputs
from mainline.remote import is_embedded

FOLDER = Path(".mainline", "outputs")
NAME = "outputs"
OID = re.compile(r"[0-9a-f]{32}(\.dir)?")
MEMBER = re.compile(r"files/md5/([0-9a-f]{2})/([0-9a-f]{30}(?:\.dir)?)")
MEMBERS = 50_000
ZIPPED = 2 * 1024**3
BYTES = 4 * 1024**3
LISTING = 16 * 1024 * 1024  # bytes of the list of a folder
BLOCK = 1024 * 1024
BY_HAND = "`dvc push` on the machine that has them, then run the job again"


def pack(root: Path = Path()) -> int:
    """Put the outputs that storage of one's own lacks into ``.mainline/outputs``; return the number of objects.

    Raises:
        UserError: storage cannot be asked, an output is not in the cache, or they are too large for an artifact.
    """
    shutil.rmtree(root / FOLDER, ignore_errors=True)
    if is_embedded(root):
        say("no storage of your own: the outputs travel with the repository")
        return 0
    remote, cache, outputs = stored.default_remote(root), cache_folder(root), stage_outputs(root)
    wanted = behind(stored.lacking(remote, outputs, cache, root), outputs, cache)
    absent = [f"{path} ({oid})" for oid, path in wanted.items() if not intact(cache, oid)]
    if absent:
        raise UserError(f"not in the cache: {', '.join(absent[:3])}", "run the job again")
    size = sum(place(cache, oid).stat().st_size for oid in wanted)
    _bounded(len(wanted), size)
    for oid in wanted:
        target = place(root / FOLDER, oid)
        target.parent.mkdir(parents=True, exist_ok=True)
        _link(place(cache, oid), target)
    say(f"{len(wanted)} objects ({size:,} bytes) of the outputs are not in storage yet", "pass")
    return len(wanted)


def behind(gone: Mapping[str, str], outputs: Iterable[Output], cache: Path) -> dict[str, str]:
    """Return the objects of all outputs of which one is ``gone``: DVC pushes an output as a whole."""
    return expand([output for output in outputs if expand([output], cache).keys() & gone.keys()], cache)


def take(archive: Path, outputs: Iterable[Output], cache: Path) -> list[Output]:
    """Write the objects of ``outputs`` from an artifact, a ZIP archive, into ``cache``; return the whole outputs.

    Whatever else the archive holds is never opened.

    Raises:
        UserError: the archive is damaged or too large, or the bytes of an object do not fit its name or its size.
    """
    outputs = list(outputs)
    artifact.bounded(archive, ZIPPED, MEMBERS, MEMBERS * 256)
    try:
        with zipfile.ZipFile(archive) as content:
            members: dict[str, zipfile.ZipInfo] = {}
            for member in content.infolist():
                if (found := MEMBER.fullmatch(member.filename)) and members.setdefault(
                    found[1] + found[2], member
                ) is not member:
                    raise _wrong(f"{member.filename} is in it twice")
            left = BYTES
            for oid, most in _sizes(outputs).items():
                if oid in members:
                    left -= _write(content, members[oid], oid, min(most, left), cache)
            # Only now are the lists of folders known to be what the lock names.
            for oid in _inside(outputs, cache):
                if oid in members and not intact(cache, oid):
                    left -= _write(content, members[oid], oid, left, cache)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise _wrong(f"it is not a whole ZIP archive ({type(error).__name__})") from error
    return [output for output in outputs if _whole(output, cache)]


def _sizes(outputs: Iterable[Output]) -> dict[str, int]:
    """Return the most bytes of each object that the lock names itself."""
    found = {}
    for output in outputs:
        size = output.entry.get("size")
        known = size if isinstance(size, int) and size >= 0 else BYTES
        found[output.oid] = LISTING if output.oid.endswith(".dir") else known
    return found


def _inside(outputs: Iterable[Output], cache: Path) -> list[str]:
    found = []
    for output in outputs:
        if output.oid.endswith(".dir") and intact(cache, output.oid):
            try:
                names = [str(item["md5"]) for item in json.loads(place(cache, output.oid).read_bytes())]
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise _wrong(f"{output.oid} is not the list of a folder") from error
            if bad := [name for name in names if not OID.fullmatch(name)]:
                raise _wrong(f"{output.oid} names {bad[0][:80]!r}, which is not the name of an object")
            found += names
    return found


def _whole(output: Output, cache: Path) -> bool:
    return all(intact(cache, oid) for oid in expand([output], cache))


def _write(archive: zipfile.ZipFile, member: zipfile.ZipInfo, oid: str, most: int, cache: Path) -> int:
    """Write one object; return its bytes. It has its name only once its MD5 is that name."""
    target = place(cache, oid)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft, digest, size = target.with_name(target.name + ".part"), hashlib.md5(usedforsecurity=False), 0
    try:
        with archive.open(member) as stream, draft.open("wb") as out:
            while block := stream.read(BLOCK):
                size += len(block)
                if size > most:
                    raise _wrong(f"{oid} is larger than {most:,} bytes", BY_HAND)
                digest.update(block)
                out.write(block)
        if digest.hexdigest() != oid.removesuffix(".dir"):
            raise _wrong(f"{oid} holds bytes with another MD5 ({digest.hexdigest()})")
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return size


def _bounded(count: int, size: int) -> None:
    if count > MEMBERS or size > BYTES:
        raise UserError(
            f"the outputs are {count:,} objects of {size:,} bytes; a run hands on {MEMBERS:,} and {BYTES:,} at most",
            f"commit dvc.lock from a machine with a key that writes, after `dvc push`; or {BY_HAND}",
        )


def _link(origin: Path, target: Path) -> None:
    try:
        os.link(origin, target)
    except OSError:
        shutil.copyfile(origin, target)


def _wrong(problem: str, fix: str = "nothing was pushed; run the workflow `pull request` again") -> UserError:
    return UserError(f"artifact {NAME}: {problem}", fix)
