"""``mainline doctor``: what is configured and live, and the command that closes each gap."""

from __future__ import annotations

from typing import Annotated

import typer


def doctor(
    offline: Annotated[bool, typer.Option("--offline", help="ask nobody over the network")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="the same facts, as JSON")] = False,
) -> None:
    """Say what is configured and live, what is not, and the command that closes each gap. Exit code 1: broken.

    It changes nothing, and shows names of secrets, never a value. What it could not look at is never taken for fine.
    """
    from mainline.doctor.run import examine
    from mainline.doctor.show import show
    from mainline.doctor.sight import sight

    with sight(offline=offline) as here:
        raise typer.Exit(show(examine(here), as_json=as_json))
