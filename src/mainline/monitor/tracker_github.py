"""Issues on GitHub. Whoever can open an issue can write our mark: only a bot's or a member's issue is ours."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mainline.github import PAGES, GitHub
from mainline.github_call import Refused
from mainline.monitor.tracker import LABEL, Issue

TRUSTED = ("OWNER", "MEMBER", "COLLABORATOR")
WRITERS = ("admin", "write")


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
        """Return who put the label on last, and when."""
        last: tuple[str, str] | None = None
        for entry in self._pages(f"issues/{number:d}/events?"):
            if (entry.get("label") or {}).get("name") == label:
                by = str((entry.get("actor") or {}).get("login", ""))
                if entry.get("event") == "labeled":
                    last = (by, str(entry.get("created_at", "")))
                elif entry.get("event") == "unlabeled":
                    last = None
        return last

    def _pages(self, path: str) -> Iterator[dict[str, Any]]:
        for page in range(1, PAGES + 1):
            found = self.server.call("GET", f"{path}&per_page=100&page={page}".replace("?&", "?"))
            entries = found if isinstance(found, list) else []
            yield from entries
            if len(entries) < 100:
                return


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
