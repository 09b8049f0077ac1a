"""Batch scoring beside pandas, `python scripts/bench_batch.py [ROWS …]`: the example's rows, repeated, by its model.

pandas is what one would write instead: read all, ``predict_proba``, write Parquet; no check of any row. Everything
happens in a throw-away copy. 45,211 rows are all that the example has.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from bench import BIN, ROOT, Cost, copy_to, cost

from mainline.console import any_terminal

ROWS = (45_211, 1_000_000, 10_000_000)
FEW = 100_000  # rows for which nobody starts a second process
CSV = 2_000_000  # more rows than this come as Parquet only: the file would be gigabytes


def repeat(folder: str, rows: int, out: str) -> None:
    """Write ``rows`` of the example's rows to ``out`` (CSV or Parquet), with new ids, without the outcome."""
    import pandas as pd  # not above: a child starts with the memory of its parent, and that is measured
    import pyarrow as pa
    import pyarrow.parquet as pq

    base = pd.concat([pd.read_csv(path) for path in sorted(Path(folder).glob("*/20*.csv"))]).drop(columns="y")
    writer = None
    for start in range(0, rows, len(base)):
        part = base[: rows - start].assign(row_id=range(start + 1, 1 + min(rows, start + len(base))))
        if out.endswith(".csv"):
            part.to_csv(out, mode="a", header=start == 0, index=False)
            continue
        table = pa.Table.from_pandas(part, preserve_index=False)
        writer = writer or pq.ParquetWriter(out, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


def bare(source: str, target: str) -> None:
    """Score ``source`` as one would without Mainline."""
    import pandas as pd

    from mainline.config import load_settings
    from mainline.project import load_project
    from mainline.train.artifact import load_model

    model = load_model(Path("artifacts/model.skops"), load_project(load_settings().project).trusted)
    rows = pd.read_csv(source) if source.endswith(".csv") else pd.read_parquet(source)
    rows.assign(probability=model.predict_proba(rows)[:, 1])[["row_id", "probability"]].to_parquet(target)


def line(name: str, rows: int, found: Cost, base: Cost) -> None:
    """Print one row of the table, with ratios to pandas."""
    print(
        f"| {name} | {found.cpu:.1f} s | {found.cpu / base.cpu:.1f} | {found.memory / 1e3:.2f} GB | "
        f"{found.memory / base.memory:.2f} | {found.wall:.1f} s | {rows / found.wall:,.0f} |",
        flush=True,
    )


def measure(folder: Path, rows: int, kind: str) -> None:
    """Score ``rows`` from one file, by pandas and by the command, and print both."""
    source, target = folder / f"in.{kind}", str(folder / "out.parquet")
    make = f"import bench_batch; bench_batch.repeat({str(folder)!r}, {rows}, {str(source)!r})"
    cost(Path(__file__).parent, sys.executable, "-c", make)
    base = cost(folder, sys.executable, __file__, "--bare", str(source), target)
    line(f"{rows:,} {kind}, pandas", rows, base, base)
    for workers in (1, 2) if rows > FEW else (1,):
        found = cost(folder, str(BIN / "mainline"), "score", str(source), target, "--workers", str(workers))
        line(f"{rows:,} {kind}, `mainline score --workers {workers}`", rows, found, base)
    source.unlink()


def main() -> None:
    """Print the table, as Markdown."""
    any_terminal()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("rows", type=int, nargs="*", default=ROWS)
    parser.add_argument("--bare", nargs=2, metavar=("INPUT", "OUTPUT"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.bare:
        bare(*given.bare)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = copy_to(Path(scratch, "copy"))
        shutil.copy2(ROOT / "replay.dvc", folder)
        cost(folder, str(BIN / "dvc"), "pull", "--quiet", "replay.dvc")
        cost(folder, str(BIN / "dvc"), "repro", "--quiet")
        print("| | processor time | of pandas | largest process | of pandas | clock | rows/s |")
        print("|---|--:|--:|--:|--:|--:|--:|", flush=True)
        for rows in given.rows:
            for kind in ("csv", "parquet") if rows <= CSV else ("parquet",):
                measure(folder, rows, kind)


if __name__ == "__main__":
    main()
