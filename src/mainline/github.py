"""The few calls of GitHub's REST interface that we make: statuses, checks, comments, issues, artifacts, rules."""

from __future__ import annotations

import os
import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mainline.errors import UserError
from mainline.github_artifacts import PAGES as PAGES
from mainline.github_artifacts import Artifacts, encrypted
from mainline.github_call import short
from mainline.keys import WRITE

State = Literal["success", "failure", "pending"]
LARGEST_BODY = 65_535
# What only our own calls need: no stage, no service and no model's code is started with these.
KEYS = ("GITHUB_TOKEN", "GH_TOKEN", "REPO_TOKEN", "ACTIONS_RUNTIME_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", *WRITE)
MARK = "<!-- mainline:verdict -->"
# By this CML knows again what it has written, with the title that it is given (`--watermark-title`).
CML_TITLE = "mainline"
CML_MARK = f'"CML watermark {CML_TITLE}")'


@dataclass(frozen=True)
class GitHub(Artifacts):
    """What we ask of a repository."""

    def set_status(self, commit: str, state: State, description: str, url: str = "") -> None:
        """Set the commit status ``mainline/verdict``."""
        body = {"state": state, "context": "mainline/verdict", "description": short(description, 140)}
        self.call("POST", f"statuses/{_sha(commit)}", body | ({"target_url": url} if url else {}))

    def verdict_status(self, commit: str) -> dict[str, Any] | None:
        """Return the newest commit status ``mainline/verdict``, None if there is none."""
        for page in range(1, PAGES + 1):
            found = self.call("GET", f"commits/{_sha(commit)}/statuses?per_page=100&page={page}")
            entries = found if isinstance(found, list) else []
            for entry in entries:  # newest first
                if entry.get("context") == "mainline/verdict":
                    return dict(entry)
            if len(entries) < 100:
                break
        return None

    def add_check(self, commit: str, conclusion: Literal["success", "failure"], title: str, summary: str) -> None:
        """Add a finished check run ``mainline report`` that shows ``summary`` (Markdown)."""
        output = {"title": short(title, 250), "summary": fit(summary)}
        body = {"name": "mainline report", "head_sha": _sha(commit), "status": "completed"}
        self.call("POST", "check-runs", body | {"conclusion": conclusion, "output": output})

    def pull_request(self, number: int) -> dict[str, Any]:
        """Return what GitHub knows of a pull request."""
        found = self.call("GET", f"pulls/{number:d}")
        return found if isinstance(found, dict) else {}

    def pulls(self, owner: str, branch: str) -> list[dict[str, Any]]:
        """Return the open pull requests of a branch that ``owner`` has, here or in a fork."""
        head = urllib.parse.quote(f"{owner}:{branch}", safe="")
        found = self.call("GET", f"pulls?state=open&per_page=100&head={head}")
        return [dict(entry) for entry in found] if isinstance(found, list) else []

    def commit(self, reference: str) -> str:
        """Return the full hash of the commit that a branch or a tag stands for."""
        found = self.call("GET", f"commits/{urllib.parse.quote(reference, safe='')}")
        return _sha(str(found.get("sha", "")) if isinstance(found, dict) else "")

    def our_comments(self, number: int) -> list[dict[str, Any]]:
        """Return the comments on a pull request that show our report, oldest first."""
        ours = []
        for page in range(1, PAGES + 1):
            found = self.call("GET", f"issues/{number:d}/comments?per_page=100&page={page}")
            entries = found if isinstance(found, list) else []
            for entry in entries:
                # Anyone can write the mark; only a bot's comment can be ours.
                bot = (entry.get("user") or {}).get("type") == "Bot"
                body = str(entry.get("body", ""))
                if bot and (body.startswith(MARK) or CML_MARK in body):
                    ours.append(entry)
            if len(entries) < 100:
                break
        return ours

    def comment(self, number: int, body: str) -> None:
        """Write our one comment on a pull request, or put ``body`` in its place; a second one is deleted."""
        body = body if body.startswith(MARK) else f"{MARK}\n{body}"
        ours = self.our_comments(number)
        if not ours:
            self.call("POST", f"issues/{number:d}/comments", {"body": fit(body)})
            return
        self.call("PATCH", f"issues/comments/{int(ours[-1]['id'])}", {"body": fit(body)})
        for entry in ours[:-1]:
            self.call("DELETE", f"issues/comments/{int(entry['id'])}")

    def issue(self, mark: str, title: str, body: str, label: str) -> int:
        """Open the one issue whose body begins with ``mark``, or renew the open one; return its number."""
        content = {"title": short(title, 250), "body": fit(f"{mark}\n{body}")}
        number = self.open_issue(mark, label)
        if number is None:
            return int(self.call("POST", "issues", content | {"labels": [label]})["number"])
        self.call("PATCH", f"issues/{number:d}", content)
        return number

    def open_issue(self, mark: str, label: str) -> int | None:
        """Return the number of the open issue of ours whose body begins with ``mark``, None if there is none."""
        for page in range(1, PAGES + 1):
            found = self.call("GET", f"issues?state=open&labels={label}&per_page=100&page={page}")
            entries = found if isinstance(found, list) else []
            for entry in entries:
                # As with comments: a person who wrote the mark keeps what is theirs.
                ours = (entry.get("user") or {}).get("type") == "Bot"
                if ours and str(entry.get("body") or "").startswith(mark):
                    return int(entry["number"])
            if len(entries) < 100:
                break
        return None

    def close_issue(self, number: int, why: str) -> None:
        """Close an issue as done, with ``why`` as its last comment."""
        self.call("POST", f"issues/{number:d}/comments", {"body": fit(why)})
        self.call("PATCH", f"issues/{number:d}", {"state": "closed", "state_reason": "completed"})

    def approvals(self, run: int, environment: str) -> list[dict[str, str]]:
        """Return who reviewed this run's deployment to ``environment``: ``user``, ``state``, ``comment``."""
        found = self.call("GET", f"actions/runs/{run:d}/approvals")
        return [
            {
                "user": str((entry.get("user") or {}).get("login", "")),
                "state": str(entry.get("state", "")),
                "comment": str(entry.get("comment") or "")[:500],
            }
            for entry in (found if isinstance(found, list) else [])
            if environment in {str(item.get("name")) for item in entry.get("environments") or ()}
        ]

    def pulls_of(self, commit: str) -> list[dict[str, Any]]:
        """Return the pull requests that brought a commit, as GitHub knows them: also after a rebase merge."""
        found = self.call("GET", f"commits/{_sha(commit)}/pulls?per_page=100")
        return [dict(entry) for entry in found] if isinstance(found, list) else []

    def writers(self) -> int:
        """Return how many people may write to the repository; a token without that right is refused."""
        found = self.call("GET", "collaborators?permission=push&per_page=100")
        return len([entry for entry in found if entry.get("type") != "Bot"]) if isinstance(found, list) else 0

    def apply_ruleset(self, rules: Mapping[str, Any]) -> str:
        """Make ``rules`` the repository's ruleset of that name; return "created" or "updated"."""
        found = self.call("GET", "rulesets?per_page=100")
        for entry in found if isinstance(found, list) else []:
            if entry.get("name") == rules["name"]:
                self.call("PUT", f"rulesets/{int(entry['id'])}", rules)
                return "updated"
        self.call("POST", "rulesets", rules)
        return "created"


