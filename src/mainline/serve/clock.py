"""The clock of a replay: a request may say when it happened, if this process was started to believe it.

Off unless MAINLINE_REPLAY_CLOCK is 1 where the service starts: the log of a service that anybody else asks must say
when a prediction was made, and nothing that a client made up.
"""

from __future__ import annotations

from collections.abc import Mapping

from mainline.serve.rules import READERS, Fault

HEADER = "x-replay-time"
SWITCH = "MAINLINE_REPLAY_CLOCK"
NAME = HEADER.encode()


def believed(environment: Mapping[str, str]) -> bool:
    """Return whether requests may say what time it is."""
    return environment.get(SWITCH) == "1"


def moment(given: bytes) -> str:
    """Return a time as the log writes it; empty if it is none, and the answer then does not repeat it."""
    try:
        return str(READERS["time"](given.decode("latin-1")).isoformat(timespec="milliseconds")) + "Z"
    except Fault:
        return ""
