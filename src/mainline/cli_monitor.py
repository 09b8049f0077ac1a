"""``mainline monitor``: what production does to the model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mainline.cli_monitor_issues import monitor_blind, monitor_issues

monitor = typer.Typer(
    help="Watch what is predicted, and what comes of it.", no_args_is_help=True, rich_markup_mode=None
)

monitor.command("issues")(monitor_issues)
monitor.command("blind")(monitor_blind)

Place = Annotated[str, typer.Argument(help="log, CSV or Parquet: file, folder or URI; default: the service's log")]
Reference = Annotated[str, typer.Option(help="the champion's profile; default: artifacts/profile.json")]
Since = Annotated[str, typer.Option(help="from this date or time on, UTC")]
Until = Annotated[str, typer.Option(help="before this date or time, UTC; default: now")]
Release = Annotated[str, typer.Option(help="only predictions of this release")]
TimeColumn = Annotated[str, typer.Option("--time", help="column of a table; default: data.time of params.yaml")]
ScoreColumn = Annotated[str, typer.Option("--score", help="column of a table that holds the score; default: none")]
Dask = Annotated[str, typer.Option(help="address of a Dask scheduler whose workers read the parts")]
Again = Annotated[str, typer.Option(help="watch these windows again first: 2009-06,2009-07")]
Labels = Annotated[Path | None, typer.Option(help="outcomes besides the log's feedback: .csv, .parquet or .jsonl")]


@monitor.command("profile")
def monitor_profile(
    place: Place = "",
    out: Annotated[Path | None, typer.Option(help="write the profile here, as JSON")] = None,
    reference: Reference = "",
    since: Since = "",
    until: Until = "",
    release: Release = "",
    time: TimeColumn = "",
    score: ScoreColumn = "",
    dask: Dask = "",
) -> None:
    """Count rows into the bins of the champion's profile, at constant memory."""
    from mainline.monitor.commands import Options, profile

    profile(Options(place, reference, since, until, release, time, score, dask), out)


@monitor.command("drift")
def monitor_drift(
    place: Place = "",
    reference: Reference = "",
    since: Since = "",
    until: Until = "",
    release: Release = "",
    time: TimeColumn = "",
    score: ScoreColumn = "",
    dask: Dask = "",
    again: Again = "",
) -> None:
    """Judge every window that has ended since the last one watched.

    Exit code 0: the newest is OK or WARNING. 1: DRIFT. 3: it cannot be told.
    """
    from mainline.monitor.commands import Options, drift, drift_code

    raise typer.Exit(drift_code(drift(Options(place, reference, since, until, release, time, score, dask, again))))


@monitor.command("performance")
def monitor_performance(
    place: Place = "",
    labels: Labels = None,
    out: Annotated[Path | None, typer.Option(help="write the report here, as JSON")] = None,
    since: Since = "",
    until: Until = "",
    release: Release = "",
) -> None:
    """Join late outcomes to predictions: what was realised, and what the scores alone promise.

    Exit code 0: as good as in the test window. 1: worse. 3: it cannot be told.
    """
    from mainline.monitor.commands import Options, performance, performance_code

    options = Options(place, since=since, until=until, release=release)
    raise typer.Exit(performance_code(performance(options, labels, out)))


@monitor.command("run")
def monitor_run(
    place: Place = "",
    labels: Labels = None,
    reference: Reference = "",
    since: Since = "",
    until: Until = "",
    release: Release = "",
    dask: Dask = "",
    again: Again = "",
) -> None:
    """Drift, performance and service levels at once; the report goes to monitor.folder. The worst exit code counts."""
    from mainline.monitor.commands import Options
    from mainline.monitor.run import run

    raise typer.Exit(run(Options(place, reference, since, until, release, dask=dask, again=again), labels))


@monitor.command("report")
def monitor_report(
    out: Annotated[Path, typer.Option(help="folder of the report")] = Path("reports"),
    reference: Reference = "",
    until: Annotated[str, typer.Option(help="the moment that it is for, UTC; default: now")] = "",
    release: Release = "",
) -> None:
    """Write what the kept windows and the last run say, as monitor.md and monitor.html."""
    from mainline.monitor.commands import Options, report

    report(Options(reference=reference, until=until, release=release), out)
