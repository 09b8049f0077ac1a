"""Counting what the proxy counted, from look to look: no restart of proxy or controller loses what counts.

Envoy's counters only grow, until Envoy is started again. A tally keeps the last reading and adds up the differences;
it is written after each look. Without its file the counting begins anew, which can only hold a rollout, never pass it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from mainline.rollout.measures import EDGES, SIDES, Share, Span
from mainline.rollout.statistics import Window, quantile_bounds

SPAN = 100  # requests of which a quantile is worth looking at
SPANS = 500  # the newest so many are kept


@dataclass(frozen=True)
class Reading:
    """What Envoy's counters show of one side: attempts, errors, requests by latency bucket, and what it kept back."""

    requests: int = 0
    errors: int = 0
    latency: tuple[float, ...] = ()
    dropped: int = 0

    def since(self, before: Reading) -> Reading:
        """Return what was added since ``before``; all of it when the counters began anew."""
        if self.requests < before.requests or self.errors < before.errors:
            return self
        old = before.latency or (0,) * len(self.latency)
        buckets = tuple(max(new - was, 0) for new, was in zip(self.latency, old, strict=True)) if self.latency else ()
        gone = max(self.dropped - before.dropped, 0)
        return Reading(self.requests - before.requests, self.errors - before.errors, buckets, gone)

    def plus(self, more: Reading) -> Reading:
        """Return both together."""
        if not self.latency or not more.latency:
            buckets = self.latency or more.latency
        else:
            buckets = tuple(a + b for a, b in zip(self.latency, more.latency, strict=True))
        return Reading(self.requests + more.requests, self.errors + more.errors, buckets, self.dropped + more.dropped)


@dataclass(frozen=True)
class Tally:
    """What was counted so far.

    Attributes:
        rollout, began: which rollout this is, and when its shadow began (seconds since 1970).
        phase, step: where it stood at the last look; a new phase starts its counts at 0.
        steps: when each step with users began.
        proxy: which Envoy the last reading is of.
        last: the last reading by side; counts: what was added since the phase began.
        step_requests: of the candidate since the step began.
        windows: spans with an error on either side, since the rollout began.
        before: what stable has done since the rollout began, while it had requests.
        alone: what the candidate has done while no stable ran beside it.
        open: of that, what is too little for a span yet.
        spans: see :class:`mainline.rollout.measures.Observation`.
    """

    rollout: str = ""
    began: float = 0.0
    phase: str = ""
    step: int = -1
    step_began: float = 0.0
    steps: tuple[float, ...] = ()
    proxy: str = ""
    last: Mapping[str, Reading] = field(default_factory=dict)
    counts: Mapping[str, Reading] = field(default_factory=dict)
    step_requests: int = 0
    windows: tuple[Window, ...] = ()
    before: Reading = Reading()
    alone: Share = Share()
    open: Reading = Reading()
    spans: tuple[Span, ...] = ()

    def asdict(self) -> dict[str, Any]:
        """Return the tally as JSON."""
        return asdict(self)


def advance(
    tally: Tally, now: float, phase: str, step: int, weight: int, proxy: str, readings: Mapping[str, Reading]
) -> Tally:
    """Return the tally after one more look.

    The first look of a phase only notes where the counters stand. A weight is only changed right after a look, so what
    came since the last one came at the weight of now.
    """
    fresh = phase != tally.phase
    if fresh:
        tally = replace(
            tally,
            phase=phase,
            last=dict(readings),
            counts={},
            proxy=proxy,
            steps=(),
        )
    if fresh or step != tally.step:
        steps = tally.steps if phase == "shadow" else (*tally.steps, now)
        tally = replace(tally, step=step, step_began=now, step_requests=0, steps=steps)
    blank = proxy != tally.proxy
    added = {
        side: readings[side].since(Reading() if blank else tally.last.get(side, Reading()))
        for side in SIDES
        if side in readings
    }
    if fresh or not added:
        return replace(tally, last=dict(readings) or tally.last, proxy=proxy)
    mine, theirs = added.get("candidate", Reading()), added.get("stable", Reading())
    # At full weight stable only gets what the candidate failed at: that is no comparison.
    alone = weight == 100
    windows = tally.windows
    if not alone and (mine.errors or theirs.errors):
        windows = (*windows, Window(mine.requests, mine.errors, theirs.requests, theirs.errors))
    spans, rest = _spans(tally.spans, tally.open.plus(mine)) if alone else (tally.spans, tally.open)
    compared = (replace(mine, latency=()), replace(theirs, latency=())) if alone else evenly(mine, theirs)
    return replace(
        tally,
        proxy=proxy,
        last={**tally.last, **readings},
        counts={side: tally.counts.get(side, Reading()).plus(new) for side, new in zip(SIDES, compared, strict=True)},
        step_requests=tally.step_requests + mine.requests,
        windows=windows,
        before=tally.before if alone else tally.before.plus(theirs),
        alone=_more(tally.alone, mine) if alone else tally.alone,
        open=rest,
        spans=spans,
    )


def evenly(mine: Reading, theirs: Reading) -> tuple[Reading, Reading]:
    """Return both with latencies as if each side had had as many requests as the side with fewer.

    A pause of the machine is then in both sides by the same part. Without it the side that had most of its requests at
    a bad moment would look slow: the candidate's share of the traffic changes from step to step.
    """
    n = min(sum(mine.latency), sum(theirs.latency))
    scaled = (
        replace(one, latency=tuple(count * n / max(sum(one.latency), 1) for count in one.latency))
        for one in (mine, theirs)
    )
    first, second = scaled
    return first, second


def read_tally(content: Any) -> Tally:
    """Return the tally in a file's content; an empty one when it is none."""
    try:
        found = dict(content)
        for name in ("last", "counts"):
            found[name] = {side: _reading(item) for side, item in found[name].items()}
        for name in ("before", "open"):
            found[name] = _reading(found[name])
        found["windows"] = tuple(Window(**item) for item in found["windows"])
        found["spans"] = tuple(Span(**item) for item in found["spans"])
        found["steps"] = tuple(found["steps"])
        found["alone"] = Share(**found["alone"])
        return Tally(**found)
    except (TypeError, KeyError, ValueError, AttributeError):
        return Tally()


def buckets(cumulative: list[tuple[float, int]]) -> tuple[int, ...]:
    """Return counts by bucket of :data:`EDGES` from Envoy's cumulative ones."""
    if len(cumulative) < len(EDGES):
        return ()
    totals = [count for _, count in cumulative[: len(EDGES)]]
    above = cumulative[-1][1] - totals[-1]
    return (totals[0], *(b - a for a, b in zip(totals, totals[1:], strict=False)), max(above, 0))


def _reading(item: Mapping[str, Any]) -> Reading:
    return Reading(item["requests"], item["errors"], tuple(item["latency"]), item["dropped"])


def _spans(spans: tuple[Span, ...], reading: Reading) -> tuple[tuple[Span, ...], Reading]:
    """Return the spans with one more if there is enough for it, and what is left; quantiles at their lower edge."""
    if sum(reading.latency) < SPAN:
        return spans, reading
    p50, p99 = (quantile_bounds(EDGES, reading.latency, q, 0.0)[0] for q in (0.5, 0.99))
    return (*spans, Span(p50, p99))[-SPANS:], Reading()


def _more(share: Share, reading: Reading) -> Share:
    return Share(share.n + reading.requests, share.hits + reading.errors)
