"""What the report is made from: the windows that are kept, and what the last run found."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainline.config import Monitor
from mainline.data.profile import Profile
from mainline.files import read_json
from mainline.monitor.late import Late, still
from mainline.monitor.levels import Level, levels
from mainline.monitor.profile import reference_id
from mainline.monitor.store import Kept, Store
from mainline.monitor.verdict import ALARMS, GREEN
from mainline.monitor.windows import window_at

TABLE = "-table"
GRACE = dt.timedelta(hours=48)  # for a run to come round


@dataclass(frozen=True)
class View:
    """The inputs of the report.

    Attributes:
        windows: all that are kept, oldest first.
        reference: the champion's profile.
        performance: of the last run; empty without one.
        levels: service levels of the newest window.
        now: the moment that the report is for.
        rules: of params.yaml.
        late: windows that have grown since they were watched.
    """

    windows: Sequence[Kept]
    reference: Profile
    performance: Mapping[str, Any]
    levels: Sequence[Level]
    now: dt.datetime
    rules: Monitor
    late: Sequence[Late] = ()

    @property
    def newest(self) -> Kept | None:
        """The window that ended last."""
        return self.windows[-1] if self.windows else None

    @property
    def overdue(self) -> bool:
        """Whether a window ended more than ``GRACE`` ago that nobody watched: then nothing is known of today."""
        return self.newest is None or self.now > window_at(self.newest.end, self.rules.window).end + GRACE

    @property
    def outcomes(self) -> list[Mapping[str, Any]]:
        """Performance window by window, oldest first."""
        return list(self.performance.get("windows") or ())

    @property
    def primary(self) -> str:
        """The metric that decides; empty without a run."""
        return str(self.performance.get("primary") or "")

    @property
    def good(self) -> bool | None:
        """True only if the newest window, the outcomes and every level that has a bound are fine, and known to be.

        False: an alarm. None: it cannot be told.
        """
        missed = any(level.met is False for level in self.levels)
        verdict = self.performance.get("verdict")
        if self.newest is not None and self.newest.judged.verdict == "DRIFT" or verdict == "WORSE" or missed:
            return False
        if any(item.counts(self.rules) for item in self.late):
            return None
        if self.overdue or self.newest is None or self.newest.judged.verdict not in GREEN or verdict != "OK":
            return None
        return True

    def alarmed(self) -> list[str]:
        """Return the columns with an alarm in any window: those of the newest window first, by size, then by name."""
        newest = self.newest.judged.findings if self.newest else ()
        sizes = {item.column: item.effect for item in newest if item.verdict in ALARMS}
        found = {item.column for kept in self.windows for item in kept.judged.findings if item.verdict in ALARMS}
        return sorted(found, key=lambda name: (-sizes.get(name, -1.0), name))


def load_view(reference: Profile, rules: Monitor, release: str, now: dt.datetime) -> View:
    """Return what is kept of ``release`` (empty: of all) against ``reference``.

    Raises:
        UserError: a file is damaged, and which.
    """
    folder = Path(rules.folder)
    scope = release or "all"
    store = Store(folder, reference_id(reference), rules.window, scope)
    if not store.place.is_dir():
        table = Store(folder, store.reference, rules.window, scope + TABLE)
        store = table if table.place.is_dir() else store
    report = folder / "report.json"
    found = read_json(report) if report.is_file() else {}
    windows = store.all()
    met = levels([windows[-1].watched], rules, windows[-1].end) if windows else ()
    return View(windows, reference, found.get("performance") or {}, met, now, rules, still(found, windows))
