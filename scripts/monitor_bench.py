"""How long a profile takes, and how much memory: 20 columns of numbers and 10 of texts, from Parquet.

`python scripts/monitor_bench.py 100000 1000000` prints one line a size; each runs in a process of its own, so that its
peak memory is its own. `--dask N` counts once more with N workers of a local Dask cluster.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

CHUNK = 250_000
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


def make(path: Path, rows: int) -> None:
    """Write ``rows`` rows in row groups of ``CHUNK``, files of four."""
    path.mkdir()
    for number, start in enumerate(range(0, rows, CHUNK)):
        chunk(min(CHUNK, rows - start), number).to_parquet(path / f"{number:04d}.parquet")


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


def main() -> None:
    """Make the rows, and measure each size in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--dask", type=int, default=0)
    parser.add_argument("--folder", default="")
    options = parser.parse_args()
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
