"""``mainline release``, ``mainline registry`` and ``mainline trace``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

release = typer.Typer(
    help="Immutable bundles of code, data, params and model.", no_args_is_help=True, rich_markup_mode=None
)
registry = typer.Typer(help="What MLflow shows of the releases.", no_args_is_help=True, rich_markup_mode=None)

Id = Annotated[str, typer.Argument(help="the release's id, as `mainline release list` shows it")]
Store = Annotated[Path, typer.Option(help="folder of the releases")]
STORE = Path(".mainline", "releases")


@release.command("build")
def release_build(
    store: Store = STORE,
    ledger: Annotated[bool, typer.Option(help="enter it into the ledger")] = True,
) -> None:
    """Build the release of this commit: Bento, card, bill of materials, golden rows. Nothing to do if it is there."""
    from mainline import console
    from mainline.release.build import build
    from mainline.release.ledger import Deploy
    from mainline.release.show import show_built

    with console.working("building the release"):
        built = build(Path(), store, Deploy.open() if ledger else None)
    show_built(built)


@release.command("verify")
def release_verify(release_id: Id, store: Store = STORE) -> None:
    """Hash every file of a release again. Exit code 1, and the file's name, when one is not as it was built."""
    from mainline.console import error, say
    from mainline.release.ledger import Deploy
    from mainline.release.store import find
    from mainline.release.verify import faults

    deploy = Deploy.open()
    pinned = deploy.entry(release_id).digests.get("manifest") if release_id in deploy.releases() else None
    wrong = faults(release_id, store, pinned)
    for line in wrong:
        error(line)
    if wrong:
        raise typer.Exit(1)
    anchor = "the ledger" if pinned else "its own manifest; it is not in the ledger"
    say(f"{len(find(release_id, store).manifest['files'])} files are as they were built, held against {anchor}", "pass")


@release.command("list")
def release_list(store: Store = STORE) -> None:
    """Show every release: commit, verdict, what happened last, what it does now."""
    from mainline.release.ledger import Deploy
    from mainline.release.show import show_all

    show_all(Deploy.open(), store)


@release.command("show")
def release_show(
    release_id: Id,
    store: Store = STORE,
    as_json: Annotated[bool, typer.Option("--json", help="all of it, as JSON")] = False,
) -> None:
    """Show what a release is, where it comes from and what happened to it."""
    import json

    from mainline.release.ledger import Deploy
    from mainline.release.show import facts, show_one

    found = facts(release_id, Deploy.open(), store)
    if as_json:
        typer.echo(json.dumps(found, indent=2, sort_keys=True))
    else:
        show_one(found)


@release.command("restore")
def release_restore(release_id: Id, store: Store = STORE) -> None:
    """Build a release again that the ledger knows and the store has lost; it must come out byte for byte."""
    from mainline import console
    from mainline.release.ledger import Deploy
    from mainline.release.restore import restore

    with console.working(f"restoring {release_id}"):
        found = restore(release_id, Deploy.open(), Path(), store)
    console.say(f"release {found.id}: whole ({found.path})", "pass")


@release.command("container")
def release_container(
    release_id: Id,
    store: Store = STORE,
    tag: Annotated[str, typer.Option(help="name of the image; default: <project>:<release>")] = "",
) -> None:
    """Build a container image of a release, with Docker or Podman."""
    from mainline.release.container import container

    container(release_id, store, tag)


@release.command("image")
def release_image(
    release_id: Id,
    reference: Annotated[str, typer.Argument(help="NAME@sha256:…, as it was pushed")],
    again: Annotated[bool, typer.Option("--again", help="instead of the image that the ledger has")] = False,
) -> None:
    """Write into the ledger which container image holds a release; a cluster runs no other."""
    from mainline.console import say
    from mainline.release.image import enter_image
    from mainline.release.ledger import Deploy

    say(f"release {release_id}: {enter_image(Deploy.open(), release_id, reference, again=again)}", "pass")


@registry.command("sync")
def registry_sync() -> None:
    """Make MLflow's versions, tags and aliases what the ledger says."""
    from mainline import console
    from mainline.release.ledger import Deploy
    from mainline.release.registry import sync

    with console.working("projecting the ledger"):
        said = sync(Deploy.open())
    for mark, line in said:
        console.say(line, mark)


def trace(
    request_id: Annotated[str, typer.Argument(help="as the answer's x-request-id")],
    log: Annotated[str, typer.Option(help="folder or address of the prediction log; default: params.yaml")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="all of it, as JSON")] = False,
) -> None:
    """Walk from a logged prediction to release, commit, verdict, model, data and params."""
    from mainline.release.trace import run_trace

    run_trace(request_id, log, as_json=as_json)
