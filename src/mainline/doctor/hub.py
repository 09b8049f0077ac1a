"""The repository on GitHub, asked with little patience: one silence, and nothing is asked any more."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from mainline.doctor.found import NotInPlan, NotSeen
from mainline.errors import UserError
from mainline.github import PAGES, GitHub, connect
from mainline.github_call import Refused, Unanswered

PATIENCE = 3.0
NO_TOKEN = "not checked: no token (GITHUB_TOKEN)"
# GitHub's words for what the plan of the account lacks: "Upgrade to GitHub Pro or make this repository public …".
PLAN = "Upgrade to GitHub"
MOVED = (301, 302, 307, 308)
T = TypeVar("T")


@dataclass
class Hub:
    """Answers of the API, each asked for once.

    Attributes:
        server: the connection, None: there is nothing to connect to.
        silent: why nothing is asked (any more); empty while it answers.
        refused: it answered that the token is none.
    """

    server: GitHub | None
    silent: str = ""
    refused: bool = False
    patience: float = PATIENCE
    _known: dict[str, Any] = field(default_factory=dict)
    _refusals: dict[str, Refused] = field(default_factory=dict)

    def ask(self, path: str, absent: Literal["refuse", "none"] = "refuse") -> Any:
        """Return the answer of a GET; with ``absent`` "none" None when GitHub says 404.

        Raises:
            NotInPlan: the plan of the account does not have it.
            NotSeen: no connection, no answer in time, or the token may not see it.
        """
        if self.server is None or self.silent:
            raise NotSeen(self.silent)
        server = self.server
        if path not in self._known:
            try:
                if path in self._refusals:
                    raise self._refusals[path]
                self._known[path] = within(self.patience, lambda: server.call("GET", path), "GitHub")
            except Refused as refusal:
                self._refusals[path] = refusal
                if refusal.code == 401:
                    self.silent, self.refused = "not checked: the token was refused (401)", True
                    raise NotSeen(self.silent) from refusal
                if refusal.code == 404 and absent == "none":
                    return None
                if refusal.code == 403 and PLAN in refusal.problem:
                    raise NotInPlan("this plan does not have it for private repositories") from refusal
                if refusal.code in MOVED:
                    raise NotSeen(f"GitHub answers {refusal.code}: the repository was renamed or moved") from refusal
                raise NotSeen(f"cannot be seen with this token ({refusal.code})") from refusal
            except (Unanswered, NotSeen) as silence:
                self.silent = f"not checked: {_words(silence)}"
                raise NotSeen(self.silent) from silence
            except UserError as error:
                raise NotSeen(f"not checked: {error.problem}") from error
        return self._known[path]

    def entries(self, path: str, key: str = "") -> list[dict[str, Any]]:
        """Return all entries of a list that comes in pages; ``key`` names the list within an answer.

        Raises:
            NotSeen: as :meth:`ask`.
        """
        found: list[dict[str, Any]] = []
        for page in range(1, PAGES + 1):
            answer = self.ask(f"{path}{'&' if '?' in path else '?'}per_page=100&page={page}")
            more = answer.get(key) if key and isinstance(answer, dict) else answer
            found += [entry for entry in more or [] if isinstance(entry, dict)] if isinstance(more, list) else []
            if not isinstance(more, list) or len(more) < 100:
                break
        return found


def reach(environment: Mapping[str, str], origin: str, *, offline: bool) -> Hub:
    """Return the repository that GITHUB_REPOSITORY names, else the one that ``origin`` is the address of."""
    repository = environment.get("GITHUB_REPOSITORY") or repository_of(origin, environment)
    if not repository:
        return Hub(None, "not checked: origin is no repository on GitHub" if origin else "not checked: no origin")
    if offline:
        return Hub(None, "not checked: offline")
    if not (environment.get("GITHUB_TOKEN") or environment.get("GH_TOKEN")):
        return Hub(None, NO_TOKEN)
    try:
        server = connect({**environment, "GITHUB_REPOSITORY": repository})
    except UserError as error:
        return Hub(None, f"not checked: {error.problem}")
    return Hub(GitHub(server.repository, server.token, server.api, _never, PATIENCE), patience=PATIENCE)


def repository_of(origin: str, environment: Mapping[str, str]) -> str:
    """Return owner/name of an address on GitHub (or on the server that GITHUB_SERVER_URL names), else an empty text."""
    if "://" in origin:
        try:
            split = urlsplit(origin)
        except ValueError:
            return ""
        host, path = split.hostname or "", split.path
    else:
        found = re.fullmatch(r"(?:[^@/:]+@)?([\w.-]+):(.+)", origin)
        host, path = (found[1], found[2]) if found else ("", "")
    own = urlsplit(environment.get("GITHUB_SERVER_URL") or "https://github.com").hostname
    name = path.strip("/").removesuffix(".git")
    return name if host in (own, "github.com") and re.fullmatch(r"[\w.-]+/[\w.-]+", name) else ""


def within(seconds: float, do: Callable[[], T], what: str) -> T:
    """Return what ``do`` returns, or raise what it raises; it is left behind when it takes longer.

    A time-out of a socket does not bound the look-up of a name, nor an answer that drips.

    Raises:
        NotSeen: it took longer.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(do())
        except BaseException as error:  # noqa: BLE001 - raised again, in the thread that asked
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise NotSeen(f"{what} does not answer within {seconds:g} seconds")
    return results[0]


def _never(_: float) -> None:
    """End the call where it would wait and try again."""
    raise Unanswered("GitHub does not answer, or asks to wait", "")


def _words(error: Exception) -> str:
    before = error.__context__
    if isinstance(before, UserError):
        return before.problem
    return error.problem if isinstance(error, UserError) else str(error)
