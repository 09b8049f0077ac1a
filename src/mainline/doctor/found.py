"""What a check found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from mainline.doctor.sight import Sight

Status = Literal["ok", "gap", "broken", "unknown"]


@dataclass(frozen=True)
class Found:
    """What one look gave; ``fix`` is the command (or the place in GitHub's settings) that mends it."""

    status: Status
    text: str
    fix: str = ""


@dataclass(frozen=True)
class Finding:
    """A :class:`Found` under the name and area of its check, with no secret in it."""

    check: str
    area: str
    status: Status
    text: str
    fix: str


@dataclass(frozen=True)
class Check:
    """A question with a name of its own."""

    name: str
    area: str
    look: Callable[[Sight], Found]


class NotSeen(Exception):
    """It could not be looked at, and why; the status is "unknown"."""


def ok(text: str) -> Found:
    """Return that all is well."""
    return Found("ok", text)


def gap(text: str, fix: str) -> Found:
    """Return that something is not there, or waits for a person."""
    return Found("gap", text, fix)


def broken(text: str, fix: str) -> Found:
    """Return that something is configured and does not work."""
    return Found("broken", text, fix)