def connect(environment: Mapping[str, str] = os.environ) -> GitHub:
    """Return the repository that the environment names, with its token.

    Raises:
        UserError: GITHUB_REPOSITORY or the token is missing or malformed, or the server is not spoken to by HTTPS.
    """
    repository = environment.get("GITHUB_REPOSITORY", "")
    token = environment.get("GITHUB_TOKEN") or environment.get("GH_TOKEN") or ""
    api = environment.get("GITHUB_API_URL") or "https://api.github.com"
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        raise UserError(f"GITHUB_REPOSITORY: {repository!r} is not owner/name", "export GITHUB_REPOSITORY=owner/name")
    if not re.fullmatch(r"[!-~]+", token):
        raise UserError("GITHUB_TOKEN: no token", "export GITHUB_TOKEN, for instance with $(gh auth token)")
    if not encrypted(api):
        raise UserError(f"GITHUB_API_URL: {api}: the token would travel unencrypted", "use https://")
    return GitHub(repository, token, api)


def fit(text: str, limit: int = LARGEST_BODY) -> str:
    """Return ``text``, cut at the end of a line with a note when it is longer than ``limit`` characters or bytes."""
    if len(text.encode("utf-8")) <= limit:
        return text
    note = "\n\n… cut: the whole report is in the run's artifact.\n"
    kept = text.encode("utf-8")[: limit - len(note.encode("utf-8"))].decode("utf-8", "ignore")
    return (kept.rsplit("\n", 1)[0] if "\n" in kept else kept) + note


def _sha(commit: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{40}([0-9a-f]{24})?", commit):
        raise UserError(f"{commit!r} is no commit's full hash", "run it in a pull request's workflow")
    return commit
