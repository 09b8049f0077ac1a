"""``mainline retrain``: from an approval to a pull request with a model that has learned from new batches."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

Issue = Annotated[int | None, typer.Option(help="issue whose label `retrain-approved` is the approval", min=1)]
Source = Annotated[
    str, typer.Option("--from", help="folder or URI of new batches, or `log`; default: retrain.source of params.yaml")
]
AsOf = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d"], help="nothing later is taken; default: the newest row of the batches taken"),
]


def retrain(
    issue: Issue = None,
    source: Source = "",
    as_of: AsOf = None,
    push: Annotated[bool, typer.Option(help="push the branch, open the pull request on GitHub")] = False,
    tracker: Annotated[str, typer.Option(help="folder of issues; default: GitHub's, else .mainline/issues")] = "",
) -> None:
    """Learn from the next batches on a branch of its own, and propose it; an issue must be approved by a person.

    Exit code 0: a pull request is there. 1: the new data are not fit, or it was not approved. 3: no new rows.
    """
    from mainline.github import connect
    from mainline.monitor.tracker import open_tracker
    from mainline.retrain.run import Ask, retrain
    from mainline.retrain.show import show

    ask = Ask(issue, source=source, as_of=as_of.date() if as_of else None, push=push)
    raise typer.Exit(show(retrain(ask, open_tracker(tracker), server=connect() if push else None)))


def ci_retrain() -> None:
    """Do what the label, the dispatch or the schedule that started this run asks for; exit code as `mainline retrain`.

    A label by a person without write permission is taken off again: exit code 0, nothing done.
    """
    from mainline.ci.retrain import run

    raise typer.Exit(run())
