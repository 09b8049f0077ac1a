"""Reading an artifact that a run of somebody's code has uploaded: all of it is a claim, and may be made to do harm."""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mainline.errors import UserError

LARGEST = 64 * 1024 * 1024  # bytes of the archive
MEMBERS = 200
DIRECTORY = 64 * 1024  # bytes of the archive's list of members
END = struct.Struct("<4s4H2LH")
FIX = "nothing was posted; the run's own page has its report"


class Unfit(UserError):
    """An artifact that our workflow would not make."""


def unpack(file: Path, wanted: Mapping[str, int]) -> dict[str, bytes]:
    """Return the members of a ZIP archive that are ``wanted``, by name; other members are never opened.

    ``wanted`` has the most bytes that a member may unpack to.

    Raises:
        Unfit: the archive is damaged, or a bound is exceeded.
    """
    bounded(file)
    found: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                if member.filename not in wanted:
                    continue
                if member.filename in found:
                    raise Unfit(f"artifact: {member.filename} is in it twice", FIX)
                found[member.filename] = _read(archive, member, wanted[member.filename])
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise Unfit(f"artifact: is not a whole ZIP archive ({type(error).__name__})", FIX) from error
    return found


def text(found: Mapping[str, bytes], name: str) -> str | None:
    """Return a member as text, None if it is not there.

    Raises:
        Unfit: it is not UTF-8, or holds control characters.
    """
    if name not in found:
        return None
    try:
        decoded = found[name].decode("utf-8")
    except UnicodeDecodeError as error:
        raise Unfit(f"artifact: {name} is not UTF-8", FIX) from error
    if not all(letter.isprintable() or letter in "\n\t\r\u200b" for letter in decoded):
        raise Unfit(f"artifact: {name} holds control characters", FIX)
    return decoded


def document(found: Mapping[str, bytes], name: str) -> dict[str, Any] | None:
    """Return a member as a JSON object, None if it is not there.

    Raises:
        Unfit: it is not a JSON object.
    """
    if name not in found:
        return None
    try:
        parsed = json.loads(found[name])
    except (ValueError, RecursionError) as error:
        raise Unfit(f"artifact: {name} is not JSON", FIX) from error
    if not isinstance(parsed, dict):
        raise Unfit(f"artifact: {name} is not an object", FIX)
    return parsed


def bounded(file: Path, largest: int = LARGEST, most: int = MEMBERS, directory: int = DIRECTORY) -> None:
    """Check size and number of members before anything reads the list of members, which alone could fill memory.

    Raises:
        Unfit: the archive has more than ``largest`` bytes, ``most`` members or ``directory`` bytes of their list.
    """
    size = file.stat().st_size
    if size > largest:
        raise Unfit(f"artifact: is larger than {largest:,} bytes", FIX)
    with file.open("rb") as stream:
        stream.seek(max(0, size - END.size - 20))
        tail = stream.read()
    if len(tail) < END.size:
        raise Unfit("artifact: is not a ZIP archive", FIX)
    mark, _, _, _, members, listed, _, comment = END.unpack(tail[-END.size :])
    # A comment or a 64-bit record would let the archive be read in two ways; GitHub writes neither.
    if mark != b"PK\x05\x06" or comment or tail.startswith(b"PK\x06\x07"):
        raise Unfit("artifact: is not a plain ZIP archive", FIX)
    if members > most or listed > directory:
        raise Unfit(f"artifact: has more than {most} members", FIX)


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo, most: int) -> bytes:
    if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Unfit(f"artifact: {member.filename} is encrypted or packed in an unknown way", FIX)
    with archive.open(member) as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise Unfit(f"artifact: {member.filename} is larger than {most:,} bytes", FIX)
    return content
