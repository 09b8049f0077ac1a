"""``mainline kubernetes``: files for a cluster, whether they are right, and what the cluster does with them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

kubernetes = typer.Typer(
    help="A Kubernetes cluster with Gateway API and Argo Rollouts: its files, and what it does.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@kubernetes.command()
def render(
    out: Annotated[Path, typer.Option(help="folder that the files go to")] = Path("deploy/kubernetes"),
    image: Annotated[str, typer.Option(help="NAME@sha256:…; without it, a placeholder that exists nowhere")] = "",
    release: Annotated[str, typer.Option(help="id of the release that the image holds")] = "",
    shadow_image: Annotated[str, typer.Option(help="candidate that gets a copy of production's requests")] = "",
    shadow_release: Annotated[str, typer.Option(help="id of the release that the candidate holds")] = "",
    environment: Annotated[str, typer.Option(help="staging or production; default: both")] = "",
) -> None:
    """Write the files; equal params and images give equal bytes. The result is checked before it is written."""
    from mainline.console import say
    from mainline.rollout.kubernetes.run import run_render

    for line in run_render(out, (image, release), (shadow_image, shadow_release), environment):
        say(line, "pass")


@kubernetes.command()
def check(
    folder: Annotated[Path, typer.Argument(help="folder that `render` wrote")] = Path("deploy/kubernetes"),
    placeholder: Annotated[bool, typer.Option(help="accept the image that exists nowhere")] = False,
) -> None:
    """Hold rendered files against schemas and against what no schema says. Exit code 1 on any fault."""
    from mainline.console import say
    from mainline.rollout.kubernetes.run import run_check

    for line in run_check(folder, placeholder):
        say(line, "pass")


@kubernetes.command()
def follow(
    once: Annotated[bool, typer.Option("--once", help="look once; exit code 1 if there is trouble")] = False,
) -> None:
    """Follow branch deploy for a cluster: name the release in its folder, and write what Argo Rollouts does with it."""
    from mainline.rollout.kubernetes.follow import ear, follow

    made = ear()
    if once:
        raise typer.Exit(1 if made.look().kind == "refuse" else 0)
    follow(made)
