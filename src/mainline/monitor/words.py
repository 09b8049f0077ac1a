"""What happened to a column, for a person: how far it moved, which values are new, what they look like."""

from __future__ import annotations

from mainline.data.profile import Profile

SHOWN = 3
# A value is gone when so little of it is left, and was taken over when the newcomer's share is so near to what it lost.
GONE, NEAR = 0.25, 0.25
MIN_SHARE = 0.01


def moved(size: float, unit: str, shift: float, name: str, reference: Profile, window: Profile) -> str:
    """Return how far the column moved, with the text that gained most or whether numbers rose, fell or spread."""
    if unit == "sd":
        if abs(shift) >= 0.5 * size:
            return f"moved {'up' if shift > 0 else 'down'} by {size:.2g} sd"
        return f"changed its spread or shape by {size:.2g} sd"
    before, now = _shares(name, reference), _shares(name, window)
    grown = max(before, key=lambda value: now.get(value, 0.0) - before[value])
    return f"{size:.0%} of rows changed value; {grown} {before[grown]:.0%} before, {now.get(grown, 0.0):.0%} now"


def strange_values(name: str, reference: Profile, window: Profile) -> str:
    """Return the commonest unseen values with their shares, and which known value each looks like."""
    found = sorted(window.unseen.get(name, {}).items(), key=lambda item: (-item[1], item[0]))
    if not found:
        return "values that the reference never held"
    rows = max(window.rows, 1)
    parts = []
    for value, count in found[:SHOWN]:
        likely = looks_like(value, count / rows, name, reference, window)
        parts.append(f"new category {value}: {_percent(count / rows)} of rows" + (f"; {likely}" if likely else ""))
    more = len(found) - SHOWN
    return "; ".join(parts) + (f"; and {more} more" if more > 0 else "")


def looks_like(value: str, share: float, name: str, reference: Profile, window: Profile) -> str:
    """Return "looks like X renamed" for a known value that is spelt alike, or whose share went over; else nothing."""
    known = reference.bins[name].values or ()
    folded = fold(value)
    for other in known:
        if fold(other) == folded:
            return f"looks like {other} renamed"
    before, now = _shares(name, reference), _shares(name, window)
    gone = [
        other
        for other in known
        if before[other] >= MIN_SHARE
        and now[other] <= GONE * before[other]
        and abs(share - (before[other] - now[other])) <= NEAR * before[other]
    ]
    return f"looks like {gone[0]} renamed: it went from {before[gone[0]]:.0%} to {now[gone[0]]:.0%}" if gone else ""


def fold(value: str) -> str:
    """Return ``value`` without what a renaming tends to change: case, spaces, and signs between words."""
    return "".join(letter for letter in value.casefold() if letter.isalnum())


def _shares(name: str, profile: Profile) -> dict[str, float]:
    """Return the share of each known value among all rows whose value is known."""
    counts, values = profile.counts[name], profile.bins[name].values or ()
    rows = max(int(counts[:-1].sum()), 1)
    return {value: float(count) / rows for value, count in zip(values, counts, strict=False)}


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}"
