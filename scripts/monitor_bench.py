"""How long a profile takes, and how much memory: 20 columns of numbers and 10 of texts, from Parquet.

`python scripts/monitor_bench.py 100000 1000000` prints one line a size; each runs in a process of its own, so that its
peak memory is its own. `--dask N` counts once more with N workers of a local Dask cluster. `--peers FOLDER` compares
with Evidently and NannyML over the same rows, one tool after the other, each in an environment of its own that is made
in FOLDER (2 GB from the package registry; nothing of it is in the lock), and prints the table of docs/benchmark.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

CHUNK = 250_000
PEERS = {  # newest pandas does not import with Evidently; NannyML imports statsmodels without asking for it
    "evidently": ("evidently==0.7.23", "pandas<3.1"),
    "nannyml": ("nannyml==0.13.1", "statsmodels"),
}
CHILD = Path(__file__).with_name("monitor_bench_peers.py")
MINUTES = 10.0  # after which a tool has not finished
QUIET = {"DO_NOT_TRACK": "1", "NML_DISABLE_USAGE_LOGGING": "1"}
Found = dict[str, Any]
CATEGORIES = (2, 3, 4, 5, 6, 8, 10, 20, 50, 200)


def chunk(rows: int, seed: int) -> pd.DataFrame:
    """Return made-up rows: normal and skewed numbers, some missing, and texts of 2 to 200 values."""
    rng = np.random.default_rng(seed)
    numbers = {f"n{index}": rng.normal(size=rows) for index in range(10)}
    numbers |= {f"s{index}": np.where(rng.random(rows) < 0.05, np.nan, rng.lognormal(size=rows)) for index in range(10)}
    texts = {
        f"t{size}": pd.Categorical(rng.integers(0, size, rows)).rename_categories(lambda item: f"v{item}")
        for size in CATEGORIES
    }
    return pd.DataFrame({**numbers, **texts})


def make(path: Path, rows: int, seed: int = 0) -> None:
    """Write ``rows`` rows in files of ``CHUNK``."""
    path.mkdir()
    for number, start in enumerate(range(0, rows, CHUNK)):
        chunk(min(CHUNK, rows - start), seed + number).to_parquet(path / f"{number:04d}.parquet")


def measure(folder: str, workers: int) -> dict[str, float]:
    """Return seconds to read alone, to read and count (by the clock, and of processor time), and to judge; peak MB."""
    import resource

    from mainline.config import Monitor
    from mainline.data.profile import count, make_bins
    from mainline.monitor.build import Scan, scan
    from mainline.monitor.drift import judge
    from mainline.monitor.source import frames, parts

    sample = chunk(100_000, 10_000)
    sample = sample.astype({f"t{size}": "str" for size in CATEGORIES})
    bins = make_bins(sample, [str(name) for name in sample], 50, 0.25)
    reference, rules = count(sample, bins), Scan(bins=bins, length=None)
    if workers:
        from distributed import LocalCluster

        made = LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
        )
        with made as cluster:
            scan(folder, rules, cluster.scheduler_address)  # the workers import what they need
            begun = time.perf_counter()
            scan(folder, rules, cluster.scheduler_address)
            return {"workers": workers, "read_and_count": time.perf_counter() - begun}
    import scipy.stats  # noqa: F401

    begun, used = time.perf_counter(), time.process_time()
    rows = sum(len(frame) for part in parts(folder) for frame, _ in frames(part, rules.columns, True))
    read, read_cpu = time.perf_counter() - begun, time.process_time() - used
    begun, used = time.perf_counter(), time.process_time()
    found = scan(folder, rules).windows["all"].profile
    both, both_cpu = time.perf_counter() - begun, time.process_time() - used
    begun = time.perf_counter()
    judge(reference, found, Monitor())
    judged = time.perf_counter() - begun
    assert found.rows == rows
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    found_times = {"read": read, "read_cpu": read_cpu, "both": both, "both_cpu": both_cpu, "judge": judged}
    return {"rows": rows, **{name: round(seconds, 2) for name, seconds in found_times.items()}, "peak_mb": peak}


def environment(folder: Path, name: str) -> str:
    """Return the interpreter of a peer's environment, made anew where it is not there."""
    place = folder.resolve() / name
    python = str(place / "bin" / "python")
    if not (place / "made").exists():
        shutil.rmtree(place, ignore_errors=True)
        uv = shutil.which("uv")
        make_it = [uv, "venv", "-q", str(place)] if uv else [sys.executable, "-m", "venv", str(place)]
        install = [uv, "pip", "install", "-q", "--python", python] if uv else [python, "-m", "pip", "install", "-q"]
        subprocess.run(make_it, check=True)
        subprocess.run([*install, *PEERS[name]], check=True)
        (place / "made").touch()
    return python


