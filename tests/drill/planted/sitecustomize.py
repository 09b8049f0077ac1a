"""Faults inside the real service: Python runs this file at its start when its folder is on PYTHONPATH.

`mainline serve` is what it always is; only its worker, when it imports the application, gets the fault that
MAINLINE_PLANTED (JSON) holds for its track, as in {"canary": {"errors": 0.1, "after": 100}}:

    errors      share of the requests that the model raises an exception on
    slow_ms     more time for each prediction; ms: the same, but from the first request on, also for shadow
    constant    the score of every row; negated: 1 - score
    slice       {column: value}, whose rows get the other decision: their scores are mirrored at `around`
    turned      share of the rows, whatever is in them, that are treated like those of a slice
    leak_mb     memory that a request leaves behind; limit_mb: how much more the process may take before it is killed
    never_ready "hangs" or "raises" while the model is loaded
    after       requests that are answered well before; users: the fault spares shadow and golden requests
    mark        file that gets one byte for each request that met the fault; <mark>.began holds when it began (Unix)
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import signal
import sys
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

FAULT: dict[str, Any] = json.loads(os.environ.get("MAINLINE_PLANTED", "{}")).get(os.environ.get("MAINLINE_TRACK"), {})
HOARD: list[bytearray] = []


@dataclass(frozen=True)
class Planted:
    """A scorer whose scores are wrong."""

    real: Any
    raises: bool

    @property
    def path(self) -> str:
        return str(self.real.path)

    def score_rows(self, rows: Sequence[dict[str, Any]]) -> Any:
        if self.raises:
            raise RuntimeError("planted")
        scores = self.real.score_rows(rows)
        if "constant" in FAULT:
            scores[:] = FAULT["constant"]
        for index, row in enumerate(rows):
            if FAULT.get("negated"):
                scores[index] = 1 - scores[index]
            chosen = zlib.crc32(repr(sorted(row.items())).encode()) % 100 < 100 * FAULT.get("turned", 0)
            if chosen or any(row[name] == value for name, value in FAULT.get("slice", {}).items()):
                scores[index] = max(2 * FAULT["around"] - scores[index], 0.0)
        return scores


def leak() -> None:
    """Keep some memory; where there is none left, end as the kernel would end it."""
    if not HOARD and "limit_mb" in FAULT:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + FAULT["limit_mb"] * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    try:
        HOARD.append(bytearray(FAULT["leak_mb"] * 2**20))
    except MemoryError:
        os.kill(os.getpid(), signal.SIGKILL)


def note() -> None:
    """Write down that a request met the fault."""
    if "mark" in FAULT:
        mark = Path(FAULT["mark"])
        if not mark.exists():
            mark.with_name(f"{mark.name}.began").write_text(repr(time.time()))
        with mark.open("ab") as stream:
            stream.write(b".")


def plant_answers(app: ModuleType) -> None:
    """Put the fault between the request's checks and the model."""
    real, served, chance = app.Application._predict, 0, random.Random(1)

    async def predict(self: Any, loaded: Any, body: bytes, asked: Any) -> Any:
        nonlocal served
        served += 1
        await asyncio.sleep(FAULT.get("ms", 0) / 1000)
        if served <= FAULT.get("after", 0) or (FAULT.get("users") and asked.shadow):
            return await real(self, loaded, body, asked)
        note()
        if "leak_mb" in FAULT:
            leak()
        await asyncio.sleep(FAULT.get("slow_ms", 0) / 1000)
        scorer = Planted(loaded.scorer, chance.random() < FAULT.get("errors", 0))
        return await real(self, replace(loaded, scorer=scorer), body, asked)

    app.Application._predict = predict  # type: ignore[attr-defined]


def plant_start(model: ModuleType) -> None:
    """Let the model never be loaded."""

    def load(root: Path) -> Any:
        if FAULT["never_ready"] == "raises":
            raise RuntimeError("planted")
        time.sleep(3600)

    if "never_ready" in FAULT:
        model.load = load  # type: ignore[attr-defined]


PLANT = {"mainline.serve.app": plant_answers, "mainline.serve.model": plant_start}


class Finder:
    """Finds the modules of PLANT where they are, and plants the fault once they are loaded."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        found = PathFinder.find_spec(name, path, target) if name in PLANT else None
        if found is None or found.loader is None:
            return None
        run = found.loader.exec_module

        def loaded(module: ModuleType) -> None:
            run(module)
            PLANT[name](module)

        found.loader.exec_module = loaded  # type: ignore[method-assign]
        return found


if FAULT:
    sys.meta_path.insert(0, Finder)  # type: ignore[arg-type]
