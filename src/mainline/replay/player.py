"""Sends what happens to a service, in order, at a bounded speed, and counts every answer."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from mainline.errors import UserError
from mainline.replay.events import Event
from mainline.serve.clock import HEADER

MOST_RATE = 1000.0  # requests a second


class Client(Protocol):
    """A way to the service: status, headers (names in lower case) and parsed answer; status 0: no answer."""

    def __call__(
        self, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str], /
    ) -> tuple[int, Mapping[str, str], Any]:
        """Ask; without a body by GET."""
        ...


@dataclass(frozen=True)
class Pace:
    """How fast: at most ``rate`` requests a second, and ``speed`` replayed days a second (None: as fast as that)."""

    rate: float
    speed: float | None = None

    def due(self, event: Event, first: dt.datetime, number: int) -> float:
        """Return the seconds after the start at which the event numbered ``number`` may be sent."""
        days = (event.when - first).total_seconds() / 86_400
        return max(number / self.rate, days / self.speed if self.speed else 0.0)


@dataclass
class Played:
    """What came of it.

    Attributes:
        answered: requests that got a prediction; ``releases`` by which release.
        refused: requests that got a 422, by the first problem of each; ``hints`` has what the service makes of it.
        failed: other answers, by status and text.
        outcomes: outcomes that were taken; ``unwanted`` that were not, by reason.
        withheld: outcomes of requests that were refused in this very replay: there is no prediction that they are of.
        last: replayed time of the last event.
    """

    answered: int = 0
    releases: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    hints: dict[str, str] = field(default_factory=dict)
    failed: Counter[str] = field(default_factory=Counter)
    outcomes: int = 0
    unwanted: Counter[str] = field(default_factory=Counter)
    withheld: int = 0
    last: dt.datetime | None = None

    @property
    def requests(self) -> int:
        """Requests that were sent."""
        return self.answered + self.refused.total() + self.failed.total()


def check_clock(client: Client, port: int) -> None:
    """Find out whether the service is there, and believes what a replay says the time is.

    Raises:
        UserError: it is not, or does not.
    """
    from mainline.serve.clock import SWITCH

    asked = "2000-01-01T00:00:00.000Z"
    status, headers, _ = client("/readyz", None, {HEADER: asked})
    if status != 200:
        raise UserError(
            f"127.0.0.1:{port}: no service is ready there ({status or 'no answer'})",
            "`mainline replay --start` starts one for the time being; `mainline rollout run` starts what serves",
        )
    if headers.get(HEADER) != asked:
        raise UserError(
            f"127.0.0.1:{port}: the service there writes its own time into the log, not the rows' time",
            f"start it with {SWITCH}=1, use --start, or say --now to have everything happen now",
        )


def play(
    events: Sequence[Event],
    client: Client,
    pace: Pace,
    *,
    now: bool = False,
    each: Callable[[int, Event, Played], None] | None = None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Played:
    """Send ``events`` in order and return what came of them; ``now``: with today's time instead of their own.

    A service that is slower than the pace is waited for: nothing is sent in a burst to catch up.

    Raises:
        UserError: twenty requests in a row got no answer at all: the service is gone.
    """
    played, dropped, silent = Played(), set[str](), 0
    if not events:
        return played
    first, begin = events[0].when, clock()
    for number, event in enumerate(events):
        wait = begin + pace.due(event, first, number) - clock()
        if wait > 0:
            sleep(wait)
        else:
            begin -= wait  # late: the rest moves on by as much
        if event.kind == "predict":
            silent = 0 if _predict(event, client, played, dropped, now) else silent + 1
        elif event.request_id in dropped:
            played.withheld += 1
        else:
            silent = 0 if _feedback(event, client, played, now) else silent + 1
        if silent >= 20:
            raise UserError(
                f"the service gives no answer any more, since {event.when:%Y-%m-%d %H:%M} of the replay",
                "look at its output, then play the rest with --since",
            )
        played.last = event.when
        if each:
            each(number + 1, event, played)
    return played


def _predict(event: Event, client: Client, played: Played, dropped: set[str], now: bool) -> bool:
    headers = {"x-request-id": event.request_id, "x-user-id": event.request_id}
    status, got, answer = client("/predict", event.row, headers if now else {**headers, HEADER: _text(event.at)})
    if status == 200:
        played.answered += 1
        played.releases[got.get("x-release", "")] += 1
        return True
    dropped.add(event.request_id)
    if status == 422:
        problems = answer.get("problems") if isinstance(answer, Mapping) else None
        first = problems[0] if problems else {}
        value = f" ({json.dumps(first['value'], ensure_ascii=False)})" if first.get("value") is not None else ""
        words = f"{first['field']}: {first['problem']}{value}" if first else str(answer)[:120]
        played.refused[words] += 1
        if first.get("hint"):
            played.hints[words] = str(first["hint"])
    else:
        played.failed[f"{status or 'no answer'}: {str(answer)[:120]}"] += 1
    return status != 0


def _feedback(event: Event, client: Client, played: Played, now: bool) -> bool:
    body = {"request_id": event.request_id, "outcome": event.outcome}
    status, _, answer = client("/feedback", body if now else {**body, "time": _text(event.when)}, {})
    if status == 202:
        played.outcomes += 1
    else:
        said = answer.get("error") if isinstance(answer, Mapping) else answer
        played.unwanted[f"{status or 'no answer'}: {str(said)[:120]}"] += 1
    return status != 0


def _text(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
