"""``mainline lock``: the file in which DVC keeps what the pipeline has made."""

from __future__ import annotations

import typer

lock = typer.Typer(help="dvc.lock, where two branches have changed it.", no_args_is_help=True, rich_markup_mode=None)


@lock.callback()
def about() -> None:
    """Resolve what git cannot."""


@lock.command()
def merge() -> None:
    """End a conflict in dvc.lock and .dvc/embedded, in a merge or a rebase: main's are taken and staged.

    Exit code 1: other files are in conflict, too; they are named, and dvc.lock is resolved all the same.
    """
    from mainline.compare.lock_merge import merge_lock

    raise typer.Exit(merge_lock())
