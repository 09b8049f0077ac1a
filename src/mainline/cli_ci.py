"""``mainline ci`` and ``mainline github``: what the workflows call, and the settings that make them bite."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mainline.cli_ci_monitor import ci_monitor
from mainline.cli_ci_release import ci_release, ci_rollback
from mainline.cli_retrain import ci_retrain

ci = typer.Typer(help="What the workflows call.", no_args_is_help=True, rich_markup_mode=None)
github = typer.Typer(help="Settings of the repository on GitHub.", no_args_is_help=True, rich_markup_mode=None)
ci.add_typer(ci_release, name="release")
ci.add_typer(ci_monitor, name="monitor")
ci.command("rollback")(ci_rollback)
ci.command("retrain")(ci_retrain)


@ci.command("begin")
def ci_begin() -> None:
    """Set the first status of a pull request: words alone pass, all else waits. For main's code only."""
    from mainline.ci.begin import begin
    from mainline.ci.event import pull_request, read_event
    from mainline.ci.here import here

    event = read_event()
    begin(pull_request(), str(event.get("action", "")), here(event))


@ci.command("train")
def ci_train() -> None:
    """Run what dvc.lock does not fit; take or prove the rest; put out the commit to compare with (GITHUB_OUTPUT)."""
    from mainline.ci.event import newest, pull_request, put
    from mainline.ci.storage import explained
    from mainline.ci.train import train

    found = pull_request()
    base = newest(found.target) or found.base
    put(base=base)
    with explained():
        put(changed=train(base))


@ci.command("lock")
def ci_lock() -> None:
    """Commit what the run has locked to its own clone, and pack it for the workflow `report`."""
    from mainline.ci.event import pull_request, put
    from mainline.ci.lock import commit_lock

    put(head=commit_lock(pull_request()))


@ci.command("outputs")
def ci_outputs() -> None:
    """Pack the outputs that storage of your own lacks into .mainline/outputs, for the job `push` of `report`."""
    from mainline.ci.outputs import pack

    pack()


@ci.command("summary")
def ci_summary() -> None:
    """Show the report on the run's page."""
    from mainline.ci.event import pull_request
    from mainline.ci.verdict import write_summary

    write_summary(pull_request())


@ci.command("report")
def ci_report(
    url: Annotated[str, typer.Option(envvar="RUN_URL", help="page of the run that is reported")] = "",
) -> None:
    """Judge what a finished run of `pull request` has left: status, lock, check run, comment. For main's code only."""
    from mainline.ci.conclude import conclude
    from mainline.ci.event import read_event
    from mainline.ci.here import here
    from mainline.ci.report import finished_run

    conclude(finished_run(), here(read_event()), url)


@ci.command("push")
def ci_push(
    commit: Annotated[str, typer.Option(envvar="COMMIT", help="the judged head")],
    run: Annotated[int, typer.Option(envvar="RUN", help="number of the run that has uploaded its outputs")],
    description: Annotated[str, typer.Option(envvar="DESCRIPTION", help="of the status, when all is pushed")],
    url: Annotated[str, typer.Option(envvar="RUN_URL", help="page of the run that is reported")] = "",
) -> None:
    """Push a promoted model's outputs to storage of your own, then set the status. For main's code only."""
    from mainline.ci.event import read_event
    from mainline.ci.here import here
    from mainline.ci.push import push_and_tell

    push_and_tell(commit, run, description, here(read_event()), url)


@ci.command("comment")
def ci_comment() -> None:
    """Let CML put the comment of the finished run of `report` in its place. Never an error."""
    from mainline.ci.event import read_event
    from mainline.ci.tell import comment_by_cml
    from mainline.github import connect

    run = read_event().get("workflow_run") or {}
    comment_by_cml(int(run.get("id", 0)), connect())


@github.command("ruleset")
def github_ruleset(
    folder: Annotated[Path, typer.Option(help="where ruleset.json and ruleset-deploy.json are")] = Path(".github"),
    reviews: Annotated[
        int | None,
        typer.Option(min=0, max=6, help="approvals of a merge; default: 1, and 0 where one person may write"),
    ] = None,
) -> None:
    """Put the rules of the default branch and of branch deploy in force (the token needs Administration: write)."""
    from mainline.ci.rules import apply
    from mainline.github import connect

    apply(connect(), folder, reviews)


@github.command("pins")
def github_pins(
    write: Annotated[bool, typer.Option("--write", help="put the right commits into the workflows")] = False,
) -> None:
    """Ask GitHub whether every action is the commit that its version comment claims. Exit code 1 if one is not."""
    from dataclasses import replace

    from mainline.ci.pins import check
    from mainline.console import say
    from mainline.github import connect

    server = connect()
    wrong = check(Path(), lambda action: replace(server, repository=action), write=write)
    for line in wrong:
        say(line, "warn" if write else "fail")
    say(
        "the workflows name them now; commit them"
        if write and wrong
        else f"{len(wrong)} actions are not what they claim"
    )
    raise typer.Exit(1 if wrong and not write else 0)
