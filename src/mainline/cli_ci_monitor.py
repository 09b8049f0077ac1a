"""``mainline ci monitor``: what the workflows `monitor` and `heartbeat` call."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import typer

ci_monitor = typer.Typer(
    help="What the workflows `monitor` and `heartbeat` call.", no_args_is_help=True, rich_markup_mode=None
)

Log = Annotated[str, typer.Option(envvar="MAINLINE_LOG", help="where the prediction log is; empty: not configured")]
Demo = Annotated[str, typer.Option(envvar="DEMO", help="play the replay up to the end of this month (2009-06), or all")]
KindName = Annotated[str, typer.Option(envvar="KIND", help="whose state: log or demo")]
Code = Annotated[str, typer.Option(envvar="CODE", help="what the step that watches has put out")]
Url = Annotated[str, typer.Option(envvar="RUN_URL", help="page of the run")]


@ci_monitor.command("begin")
def monitor_begin(log: Log = "", demo: Demo = "") -> None:
    """Put state and champion in place (GITHUB_OUTPUT: go, kind, log, until). Says so where no log is configured."""
    from mainline.ci.event import put
    from mainline.ci.heartbeat import is_configured
    from mainline.ci.ledger import open_ledger
    from mainline.ci.monitor import begin

    if not demo.strip() and not is_configured(log):
        put(go=False)
        return
    begun = begin(open_ledger(), log, demo.strip())
    put(go=True, kind=begun.kind, log=begun.log, until=begun.until)


@ci_monitor.command("watch")
def monitor_watch(
    log: Log,
    until: Annotated[str, typer.Option(envvar="UNTIL", help="ISO; empty: now")] = "",
    again: Annotated[str, typer.Option(envvar="AGAIN", help="watch these windows again: 2009-06,2009-07")] = "",
) -> None:
    """Watch what has not been watched (GITHUB_OUTPUT: code). Exit code 1 only if nothing could be watched."""
    from mainline.ci.event import put
    from mainline.ci.monitor import watch

    put(code=str(watch(log, until, again)))


@ci_monitor.command("save")
def monitor_save(kind: KindName = "log") -> None:
    """Keep the new windows on branch deploy, before anything is said about them."""
    from mainline.ci.ledger import open_ledger
    from mainline.ci.monitor_state import save
    from mainline.config import load_settings
    from mainline.console import say

    new = save(open_ledger(), "demo" if kind == "demo" else "log", Path(load_settings().monitor.folder))
    say(f"{new} new windows on branch deploy", "pass")


@ci_monitor.command("beat")
def monitor_beat(code: Code, kind: KindName = "log", url: Url = "") -> None:
    """Record on branch deploy that this run has come to its end."""
    from mainline.ci.ledger import open_ledger
    from mainline.ci.monitor_state import Beat, put_beat

    put_beat(open_ledger(), "demo" if kind == "demo" else "log", Beat(dt.datetime.now(dt.UTC), url, int(code)))


@ci_monitor.command("conclude")
def monitor_conclude(code: Code) -> None:
    """Show the report on the run's page. Exit code as `mainline monitor run`: 0 fine, 1 alarm, 3 cannot be told."""
    from mainline.ci.monitor import conclude

    raise typer.Exit(conclude(code))


@ci_monitor.command("heartbeat")
def monitor_heartbeat(log: Log = "") -> None:
    """Say whether the monitor has run lately. Exit code 1 if not (GITHUB_OUTPUT: why), though a log is configured."""
    from mainline.ci.event import put
    from mainline.ci.heartbeat import is_configured, judge
    from mainline.ci.ledger import find_ledger
    from mainline.ci.monitor_state import last_beat
    from mainline.config import load_settings
    from mainline.console import error, say
    from mainline.errors import UserError

    if not is_configured(log):
        return
    try:
        alive, why = judge(last_beat(find_ledger()), dt.datetime.now(dt.UTC), load_settings().monitor.max_beat_hours)
    except UserError as problem:
        alive, why = False, " ".join(str(problem).split())
    put(why=why)
    if not alive:
        error(why)
        raise typer.Exit(1)
    say(why, "pass")


@ci_monitor.command("enable")
def monitor_enable(log: Log = "") -> None:
    """Enable what GitHub has switched off for inactivity. Exit code 1 if a person has, though there is a log."""
    from mainline.ci.heartbeat import enable_again, is_configured
    from mainline.github import connect

    if is_configured(log):
        raise typer.Exit(1 if enable_again(connect()) else 0)
