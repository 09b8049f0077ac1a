"""What the prediction log tells of a rollout: scores by side, pairs in shadow, value where outcomes are known."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import math
import os
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mainline.project import Value
from mainline.rollout.measures import Pairs
from mainline.rollout.paired import Half, Paired, Slicer
from mainline.rollout.statistics import Mean

MOST = 20_000  # newest scores kept a side
LATE = 3.0  # seconds after which an answer is missing: mirrored requests and log files have their delays
HALVES = 50_000  # requests kept that wait for their other half; it comes within seconds or not at all
WAITING = 200_000  # requests kept that wait for their outcome
AT_ONCE = 1_000  # pairs that are added up together
SLACK = 60.0  # seconds by which the clock of a file system may be behind
Key = tuple[str, int]


class Tail:
    """Reads what a folder of JSON Lines gets, from where it stopped; a line that is still being written waits.

    Files that nobody has written to since ``since`` (Unix time) are left alone: a log may hold months.
    """

    def __init__(self, folder: Path, since: float = 0.0) -> None:
        self.folder, self._since = folder, since
        self._read: dict[str, int] = {}

    def new(self) -> Iterator[dict[str, Any]]:
        """Yield every new record; what is no record is skipped."""
        for path in sorted(self.folder.glob("*.jsonl*")):
            # A closed file goes on under a shorter name.
            name = path.name.removesuffix(".open")
            with contextlib.suppress(FileNotFoundError), path.open("rb") as stream:
                found = os.fstat(stream.fileno())
                if found.st_mtime < self._since - SLACK or found.st_size == self._read.get(name, 0):
                    continue
                stream.seek(self._read.get(name, 0))
                for line in stream:
                    if not line.endswith(b"\n"):
                        break
                    self._read[name] = self._read.get(name, 0) + len(line)
                    try:
                        record = json.loads(line)
                    except ValueError:
                        continue
                    if isinstance(record, dict):
                        yield record


class Records:
    """The log of one rollout, read on and on.

    Args:
        tail: where the records come from.
        stable, candidate: their releases.
        since: ISO time; older records belong to something else.
        value, positive: what a hit is worth, and the outcome that is one.
        late: seconds after which an answer is missing.
    """

    def __init__(
        self, tail: Tail, stable: str, candidate: str, since: str, slicer: Slicer | None = None,
        value: Value | None = None, positive: str | None = None, late: float = LATE,
    ) -> None:  # fmt: skip
        self._tail, self._stable, self._candidate, self._since = tail, stable, candidate, since
        self._value, self._positive = value, positive
        self._paired = Paired(slicer)
        self.scores: dict[str, deque[float]] = {side: deque(maxlen=MOST) for side in ("candidate", "stable")}
        self.earlier: dict[str, deque[float]] = {side: deque(maxlen=MOST) for side in ("candidate", "stable")}
        self.worth = {"candidate": Mean(), "stable": Mean()}
        self._halves: dict[str, dict[Key, Half]] = {"stable": {}, "shadow": {}}
        self._decided: dict[Key, tuple[str, Any]] = {}
        self._outcomes: dict[Key, Any] = {}
        self._unanswered, self._newest, self._oldest, self._late = 0, "", "", late

    @property
    def pairs(self) -> Pairs:
        """Return the pairs so far."""
        settled = bool(self._oldest) and _earlier(self._newest, 2 * self._late) >= self._oldest
        return replace(self._paired.pairs, unanswered=self._unanswered, settled=settled)

    def read(self, split_began: str | None) -> None:
        """Take in what is new; ``split_began`` is when the candidate got its first users (ISO), None before that."""
        found: list[tuple[Half, Half]] = []
        for record in self._tail.new():
            if str(record.get("time", "")) < self._since:
                continue
            if record.get("kind") == "feedback":
                self._feedback(record)
            elif record.get("kind") == "prediction":
                self._prediction(record, split_began, found)
            if len(found) == AT_ONCE:
                self._paired.add(found)
                found.clear()
        self._paired.add(found)
        if split_began is None:
            limit = _earlier(self._newest, self._late)
            self._unanswered = sum(one.time < limit for one in self._halves["stable"].values())

    def _prediction(self, record: dict[str, Any], split_began: str | None, found: list[tuple[Half, Half]]) -> None:
        release, track = record.get("release"), record.get("track")
        self._newest = max(self._newest, str(record["time"]))
        self._oldest = min(self._oldest or self._newest, str(record["time"]))
        key = (str(record.get("request_id")), int(record.get("row", 0)))
        if release == self._candidate and track == "shadow":
            self.earlier["candidate"].append(score_of(record))
            self._pair(key, "shadow", record, found)
        elif release == self._candidate:
            self.scores["candidate"].append(score_of(record))
            self._judge(key, "candidate", record)
        elif release == self._stable and track != "shadow":
            late = split_began is not None and str(record["time"]) >= split_began
            (self.scores if late else self.earlier)["stable"].append(score_of(record))
            if not late:
                self._pair(key, "stable", record, found)
            self._judge(key, "stable", record)

    def _pair(self, key: Key, side: str, record: dict[str, Any], found: list[tuple[Half, Half]]) -> None:
        half = Half(score_of(record), record.get("decision"), record.get("features") or {}, str(record["time"]))
        other = self._halves["shadow" if side == "stable" else "stable"].pop(key, None)
        if other is None:
            _keep(self._halves[side], key, half, HALVES)
        else:
            found.append((half, other) if side == "stable" else (other, half))

    def _judge(self, key: Key, side: str, record: dict[str, Any]) -> None:
        if self._value is None:
            return
        if key in self._outcomes:
            self._add(side, record.get("decision"), self._outcomes.pop(key))
        else:
            _keep(self._decided, key, (side, record.get("decision")), WAITING)

    def _feedback(self, record: dict[str, Any]) -> None:
        key = (str(record.get("request_id")), int(record.get("row", 0)))
        known = self._decided.pop(key, None)
        if known is None:
            _keep(self._outcomes, key, record.get("outcome"), WAITING)
        else:
            self._add(*known, record.get("outcome"))

    def _add(self, side: str, decision: Any, outcome: Any) -> None:
        if self._value is not None:
            hit = outcome in (True, 1, self._positive)
            worth = (self._value.gain * hit - self._value.cost) if decision else 0.0
            self.worth[side] = self.worth[side].plus(worth)


def score_of(record: Mapping[str, Any]) -> float:
    """Return a record's score as one number; of several classes that of the first, NaN when there is none."""
    score = record.get("score")
    if isinstance(score, list):
        score = score[0] if score else None
    return math.nan if score is None else float(score)


def _earlier(time: str, seconds: float) -> str:
    """Return ``time`` less ``seconds``, as the log writes times; empty when it is none."""
    try:
        moment = dt.datetime.fromisoformat(time) - dt.timedelta(seconds=seconds)
    except ValueError:
        return ""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _keep(store: dict[Key, Any], key: Key, value: Any, most: int) -> None:
    store[key] = value
    if len(store) > most:
        store.pop(next(iter(store)))
