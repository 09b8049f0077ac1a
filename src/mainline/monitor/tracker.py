"""Where alarms are told: issues, on GitHub or as files in a folder. Both keep the same promises."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

LABEL = "monitoring"  # every issue of ours has it
FOLDER = ".mainline/issues"


@dataclass(frozen=True)
class Issue:
    """One issue; ``closed_at`` and ``updated_at`` are ISO times in UTC, empty when unknown or never."""

    number: int
    title: str
    body: str
    labels: tuple[str, ...]
    open: bool
    url: str = ""
    closed_at: str = ""
    updated_at: str = ""


class Tracker(Protocol):
    """What the lifecycle of an issue needs."""

    def find(self, mark: str) -> Issue | None:
        """Return the newest issue of ours, open or closed, whose body begins with ``mark``."""

    def all(self) -> list[Issue]:
        """Return every issue of ours, open and closed, newest first."""

    def create(self, title: str, body: str, labels: tuple[str, ...]) -> Issue:
        """Open an issue; the first line of ``body`` is its mark, and looked for before a create is repeated."""

    def update(
        self,
        number: int,
        *,
        title: str | None = None,
        body: str | None = None,
        open: bool | None = None,  # noqa: A002
        labels: tuple[str, ...] | None = None,
    ) -> Issue:
        """Change what is given, all at once; ``labels`` replaces the whole set."""

    def comment(self, number: int, body: str) -> None:
        """Add a comment, unless one with the same text is there already."""

    def may_write(self, user: str) -> bool:
        """Return whether a person may write to the repository; files know no persons, so always True there."""

    def labelled_by(self, number: int, label: str) -> tuple[str, str] | None:
        """Return who put ``label`` on last and when (ISO, UTC); None when it is not on."""


def open_tracker(place: str = "", environment: Mapping[str, str] = os.environ) -> Tracker:
    """Return the tracker in the folder ``place``.

    Empty: the repository that GITHUB_REPOSITORY names; without that variable, the folder ``.mainline/issues``.

    Raises:
        UserError: GitHub is meant, and its token is missing.
    """
    from mainline.monitor.tracker_github import GitHubTracker
    from mainline.monitor.tracker_local import LocalTracker

    if not place and environment.get("GITHUB_REPOSITORY"):
        from mainline.github import connect

        return GitHubTracker(connect(environment))
    return LocalTracker(Path(place or FOLDER))
