"""`make bench`, second part: `mainline compare` on test windows of several sizes, beside a plain bootstrap loop.

The rows are drawn with replacement from the example's test window, with ids of their own; champion and challenger are
two models of the example. Both sides run one after the other on the same rows.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import BIN, ROOT, Cost, copy_to, cost, environment

SIZES = (1_000, 10_000, 100_000, 1_000_000)
LOOPS = {1_000: 200, 10_000: 100, 100_000: 10, 1_000_000: 3}  # resamples of the plain loop that are measured
RESAMPLES = 1_000
IDENTITY = ("-c", "user.name=bench", "-c", "user.email=bench@example.org")


def two_models(folder: Path) -> Path:
    """Return a copy of the repository whose branch main pins a model, and whose work tree has made another."""
    copy_to(folder)
    cost(folder, str(BIN / "dvc"), "repro", "--quiet")
    (folder / ".gitignore").write_text("/artifacts\n/reports\n/data\n/mlflow.db*\n/mlartifacts\n/.mainline\n")
    cost(folder, "git", "add", "--all")
    cost(folder, "git", *IDENTITY, "commit", "--quiet", "--message=Champion")
    cost(folder, "git", "branch", "--force", "main")
    predicted(folder, "champion.npy")
    params = folder / "params.yaml"
    params.write_text(params.read_text(encoding="utf-8").replace("C: 1.0", "C: 0.5"), encoding="utf-8")
    cost(folder, str(BIN / "dvc"), "repro", "--quiet")
    predicted(folder, "challenger.npy")
    return folder


def predicted(folder: Path, name: str) -> None:
    """Let the model in ``folder`` score the test window; the plain loop starts from these files."""
    cost(folder, str(BIN / "mainline"), "predict", "artifacts/test.parquet", str(folder / name))


def resize(folder: Path, rows: int) -> None:
    """Make the test window ``rows`` long, and the scores of both models with it."""
    script = (
        "import sys, numpy as np, pandas as pd\n"
        "n, source = int(sys.argv[1]), sys.argv[2]\n"
        "frame = pd.read_parquet(source)\n"
        "taken = np.sort(np.random.default_rng(1).integers(len(frame), size=n))\n"
        "grown = frame.iloc[taken].reset_index(drop=True)\n"
        "grown['row_id'] = np.arange(10**9, 10**9 + n, dtype=frame['row_id'].dtype)\n"
        "grown.to_parquet('artifacts/test.parquet.new')\n"
        "for side in ('champion', 'challenger'):\n"
        "    np.save(f'{side}_grown.npy', np.load(f'{side}.npy')[taken])\n"
    )
    cost(folder, sys.executable, "-c", script, str(rows), str(folder / "source.parquet"))
    (folder / "artifacts/test.parquet").unlink()
    (folder / "artifacts/test.parquet.new").rename(folder / "artifacts/test.parquet")


def compare(folder: Path) -> Cost:
    """Return what the command costs. A grown window does not fit the lock, so it is rejected, as it must be."""
    command = f"{str(BIN / 'mainline')!r} compare --against main; test $? = 1"
    found = cost(folder, "/bin/sh", "-c", command)
    verdict = json.loads((folder / "reports/verdict.json").read_text(encoding="utf-8"))
    if verdict["case"] != "compared" or any(entry["difference"] is None for entry in verdict["metrics"]):
        sys.exit(f"mainline: nothing was compared: {verdict['reason']}")
    return found


def plain(folder: Path, loops: int) -> tuple[float, float]:
    """Return CPU seconds of the plain loop with ``RESAMPLES`` resamples, by what ``loops`` of them took, and its MB."""
    command = [sys.executable, str(ROOT / "scripts/bench_compare_bare.py"), str(loops)]
    done = subprocess.run(command, cwd=folder, env=environment(folder), check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    return found["before"] + found["resample"] * RESAMPLES, found["memory"]


def main(sizes: tuple[int, ...] = SIZES) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = two_models(Path(scratch, "compare"))
        (folder / "artifacts/test.parquet").rename(folder / "source.parquet")
        (folder / "artifacts/test.parquet").touch()
        print(f"compare, {RESAMPLES:,} resamples; CPU seconds; the loop by a few resamples, times what is lacking")
        for rows in sizes:
            resize(folder, rows)
            found = compare(folder)
            seconds, memory = plain(folder, LOOPS[rows])
            print(
                f"{rows:>9,} rows  loop / compare: CPU {seconds / found.cpu:.1f}, memory {memory / found.memory:.1f}"
                f"  mainline compare {found.cpu:7.1f} s CPU {found.wall:7.1f} s wall {found.memory:6.0f} MB"
                f"  plain loop {seconds:8.1f} s CPU ({LOOPS[rows]} resamples measured) {memory:6.0f} MB",
                flush=True,
            )


if __name__ == "__main__":
    main(tuple(int(size) for size in sys.argv[1:]) or SIZES)
