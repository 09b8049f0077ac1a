"""A command in a process of its own, with a bound on its time that holds for its children, too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def search_path() -> str:
    """Return ``PATH`` with this environment's programs first: a stage of ``dvc.yaml`` calls ``mainline`` by its name.

    A shell in which nothing was activated has no ``mainline``; one in which another environment was, has that one's.
    """
    own, path = str(Path(sys.executable).parent), os.environ.get("PATH") or os.defpath
    return path if path.split(os.pathsep)[0] == own else f"{own}{os.pathsep}{path}"


def run(
    command: Sequence[str], root: Path = Path(), *, seconds: float, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``command`` in ``root`` without input and return its exit code and what it said.

    ``environment`` is the whole of it; None means this process's own.

    Raises:
        OSError: the command cannot be started.
        subprocess.TimeoutExpired: it took longer than ``seconds``. It and all that it started are ended then, as they
            are when this process is interrupted.
    """
    process = subprocess.Popen(
        command,
        cwd=root,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=seconds)
    except BaseException:
        # Ending the command alone would leave its children with our pipes in hand, and us waiting for them.
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)
