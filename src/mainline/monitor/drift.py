"""Has a column moved? Two tiers that do not cry wolf, from the profiles of reference and window alone.

Contract tier, fires at once: values that the reference never held, a missing rate that changed, numbers far out of
range; each by an exact test at ``contract_alpha`` over the number of columns, and above a smallest share.
Drift tier: significant over all columns together (Benjamini-Hochberg at ``alpha``), and material (``effect``), and
beyond the column's own history once that is long enough. One such window is a WARNING, two of the last three are DRIFT.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mainline.data.distribution import benjamini_hochberg, limit
from mainline.data.profile import Profile
from mainline.monitor.effects import Effect, effect, fewer_than, more_than
from mainline.monitor.words import moved, strange_values

if TYPE_CHECKING:
    from mainline.config import Monitor

Kind = Literal["unseen", "missing", "range", "moved"]
Status = Literal["OK", "WARNING", "DRIFT", "INSUFFICIENT DATA"]

MIN_SHARE: Mapping[Kind, float] = {"unseen": 0.001, "range": 0.001, "missing": 0.01}
# A few extremes more or less are no breach where the reference has some itself.
TIMES = 3
SCORE, LATENCY = "(score)", "(latency ms)"


@dataclass(frozen=True)
class Breach:
    """A contract that the window breaks: what, in words, which share of its rows, and the chance of that."""

    kind: Kind
    words: str
    share: float
    p: float


@dataclass(frozen=True)
class Finding:
    """One column of one window against the reference.

    Attributes:
        rows: rows of the window whose value is known.
        effect, unit, shift, stability, p: see :class:`mainline.monitor.effects.Effect`.
        bound: what the effect must exceed, from the setting and the column's own history.
        exceeded: all conditions of the drift tier hold in this window alone.
        severity: "high" for a breach, for the score and from half a standard deviation (or 0.3 of the rows) on,
            "medium" from 0.2, else "low"; empty when nothing was found.
        words: what happened, for a person.
    """

    column: str
    verdict: Status
    rows: int
    effect: float
    unit: str
    shift: float
    stability: float
    p: float
    bound: float
    exceeded: bool
    breaches: tuple[Breach, ...]
    severity: str
    words: str

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values; :meth:`from_dict` takes them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Finding:
        """Return the finding that :meth:`to_dict` wrote."""
        return cls(**{**raw, "breaches": tuple(Breach(**item) for item in raw["breaches"])})


def judge(
    reference: Profile, window: Profile, rules: Monitor, earlier: Sequence[Sequence[Finding]] = ()
) -> list[Finding]:
    """Return one :class:`Finding` for each column that both have, the latency left out.

    ``earlier`` has the findings of the windows before this one that had rows, oldest first, against the same reference.
    """
    columns = [name for name in reference.bins if name in window.bins and name != LATENCY]
    past = [{item.column: item for item in findings} for findings in earlier]
    effects = {
        name: effect(reference.counts[name], window.counts[name], reference.bins[name])
        for name in columns
        if window.counts[name][:-1].any()
    }
    significant = benjamini_hochberg({name: item.p for name, item in effects.items()}, rules.alpha)
    alpha = rules.contract_alpha / max(len(columns), 1)
    nothing = Effect(0.0, "", 0.0, 0.0, 1.0)
    return [
        _judge(
            name,
            reference,
            window,
            rules,
            effects.get(name, nothing),
            significant.get(name, False),
            [item[name] for item in past if name in item],
            alpha,
        )
        for name in columns
    ]


def _judge(
    name: str,
    reference: Profile,
    window: Profile,
    rules: Monitor,
    found: Effect,
    significant: bool,
    past: Sequence[Finding],
    alpha: float,
) -> Finding:
    rows = int(window.counts[name][:-1].sum())
    bound = max(rules.effect, _own_limit(past, rules.history))
    exceeded = significant and found.size >= bound
    breaches = _breaches(name, reference, window, alpha)
    if breaches or (exceeded and any(item.exceeded for item in past[-2:])):
        verdict: Status = "DRIFT"
    elif exceeded:
        verdict = "WARNING"
    else:
        verdict = "OK" if rows >= rules.min_rows else "INSUFFICIENT DATA"
    words = [item.words for item in breaches]
    if exceeded:
        words += [moved(found.size, found.unit, found.shift, name, reference, window)]
    return Finding(
        column=name,
        verdict=verdict,
        rows=rows,
        effect=round(found.size, 6),
        unit=found.unit,
        shift=round(found.shift, 6),
        stability=round(found.stability, 6),
        p=float(f"{found.p:.3g}"),
        bound=round(bound, 6),
        exceeded=exceeded,
        breaches=tuple(breaches),
        severity=_severity(name, found, bool(breaches)) if breaches or exceeded else "",
        words="; ".join(dict.fromkeys(words)),
    )


def _own_limit(past: Sequence[Finding], enough: int) -> float:
    """Return what the column's effect hardly ever exceeded: mean and three standard deviations of its past windows.

    Windows that were DRIFT are left out: a drift that lasts would become its own excuse.
    """
    calm = [item.effect for item in past if item.verdict != "DRIFT" and item.rows]
    return limit(calm) if len(calm) >= max(enough, 2) else 0.0


def _breaches(name: str, reference: Profile, window: Profile, alpha: float) -> list[Breach]:
    left, right, bins = reference.counts[name], window.counts[name], reference.bins[name]
    n, m = int(left.sum()), int(right.sum())
    found = []
    if bins.values is not None:
        # A value that the reference holds once stands for others that it might have held (Good and Turing, 1953).
        once = int((left[:-2] == 1).sum())
        p, share = more_than(int(left[-2]) + once, n, int(right[-2]), m), _share(right[-2], m)
        if p < alpha and share >= MIN_SHARE["unseen"]:
            found.append(Breach("unseen", strange_values(name, reference, window), share, _short(p)))
    elif bins.sd is not None and n:
        beyond = int(right[0] + right[-2])
        p, share = more_than(int(left[0] + left[-2]), n, beyond, m), _share(beyond, m)
        if p < alpha and share >= max(MIN_SHARE["range"], TIMES * _share(left[0] + left[-2], n)):
            band = f"{bins.edges[0]:.4g} to {bins.edges[-1]:.4g}"
            found.append(Breach("range", f"{share:.1%} of rows far out of range ({band})", share, _short(p)))
    before, now = _share(left[-1], n), _share(right[-1], m)
    test = more_than if now > before else fewer_than
    p = min(1.0, 2 * test(int(left[-1]), n, int(right[-1]), m))
    if p < alpha and abs(now - before) >= MIN_SHARE["missing"]:
        strange = ", ".join(repr(value) for value in list(window.unseen.get(name, {}))[:3]) if not bins.values else ""
        text = f"missing in {now:.1%} of rows, {before:.1%} before" + (f" (no numbers: {strange})" if strange else "")
        found.append(Breach("missing", text, round(now, 6), _short(p)))
    return found


def _share(count: int | np.int64, rows: int) -> float:
    return round(float(count) / max(rows, 1), 6)


def _short(p: float) -> float:
    return float(f"{p:.3g}")


def _severity(name: str, found: Effect, breach: bool) -> str:
    high, medium = (0.5, 0.2) if found.unit == "sd" else (0.3, 0.2)
    if breach or name.startswith(SCORE) or found.size >= high:
        return "high"
    return "medium" if found.size >= medium else "low"
