"""``mainline replay``: the future, played as live traffic."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def replay(
    place: Annotated[Path, typer.Option("--from", help="batch file or folder")] = Path("replay"),
    since: Annotated[str, typer.Option(help="from this date or time of the replay on, UTC")] = "",
    until: Annotated[str, typer.Option(help="before this date or time; default: until the last outcome is known")] = "",
    fault: Annotated[
        list[str] | None, typer.Option(help="such as 'rename:contact=cellular->CELLULAR@2009-06-10'; may be repeated")
    ] = None,
    port: Annotated[int, typer.Option(help="of the service; default: the one that the rollout keeps")] = 0,
    start: Annotated[bool, typer.Option("--start", help="start a service for the time being")] = False,
    log: Annotated[Path, typer.Option(help="where the service of --start logs")] = Path(".mainline/replay/log"),
    rate: Annotated[float, typer.Option(help="most requests a second")] = 200.0,
    speed: Annotated[float | None, typer.Option(help="replayed days a second; default: as --rate allows")] = None,
    now: Annotated[bool, typer.Option("--now", help="everything happens now, not at the rows' own time")] = False,
    loop: Annotated[bool, typer.Option("--loop", help="the whole loop, in a clone below .mainline/replay")] = False,
    approve: Annotated[str, typer.Option(help="with --loop: who approves the retraining")] = "",
) -> None:
    """Play future months against a running service, outcomes late as in life, with planted faults if asked for.

    Exit code 1: a request failed. What the service refuses (422) is counted and told: that is the fault being caught.
    """
    if loop:
        from mainline.replay.loop import run_loop

        raise typer.Exit(run_loop(approve))
    from mainline.replay.commands import Options
    from mainline.replay.commands import replay as played

    options = Options(place, since, until, tuple(fault or ()), port, start, log, rate, speed, now)
    raise typer.Exit(played(options))
