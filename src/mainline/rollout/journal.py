"""The journal of a rollout: one line of JSON a look, beside the tally and what was expected."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainline.files import write_atomic
from mainline.rollout.measures import Pairs, Share
from mainline.rollout.statistics import Mean
from mainline.rollout.tally import Tally, read_tally

FOLDER = Path(".mainline", "rollouts")


@dataclass(frozen=True)
class Journal:
    """The folder of one release's rollout."""

    folder: Path

    def write(self, event: dict[str, Any]) -> None:
        """Append an event: a look, a transition, a restart."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "events.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(event, sort_keys=True, allow_nan=False) + "\n")

    def renew(self) -> None:
        """Put an earlier rollout of the same release aside, into ``try-1``, ``try-2`` …"""
        old = [path for path in self.folder.glob("*") if path.is_file()]
        if old:
            aside = self.folder / f"try-{1 + sum(path.is_dir() for path in self.folder.glob('try-*'))}"
            aside.mkdir()
            for path in old:
                path.rename(aside / path.name)

    def due(self, now: float) -> bool:
        """Return whether a look that changed nothing is to be written: the longer a rollout, the fewer, about 200 a
        tenfold of its age.
        """
        path = self.folder / "events.jsonl"
        try:
            with path.open(encoding="utf-8") as stream:
                first = dt.datetime.fromisoformat(json.loads(stream.readline())["time"]).timestamp()
            return now - path.stat().st_mtime >= (now - first) / 200
        except (OSError, ValueError, KeyError):
            return True

    def events(self) -> list[dict[str, Any]]:
        """Return all events, oldest first; a torn line is left out."""
        try:
            lines = (self.folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
        except OSError:
            return []
        found = []
        for line in lines:
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def tally(self) -> Tally:
        """Return the counts so far; empty ones when there are none."""
        try:
            return read_tally(json.loads((self.folder / "tally.json").read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return Tally()

    def save(self, tally: Tally) -> None:
        """Write the counts."""
        write_atomic(self.folder / "tally.json", json.dumps(tally.asdict()) + "\n")

    def expected(self) -> Pairs | None:
        """Return how far the two releases were expected to differ; None when that is not known."""
        try:
            found = json.loads((self.folder / "expected.json").read_text(encoding="utf-8"))
            return Pairs(
                all=Share(*found["all"]),
                slices={(name, group): Share(n, hits) for name, group, n, hits in found["slices"]},
                difference=Mean(*found["difference"]),
                largest=found["largest"],
                spread=found["spread"],
                decided=found["decided"],
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def expect(self, pairs: Pairs) -> None:
        """Write how far the two releases are expected to differ."""
        content = {
            "all": [pairs.all.n, pairs.all.hits],
            "slices": [[name, group, share.n, share.hits] for (name, group), share in pairs.slices.items()],
            "difference": [pairs.difference.n, pairs.difference.total, pairs.difference.squares],
            "largest": pairs.largest,
            "spread": pairs.spread,
            "decided": pairs.decided,
        }
        write_atomic(self.folder / "expected.json", json.dumps(content) + "\n")
