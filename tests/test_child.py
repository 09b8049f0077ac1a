"""A bound on time that also holds for what the command has started."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mainline import child

# Writes its own id, then sleeps on with the pipes of its parent in hand.
GRANDCHILD = "import os, pathlib, sys, time; pathlib.Path(sys.argv[1]).write_text(str(os.getpid())); time.sleep(60)"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {GRANDCHILD!r}, sys.argv[1]])"


def alive(pid: int) -> bool:
    """Return whether a process runs; one that has ended but was not yet fetched does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout[:1] not in "Z"


def test_what_it_said_and_its_exit_code(tmp_path: Path) -> None:
    script = "import os, sys; print(os.getcwd(), os.environ.get('A')); sys.exit(repr(sys.stdin.read()))"
    done = child.run([sys.executable, "-c", script], tmp_path, seconds=30, environment={"A": "b"})
    assert (done.returncode, done.stdout, done.stderr) == (1, f"{tmp_path.resolve()} b\n", "''\n")


def test_bytes_that_are_no_text_are_shown_all_the_same() -> None:
    done = child.run([sys.executable, "-c", "import os; os.write(1, b'\\xff!')"], seconds=30)
    assert done.stdout == "\ufffd!"


def test_a_command_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError):
        child.run(["no-such-command-anywhere"], seconds=1)


def test_a_bound_that_ends_the_children_too(tmp_path: Path) -> None:
    # Given a command whose child holds on to the pipes
    noted = tmp_path / "pid"
    # When it takes too long
    began = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        child.run([sys.executable, "-c", PARENT, str(noted)], seconds=2)
    # Then nobody waits for the child's own end, and it is gone
    assert time.monotonic() - began < 30
    deadline = time.monotonic() + 10
    while alive(int(noted.read_text())) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(int(noted.read_text()))
