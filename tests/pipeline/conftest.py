"""Whole clones of this work tree, in which DVC runs the real pipeline on the example's data."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Clone:
    """A copy of the repository in a folder of its own, with its own code first on the path."""

    folder: Path

    def environment(self, **extra: str) -> dict[str, str]:
        """Return the environment of a command in the clone."""
        paths = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(self.folder / "src")}
        quiet = {"DVC_NO_ANALYTICS": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "COLUMNS": "200"}
        dropped = ("GITHUB_ACTIONS", "MLFLOW_TRACKING_URI", "PYTHONDONTWRITEBYTECODE")
        return {key: value for key, value in os.environ.items() if key not in dropped} | paths | quiet | extra

    def run(self, *command: str, check: bool = True, **extra: str) -> str:
        """Return all output of a command; a failure fails the test and shows it, unless ``check`` is false."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment(**extra), capture_output=True, text=True, timeout=300
        )
        output = done.stdout + done.stderr
        assert not check or done.returncode == 0, output
        return output

    def dvc(self, *arguments: str, **extra: str) -> str:
        """Return all output of a DVC command."""
        return self.run(sys.executable, "-m", "dvc", *arguments, **extra)

    def outputs(self) -> dict[str, bytes]:
        """Return the bytes of dvc.lock and of every file that the pipeline made, by relative path."""
        paths = [self.folder / "dvc.lock", *self.folder.glob("artifacts/**/*"), *self.folder.glob("reports/**/*")]
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in sorted(paths) if path.is_file()}


def make_clone(folder: Path) -> Clone:
    """Return a clone with one commit that holds what git would see of this work tree, and its data pulled."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    clone = Clone(folder)
    clone.run("git", "init", "--quiet", "--initial-branch=main")
    clone.run("git", "add", "--all")
    clone.run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "--message=Start")
    clone.dvc("pull", "--quiet", "data.dvc")
    return clone


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone whose pipeline has run; tests that change it work on a copy."""
    clone = make_clone(tmp_path_factory.mktemp("clone") / "a")
    clone.dvc("repro", "--quiet", "--force")
    return clone


@pytest.fixture
def finished_copy(finished: Clone, tmp_path: Path) -> Clone:
    """A copy of the finished clone that a test may change."""
    return Clone(Path(shutil.copytree(finished.folder, tmp_path / "copy", symlinks=True)))


@pytest.fixture(scope="session")
def new_clone() -> Callable[[Path], Clone]:
    """Return the function that makes a clone in a folder that does not exist yet."""
    return make_clone
