"""Which release a process serves and which traffic it gets; both come from the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from mainline.errors import UserError

TRACKS = ("stable", "canary", "shadow")
TOKEN = re.compile(r"[A-Za-z0-9._-]{1,128}")


@dataclass(frozen=True)
class Identity:
    """MAINLINE_RELEASE and MAINLINE_TRACK."""

    release: str
    track: str


def identity(environment: Mapping[str, str]) -> Identity:
    """Return release and track.

    Raises:
        UserError: one of them is no plain word.
    """
    release, track = environment.get("MAINLINE_RELEASE") or "unreleased", environment.get("MAINLINE_TRACK") or "stable"
    if not TOKEN.fullmatch(release):
        raise UserError(f"MAINLINE_RELEASE: {release!r} is no release id", "use letters, digits, dots, dashes")
    if track not in TRACKS:
        raise UserError(f"track {track!r}: there is no such", f"one of: {', '.join(TRACKS)}")
    return Identity(release, track)


def api_key(name: str | None, environment: Mapping[str, str]) -> bytes | None:
    """Return the key that requests must carry, None if none is asked for.

    Raises:
        UserError: the environment variable ``name``, which params.yaml names, is not set.
    """
    if name is None:
        return None
    if not environment.get(name):
        raise UserError(
            f"{name}: not set, and params.yaml (serve.api_key_env) says that it holds the API key",
            f"set {name}, or set serve.api_key_env to null",
        )
    return environment[name].encode()
