"""One look: what proxy, processes and log show is put together into an :class:`Observation`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mainline.project import Value
from mainline.release.state import State
from mainline.rollout.journal import Journal
from mainline.rollout.layout import Layout
from mainline.rollout.measures import SIDES, Arm, Observation, Share
from mainline.rollout.paired import Slicer
from mainline.rollout.plane import CANDIDATE, STABLE, Plane
from mainline.rollout.records import LATE, Records, Tail
from mainline.rollout.statistics import Floats
from mainline.rollout.tally import Reading, Tally, advance


@dataclass
class Observer:
    """Keeps the place in the log between looks; a new one reads the rollout's records again from the beginning."""

    plane: Plane
    slicer: Slicer | None = None
    value: Value | None = None
    positive: str | None = None
    late: float = LATE
    _records: dict[str, Records] = field(default_factory=dict)

    def look(self, state: State, layout: Layout, journal: Journal, now: dt.datetime) -> Observation:
        """Return what is seen now, and write the counts."""
        seconds = now.timestamp()
        tally = journal.tally()
        if tally.rollout != _name(state):
            tally = Tally(rollout=_name(state), began=seconds)
        readings = self.plane.readings(layout)
        before = tally.step_began
        tally = advance(tally, seconds, state.phase or "", state.step, state.weight,
                        self.plane.proxy_identity(), readings)  # fmt: skip
        if tally.step_began != before:
            # A controller that is new here counts from when git says the step began.
            began = min(seconds, _seconds(state.started, seconds))
            tally = replace(tally, step_began=began, steps=(*tally.steps[:-1], began) if tally.steps else ())
        journal.save(tally)
        records = self._read(state, tally)
        beside, earlier = records.alike(shadow=False), records.alike(shadow=True)
        sides = [self._arm(side, tally, records, state, beside[side], earlier[side]) for side in SIDES]
        return Observation(
            seconds=seconds - tally.step_began,
            total_seconds=seconds - tally.began,
            step_requests=tally.step_requests,
            candidate=sides[0],
            stable=sides[1],
            windows=tally.windows,
            before=Share(tally.before.requests, tally.before.errors),
            alone=tally.alone,
            usual=tally.before.latency,
            spans=tally.spans,
            pairs=records.pairs,
            expected=journal.expected(),
            trouble=self.plane.died(state.candidate or ""),  # last: what has just ended is why it was not ready
            waiting="" if readings else "the proxy does not answer",
        )

    def _read(self, state: State, tally: Tally) -> Records:
        key = f"{tally.rollout} {tally.began}"
        if key not in self._records:
            self._records = {
                key: Records(
                    Tail(self.plane.log, tally.began), state.stable or "", state.candidate or "", iso(tally.began),
                    self.slicer, self.value, self.positive, self.late,
                )
            }  # fmt: skip
        records = self._records[key]
        records.read([iso(began) for began in tally.steps])
        return records

    def _arm(
        self, side: str, tally: Tally, records: Records, state: State, beside: Floats, earlier: Floats
    ) -> Arm:  # fmt: skip
        counts: Mapping[str, Reading] = tally.counts
        reading = counts.get(side, Reading())
        mine = side == "candidate"
        role, release = (CANDIDATE, state.candidate) if mine else (STABLE, state.stable)
        shadow = state.phase == "shadow"
        return Arm(
            requests=reading.requests,
            errors=reading.errors,
            latency=reading.latency,
            dropped=reading.dropped,
            scores=np.array((records.earlier if shadow else records.scores)[side], dtype=float),
            beside=beside,
            earlier=earlier,
            values=records.values(side),
            memory_mb=self.plane.memory(state.candidate or "") if mine else None,
            ready=self.plane.ready(role, release or "", tries=3),
        )


def iso(seconds: float) -> str:
    """Return a time as the log writes it."""
    text = dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def figures(seen: Observation) -> dict[str, Any]:
    """Return the numbers of a look that the timeline draws, as JSON."""
    from mainline.rollout.measures import EDGES
    from mainline.rollout.statistics import quantile_bounds

    def side(arm: Arm) -> dict[str, Any]:
        p99 = quantile_bounds(EDGES, arm.latency, 0.99, 0.0)[1] if sum(arm.latency) else None
        if seen.spans and arm is seen.candidate:
            p99 = seen.spans[-1].p99  # at full weight nothing more is compared, but it goes on
        known = arm.scores[np.isfinite(arm.scores)] if len(arm.scores) else arm.scores
        return {
            "requests": arm.requests,
            "errors": arm.errors,
            "p99_ms": p99 if p99 is not None and np.isfinite(p99) else None,
            "scores": len(known),
            "mean_score": float(known.mean()) if len(known) else None,
            "memory_mb": arm.memory_mb,
            "ready": arm.ready,
        }

    return {
        "seconds": round(seen.seconds, 1),
        "total_seconds": round(seen.total_seconds, 1),
        "step_requests": seen.step_requests,
        "candidate": side(seen.candidate),
        "stable": side(seen.stable),
        "pairs": seen.pairs.all.n,
        "agree": seen.pairs.all.hits,
    }


def _name(state: State) -> str:
    """Return what tells this rollout from an earlier one of the same release."""
    return f"{state.candidate} {(state.plan or {}).get('began', '')}"


def _seconds(started: str | None, default: float) -> float:
    try:
        return dt.datetime.fromisoformat(started).timestamp() if started else default
    except ValueError:
        return default
