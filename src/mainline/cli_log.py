"""``mainline log``: the prediction log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

log = typer.Typer(help="The prediction log: look at it, export it, ship it, delete what is too old.")

Place = Annotated[str, typer.Option("--log", help="folder or URI; default: MAINLINE_LOG, else serve.log.folder")]


@log.command()
def show(
    last: Annotated[int, typer.Option(min=1, help="how many predictions")] = 20,
    release: Annotated[str, typer.Option(help="of this release only")] = "",
    track: Annotated[str, typer.Option(help="stable, canary or shadow only")] = "",
    place: Place = "",
) -> None:
    """Print the newest predictions."""
    from mainline.serve.log_commands import show as run

    run(place, last, release, track)


@log.command()
def export(
    out: Annotated[Path, typer.Argument(help="*.parquet or *.csv")],
    since: Annotated[str, typer.Option("--from", help="UTC, such as 2009-06-01 or 2009-06-01T12:00; included")] = "",
    until: Annotated[str, typer.Option("--to", help="not included")] = "",
    place: Place = "",
) -> None:
    """Write the records as one table, a row each."""
    from mainline.serve.log_commands import export as run

    run(place, out, since, until)


@log.command()
def expire(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would be deleted")] = False,
    place: Place = "",
) -> None:
    """Delete the files whose newest record is older than serve.log.keep_days."""
    from mainline.serve.log_commands import expire as run

    run(place, dry_run)


@log.command()
def ship(
    uri: Annotated[str, typer.Argument(help="s3://bucket/path, or a folder")],
    place: Annotated[str, typer.Option("--log", help="folder; default: serve.log.folder")] = "",
) -> None:
    """Move the closed files to an object store; each is read back before it is deleted here."""
    from mainline.serve.log_commands import ship as run

    run(place, uri)
