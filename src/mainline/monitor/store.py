"""The windows watched so far: one file a window, below the reference that it was judged against.

A window is written once, as a whole, after it has ended; so none is lost or counted twice, wherever the process dies.
Only `--again` writes one once more.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainline.errors import UserError
from mainline.files import read_json, write_json
from mainline.monitor.profile import Watched
from mainline.monitor.verdict import Judged
from mainline.monitor.windows import Length


@dataclass(frozen=True)
class Kept:
    """A window that was watched; ``watched`` is None where it held no row, ``again`` says how often since the first."""

    judged: Judged
    watched: Watched | None
    again: int = 0

    @property
    def end(self) -> dt.datetime:
        """When the window ended."""
        return dt.datetime.fromisoformat(self.judged.end)


@dataclass(frozen=True)
class Store:
    """The windows of one length in ``folder`` that were judged against the reference ``reference``."""

    folder: Path
    reference: str
    length: Length
    scope: str = "all"

    @property
    def place(self) -> Path:
        """Where they are."""
        return self.folder / "windows" / f"{self.reference}-{self.length}-{self.scope}"

    def all(self) -> list[Kept]:
        """Return the windows in order of time.

        Raises:
            UserError: a file is damaged, and which.
        """
        return [_kept(path) for path in sorted(self.place.glob("*.json"))]

    def keep(self, judged: Judged, watched: Watched | None, again: int = 0) -> Kept:
        """Write one window, and return it."""
        value: dict[str, Any] = {"judged": judged.to_dict(), "watched": watched and watched.to_dict()}
        if again:
            value["again"] = again
        write_json(self.place / f"{judged.window}.json", value)
        return Kept(judged, watched, again)


def times_again(raw: Mapping[str, Any]) -> int:
    """Return how often the window in a file was watched again."""
    return int(raw.get("again", 0))


def _kept(path: Path) -> Kept:
    raw = read_json(path)
    try:
        watched = raw["watched"] and Watched.from_dict(raw["watched"])
        return Kept(Judged.from_dict(raw["judged"]), watched, times_again(raw))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}: is no window of this version ({error})", "remove it: it will be watched again"
        ) from error
