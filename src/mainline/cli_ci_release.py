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
    """Say whether there is something to release, and what (GITHUB_OUTPUT). Refuses a second rollout."""
    from mainline.ci.event import put
    from mainline.ci.ledger import find_ledger
    from mainline.ci.release_plan import make_plan, sources
    from mainline.console import say

    by_hand = os.environ.get("GITHUB_EVENT_NAME") == "workflow_dispatch"
    plan = make_plan(find_ledger(), sources(), release.strip(), resume=by_hand)
    say(plan.why, "pass" if plan.go else "none")
    put(go=plan.go, release=plan.release)


@ci_release.command("build")
def release_build(release: Asked = "") -> None:
    """Build this commit's release, or fetch the one that is named; pack it into dist/ (GITHUB_OUTPUT: release)."""
    from mainline.ci.event import put
    from mainline.ci.ledger import open_ledger
    from mainline.ci.release_build import fetch, make, pack
    from mainline.console import say
    from mainline.github import connect

    deploy = open_ledger()
    found = fetch(release, deploy, connect()) if release else make(deploy, connect())
    say(f"{pack(found)}: release {found.id} of commit {found.commit[:12]}", "pass")
    put(release=found.id)


@ci_release.command("image")
def release_image(release: Id) -> None:
    """Build and push the release's container image, if a cluster is to run it, and write its digest into the ledger."""
    from mainline.ci.ledger import open_ledger
    from mainline.ci.release_image import provide

    provide(release, open_ledger())


@ci_release.command("unpack")
def release_unpack(
    release: Id, folder: Annotated[Path, typer.Option(help="where <id>.tar.gz is")] = Path("dist")
) -> None:
    """Put a packed release into the store; it must be what the ledger has, byte for byte."""
    from mainline.ci.ledger import open_ledger
    from mainline.ci.release_build import unpack
    from mainline.console import say

    say(f"{unpack(folder / f'{release}.tar.gz', release, open_ledger()).path}: as the ledger has it", "pass")


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
def release_approve(release: Id) -> None:
    """Write into the ledger who let this run into the environment production."""
    from mainline.ci.ledger import open_ledger
    from mainline.ci.production import approve
    from mainline.console import say
    from mainline.github import connect

    say(f"{release}: approved by {approve(release, open_ledger(), connect())}", "pass")


@ci_release.command("rollout")
def release_rollout(release: Id) -> None:
    """Roll out here, as a rehearsal, or on the machine that follows git. Exit code 1 unless it is stable then."""
    from mainline.ci.ledger import open_ledger
    from mainline.ci.production import roll_out
    from mainline.github import connect

    raise typer.Exit(0 if roll_out(release, open_ledger(), connect()) else 1)


@ci_release.command("issue")
def release_issue(release: Id, url: Url = "") -> None:
    """Open or bring up to date the issue about a release that was aborted or rolled back; close it once promoted."""
    from mainline.ci.ledger import open_ledger
    from mainline.ci.release_issue import report
    from mainline.github import connect

    report(release, open_ledger(), connect(), url)


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
