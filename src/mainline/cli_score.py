"""``mainline score``: batch scoring."""

from __future__ import annotations

from typing import Annotated

import typer


def score(
    where: Annotated[str, typer.Argument(metavar="INPUT", help="CSV or Parquet: file, folder, 'pattern*' or URI")],
    output: Annotated[str, typer.Argument(help="*.parquet or *.csv: path or URI")],
    workers: Annotated[int, typer.Option(min=1, help="processes")] = 1,
    dask: Annotated[str, typer.Option(help="address of a Dask scheduler, such as tcp://host:8786")] = "",
) -> None:
    """Score rows with the model of the working directory: the service's check and the service's model.

    Rows that do not fit go to OUTPUT.rejected.csv with line and reason; exit code 1 if they are more than
    score.max_rejected. After a crash, the same command goes on where it stopped.
    """
    from mainline.serve.batch_commands import run

    raise typer.Exit(0 if run(where, output, workers, dask) else 1)
