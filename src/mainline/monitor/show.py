"""What the commands print of a window, of performance, and of a profile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mainline import console
from mainline.data.profile import Profile
from mainline.monitor.drift import LATENCY
from mainline.monitor.profile import quantile
from mainline.monitor.store import Kept

MARKS: Mapping[str, console.Mark] = {"OK": "pass", "WARNING": "warn", "DRIFT": "fail", "WORSE": "fail"}


def summary(found: Profile) -> list[tuple[str, ...]]:
    """Return a line a column: name, known, missing, and unseen or out of range."""
    lines: list[tuple[str, ...]] = []
    for name, bins in found.bins.items():
        counts = found.counts[name]
        beyond = counts[-2] if bins.values is not None else counts[0] + counts[-2]
        lines.append((name, f"{counts[:-1].sum():,}", f"{counts[-1]:,}", "" if name == LATENCY else f"{beyond:,}"))
    return lines


def show(kept: Kept) -> None:
    """Print a window's verdict, and where the other reference disagrees."""
    judged = kept.judged
    timed = kept.watched is not None and LATENCY in kept.watched.profile.bins
    latency = None if not timed or kept.watched is None else quantile(kept.watched.profile, LATENCY, 0.99)
    slow = f", 99 % within {latency:g} ms" if latency is not None else ""
    words = f"{judged.window}: {judged.verdict}, {judged.rows:,} rows{slow}"
    console.say(words + (f": {judged.reason}" if judged.reason else ""), MARKS.get(judged.verdict, "none"))
    if judged.verdict == "DRIFT":
        console.annotate("warning", words)
    for verdict in dict.fromkeys(judged.other.values()):
        names = [name for name, other in judged.other.items() if other == verdict]
        console.say(f"  against the other reference {verdict}: {', '.join(names)}")


def show_performance(report: Mapping[str, Any]) -> None:
    """Print what was promised and what was realised."""
    labels, found, expected = report["labels"], report["realised"], report["expected"]
    lag = labels["lag_days"]["median"]
    console.say(
        f"{report['rows']:,} predictions, outcomes of {report['coverage']:.0%}"
        + (f", {lag:g} days late in the median" if lag is not None else "")
    )
    odd = [f"{labels[name]:,} {name}" for name in ("duplicates", "repeated", "corrected", "orphans", "unreadable")]
    console.say(", ".join(odd))
    guess, shown = report["estimate"]["metrics"] or {}, []
    for name, value in expected.items():
        real = (found or {"metrics": {}})["metrics"].get(name)
        cell = "" if real is None or real["value"] is None else f"{real['value']:.4g}"
        bounds = "" if real is None or real["low"] is None else f"{real['low']:.4g} to {real['high']:.4g}"
        shown.append((name, _number(value), _number(guess.get(name)), cell, bounds))
    if found and found.get("value"):
        shown.append(("value per row", "", _number(guess.get("value_per_row")), _number(found["value"]["per_row"]), ""))
    if guess.get("mean_label") is not None:
        real_mean = _number(found["mean_label"]) if found else ""
        shown.append(("share of positives", "", _number(guess["mean_label"]), real_mean, ""))
    console.table("Performance", ("", "test window", "estimate", "realised", "interval"), shown, right=(1, 2, 3, 4))
    console.say(report["estimate"]["cannot_see"])
    console.say(f"{report['verdict']}: {report['reason']}", MARKS.get(report["verdict"], "none"))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
