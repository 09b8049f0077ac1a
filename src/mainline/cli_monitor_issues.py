"""``mainline monitor issues`` and ``mainline monitor blind``: alarms as issues."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

GONE = 410  # GitHub's answer where issues are switched off
Place = Annotated[
    str, typer.Option("--tracker", help="folder of issue files; default: GITHUB_REPOSITORY's, else .mainline/issues")
]
Url = Annotated[str, typer.Option("--url", envvar="RUN_URL", help="page of the run, to be linked")]


def monitor_issues(
    tracker: Place = "",
    url: Url = "",
    until: Annotated[str, typer.Option(help="the time that counts for muting, UTC; default: now")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would be done")] = False,
) -> None:
    """Open, update, reopen and close issues, one a model, kind and column. Exit code 0: done, whatever the alarm."""
    import datetime as dt

    from mainline.monitor.commands import moment
    from mainline.monitor.tell import issues
    from mainline.monitor.tracker import open_tracker

    now = moment(until, "--until") or dt.datetime.now(dt.UTC)
    with _issues_may_be_off():
        issues(open_tracker(tracker, os.environ), now, url, dry_run)


def monitor_blind(
    tracker: Place = "",
    url: Url = "",
    why: Annotated[str, typer.Option(envvar="WHY", help="what failed, in a sentence")] = "",
    clear: Annotated[bool, typer.Option("--clear", help="close the issue: the monitor sees again")] = False,
) -> None:
    """Say in an issue of its own that the monitor did not come to an end; --clear closes it."""
    from mainline.monitor import blind
    from mainline.monitor.tracker import open_tracker

    found = open_tracker(tracker, os.environ)
    with _issues_may_be_off():
        if clear:
            blind.clear(found, why)
        else:
            blind.blind(found, why, url)


@contextmanager
def _issues_may_be_off() -> Iterator[None]:
    """Let a repository without issues still learn from the run's colour how the model is doing."""
    from mainline.console import annotate, warn
    from mainline.github_call import Refused

    try:
        yield
    except Refused as refusal:
        if refusal.code != GONE:
            raise
        warn(f"no issue was written: {refusal.problem}; {refusal.fix}")
        annotate(
            "warning", "Issues are switched off in this repository: alarms are told by the colour of the run alone"
        )
