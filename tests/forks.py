"""Python commands without their start-up time.

One process has the packages loaded and forks for each command. `mainline` and `bank` are not among them: each command
imports its own folder's, so a fault that is planted there counts. Commands that a command runs are forked as well.
"""

from __future__ import annotations

import contextlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS = 600
SHARED = "MAINLINE_TESTS_FORKS"  # the folder of a server that is there already: the parts of `make test` share one
LOADED = """
    numpy pandas pandas.io.parquet pyarrow.parquet pyarrow.dataset scipy.stats scipy.optimize pandera.pandas
    pandera.typing.dask yaml pydantic configobj threadpoolctl typer rich.console rich.table skops.io
    sklearn.pipeline sklearn.compose sklearn.impute sklearn.preprocessing sklearn.linear_model sklearn.calibration
    sklearn.frozen sklearn.metrics sklearn.dummy sklearn.model_selection sklearn.ensemble dvc.cli dvc.repo
    dvc.commands.repro dvc.commands.status dvc.commands.data_sync dvc.stage.run dvc.fs dvc_data.index dvc_objects.fs
    dvc.config dvc.cli.parser dvc.cachemgr dvc.data_cloud dvc.dirs dvc.repo.init dvc.repo.plots dvc.rwlock
    dvc.ui.table dvc_data.index.push dulwich.worktree networkx ruamel.yaml.mergevalue tabulate onnx onnxruntime
    skl2onnx skl2onnx.common.data_types narwhals._pandas_like.namespace narwhals._interchange.dataframe
    narwhals.stable.v2._namespace pandera.backends.pandas.builtin_hypotheses pandera.backends.pandas.register
    pydantic.dataclasses tomllib mlflow.sklearn mlflow.pyfunc.model mlflow.store.tracking.sqlalchemy_store
    mlflow.tracing.processor alembic.config opentelemetry.sdk.metrics sqlalchemy.dialects.sqlite bentoml
    bentoml.bentos git
"""
MODULES = {"mainline": "mainline.cli", "dvc": "dvc"}


def ask(address: str, module: str, arguments: list[str], folder: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return exit code, stdout and stderr of ``python -m module`` with ``arguments``, run in ``folder``."""
    if sys.platform == "darwin":  # its libraries do not survive a fork
        command = [sys.executable, "-m", module, *arguments]
        done = subprocess.run(command, cwd=folder, env=dict(environment), capture_output=True, text=True, check=False)
        return {"code": done.returncode, "out": done.stdout, "err": done.stderr}
    request = {"module": module, "arguments": arguments, "folder": folder, "environment": dict(environment)}
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(SECONDS)
        line.connect(address)
        line.sendall(json.dumps(request).encode() + b"\n")
        with line.makefile("rb") as stream:
            answer = stream.read()
    assert answer, f"python -m {module} {' '.join(arguments)} ended without an answer"
    found: dict[str, Any] = json.loads(answer)
    return found


@dataclass(frozen=True)
class Forks:
    """A server that runs; the programs in ``folder`` are forked from it."""

    folder: Path

    def ask(self, module: str, arguments: list[str], folder: str, environment: Mapping[str, str]) -> dict[str, Any]:
        """See :func:`ask`."""
        return ask(str(self.folder / "socket"), module, arguments, folder, environment)

    def lend(self, environment: Path, into: Path) -> Path:
        """Make ``into`` the same virtual environment as ``environment`` but for the programs that are forked."""
        (into / "bin").mkdir(parents=True)
        for program in (environment / "bin").iterdir():
            (into / "bin" / program.name).symlink_to(self.folder / program.name if program.name in MODULES else program)
        return into

    @contextlib.contextmanager
    def lent(self) -> Iterator[None]:
        """Have this process's own commands forked, too."""
        plain = subprocess.Popen.__init__
        _forward(self.folder)
        try:
            yield
        finally:
            subprocess.Popen.__init__ = plain  # type: ignore[method-assign]


@contextlib.contextmanager
def forks() -> Iterator[Forks]:
    """Yield a server whose folder holds a forked ``mainline`` and ``dvc``: the shared one, or one for now."""
    if shared := os.environ.get(SHARED):
        yield Forks(Path(shared))
        return
    from mainline.numerics import pinned

    # Short: the path of a socket may not be long. What is killed may still write there.
    with tempfile.TemporaryDirectory(prefix="m-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        for program, module in MODULES.items():
            text = f'#!/bin/sh\nexec "{sys.executable}" -S -E "{__file__}" ask "{folder}/socket" {module} "$@"\n'
            (folder / program).write_text(text, encoding="utf-8")
            (folder / program).chmod(0o755)
        with subprocess.Popen(
            [sys.executable, __file__, "serve", str(folder)],
            stdin=subprocess.PIPE,
            env={**pinned(os.environ), "DVC_NO_ANALYTICS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"},
            process_group=0,  # an interrupt ends it by the end of its stdin, without a traceback
        ) as server:
            try:
                until = time.monotonic() + SECONDS
                while not (folder / "socket").exists() and server.poll() is None and time.monotonic() < until:
                    time.sleep(0.05)
                yield Forks(folder)
            finally:
                server.terminate()


def serve(folder: Path) -> None:
    """Load the packages, then fork for every request until stdin ends."""
    import gc
    import importlib

    for name in LOADED.split():
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()  # or the collector of each fork would look through all of this, and so copy it
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "starting"))
    listener.listen(32)
    (folder / "starting").rename(folder / "socket")
    while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
        line, _ = listener.accept()
        if os.fork() == 0:
            _answer(line, folder)
        line.close()


