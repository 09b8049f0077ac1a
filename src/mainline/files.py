"""Writing files so that a half-written one is never taken for a whole one."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mainline.errors import UserError


def write_atomic(path: Path, content: bytes | str) -> Path:
    """Write ``content`` to ``path`` whole or not at all; return ``path``.

    Raises:
        UserError: the disk is full or the folder cannot be written; the old file, if any, is untouched.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    return replace_atomic(path, lambda temporary: temporary.write_bytes(data))


def replace_atomic(path: Path, write: Callable[[Path], object]) -> Path:
    """Let ``write`` fill a temporary file beside ``path``, flush it to disk, then rename it into place.

    Raises:
        UserError: as :func:`write_atomic`.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise UserError(
            f"{path}: could not be written ({error.strerror or error}); nothing was changed",
            "free disk space or check the folder's permissions, then run the same command again",
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    return path


def write_json(path: Path, value: Any) -> Path:
    """Write ``value`` as JSON with sorted keys, so that equal values are equal bytes; NaN is refused."""
    return write_atomic(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Return the parsed content of ``path``.

    Raises:
        UserError: the file is absent or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: not there", "run `dvc repro` (or `dvc pull`) first") from error
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: is not valid JSON ({error})", "run `dvc repro` to make it again") from error


def sha256(path: Path) -> str:
    """Return the hex SHA-256 of the file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
