"""A small repository whose pipeline has run, and the one release that is built of it in a test run."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from mainline.cli import app
from mainline.release.store import STORE, Release, every

ROOT = Path(__file__).parents[2]
STAGES = ("validate", "split", "train", "evaluate", "card")
IDENTITY = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
SERVICE = '''"""A service that stands in for the real one."""

import bentoml


@bentoml.service(traffic={"timeout": 5})
class StandIn:
    @bentoml.api
    async def predict(self, age: int) -> int:
        return age
'''
BENTOFILE = {
    "service": "bank.stand_in:StandIn",
    "include": ["src/**", "params.yaml", "artifacts/model.skops", "artifacts/serving/*"],
    "python": {"requirements_txt": "./requirements.lock", "lock_packages": False},
}


@dataclass(frozen=True)
class Repository:
    """A git repository with DVC in ``folder``."""

    folder: Path

    def git(self, *arguments: str) -> str:
        """Return what git printed."""
        command = ["git", "-C", str(self.folder), *IDENTITY, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def dvc(self, *arguments: str) -> None:
        """Run DVC."""
        environment = {**os.environ, "DVC_NO_ANALYTICS": "1", "PYTHONPATH": str(self.folder / "src")}
        done = subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=self.folder, env=environment,
                              capture_output=True, text=True, check=False)  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    def write(self, name: str, text: str) -> Path:
        """Write a file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def commit(self, message: str) -> str:
        """Commit everything; return the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", f"--message={message}")
        return self.git("rev-parse", "HEAD")

    def mainline(self, *arguments: str) -> tuple[int, str]:
        """Return exit code and all output of a command; a traceback fails the test."""
        with contextlib.chdir(self.folder):
            result = CliRunner().invoke(app, arguments)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.output
        return result.exit_code, result.output

    def only(self) -> Release:
        """Return the one release in the store."""
        (found,) = every(self.folder / STORE)
        return found


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, rows_of: Callable[..., pd.DataFrame]) -> Repository:
    """A repository whose one commit pins the outputs of its pipeline, run on five small batches."""
    made = Repository(tmp_path_factory.mktemp("release") / "home")
    made.folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mainline.train.tracking.record", lambda **_: None)
        patch.delenv("GITHUB_ACTIONS", raising=False)
        patch.setenv("GITHUB_ACTOR", "")
        _lay_out(made)
        for index, month in enumerate(("2009-01", "2009-02", "2009-03", "2009-04", "2009-05")):
            path = made.write(f"data/{month}.csv", "")
            rows_of(month, first_id=1 + 240 * index).to_csv(path, index=False)
        made.dvc("add", "--quiet", "data")
        for stage in STAGES:
            code, output = made.mainline(stage)
            assert code == 0, output
        made.dvc("commit", "--quiet", "--force")
        made.commit("Merge pull request #7 from ada/model")
    return made


def _lay_out(made: Repository) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", made.folder / "src", ignore=ignored)
    for name in ("dvc.yaml", "requirements.lock", ".gitignore", ".dvcignore", "pyproject.toml"):
        shutil.copy(ROOT / name, made.folder / name)
    params: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["evaluate"]["resamples"] = 100
    params["gates"] |= {"floors": {}, "slice_floors": {}, "fairness_gap": None, "calibration_error": None}
    made.write("params.yaml", yaml.safe_dump(params))
    made.write("bentofile.yaml", yaml.safe_dump(BENTOFILE))
    made.write("src/bank/stand_in.py", SERVICE)
    text = (ROOT / "src" / "bank" / "expectations.py").read_text(encoding="utf-8")
    made.write("src/bank/expectations.py", text + "\n\nBEHAVIOURS = ()\n")
    made.git("init", "--quiet", "--initial-branch=main")
    made.git("config", "user.name", "Ada")
    # What `dvc init` would write, without the second that it takes.
    made.write(".dvc/config", "[core]\n    analytics = false\n")
    made.write(".dvc/.gitignore", "/config.local\n/tmp\n/cache\n")


@pytest.fixture(scope="session")
def built(finished: Repository) -> Repository:
    """The same, with its release built and entered into the ledger."""
    code, output = finished.mainline("release", "build")
    assert code == 0, output
    return finished


@pytest.fixture
def copy_of(tmp_path: Path) -> Iterator[Callable[[Repository], Repository]]:
    """Return a function that copies a repository, for a test that changes it."""
    yield lambda made: Repository(Path(shutil.copytree(made.folder, tmp_path / "copy", symlinks=True)))
