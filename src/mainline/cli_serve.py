"""``mainline serve``: the service."""

from __future__ import annotations

from typing import Annotated

import typer


def serve(
    bento: Annotated[str, typer.Option(help="folder of a built Bento; default: the working tree's outputs")] = "",
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 3000,
    workers: Annotated[int, typer.Option(min=1, help="processes that answer")] = 1,
    track: Annotated[str, typer.Option(help="stable, canary or shadow; default: MAINLINE_TRACK, else stable")] = "",
    log: Annotated[str, typer.Option(help="folder or URI; default: MAINLINE_LOG, else serve.log.folder")] = "",
) -> None:
    """Serve the model over HTTP until SIGTERM or Ctrl+C; what was accepted by then is still answered."""
    from mainline.serve.start import become, prepare

    become(prepare(bento, host, port, workers, track, log))
