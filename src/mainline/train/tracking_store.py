"""The MLflow store: its address, its quiet, and an SQLite file that survives a kill and a move."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DATABASE = Path("mlflow.db")
ARTIFACTS = "mlartifacts"
# One retry and a few seconds: a server that is down must not hold up a training. A user's own values win.
BOUNDS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "GIT_PYTHON_REFRESH": "quiet",
}
LOGGERS = {"mlflow": logging.WARNING, "alembic": logging.WARNING, "mlflow.utils.environment": logging.ERROR}


def address() -> str:
    """Return the tracking address as people read it: ``MLFLOW_TRACKING_URI``, else the SQLite file at the root."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{DATABASE}"


@contextmanager
def quiet() -> Iterator[None]:
    """Import and use MLflow without telemetry, chatter or long waits; the environment is put back at the end."""
    # Not put back: MLflow looks at these again, later.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    local = not os.environ.get("MLFLOW_TRACKING_URI")
    before = {name: os.environ.get(name) for name in (*BOUNDS, "MLFLOW_TRACKING_URI")}
    for name, value in BOUNDS.items():
        os.environ.setdefault(name, value)
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            import mlflow.sklearn

            for name, level in LOGGERS.items():
                logging.getLogger(name).setLevel(level)
            # Absolute: MLflow keeps its connections by address, and a relative one means another file elsewhere.
            mlflow.set_tracking_uri(f"sqlite:///{Path.cwd() / DATABASE}" if local else address())
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        for name, old in before.items():
            if old is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = old


def open_experiment(name: str) -> tuple[Any, str]:
    """Return an MLflow client and the id of the experiment ``name``, which is made if need be."""
    import mlflow

    local = mlflow.get_tracking_uri() == f"sqlite:///{Path.cwd() / DATABASE}"
    if local and not DATABASE.exists():
        _create_database()
    client = mlflow.MlflowClient()
    found = client.get_experiment_by_name(name)
    if found is None:
        number = client.create_experiment(name, artifact_location=ARTIFACTS if local else None)
    else:
        number = found.experiment_id
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(number)
    if local:
        _make_relative(number)
    return client, str(number)


def _create_database() -> None:
    """Make the tables in a file of another name first: a process killed in between must not leave half a schema."""
    import mlflow

    part = DATABASE.with_name(f".{DATABASE.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    try:
        with _no_waiting_for_disk():
            mlflow.MlflowClient(f"sqlite:///{part.absolute()}").get_experiment_by_name("Default")
        with part.open("rb+") as stream:
            os.fsync(stream.fileno())
        # A hard link, not a rename: another process may have been faster, and its runs must stay.
        with contextlib.suppress(FileExistsError):
            os.link(part, DATABASE)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _no_waiting_for_disk() -> Iterator[None]:
    """MLflow makes its tables in hundreds of small transactions; one flush at the end is enough for a new file."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def relax(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA journal_mode = MEMORY")

    event.listen(Engine, "connect", relax)
    try:
        yield
    finally:
        event.remove(Engine, "connect", relax)


def _make_relative(experiment: str) -> None:
    """Store the artifact folder relative to the working directory, as MLflow itself will not.

    Runs and models copy the address of their experiment, so the whole folder can be moved and still be read.
    """
    with contextlib.closing(sqlite3.connect(DATABASE, timeout=10)) as database, database:
        database.execute(
            "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ? AND artifact_location = ?",
            (ARTIFACTS, int(experiment), (Path.cwd() / ARTIFACTS).as_posix()),
        )
