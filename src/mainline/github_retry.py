"""When a call of GitHub's API is worth repeating, and after how long. Everything else is a refusal."""

from __future__ import annotations

from email.message import Message

from mainline.errors import UserError

# Seconds before the second, third and fourth attempt.
PAUSES = (1.0, 3.0, 9.0)
# What a rate limit may cost a run; the next scheduled run is cheaper than a longer wait.
LONGEST = 120.0
# GitHub's advice for a secondary limit that names no time.
MINUTE = 60.0


class Refused(UserError):
    """GitHub answered with the error ``code``."""

    def __init__(self, problem: str, fix: str, code: int) -> None:
        super().__init__(problem, fix)
        self.code = code


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
