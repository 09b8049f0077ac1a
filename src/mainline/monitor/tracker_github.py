"""Issues on GitHub. Whoever can open an issue can write our mark: only a bot's or a member's issue is ours."""

from __future__ import annotations

import functools
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from mainline.github import PAGES, GitHub
from mainline.github_call import Refused
from mainline.monitor.tracker import LABEL, Issue

TRUSTED = ("OWNER", "MEMBER", "COLLABORATOR")
WRITERS = ("admin", "write")
FULL = 100  # entries of a page


@dataclass(frozen=True)
class GitHubTracker:
    """The issues of one repository; see :class:`mainline.monitor.tracker.Tracker`."""

    server: GitHub

    def find(self, mark: str) -> Issue | None:
        """Return the newest issue whose body begins with ``mark``."""
        return next((issue for issue in self.all() if issue.body.startswith(mark)), None)

    def all(self) -> list[Issue]:
        """Return every issue of ours, newest first."""
        found = self._pages(f"issues?state=all&labels={LABEL}&sort=created&direction=desc")
        ours = [_issue(entry) for entry in found if "pull_request" not in entry and _trusted(entry)]
        return sorted(ours, key=lambda issue: -issue.number)

    def create(self, title: str, body: str, labels: tuple[str, ...]) -> Issue:
        """Open an issue; a create whose answer was lost is not repeated if the issue is there."""
        mark = body.split("\n", 1)[0]
        before = {issue.number for issue in self.all() if issue.body.startswith(mark)}

        def made() -> Issue | None:
            found = self.find(mark)
            return found if found is not None and found.number not in before else None

        content = {"title": title, "body": body, "labels": list(labels)}
        found = self.server.call("POST", "issues", content, made)
        return found if isinstance(found, Issue) else _issue(found)

    def update(
        self,
        number: int,
        *,
        title: str | None = None,
        body: str | None = None,
        open: bool | None = None,  # noqa: A002
        labels: tuple[str, ...] | None = None,
    ) -> Issue:
        """Change what is given, in one call."""
        state = None if open is None else "open" if open else "closed"
        given = {"title": title, "body": body, "state": state, "labels": None if labels is None else list(labels)}
        content = {name: value for name, value in given.items() if value is not None}
        return _issue(self.server.call("PATCH", f"issues/{number:d}", content))

    def comment(self, number: int, body: str) -> None:
        """Add a comment, unless one with the same text is there."""

        def made() -> dict[str, Any] | None:
            entries = self._pages(f"issues/{number:d}/comments?")
            return next((entry for entry in entries if _plain(entry.get("body")) == _plain(body)), None)

        if made() is None:
            self.server.call("POST", f"issues/{number:d}/comments", {"body": body}, made)

    def may_write(self, user: str) -> bool:
        """Return what the API says of a person's permission; who is unknown has none."""
        if not user:
            return False
        try:
            found = self.server.call("GET", f"collaborators/{urllib.parse.quote(user, safe='')}/permission")
        except Refused as refusal:
            if refusal.code == 404:
                return False
            raise
        return isinstance(found, dict) and found.get("permission") in WRITERS

    def labelled_by(self, number: int, label: str) -> tuple[str, str] | None:
        """Return who put the label on last, and when; None also where that is buried below ``PAGES`` pages of events.

        GitHub gives the oldest events first, so the last pages are looked for and read from their end.
        """
        page = functools.cache(lambda page: self._page(f"issues/{number:d}/events", page))
        last = _last_page(page)
        for place in range(last, max(0, last - PAGES), -1):
            for entry in reversed(page(place)):
                if (entry.get("label") or {}).get("name") == label and entry.get("event") in ("labeled", "unlabeled"):
                    if entry["event"] == "unlabeled":
                        return None
                    return str((entry.get("actor") or {}).get("login", "")), str(entry.get("created_at", ""))
        return None

    def _page(self, path: str, page: int) -> list[dict[str, Any]]:
        found = self.server.call("GET", f"{path}?per_page={FULL}&page={page}")
        return found if isinstance(found, list) else []

    def _pages(self, path: str) -> Iterator[dict[str, Any]]:
        for page in range(1, PAGES + 1):
            found = self.server.call("GET", f"{path}&per_page=100&page={page}".replace("?&", "?"))
            entries = found if isinstance(found, list) else []
            yield from entries
            if len(entries) < 100:
                return


def _last_page(page: Callable[[int], list[dict[str, Any]]]) -> int:
    """Return the number of the last page that holds anything: doubled until past it, then halved down to it."""
    full, empty = 1, 2
    while len(page(full)) == FULL and page(empty):
        full, empty = empty, 2 * empty
    while empty - full > 1:
        middle = (full + empty) // 2
        full, empty = (middle, empty) if page(middle) else (full, middle)
    return full


def _trusted(entry: dict[str, Any]) -> bool:
    return (entry.get("user") or {}).get("type") == "Bot" or entry.get("author_association") in TRUSTED


def _issue(entry: dict[str, Any]) -> Issue:
    names = (label if isinstance(label, str) else label.get("name", "") for label in entry.get("labels") or ())
    return Issue(
        number=int(entry["number"]),
        title=str(entry.get("title") or ""),
        body=str(entry.get("body") or "").replace("\r\n", "\n"),
        labels=tuple(names),
        open=entry.get("state") == "open",
        url=str(entry.get("html_url") or ""),
        closed_at=str(entry.get("closed_at") or ""),
        updated_at=str(entry.get("updated_at") or ""),
    )


def _plain(text: object) -> str:
    return str(text or "").replace("\r\n", "\n").strip()
