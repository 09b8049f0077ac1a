"""The verdict of a window: the worst of its columns, or why there can be none. What cannot be told is never OK."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mainline.config import Monitor
from mainline.monitor.drift import Finding

Verdict = Literal["OK", "WARNING", "DRIFT", "INSUFFICIENT DATA", "NO TRAFFIC", "STALE"]
GREEN: tuple[Verdict, ...] = ("OK",)
ALARMS: tuple[Verdict, ...] = ("WARNING", "DRIFT")


@dataclass(frozen=True)
class Judged:
    """A window and what was found.

    Attributes:
        window: its name; ``start`` and ``end`` in ISO, UTC.
        rows: predictions in it.
        verdict, reason: of the whole window, in a word and in words.
        findings: one a column, against the reference that params.yaml chose.
        other: columns whose verdict against the other reference differs, with that verdict.
    """

    window: str
    start: str
    end: str
    rows: int
    verdict: Verdict
    reason: str
    findings: tuple[Finding, ...]
    other: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values; :meth:`from_dict` takes them back."""
        return {**self.__dict__, "findings": [item.to_dict() for item in self.findings], "other": dict(self.other)}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Judged:
        """Return what :meth:`to_dict` wrote."""
        return cls(**{**raw, "findings": tuple(Finding.from_dict(item) for item in raw["findings"])})


def conclude(
    rows: int, findings: Sequence[Finding], newest: dt.datetime | None, end: dt.datetime, rules: Monitor
) -> tuple[Verdict, str]:
    """Return verdict and reason of a window that ended at ``end``.

    ``newest`` is the time of the newest record in the whole log. Rows after the window, or none for less than
    ``max_silence_hours`` before its end, prove that the log is alive. An alarm in a log that stopped is still an alarm.
    """
    alarms = [item for item in findings if item.verdict in ALARMS]
    if rows and alarms:
        worst: Verdict = "DRIFT" if any(item.verdict == "DRIFT" for item in alarms) else "WARNING"
        named = [f"{item.column}: {item.words}" for item in alarms if item.verdict == worst]
        return worst, "; ".join(named[:3]) + (f"; and {len(named) - 3} more" if len(named) > 3 else "")
    if newest is None:
        return "STALE", "the log holds no record at all: nothing arrives, or nothing is logged"
    silence = (end - newest).total_seconds() / 3600
    if rules.max_silence_hours is not None and silence > rules.max_silence_hours:
        return "STALE", f"the newest record is {silence:.0f} hours older than the window's end ({newest.isoformat()})"
    if not rows:
        return "NO TRAFFIC", "no prediction, though the log goes on"
    if rows < rules.min_rows:
        return "INSUFFICIENT DATA", f"{rows} rows; from {rules.min_rows} on, silence means something"
    return "OK", ""
