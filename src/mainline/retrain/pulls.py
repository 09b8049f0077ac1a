"""The pull request of a retraining on GitHub, or its text in a file where there is no GitHub."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainline.files import write_atomic
from mainline.github import GitHub, fit

FOLDER = Path(".mainline", "pull-requests")
WORKFLOW = "pull-request.yml"


@dataclass(frozen=True)
class Pull:
    """A pull request: its number (0: a file), the page or file that shows it, and whether it is open."""

    number: int
    url: str
    open: bool


@dataclass(frozen=True)
class Desk:
    """Where pull requests go: ``server``, or without one the folder ``.mainline/pull-requests`` below ``root``."""

    server: GitHub | None
    root: Path = Path()

    def find(self, branch: str) -> Pull | None:
        """Return the open pull request of ``branch``, else the newest one."""
        if self.server is None:
            file = self._file(branch)
            return Pull(0, str(file), True) if (self.root / file).is_file() else None
        owner = self.server.repository.split("/")[0]
        head = urllib.parse.quote(f"{owner}:{branch}", safe="")
        found = self.server.call("GET", f"pulls?state=all&per_page=100&head={head}")
        ours = [entry for entry in (found if isinstance(found, list) else []) if entry["head"]["ref"] == branch]
        newest = max(ours, key=lambda entry: (entry.get("state") == "open", int(entry["number"])), default=None)
        return _pull(newest) if newest else None

    def show(self, branch: str, title: str, body: str) -> Pull:
        """Open the pull request of ``branch`` into main, or put title and body in the place of what it said."""
        if self.server is None:
            file = self._file(branch)
            write_atomic(self.root / file, f"# {title}\n\n`{branch}` → `main`\n\n{body}")
            return Pull(0, str(file), True)

        def made() -> dict[str, Any] | None:
            there = self.find(branch)
            return {"number": there.number, "html_url": there.url, "state": "open"} if there and there.open else None

        content = {"title": title, "body": fit(body)}
        if (known := self.find(branch)) is not None and known.open:
            return _pull(self.server.call("PATCH", f"pulls/{known.number:d}", content))
        return _pull(
            self.server.call("POST", "pulls", {**content, "head": branch, "base": self.server.default_branch()}, made)
        )

    def judge(self, pull: Pull, branch: str) -> None:
        """Start the workflow that judges pull requests: what a workflow opens has a run that waits for a person."""
        if self.server is not None:
            content = {"ref": branch, "inputs": {"number": str(pull.number)}}
            self.server.call("POST", f"actions/workflows/{WORKFLOW}/dispatches", content)

    def judged(self, commit: str) -> bool:
        """Return whether that workflow has been dispatched for ``commit``.

        GitHub also makes a run for the push itself. It waits for a person's approval, so it judges nothing.
        """
        if self.server is None:
            return True
        asked = f"head_sha={commit}&event=workflow_dispatch&per_page=1"
        found = self.server.call("GET", f"actions/workflows/{WORKFLOW}/runs?{asked}")
        return bool(isinstance(found, dict) and found.get("total_count"))

    def _file(self, branch: str) -> Path:
        return FOLDER / f"{branch.replace('/', '-')}.md"


def _pull(entry: dict[str, Any]) -> Pull:
    return Pull(int(entry["number"]), str(entry.get("html_url") or ""), entry.get("state", "open") == "open")
