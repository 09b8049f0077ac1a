"""The few calls of GitHub's REST interface that we make: statuses, check runs, comments, pull requests, rulesets."""

from __future__ import annotations

import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mainline.errors import UserError

State = Literal["success", "failure", "pending"]
SECONDS = 20.0
LARGEST_ANSWER = 8 * 1024 * 1024
LARGEST_BODY = 65_536
PAGES = 20
MARK = "<!-- mainline:verdict -->"
CAUSES = {
    401: "check the token in GITHUB_TOKEN",
    403: "the token may not do this: give the job the permission, or use a token that has it",
    404: "check the repository's name, and that the token may see it",
}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the token to a host that nobody chose."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow nothing."""


@dataclass(frozen=True)
class GitHub:
    """One repository on one server; ``token`` never appears in a message."""

    repository: str
    token: str
    api: str = "https://api.github.com"

    def set_status(self, commit: str, state: State, description: str, url: str = "") -> None:
        """Set the commit status ``mainline/verdict``."""
        body = {"state": state, "context": "mainline/verdict", "description": _short(description, 140)}
        self._call("POST", f"statuses/{_sha(commit)}", body | ({"target_url": url} if url else {}))

    def add_check(self, commit: str, conclusion: Literal["success", "failure"], title: str, summary: str) -> None:
        """Add a finished check run ``mainline report`` that shows ``summary`` (Markdown)."""
        output = {"title": _short(title, 250), "summary": fit(summary)}
        body = {"name": "mainline report", "head_sha": _sha(commit), "status": "completed"}
        self._call("POST", "check-runs", body | {"conclusion": conclusion, "output": output})

    def pull_request(self, number: int) -> dict[str, Any]:
        """Return what GitHub knows of a pull request."""
        found = self._call("GET", f"pulls/{number:d}")
        return found if isinstance(found, dict) else {}

    def commit(self, reference: str) -> str:
        """Return the full hash of the commit that a branch or a tag stands for."""
        found = self._call("GET", f"commits/{urllib.parse.quote(reference, safe='')}")
        return _sha(str(found.get("sha", "")) if isinstance(found, dict) else "")

    def comment(self, number: int, body: str) -> None:
        """Write our one comment on a pull request, or put ``body`` in the place of what it said."""
        body = fit(f"{MARK}\n{body}")
        for page in range(1, PAGES + 1):
            found = self._call("GET", f"issues/{number:d}/comments?per_page=100&page={page}")
            entries = found if isinstance(found, list) else []
            for entry in entries:
                # Anyone can write the mark; only a bot's comment can be ours.
                ours = (entry.get("user") or {}).get("type") == "Bot"
                if ours and str(entry.get("body", "")).startswith(MARK):
                    self._call("PATCH", f"issues/comments/{int(entry['id'])}", {"body": body})
                    return
            if len(entries) < 100:
                break
        self._call("POST", f"issues/{number:d}/comments", {"body": body})

    def apply_ruleset(self, rules: Mapping[str, Any]) -> str:
        """Make ``rules`` the repository's ruleset of that name; return "created" or "updated"."""
        found = self._call("GET", "rulesets?per_page=100")
        for entry in found if isinstance(found, list) else []:
            if entry.get("name") == rules["name"]:
                self._call("PUT", f"rulesets/{int(entry['id'])}", rules)
                return "updated"
        self._call("POST", "rulesets", rules)
        return "created"

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Return the parsed answer.

        Raises:
            UserError: no answer within the time, an answer that is no JSON, or GitHub refused.
        """
        what = f"GitHub: {method} {path.split('?')[0]} of {self.repository}"
        request = urllib.request.Request(
            f"{self.api.rstrip('/')}/repos/{self.repository}/{path}",
            data=None if body is None else json.dumps(body).encode("utf-8"),
            method=method,
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                "User-Agent": "mainline",
                "X-GitHub-Api-Version": "2022-11-28",
            },
        )
        try:
            with urllib.request.build_opener(_NoRedirect).open(request, timeout=SECONDS) as answer:
                text = answer.read(LARGEST_ANSWER + 1)
            if len(text) > LARGEST_ANSWER:
                raise UserError(f"{what}: the answer is larger than {LARGEST_ANSWER:,} bytes", "check GITHUB_API_URL")
            return json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            said = _said(error)
            fix = CAUSES.get(error.code, "run the job again; githubstatus.com says whether GitHub has trouble")
            raise UserError(f"{what}: {error.code}{said}", fix) from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise UserError(
                f"{what}: no answer ({reason})", "check the network and GITHUB_API_URL, run it again"
            ) from error


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
    if not re.match(r"https://|http://(127\.0\.0\.1|localhost)[:/]", api + "/"):
        raise UserError(f"GITHUB_API_URL: {api}: the token would travel unencrypted", "use https://")
    return GitHub(repository, token, api)


def fit(text: str, limit: int = LARGEST_BODY) -> str:
    """Return ``text``, cut at the end of a line with a note when it is longer than ``limit`` characters or bytes."""
    if len(text.encode("utf-8")) <= limit:
        return text
    note = "\n\n… cut: the whole report is in the run's artifact.\n"
    kept = text.encode("utf-8")[: limit - len(note.encode("utf-8"))].decode("utf-8", "ignore")
    return (kept.rsplit("\n", 1)[0] if "\n" in kept else kept) + note


def _short(text: str, limit: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _sha(commit: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{40}([0-9a-f]{24})?", commit):
        raise UserError(f"{commit!r} is no commit's full hash", "run it in a pull request's workflow")
    return commit


def _said(error: urllib.error.HTTPError) -> str:
    """Return GitHub's own reason, short, or nothing."""
    try:
        message = json.loads(error.read(10_000)).get("message", "")
    except (OSError, ValueError, AttributeError):
        return ""
    return f" ({_short(str(message), 200)})" if message else ""
