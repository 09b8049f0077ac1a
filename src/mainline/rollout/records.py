"""What the prediction log tells of a rollout: scores by side, pairs in shadow, value where outcomes are known."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import math
import os
from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mainline.project import Value
from mainline.rollout.measures import SIDES, Pairs
from mainline.rollout.paired import Half, Paired, Slicer
from mainline.rollout.samples import Sample, alike
from mainline.rollout.statistics import Floats, Mean

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
        self.scores: dict[str, deque[float]] = {side: deque(maxlen=MOST) for side in SIDES}
        self.earlier: dict[str, deque[float]] = {side: deque(maxlen=MOST) for side in SIDES}
        self._steps: Sequence[str] = ()
        # By side and step; step -1 is shadow.
        self._samples: dict[str, dict[int, Sample]] = {side: defaultdict(Sample) for side in SIDES}
        self._worth: dict[str, dict[int, Mean]] = {side: defaultdict(Mean) for side in SIDES}
        self._halves: dict[str, dict[Key, Half]] = {"stable": {}, "shadow": {}}
        self._decided: dict[Key, tuple[str, int, Any]] = {}
        self._outcomes: dict[Key, Any] = {}
        self._unanswered, self._newest, self._oldest, self._late = 0, "", "", late

    @property
    def pairs(self) -> Pairs:
        """Return the pairs so far."""
        settled = bool(self._oldest) and _earlier(self._newest, 2 * self._late) >= self._oldest
        return replace(self._paired.pairs, unanswered=self._unanswered, settled=settled)

    def alike(self, shadow: bool) -> dict[str, Floats]:
        """Return the scores of both sides in shadow, or among users: equally many of each from each step."""
        steps = [-1] if shadow else range(len(self._steps))
        mine, theirs = ({step: self._samples[side][step].values for step in steps} for side in SIDES)
        return dict(zip(SIDES, alike(mine, theirs), strict=True))

    def values(self, side: str) -> tuple[Mean, ...]:
        """Return what the requests of each step with users were worth, as far as their outcomes are known."""
        return tuple(self._worth[side][step] for step in range(len(self._steps)))

    def read(self, steps: Sequence[str]) -> None:
        """Take in what is new; ``steps`` is when each step with users began (ISO), nothing in shadow.

        Only what came since then on both sides is valued: a season's outcomes must not be held against an hour's.
        """
        self._steps = steps
        found: list[tuple[Half, Half]] = []
        for record in self._tail.new():
            if str(record.get("time", "")) < self._since:
                continue
            if record.get("kind") == "feedback":
                self._feedback(record)
            elif record.get("kind") == "prediction":
                self._prediction(record, found)
            if len(found) == AT_ONCE:
                self._paired.add(found)
                found.clear()
        self._paired.add(found)
        if not steps:
            limit = _earlier(self._newest, self._late)
            self._unanswered = sum(one.time < limit for one in self._halves["stable"].values())

    def _prediction(self, record: dict[str, Any], found: list[tuple[Half, Half]]) -> None:
        release, track = record.get("release"), record.get("track")
        self._newest = max(self._newest, str(record["time"]))
        self._oldest = min(self._oldest or self._newest, str(record["time"]))
        key = (str(record.get("request_id")), int(record.get("row", 0)))
        step, score = bisect_right(self._steps, str(record["time"])) - 1, score_of(record)
        if release == self._candidate and track == "shadow":
            self.earlier["candidate"].append(score)
            self._samples["candidate"][-1].add(score)
            self._pair(key, "shadow", record, found)
        elif release == self._candidate:
            self.scores["candidate"].append(score)
            if step >= 0:
                self._samples["candidate"][step].add(score)
                self._judge(key, "candidate", step, record)
        elif release == self._stable and track != "shadow":
            (self.scores if step >= 0 else self.earlier)["stable"].append(score)
            self._samples["stable"][step].add(score)
            if step >= 0:
                self._judge(key, "stable", step, record)
            else:
                self._pair(key, "stable", record, found)

    def _pair(self, key: Key, side: str, record: dict[str, Any], found: list[tuple[Half, Half]]) -> None:
        half = Half(score_of(record), record.get("decision"), record.get("features") or {}, str(record["time"]))
        other = self._halves["shadow" if side == "stable" else "stable"].pop(key, None)
        if other is None:
            _keep(self._halves[side], key, half, HALVES)
        else:
            found.append((half, other) if side == "stable" else (other, half))

    def _judge(self, key: Key, side: str, step: int, record: dict[str, Any]) -> None:
        if self._value is None:
            return
        if key in self._outcomes:
            self._add(side, step, record.get("decision"), self._outcomes.pop(key))
        else:
            _keep(self._decided, key, (side, step, record.get("decision")), WAITING)

    def _feedback(self, record: dict[str, Any]) -> None:
        key = (str(record.get("request_id")), int(record.get("row", 0)))
        known = self._decided.pop(key, None)
        if known is None:
            _keep(self._outcomes, key, record.get("outcome"), WAITING)
        else:
            self._add(*known, record.get("outcome"))

    def _add(self, side: str, step: int, decision: Any, outcome: Any) -> None:
        if self._value is not None:
            hit = outcome in (True, 1, self._positive)
            worth = (self._value.gain * hit - self._value.cost) if decision else 0.0
            self._worth[side][step] = self._worth[side][step].plus(worth)


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
