"""What ``mainline score`` prints: progress for a person or for a log, and the outcome."""

from __future__ import annotations

import time

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mainline import console
from mainline.config import load_settings
from mainline.serve.batch import Advance, score

LINES = 10  # of progress where nobody watches


def run(where: str, output: str, workers: int, dask: str) -> bool:
    """Return whether few enough rows were refused (``score.max_rejected``)."""
    out = console.out()
    started = time.monotonic()
    bar = Progress(
        TextColumn("scoring"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("parts, {task.fields[rows]:,} rows, {task.fields[rejected]:,} refused"),
        TimeRemainingColumn(),
        console=out,
        disable=not out.is_terminal,
    )

    def advance(count: int) -> Advance:
        task = bar.add_task("", total=count, rows=0, rejected=0)
        seen = {"parts": 0, "rows": 0, "rejected": 0}

        def step(rows: int, rejected: int) -> None:
            seen["parts"] += 1
            seen["rows"] += rows
            seen["rejected"] += rejected
            bar.update(task, advance=1, rows=seen["rows"], rejected=seen["rejected"])
            tenth = seen["parts"] * LINES // count
            if not out.is_terminal and tenth > (seen["parts"] - 1) * LINES // count:
                console.say(f"{seen['parts']} of {count} parts, {seen['rows']:,} rows")

        return step

    with bar:
        totals = score(where, output, workers, dask, advance)
    seconds = max(time.monotonic() - started, 1e-9)
    scored = totals.rows - totals.rejected
    console.say(
        f"{scored:,} of {totals.rows:,} rows scored in {seconds:,.1f} s ({output})", "pass" if scored else "warn"
    )
    for name, count in totals.odd.items():
        console.warn(f"{name}: {count:,} rows scored with a value that the schema does not allow (serve.accept)")
    if not totals.rejected:
        return True
    share, most = totals.rejected / totals.rows, load_settings().score.max_rejected
    words = f"{totals.rejected:,} of the rows ({share:.2%}) refused: line and reason in {output}.rejected.csv"
    if share <= most:
        console.warn(words)
        return True
    console.error(f"{words}; score.max_rejected is {most:.2%}")
    return False
