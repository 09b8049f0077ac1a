"""The BentoML service: BentoML builds, starts, supervises and drains it; requests meet ``FrontDoor`` first."""

from __future__ import annotations

import gc
import logging
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

from mainline.serve.app import Application, FrontDoor

NAME = "mainline"
WARM_UP = 50

logger = logging.getLogger(__name__)


def make_service(root: Path) -> Any:
    """Return the BentoML service of the project below ``root``; the model is loaded when a worker starts."""
    import bentoml

    application = Application()

    class FrontService(bentoml.Service):  # type: ignore[misc]
        """A BentoML service whose requests meet :class:`FrontDoor` before any layer of BentoML.

        Those layers cost several times the prediction, and the one for time-outs keeps twenty objects of every request
        alive until the time is over (docs/decisions/0011). FrontDoor counts, limits and times by itself.
        """

        __slots__ = ()

        def to_asgi(self, is_main: bool = True) -> Any:
            """Return the application that BentoML gives to its server."""
            return FrontDoor(super().to_asgi(is_main), application)

    options = {
        "workers": int(os.environ.get("MAINLINE_WORKERS") or 1),
        "metrics": {"enabled": False},
        "logging": {"access": {"enabled": False}},
        "tracing": {"excluded_urls": ".*"},
    }
    return bentoml.service(name=NAME, service_class=FrontService, **options)(_worker(application, root))


def _worker(application: Application, root: Path) -> type:
    import bentoml

    class Mainline:
        """One worker process."""

        def __init__(self) -> None:
            from mainline.serve.model import load

            loaded = load(root)
            for _ in range(WARM_UP):
                loaded.scorer.score_rows([dict(loaded.example)])
            for note in loaded.checker.notes:
                logger.warning("%s", note)
            _end_with_parent()
            # What is alive now lives for ever: the collector need not look at it again (spikes of 100 ms and more).
            gc.collect()
            gc.freeze()
            application.loaded = loaded
            logger.info("release %s, path %s", loaded.identity.release, loaded.scorer.path)

        @bentoml.on_shutdown  # type: ignore[untyped-decorator]
        def close(self) -> None:
            application.close()

    return Mainline


def _end_with_parent() -> None:
    """Stop this worker when the process that started it is gone: one killed hard cannot tell its workers."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()