def take(command: Sequence[str], minutes: float = MINUTES) -> Found:
    """Return what a tool printed of itself, or {"failed": why} if it does not come to an end."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60 * minutes, env={**os.environ, **QUIET}, check=False
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"not finished in {minutes:g} minutes"}
    if done.returncode:
        words = (done.stderr.strip().splitlines() or ["no message"])[-1]
        memory = done.returncode == -9 or "MemoryError" in done.stderr
        return {"failed": "out of memory" if memory else f"exit code {done.returncode}: {words}"}
    found: Found = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def side_by_side(pythons: dict[str, str], size: int) -> list[Found]:
    """Return one record a tool over the same ``size`` rows of reference and as many of a window."""
    with tempfile.TemporaryDirectory() as scratch:
        folders = [Path(scratch, name) for name in ("reference", "current")]
        for number, folder in enumerate(folders):
            make(folder, size, 5000 * number)
        found = []
        for name in ("profile", "mainline", *pythons):
            load = os.getloadavg()[0]
            made = take([pythons.get(name, sys.executable), str(CHILD), name, *map(str, folders)])
            found.append({"rows": size, "tool": name, **made, "load": round(load, 1)})
            print(json.dumps(found[-1]), flush=True)
        return found


def peer_table(found: Sequence[Found]) -> str:
    """Return the records of one or more sizes as Markdown; ratios are of processor time and of memory."""
    lines = [
        "| rows | tool | wall | processor | times ours | peak memory | times ours | load before |",
        "|--:|---|" + "--:|" * 6,
    ]
    ours = {item["rows"]: item for item in found if item["tool"] == "mainline"}
    for item in found:
        name = {"profile": "Mainline, the reference's profile (once a model)", "mainline": "Mainline, a window"}.get(
            item["tool"], f"{item['tool']} {item.get('version', '')}".strip()
        )
        if "failed" in item:
            cells = [item["failed"], "", "", "", ""]
        else:
            own = ours[item["rows"]]
            times = [f"{item[key] / own[key]:.1f}" if item is not own else "1" for key in ("cpu", "peak_mb")]
            cells = [f"{item['seconds']:.1f} s", f"{item['cpu']:.1f} s", times[0], f"{item['peak_mb']:,} MB", times[1]]
        lines.append(f"| {item['rows']:,} | {name} | {' | '.join(cells)} | {item['load']} |")
    return "\n".join(lines)


def main() -> None:
    """Make the rows, and measure each size in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--dask", type=int, default=0)
    parser.add_argument("--folder", default="")
    parser.add_argument("--peers", type=Path, help="folder for the environments of Evidently and NannyML")
    options = parser.parse_args()
    if options.peers:
        pythons = {name: environment(options.peers, name) for name in ("nannyml", "evidently")}
        print(peer_table([item for size in options.sizes for item in side_by_side(pythons, size)]))
        return
    if options.folder:
        print(json.dumps(measure(options.folder, options.dask)))
        return
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "rows"
            make(folder, size)
            for workers in [0, *range(1, options.dask + 1)]:
                command = [sys.executable, __file__, "--folder", str(folder), "--dask", str(workers)]
                print(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip(), flush=True)


if __name__ == "__main__":
    main()
