"""One call of GitHub's REST interface: what is worth repeating, and after how long. Everything else is a refusal."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

from mainline.errors import UserError

SECONDS = 20.0
GRAPHQL = "graphql"
LARGEST_ANSWER = 8 * 1024 * 1024
CAUSES = {
    401: "check the token in GITHUB_TOKEN",
    403: "the token may not do this: give the job the permission, or use a token that has it",
    404: "check the repository's name, and that the token may see it",
    410: "the repository has switched this off; for issues: Settings, General, Features, Issues",
}
# A repository that got another name or owner answers with the address of its new place, which is not followed.
MOVED = (301, 307, 308)
# GitHub's answer where a plan lacks what is asked for, such as rulesets for a private repository on the plan Free.
PLAN = "Upgrade to GitHub"
# Seconds before the second, third and fourth attempt.
PAUSES = (1.0, 3.0, 9.0)
# What a rate limit may cost a run; the next scheduled run is cheaper than a longer wait.
LONGEST = 120.0
# GitHub's advice for a secondary limit that names no time.
MINUTE = 60.0


class Refused(UserError):
    """GitHub answered with the error ``code``."""

    def __init__(self, problem: str, fix: str, code: int, kind: str = "") -> None:
        super().__init__(problem, fix)
        self.code = code
        self.kind = kind  # GraphQL's word for it


class Unanswered(UserError):
    """No answer came, or a server error: it is not known whether the call was carried out."""


def limited(code: int, headers: Message[str, str], said: str) -> bool:
    """Return whether the answer is a rate limit: such a call was not carried out, whatever its method."""
    if code == 429:
        return True
    return code == 403 and (
        "Retry-After" in headers or headers.get("X-RateLimit-Remaining") == "0" or "rate limit" in said.lower()
    )


def pause_of(code: int, headers: Message[str, str], attempt: int, now: float) -> float | None:
    """Return the seconds to wait before attempt ``attempt`` + 1 of a limited call, or None: that is too long.

    ``now`` is in seconds since the epoch, as ``X-RateLimit-Reset`` is.
    Source: docs.github.com, "Best practices for using the REST API".
    """
    if (asked := headers.get("Retry-After", "")).isdigit():
        seconds = float(asked)
    elif headers.get("X-RateLimit-Remaining") == "0" and headers.get("X-RateLimit-Reset", "").isdigit():
        seconds = max(0.0, float(headers["X-RateLimit-Reset"]) - now) + 1.0
    else:
        seconds = MINUTE
    return seconds if attempt < len(PAUSES) and seconds <= LONGEST else None


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the token to a host that nobody chose."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow nothing."""


class _Again(Exception):
    """The call was not carried out; it may be in ``seconds``."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds


@dataclass(frozen=True)
class Connection:
    """One repository on one server; ``token`` never appears in a message."""

    repository: str
    token: str
    api: str = "https://api.github.com"
    pause: Callable[[float], None] = field(default=time.sleep, compare=False)
    seconds: float | None = field(default=None, compare=False)  # bound on one attempt; None: SECONDS

    def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, made: Callable[[], Any] | None = None
    ) -> Any:
        """Return the parsed answer; a rate limit, a server's error and a dropped connection are tried again.

        A POST that got no answer may have been carried out. It is repeated only if ``made`` is given and finds nothing;
        what ``made`` finds is the answer.

        Raises:
            UserError: no answer after all attempts, an answer that is no JSON, or GitHub refused.
        """
        for attempt in range(len(PAUSES) + 1):
            try:
                return self._once(method, path, body, attempt)
            except _Again as again:
                self.pause(again.seconds)
            except Unanswered:
                if attempt == len(PAUSES) or (method == "POST" and made is None):
                    raise
                self.pause(PAUSES[attempt])
                if made is not None and (found := made()) is not None:
                    return found
        raise AssertionError("the last attempt returns or raises")

    def graphql(self, query: str, variables: Mapping[str, Any], made: Callable[[], Any] | None = None) -> Any:
        """Return the data of a GraphQL answer; repeated as a POST of :meth:`call` is.

        Raises:
            Refused: GitHub answered with errors; ``kind`` is the type of the first.
            UserError: as :meth:`call`.
        """
        found = self.call("POST", GRAPHQL, {"query": query, "variables": variables}, made)
        errors = found.get("errors") if isinstance(found, dict) else None
        if errors:
            first = errors[0] if isinstance(errors, list) and isinstance(errors[0], dict) else {}
            said = short(str(first.get("message", "")), 300)
            raise Refused(f"GitHub: {self.repository}: {said}", CAUSES[403], 200, str(first.get("type", "")))
        return found.get("data") if isinstance(found, dict) and "data" in found else found

    def _once(self, method: str, path: str, body: Mapping[str, Any] | None, attempt: int) -> Any:
        what = f"GitHub: {method} {path.split('?')[0] or 'the repository'} of {self.repository}"
        try:
            with self._open(method, path, body) as answer:
                text = answer.read(LARGEST_ANSWER + 1)
        except urllib.error.HTTPError as error:
            said, code = _said(error), error.code
            if limited(code, error.headers, said):
                if (seconds := pause_of(code, error.headers, attempt, time.time())) is not None:
                    raise _Again(seconds) from error
                fix = "run it again later: nothing is lost, what was not done is done then"
                raise Refused(f"{what}: {code}, a rate limit{said}", fix, code) from error
            if code in MOVED:
                raise Refused(
                    f"{what}: {code}, the repository was renamed or moved",
                    "export GITHUB_REPOSITORY with its name of today, and `git remote set-url origin` to its address",
                    code,
                ) from error
            fix = CAUSES.get(code, "run the job again; githubstatus.com says whether GitHub has trouble")
            if code == 403 and PLAN in said:
                thing = path.split("?")[0].split("/")[0]
                fix = f"this plan has no {thing} for private repositories: docs/first-hour.md, section Plans"
            if code >= 500:
                raise Unanswered(f"{what}: {code}{said}", fix) from error
            raise Refused(f"{what}: {code}{said}", fix, code) from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise Unanswered(
                f"{what}: no answer ({reason})", "check the network and GITHUB_API_URL, run it again"
            ) from error
        if len(text) > LARGEST_ANSWER:
            raise UserError(f"{what}: the answer is larger than {LARGEST_ANSWER:,} bytes", "check GITHUB_API_URL")
        try:
            return json.loads(text) if text else None
        except ValueError as error:
            raise UserError(f"{what}: no answer ({error})", "check GITHUB_API_URL") from error

    def _open(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        top = self.api.rstrip("/")
        # On a server of one's own REST is at /api/v3 and GraphQL at /api/graphql.
        graphql = f"{top.removesuffix('/v3')}/graphql"
        request = urllib.request.Request(
            graphql if path == GRAPHQL else f"{top}/repos/{self.repository}" + (f"/{path}" if path else ""),
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
        return urllib.request.build_opener(NoRedirect).open(
            request, timeout=SECONDS if self.seconds is None else self.seconds
        )


def short(text: str, limit: int) -> str:
    """Return ``text`` on one line, cut to ``limit`` characters."""
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _said(error: urllib.error.HTTPError) -> str:
    """Return GitHub's own reason, short, or nothing."""
    try:
        message = json.loads(error.read(10_000)).get("message", "")
    except (OSError, ValueError, AttributeError):
        return ""
    return f" ({short(str(message), 200)})" if message else ""