def _answer(line: socket.socket, folder: Path) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.alarm(SECONDS)
    with line.makefile("rb") as stream:
        request = json.loads(stream.readline())
    threading.Thread(target=_watch, args=(line,), daemon=True).start()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, open(os.devnull) as nothing:  # noqa: PTH123
        for number, file in enumerate((nothing, out, err)):
            os.dup2(file.fileno(), number)
        code = _run(request, folder)
        for file in (sys.stdout, sys.stderr):
            file.flush()
        told = []
        for file in (out, err):
            file.seek(0)
            told.append(file.read().decode(errors="replace"))
    line.sendall(json.dumps({"code": code, "out": told[0], "err": told[1]}).encode())
    line.close()
    os._exit(0)


def _watch(line: socket.socket) -> None:
    """Die with the process that asked: whoever kills that one means this one."""
    while line.recv(1):
        pass
    os.kill(os.getpid(), signal.SIGKILL)


def _run(request: Mapping[str, Any], folder: Path) -> int:
    import numpy

    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    os.environ.pop("GLIBC_TUNABLES", None)  # the server was started without, or `mainline` would start anew by itself
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
    os.environ.setdefault("PYTHONPYCACHEPREFIX", str(folder / "pycache"))  # of services: compiled once for all clones
    sys.path[:0] = ["", *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv = [request["module"], *request["arguments"]]
    _forward(folder)
    numpy.random.seed()  # or every process would draw the same "random" numbers
    try:
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _forward(folder: Path) -> None:
    """Have every ``python -m mainline.cli`` and ``python -m dvc`` of this process forked, however it is started."""
    plain = subprocess.Popen.__init__

    def start(self: Any, args: Any, *more: Any, **options: Any) -> None:
        if isinstance(args, list) and args[:2] == [sys.executable, "-m"] and args[2] in MODULES.values():
            args = [sys.executable, "-S", "-E", __file__, "ask", str(folder / "socket"), *args[2:]]
        plain(self, args, *more, **options)

    subprocess.Popen.__init__ = start  # type: ignore[method-assign]


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(Path(sys.argv[2]))
    else:
        found = ask(sys.argv[2], sys.argv[3], sys.argv[4:], str(Path.cwd()), os.environ)
        sys.stdout.write(found["out"])
        sys.stderr.write(found["err"])
        sys.exit(found["code"])
