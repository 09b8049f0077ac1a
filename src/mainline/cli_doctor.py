"""``mainline doctor`` and ``mainline github labels``: the first hour, step by step."""

from __future__ import annotations

from typing import Annotated

import typer


def doctor(
    offline: Annotated[bool, typer.Option("--offline", help="ask nobody over the network")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="the same facts, as JSON")] = False,
) -> None:
    """List the steps from a new copy to a watched service: what is done, what is to do, and how.

    Exit code 1: something required is missing, or something configured does not work. It changes nothing, and shows
    names of secrets, never a value. What it could not look at is never taken for done.
    """
    from mainline.doctor.run import examine
    from mainline.doctor.show import show
    from mainline.doctor.sight import sight

    with sight(offline=offline) as here:
        raise typer.Exit(show(examine(here), as_json=as_json))


def github_labels() -> None:
    """Make the labels by which a person answers an issue: retrain-approved and mute (token: issues, write)."""
    from mainline.ci.labels import LABELS, make
    from mainline.console import say
    from mainline.github import connect

    made = make(connect())
    for name in LABELS:
        say(f"label {name}: {'made' if name in made else 'is there'}", "pass")
