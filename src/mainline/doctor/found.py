"""What a check found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from mainline.doctor.sight import Sight

# gap: required and missing. optional: not set up and not required, or it waits for a person and blocks nothing.
Status = Literal["ok", "gap", "broken", "optional", "unknown"]


@dataclass(frozen=True)
class Found:
    """What one look gave; ``fix`` is the command (or the place in GitHub's settings) that closes it."""

    status: Status
    text: str
    fix: str = ""


@dataclass(frozen=True)
class Finding:
    """A :class:`Found` under the name and area of its check, with no secret in it.

    Attributes:
        gives: what the step is good for, in one line.
        step: its place in the first hour, from 1; 0: it has none.
    """

    check: str
    area: str
    status: Status
    text: str
    fix: str
    gives: str = ""
    step: int = 0


@dataclass(frozen=True)
class Check:
    """A question with a name of its own; ``gives`` is what its step is good for, in one line."""

    name: str
    area: str
    look: Callable[[Sight], Found]
    gives: str = ""


class NotSeen(Exception):
    """It could not be looked at, and why; the status is "unknown"."""


class NotInPlan(NotSeen):
    """GitHub says that the plan of the account does not have it for this repository."""


def ok(text: str) -> Found:
    """Return that all is well."""
    return Found("ok", text)


def gap(text: str, fix: str) -> Found:
    """Return that something required is not there."""
    return Found("gap", text, fix)


def optional(text: str, fix: str) -> Found:
    """Return that something is not set up that is not required, or waits for a person and blocks nothing."""
    return Found("optional", text, fix)


def broken(text: str, fix: str) -> Found:
    """Return that something is configured and does not work."""
    return Found("broken", text, fix)
