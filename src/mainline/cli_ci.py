"""``mainline ci`` and ``mainline github``: what the workflows call, and the settings that make them bite."""

from __future__ import annotations

import os
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


@ci.command("plan")
def ci_plan() -> None:
    """Say what the pull request is and needs: docs_only, locked, fork, pull_request (GITHUB_OUTPUT)."""
    import json
    from dataclasses import asdict

    from mainline.ci.event import pull_request, put
    from mainline.ci.plan import make_plan

    found = pull_request()
    plan = make_plan(found)
    put(docs_only=plan.docs_only, locked=plan.locked, stale=" ".join(plan.stale), fork=found.fork)
    put(pull_request=json.dumps(asdict(found)), base=found.base)


@ci.command("train")
def ci_train() -> None:
    """Run what dvc.lock does not fit, prove the rest, push the outputs to storage of your own."""
    from mainline.ci.event import pull_request, put
    from mainline.ci.train import train

    put(changed=train(push=not pull_request().fork))


@ci.command("lock")
def ci_lock() -> None:
    """Commit a changed dvc.lock to the pull request's own branch; put out the resulting head (GITHUB_OUTPUT)."""
    from mainline.ci.event import pull_request, put
    from mainline.ci.train import commit_lock

    server = os.environ.get("GITHUB_SERVER_URL") or "https://github.com"
    put(head=commit_lock(pull_request(), os.environ.get("GITHUB_TOKEN", ""), server=server))


@ci.command("summary")
def ci_summary() -> None:
    """Show the report on the run's page."""
    from mainline.ci.event import pull_request
    from mainline.ci.verdict import write_summary

    write_summary(pull_request())


@ci.command("status")
def ci_status(
    check: Annotated[str, typer.Option(envvar="CHECK_RESULT")],
    train: Annotated[str, typer.Option(envvar="TRAIN_RESULT")],
    docs_only: Annotated[str, typer.Option(envvar="DOCS_ONLY")] = "",
    head: Annotated[str, typer.Option(envvar="HEAD_COMMIT", help="null: the event's head")] = "",
    url: Annotated[str, typer.Option(envvar="RUN_URL")] = "",
    reports: Annotated[Path, typer.Option(help="where verdict.json and report.md are")] = Path("reports"),
) -> None:
    """Set the commit status mainline/verdict on the resulting head. Exit code 1 unless it is a success."""
    from mainline.ci.event import pull_request
    from mainline.ci.verdict import Results, judge, load_verdict, post_status, report_text
    from mainline.console import error, say
    from mainline.github import connect

    found = pull_request()
    commit = head if head and train != "skipped" else found.head
    state, description = judge(Results(check, train, docs_only == "true"), load_verdict(reports), commit)
    if found.fork:
        say(f"{state}: {description} (a fork's run may set no status; the workflow `report` does)")
    else:
        text = description if docs_only == "true" else report_text(reports)
        post_status(connect(), found.number, commit, state, description, text=text, url=url)
    if state != "success":
        error(description)
        raise typer.Exit(1)


@ci.command("comment")
def ci_comment(
    reports: Annotated[Path, typer.Option(help="where report.md is")] = Path("reports"),
) -> None:
    """Comment the report on the pull request, through CML when it is there. Never an error."""
    from mainline.ci.event import pull_request
    from mainline.ci.verdict import post_comment
    from mainline.console import warn
    from mainline.errors import UserError
    from mainline.github import connect

    try:
        server = connect()
    except UserError as problem:
        warn(str(problem))
        server = None
    post_comment(pull_request(), server, reports)


@ci.command("receive")
def ci_receive(folder: Annotated[Path, typer.Argument(help="where the fork's artifact was put")]) -> None:
    """Post what a fork's run reports, as an untrusted claim."""
    from mainline.ci.receive import finished_run, receive
    from mainline.github import connect

    receive(folder, finished_run(), connect())


@github.command("ruleset")
def github_ruleset(
    file: Annotated[Path, typer.Option(help="the rules, as GitHub's JSON")] = Path(".github/ruleset.json"),
) -> None:
    """Make .github/ruleset.json the rules of the default branch (needs a token with administration rights)."""
    from mainline.console import say
    from mainline.files import read_json
    from mainline.github import connect

    rules = read_json(file)
    say(f"ruleset {rules['name']!r} {connect().apply_ruleset(rules)}", "pass")


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
