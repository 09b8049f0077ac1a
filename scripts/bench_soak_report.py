"""What the soak has found: users by phase, answers against the prediction log, memory of the processes; as tables."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench_place import Answer, markdown, quantile

from mainline.serve.log import read

LONG = 300.0  # seconds below which a growth an hour would be made of noise


@dataclass(frozen=True)
class Sample:
    """What a process and its workers held at a moment."""

    at: float
    name: str
    pid: int
    megabytes: float
    files: int


@dataclass
class Story:
    """What happened: the phases with the Unix time at which each began, and how it went."""

    phases: list[tuple[float, str]] = field(default_factory=list)
    promoted: bool = False
    rolled_back: bool = False
    restarts: list[str] = field(default_factory=list)

    def enter(self, phase: str) -> None:
        """Note that a phase begins."""
        if not self.phases or self.phases[-1][1] != phase:
            self.phases.append((time.time(), phase))
            print(f"{time.strftime('%H:%M:%S')} {phase}", file=sys.stderr, flush=True)


def held(log: Path, got: Sequence[Answer]) -> dict[str, int]:
    """Return how the answers and the prediction log fit: ``lost`` are answers whose request is in no record."""
    found: Counter[int] = Counter()
    copies = 0
    records = read(log)
    for record in records:
        name = str(record.get("request_id", ""))
        if record.get("kind") != "prediction" or not name.startswith("bench-"):
            continue
        if record.get("track") == "shadow":
            copies += 1
        else:
            found[int(name.removeprefix("bench-"))] += 1
    answered = {one.number for one in got if one.status == 200}
    return {
        "answers": len(answered),
        "records": found.total(),
        "lost": len(answered - found.keys()),
        "answered twice": sum(count > 1 for count in found.values()),
        "records without an answer": len(found.keys() - answered),
        "records of shadow": copies,
        "torn lines": records.torn,
    }


def phases(story: Story, got: Sequence[Answer]) -> list[dict[str, Any]]:
    """Return what the users got, by phase; a request belongs to the phase in which it was due."""
    ends = [at for at, _ in story.phases[1:]]
    lines = []
    for (at, name), stop in zip(story.phases, ends, strict=False):
        mine = [one for one in got if at <= one.at < stop]
        if not mine:
            continue
        took = [one.milliseconds for one in mine]
        lines.append({"phase": name, "seconds": stop - at, "requests": len(mine),
                      "failed": sum(one.status != 200 for one in mine), "p50": quantile(took, 0.5),
                      "p99": quantile(took, 0.99), "max": max(took),
                      "releases": dict(Counter(one.release for one in mine))})  # fmt: skip
    return lines


def growth(samples: Sequence[Sample], early: float) -> list[dict[str, Any]]:
    """Return memory and open files of each process, ``early`` seconds after its first sample and at its last one."""
    lines = []
    for name, pid in dict.fromkeys((one.name, one.pid) for one in samples):
        mine = [one for one in samples if one.pid == pid and one.name == name]
        start = next((one for one in mine if one.at - mine[0].at >= early), mine[0])
        last = mine[-1]
        hours = (last.at - start.at) / 3600
        per_hour = 100 * (last.megabytes / start.megabytes - 1) / hours if hours * 3600 >= LONG else None
        lines.append({"process": name, "pid": pid, "seconds": last.at - mine[0].at, "early_mb": start.megabytes,
                      "end_mb": last.megabytes, "growth_mb": last.megabytes - start.megabytes,
                      "growth_percent_per_hour": per_hour, "early_files": start.files,
                      "end_files": last.files})  # fmt: skip
    return lines


def told(found: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Return the tables."""

    def named(text: str) -> str:
        for release, short in names.items():
            text = text.replace(release, short)
        return text

    users = [
        (line["phase"], f"{line['seconds']:,.0f}", f"{line['requests']:,}", str(line["failed"]), f"{line['p50']:.2f}",
         f"{line['p99']:.1f}", f"{line['max']:.0f}",
         ", ".join(f"{named(name) or 'nobody'} {count:,}" for name, count in sorted(line["releases"].items())))
        for line in found["phases"]
    ]  # fmt: skip
    memory = [
        (named(line["process"]), f"{line['seconds']:,.0f}", f"{line['early_mb']:.1f}", f"{line['end_mb']:.1f}",
         f"{line['growth_mb']:+.1f}",
         "too short" if line["growth_percent_per_hour"] is None else f"{line['growth_percent_per_hour']:+.1f} %",
         f"{line['early_files']} / {line['end_files']}")
        for line in found["memory"]
    ]  # fmt: skip
    return "\n".join((
        markdown(("phase", "seconds", "requests", "failed", "p50 ms", "p99 ms", "largest ms", "answered by"), users),
        markdown(tuple(found["log"]), [[f"{value:,}" for value in found["log"].values()]], 0),
        markdown(("process", "seconds", f"MB after {found['early']:.0f} s", "MB at its end", "growth MB", "an hour",
                  "open files"), memory),
    ))  # fmt: skip
