"""What the prediction log tells of a rollout: scores by side, pairs in shadow, value where outcomes are known."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mainline.project import Value
from mainline.rollout.measures import Pairs, Share
from mainline.rollout.statistics import Mean

MOST = 20_000  # newest scores kept a side
LATE = 3.0  # seconds after which an answer is missing: mirrored requests and log files have their delays
WAITING = 200_000  # requests kept that wait for their other half or for their outcome
Slicer = Callable[[Sequence[Mapping[str, Any]]], Mapping[str, Sequence[str]]]
Key = tuple[str, int]


class Tail:
    """Reads what a folder of JSON Lines gets, from where it stopped; a line that is still being written waits."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: dict[str, int] = {}

    def new(self) -> Iterator[dict[str, Any]]:
        """Yield every new record; what is no record is skipped."""
        for path in sorted(self.folder.glob("*.jsonl*")):
            # A closed file goes on under a shorter name.
            name = path.name.removesuffix(".open")
            try:
                with path.open("rb") as stream:
                    stream.seek(self._read.get(name, 0))
                    content = stream.read()
            except FileNotFoundError:
                continue
            whole = content[: content.rfind(b"\n") + 1]
            self._read[name] = self._read.get(name, 0) + len(whole)
            for line in whole.splitlines():
                try:
                    record = json.loads(line)
                except ValueError:
                    continue
                if isinstance(record, dict):
                    yield record


@dataclass
class Paired:
    """Adds up :class:`Pairs`."""

    slicer: Slicer | None = None
    pairs: Pairs = field(default_factory=Pairs)
    _sums: list[float] = field(default_factory=lambda: [0.0] * 5)

    def add(
        self, stable: Sequence[tuple[float, Any]], candidate: Sequence[tuple[float, Any]], rows: Sequence[Any]
    ) -> None:
        """Add pairs of (score, decision) with the features of their rows."""
        if not rows:
            return
        a = np.array([score for score, _ in stable], dtype=float)
        b = np.array([score for score, _ in candidate], dtype=float)
        decided = all(decision is not None for _, decision in (*stable, *candidate))
        same = np.array([one[1] == other[1] for one, other in zip(stable, candidate, strict=True)])
        gap = np.abs(a - b)
        before = self.pairs
        groups = dict(before.slices)
        for name, labels in (self.slicer(rows) if self.slicer else {}).items():
            named = np.asarray(labels, dtype=object)
            for group in dict.fromkeys(labels):
                mask = named == group
                old = groups.get((name, group), Share())
                groups[(name, group)] = Share(old.n + int(mask.sum()), old.hits + int(same[mask].sum()))
        moments = Mean(
            before.difference.n + len(gap),
            before.difference.total + float(gap.sum()),
            before.difference.squares + float((gap**2).sum()),
        )
        for index, value in enumerate((a.sum(), b.sum(), (a * a).sum(), (b * b).sum(), (a * b).sum())):
            self._sums[index] += float(value)
        correlation, spread = _correlation(moments.n, *self._sums)
        self.pairs = replace(
            before,
            all=Share(before.all.n + len(same), before.all.hits + int(same.sum())),
            slices=groups,
            difference=moments,
            largest=max(before.largest, float(gap.max())),
            correlation=correlation,
            spread=spread,
            decided=before.decided and decided,
        )


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
        self._halves: dict[str, dict[Key, dict[str, Any]]] = {"stable": {}, "shadow": {}}
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
        found: list[tuple[dict[str, Any], dict[str, Any]]] = []
        for record in self._tail.new():
            if str(record.get("time", "")) < self._since:
                continue
            if record.get("kind") == "feedback":
                self._feedback(record)
            elif record.get("kind") == "prediction":
                self._prediction(record, split_began, found)
        if split_began is None:
            limit = _earlier(self._newest, self._late)
            self._unanswered = sum(str(one["time"]) < limit for one in self._halves["stable"].values())
        self._paired.add(
            [(score_of(one), one.get("decision")) for one, _ in found],
            [(score_of(other), other.get("decision")) for _, other in found],
            [one.get("features") or {} for one, _ in found],
        )

    def _prediction(self, record: dict[str, Any], split_began: str | None, found: list[Any]) -> None:
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

    def _pair(self, key: Key, half: str, record: dict[str, Any], found: list[Any]) -> None:
        other = self._halves["shadow" if half == "stable" else "stable"].pop(key, None)
        if other is None:
            _keep(self._halves[half], key, record)
        else:
            found.append((record, other) if half == "stable" else (other, record))

    def _judge(self, key: Key, side: str, record: dict[str, Any]) -> None:
        if self._value is None:
            return
        if key in self._outcomes:
            self._add(side, record.get("decision"), self._outcomes.pop(key))
        else:
            _keep(self._decided, key, (side, record.get("decision")))

    def _feedback(self, record: dict[str, Any]) -> None:
        key = (str(record.get("request_id")), int(record.get("row", 0)))
        known = self._decided.pop(key, None)
        if known is None:
            _keep(self._outcomes, key, record.get("outcome"))
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


def _keep(store: dict[Key, Any], key: Key, value: Any) -> None:
    store[key] = value
    if len(store) > WAITING:
        store.pop(next(iter(store)))


def _correlation(n: int, a: float, b: float, aa: float, bb: float, ab: float) -> tuple[float, float]:
    """Return the correlation, NaN when a side does not vary, and the standard deviation of the first side."""
    spread_a, spread_b = (max(square / n - (total / n) ** 2, 0.0) for square, total in ((aa, a), (bb, b)))
    if min(spread_a, spread_b) < 1e-18:
        return math.nan, math.sqrt(spread_a)
    both = ab / n - (a / n) * (b / n)
    return max(-1.0, min(1.0, both / math.sqrt(spread_a * spread_b))), math.sqrt(spread_a)
