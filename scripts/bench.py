"""`make bench`: what the pipeline costs, beside a bare script on the same data, in one run on this machine.

Everything happens in a throw-away copy of the repository. Wall time, CPU time (with all children) and the largest
resident set of any one process are read from the operating system.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

from mainline.console import any_terminal

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
REPEATS = 3
SIZES = (1, 10, 50)
STAGES = ("validate", "split", "train", "evaluate")


@dataclass(frozen=True)
class Cost:
    """Wall seconds, CPU seconds of the command and its children, and megabytes of its largest process."""

    wall: float
    cpu: float
    memory: float


def cost(folder: Path, *command: str) -> Cost:
    """Return what ``command`` costs in ``folder``; a failure ends the benchmark with its output."""
    with tempfile.TemporaryFile() as log:
        start = perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=environment(folder), stdout=log, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        wall = perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            log.seek(0)
            sys.exit(f"mainline: {' '.join(command)} failed:\n{log.read().decode()[-2000:]}")
    # Linux counts in kilobytes, macOS in bytes.
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit)


def typical(folder: Path, *command: str) -> Cost:
    """Return the medians of several runs."""
    costs = [cost(folder, *command) for _ in range(REPEATS)]
    return Cost(*(median(getattr(item, name) for item in costs) for name in ("wall", "cpu", "memory")))


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of a run: one thread for all, the copy's own code first."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    paths = {"PATH": f"{BIN}:{os.environ['PATH']}", "PYTHONPATH": str(folder / "src")}
    dropped = ("PYTHONDONTWRITEBYTECODE", "GITHUB_ACTIONS", "MLFLOW_TRACKING_URI")
    return {key: value for key, value in os.environ.items() if key not in dropped} | threads | paths


def copy_to(folder: Path) -> Path:
    """Return a copy of the repository with its data, as a git repository of its own."""
    folder.mkdir()
    for name in ("params.yaml", "dvc.yaml", "data.dvc", "requirements.lock", "pyproject.toml", ".dvcignore"):
        shutil.copy2(ROOT / name, folder / name)
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copytree(ROOT / ".dvc", folder / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp", "config.local"))
    for command in (("git", "init", "--quiet"), (str(BIN / "dvc"), "pull", "--quiet", "data.dvc")):
        cost(folder, *command)
    return folder


def multiply(folder: Path, times: int) -> int:
    """Repeat the rows of every batch ``times`` with new ids; return how many rows there are now."""
    import pandas as pd  # not above: a child starts with the memory of its parent, and that is measured

    total = 0
    for path in sorted((folder / "data").glob("*.csv")):
        rows = pd.read_csv(path, dtype=str)
        copies = [rows.assign(row_id=rows["row_id"].astype(int) + 1_000_000 * copy) for copy in range(times)]
        path.unlink()
        pd.concat(copies).to_csv(path, index=False)
        total += times * len(rows)
    return total


def line(name: str, found: Cost, base: Cost | None = None) -> None:
    """Print one line, with ratios to ``base``."""
    ratio = f"  CPU ×{found.cpu / base.cpu:.1f}, memory ×{found.memory / base.memory:.1f}" if base else ""
    print(f"{name:<34} {found.wall:7.2f} s wall {found.cpu:7.2f} s CPU {found.memory:7.0f} MB{ratio}", flush=True)


def main() -> None:
    """Print the table."""
    any_terminal()
    with tempfile.TemporaryDirectory() as scratch:
        folder = copy_to(Path(scratch, "one"))
        print(f"medians of {REPEATS} runs; load before the start {os.getloadavg()[0]:.2f}", flush=True)
        bare = typical(folder, sys.executable, str(ROOT / "scripts/bench_bare.py"))
        line("bare script: read, fit, score", bare)
        cost(folder, str(BIN / "dvc"), "repro", "--force")  # makes the tracking store and the .pyc files
        line("dvc repro --force, five stages", typical(folder, str(BIN / "dvc"), "repro", "--force"), bare)
        for stage in (*STAGES, "card"):
            line(f"  mainline {stage}", typical(folder, str(BIN / "mainline"), stage), bare)
        line("dvc repro, nothing to do", typical(folder, str(BIN / "dvc"), "repro"))
        line("mainline --help", typical(folder, str(BIN / "mainline"), "--help"))
        line("python -c 'import mlflow'", typical(folder, sys.executable, "-c", "import mlflow"))
        for times in SIZES:
            grown = copy_to(Path(scratch, f"times{times}"))
            rows = multiply(grown, times)
            print(f"{times}× the rows: {rows:,}", flush=True)
            base = cost(grown, sys.executable, str(ROOT / "scripts/bench_bare.py"))
            line("  bare script: read, fit, score", base)
            found = []
            for stage in STAGES:
                found.append(cost(grown, str(BIN / "mainline"), stage))
                line(f"  mainline {stage}", found[-1], base)
            whole = Cost(sum(c.wall for c in found), sum(c.cpu for c in found), max(c.memory for c in found))
            line("  four stages together", whole, base)


if __name__ == "__main__":
    main()
