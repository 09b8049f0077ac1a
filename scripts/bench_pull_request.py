"""`make bench`, third part: what a pull request's run costs under act, as tests/workflows runs it, for three changes.

The jobs find an environment that is installed and the DVC cache of main's last run; what GitHub's own machines add
(starting, installing, moving artifacts) is not in it.
"""

from __future__ import annotations

import importlib.util
import os
import resource
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

from mainline.console import any_terminal

ROOT = Path(__file__).parents[1]


def load(name: str, file: Path) -> ModuleType:
    """Return the module in ``file``."""
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def no_op(place: Any) -> None:
    """Change a file on which no stage depends."""
    place.edit("Makefile", lambda text: text + "\n# touched\n")


def params_only(place: Any) -> None:
    """Change a key that training reads, without running the pipeline."""
    place.edit("params.yaml", lambda text: text.replace("C: 1.0", "C: 0.5"))


def data(place: Any) -> None:
    """Deliver a batch with another last row, without running the pipeline."""
    place.dvc("pull", "--quiet", "data.dvc")
    batch = place.clone / "data" / "2009-05.csv"
    text = batch.read_text(encoding="utf-8")
    batch.unlink()
    batch.write_text(text.replace(",management,", ",admin.,", 1), encoding="utf-8")
    place.dvc("add", "--quiet", "data")
    place.dvc("push", "--quiet", "data.dvc")
    place.push("New batch")


CHANGES: dict[str, Callable[[Any], None]] = {"nothing to do": no_op, "params only": params_only, "data": data}


def spent() -> float:
    """Return the CPU seconds of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Print the table."""
    any_terminal()
    clones, places = (
        load("bench_clones", ROOT / "tests/conftest.py"),
        load("bench_places", ROOT / "tests/workflows/conftest.py"),
    )
    with tempfile.TemporaryDirectory() as scratch:
        top = Path(scratch)
        (top / "start").mkdir()
        finished = clones.make_clone(top / "finished")
        finished.dvc("repro", "--quiet", "--force")
        start = places.make_start(finished.folder, top / "start")
        print(f"a pull request under act; load before the start {os.getloadavg()[0]:.2f}", flush=True)
        base = 0.0
        for number, (name, change) in enumerate(CHANGES.items()):
            with places.make_place(start, top / f"place-{number}") as place:
                change(place)
                before, log = spent(), StringIO()
                with redirect_stdout(log):
                    outcome = place.run()
                    told = place.report(outcome)
                if outcome.code != 0 or told.code != 0:
                    sys.exit(f"mainline: {name} failed:\n{log.getvalue()[-3000:]}")
                cpu = spent() - before
                base = base or cpu
                wall = outcome.seconds + told.seconds
                print(f"  {name:<14} CPU ×{cpu / base:.1f}  {cpu:6.1f} s CPU {wall:6.1f} s wall", flush=True)


if __name__ == "__main__":
    main()
