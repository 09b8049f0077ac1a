"""``mainline ci release`` and ``mainline ci rollback``: what the workflows `release` and `rollback` call."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

ci_release = typer.Typer(help="What the workflow `release` calls.", no_args_is_help=True, rich_markup_mode=None)

Id = Annotated[str, typer.Argument(envvar="RELEASE", help="the release's id")]
Asked = Annotated[str, typer.Option(envvar="RELEASE", help="the release's id; empty: this commit's")]
Url = Annotated[str, typer.Option(envvar="RUN_URL", help="page of the run")]
FOUND = Path("reports", "staging.json")


@ci_release.command("plan")
def release_plan(release: Asked = "") -> None:
    """Say whether there is something to release, and what (GITHUB_OUTPUT). Refuses what has no verdict."""
    from mainline.ci.event import append, put
    from mainline.ci.ledger import find_ledger
    from mainline.ci.release_issue import any_open
    from mainline.ci.release_plan import Start, decide
    from mainline.config import load_settings
    from mainline.console import say
    from mainline.errors import UserError
    from mainline.github import connect

    server = connect()
    put(issues=any_open(server), target=load_settings().rollout.target)
    try:
        plan = decide(find_ledger(), server, Start.read(release))
    except UserError as refusal:
        put(why=" ".join(str(refusal).split())[:1000])
        raise
    say(plan.why, "pass" if plan.go else "none")
    append(os.environ.get("GITHUB_STEP_SUMMARY", ""), f"## Release\n\n{plan.why}.\n")
    put(go=plan.go, release=plan.release, waived=plan.waived)


@ci_release.command("build")
def release_build(
    release: Asked = "",
    waived: Annotated[str, typer.Option(envvar="WAIVED", help="why it needs no verdict, as `plan` has put out")] = "",
) -> None:
    """Build this commit's release, or fetch the one that is named; pack it into dist/ (GITHUB_OUTPUT: release)."""
    from mainline.ci.event import put
    from mainline.ci.ledger import open_ledger
    from mainline.ci.release_build import enter_seal, fetch, make
    from mainline.console import say
    from mainline.github import connect

    deploy = open_ledger()
    found = fetch(release, deploy, connect()) if release else make(deploy, connect(), waived=waived)
    say(f"{enter_seal(found, deploy)}: release {found.id} of commit {found.commit[:12]}", "pass")
    put(release=found.id)


@ci_release.command("image")
def release_image(release: Id) -> None:
    """Build and push the release's container image, if a cluster is to run it, and write its digest into the ledger."""
    from mainline.ci.ledger import open_ledger
    from mainline.ci.release_image import provide

    provide(release, open_ledger())


@ci_release.command("unpack")
def release_unpack(release: Id, folder: Annotated[Path, typer.Option(help="where <id>.tar is")] = Path("dist")) -> None:
    """Put a packed release into the store; it must be what the ledger has, byte for byte."""
    from mainline.ci.ledger import open_ledger
    from mainline.ci.release_build import unpack
    from mainline.console import say

    say(f"{unpack(folder / f'{release}.tar', release, open_ledger()).path}: as the ledger has it", "pass")


@ci_release.command("check")
def release_check(release: Id, out: Annotated[Path, typer.Option(help="what was found")] = FOUND) -> None:
    """Start the release and hold every path to a prediction against the model's answers. Exit code 1 if one differs."""
    from mainline.ci.staging import check_release
    from mainline.console import say
    from mainline.files import write_json
    from mainline.release.store import find

    found = check_release(find(release))
    write_json(out, found)
    for check in found["checks"]:
        say(f"{check['check']}: {check['text']}", "pass" if check["passed"] else "fail")
    raise typer.Exit(0 if found["passed"] else 1)


@ci_release.command("staged")
def release_staged(release: Id, found: Annotated[Path, typer.Option(help="what was found")] = FOUND) -> None:
    """Write into the ledger what staging found. Exit code 1 unless everything passed."""
    from mainline.ci.ledger import open_ledger
    from mainline.ci.staging import enter
    from mainline.files import read_json

    raise typer.Exit(0 if enter(release, read_json(found), open_ledger()) else 1)


@ci_release.command("approve")
def release_approve(
    release: Id,
    asked: Annotated[str, typer.Option(envvar="ASKED", help="the id that the workflow was started with")] = "",
) -> None:
    """Write into the ledger who let this run into the environment production (GITHUB_OUTPUT: go)."""
    from mainline.ci.event import put
    from mainline.ci.ledger import open_ledger
    from mainline.ci.release_approval import approve
    from mainline.console import say
    from mainline.github import connect

    name = approve(release, open_ledger(), connect(), asked=asked.strip())
    if name:
        say(f"{release}: approved by {name}", "pass")
    put(go=bool(name))


@ci_release.command("refused")
def release_refused(release: Id) -> None:
    """Write a reviewer's refusal into the ledger; nothing without one."""
    from mainline.ci.ledger import open_ledger
    from mainline.ci.release_approval import refused
    from mainline.console import say
    from mainline.github import connect

    if not refused(release, open_ledger(), connect()):
        say(f"{release}: no reviewer has refused it")


@ci_release.command("rollout")
def release_rollout(release: Id) -> None:
    """Roll out here, as a rehearsal, or on the machine that follows git. Exit code 1 unless it is stable then."""
    from mainline.ci.ledger import open_ledger
    from mainline.ci.production import roll_out
    from mainline.github import connect

    raise typer.Exit(0 if roll_out(release, open_ledger(), connect()) else 1)


@ci_release.command("issue")
def release_issue(
    release: Asked = "",
    url: Url = "",
    build: Annotated[str, typer.Option(envvar="BUILD", help="result of the job that builds")] = "",
    why: Annotated[str, typer.Option(envvar="WHY", help="what that job said")] = "",
) -> None:
    """Open or bring up to date the issue about a release, or about a run that made none; close what is done."""
    from mainline.ci.ledger import open_ledger
    from mainline.ci.release_issue import tell
    from mainline.github import connect

    tell(release, open_ledger, connect(), url=url, build=build, commit=os.environ.get("GITHUB_SHA", "?"), why=why)


def ci_rollback(
    release: Asked = "",
    why: Annotated[str, typer.Option(envvar="WHY", help="for the ledger and the issue")] = "",
    abort: Annotated[bool, typer.Option(envvar="ABORT", help="only drop the release that is being tried")] = False,
) -> None:
    """Put the previous stable release (or --release) back; put out the one that was left (GITHUB_OUTPUT: left)."""
    from mainline.ci.event import put
    from mainline.ci.host import followed
    from mainline.ci.ledger import open_ledger
    from mainline.ci.production import drop, go_back
    from mainline.github import connect

    reason, deploy = " ".join(why.split())[:500], open_ledger()
    put(left=drop(reason) if abort else go_back(release.strip(), reason, deploy, connect()).left)
    raise typer.Exit(0 if followed(deploy) else 1)
