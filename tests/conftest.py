"""A scratch project on small made-up batches that fit the example's schema, and whole clones in which DVC runs."""

from __future__ import annotations

import copy
import fcntl
import functools
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer.main
import typer.testing
import yaml
from typer.testing import CliRunner

from bank.schema import Row
from mainline.cli import app
from mainline.config import Settings, load_settings

ROOT = Path(__file__).parents[1]
MONTHS = ("2009-01", "2009-02", "2009-03", "2009-04", "2009-05")
ROWS = 240


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the drills out unless they are asked for."""
    if "drill" not in config.option.markexpr:
        left = [item for item in items if item.get_closest_marker("drill")]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if not item.get_closest_marker("drill")]


def make_rows(month: str, rows: int = ROWS, first_id: int = 1, seed: int = 0) -> pd.DataFrame:
    """Return valid rows of one month; the label depends on ``poutcome`` and ``housing``, and all months are alike."""
    return _made_rows(month, rows, first_id, seed).copy()


@functools.cache
def _made_rows(month: str, rows: int, first_id: int, seed: int) -> pd.DataFrame:
    generator = np.random.default_rng([seed, first_id])
    marks = _marks()
    chosen = {name: generator.choice(mark.one_of, rows) for name, mark in marks.items() if mark.one_of}
    dates = pd.date_range(f"{month}-01", periods=28)[np.sort(generator.integers(0, 28, rows))]
    logit = 1.5 * (chosen["poutcome"] == "success") - 1.0 * (chosen["housing"] == "yes") - 0.5
    made = chosen | {
        "row_id": np.arange(first_id, first_id + rows),
        "contact_date": dates.strftime("%Y-%m-%d"),
        "age": generator.integers(18, 90, rows),
        "balance": generator.integers(-500, 5000, rows),
        "day": dates.day,
        "month": [name.lower() for name in dates.strftime("%b")],
        "duration": generator.integers(0, 900, rows),
        "campaign": generator.integers(1, 6, rows),
        "pdays": generator.integers(-1, 300, rows),
        "previous": generator.integers(0, 5, rows),
        "y": np.where(generator.random(rows) < 1 / (1 + np.exp(-logit)), "yes", "no"),
    }
    return pd.DataFrame({name: made[name] for name in marks})


@pytest.fixture(scope="session", autouse=True)
def _one_command() -> Iterator[None]:
    """Let Typer read the signatures of all commands once, not at every call: a quarter of a short one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.testing, "_get_command", functools.cache(typer.main.get_command))
        yield


@functools.cache
def _marks() -> dict[str, Any]:
    return {name: (item.metadata or {})["mainline"] for name, item in Row.to_schema().columns.items()}


@pytest.fixture(scope="session")
def rows_of() -> Callable[..., pd.DataFrame]:
    """Return the function that makes rows of a month."""
    return make_rows


@dataclass
class Scratch:
    """A folder with params.yaml and batches; ``run`` calls a command in it as a person would."""

    folder: Path
    params: dict[str, Any]
    batches: dict[str, pd.DataFrame] = field(default_factory=dict)

    def write(self) -> None:
        """Write params.yaml and every batch."""
        (self.folder / "params.yaml").write_text(yaml.safe_dump(self.params), encoding="utf-8")
        for name, rows in self.batches.items():
            rows.to_csv(self.folder / "data" / name, index=False)

    def file(self, name: str) -> Path:
        """Return the path of a batch."""
        return self.folder / "data" / name

    def run(self, *arguments: str) -> tuple[int, str]:
        """Return exit code and all output of ``mainline`` with ``arguments``; a traceback fails the test."""
        result = CliRunner().invoke(app, arguments)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.output
        return result.exit_code, result.output

    def settings(self) -> Settings:
        """Return the settings in params.yaml."""
        return load_settings(self.folder / "params.yaml")


def make_scratch(folder: Path, patch: pytest.MonkeyPatch) -> Scratch:
    """Return a scratch project in ``folder``, which is the working directory from then on."""
    patch.chdir(folder)
    patch.delenv("GITHUB_ACTIONS", raising=False)
    (folder / "data").mkdir()
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["evaluate"]["resamples"] = 100
    batches = {f"{month}.csv": make_rows(month, first_id=1 + ROWS * i) for i, month in enumerate(MONTHS)}
    made = Scratch(folder, params, batches)
    made.write()
    return made


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scratch:
    """A scratch project of five sound batches, January to May 2009, as of 31 May."""
    return make_scratch(tmp_path, monkeypatch)


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a scratch project whose four stages have run."""
    with pytest.MonkeyPatch.context() as patch:
        made = make_scratch(tmp_path_factory.mktemp("ran"), patch)
        for stage in ("validate", "split", "train", "evaluate"):
            code, output = made.run(stage)
            assert code == 0, output
        return made.folder


@pytest.fixture
def ready(scratch: Scratch, ran: Path) -> Scratch:
    """The scratch project with what its four stages write."""
    for room in ("artifacts", "reports"):
        shutil.copytree(ran / room, scratch.folder / room)
    return scratch


def set_keys(params: dict[str, Any], **keys: Any) -> dict[str, Any]:
    """Return a copy of ``params`` with keys set that are written as ``data__as_of=…``."""
    changed = copy.deepcopy(params)
    for key, value in keys.items():
        *rooms, last = key.split("__")
        room = changed
        for name in rooms:
            room = room[name]
        room[last] = value
    return changed


@pytest.fixture
def change(scratch: Scratch) -> Callable[..., None]:
    """Return a function that sets keys of params.yaml and writes everything again."""

    def apply(**keys: Any) -> None:
        scratch.params = set_keys(scratch.params, **keys)
        scratch.write()

    return apply


@pytest.fixture(scope="session")
def settings_for() -> Callable[..., Settings]:
    """Return a function that gives the template's settings with keys changed."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    return lambda **keys: Settings.model_validate(set_keys(params, **keys))


@dataclass(frozen=True)
class Clone:
    """A copy of the repository in a folder of its own, with its own code first on the path.

    With ``forks``, the pipeline runs without start-up times. ``made_in`` is where it has run, if that is not here.
    """

    folder: Path
    forks: Any = None
    made_in: Path | None = None

    def on_main(self, folder: Path) -> Clone:
        """Return a copy in ``folder``, on branch main, with the month after training."""
        copy = replace(self, folder=Path(shutil.copytree(self.folder, folder, symlinks=True)))
        copy.dvc("pull", "--quiet", "replay.dvc")
        copy.run("git", "checkout", "--quiet", "-B", "main")
        return copy

    def environment(self, **extra: str) -> dict[str, str]:
        """Return the environment of a command in the clone."""
        paths = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(self.folder / "src")}
        quiet = {"DVC_NO_ANALYTICS": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "COLUMNS": "200"}
        dropped = ("GITHUB_ACTIONS", "MLFLOW_TRACKING_URI", "PYTHONDONTWRITEBYTECODE")
        return {key: value for key, value in os.environ.items() if key not in dropped} | paths | quiet | extra

    def run(self, *command: str, check: bool = True, **extra: str) -> str:
        """Return all output of a command; a failure fails the test and shows it, unless ``check`` is false."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment(**extra), capture_output=True, text=True, timeout=600
        )
        output = done.stdout + done.stderr
        assert not check or done.returncode == 0, output
        return output

    def dvc(self, *arguments: str, **extra: str) -> str:
        """Return all output of a DVC command."""
        return self.run(*self.program("dvc"), *arguments, **extra)

    def program(self, name: str) -> list[str]:
        """Return the command line of ``mainline`` or ``dvc``."""
        if self.forks is not None:
            return [str(self.forks.folder / name)]
        return [sys.executable, "-m", {"mainline": "mainline.cli"}.get(name, name)]

    def outputs(self) -> dict[str, bytes]:
        """Return the bytes of dvc.lock and of every file that the pipeline made, by relative path."""
        paths = [self.folder / "dvc.lock", *self.folder.glob("artifacts/**/*"), *self.folder.glob("reports/**/*")]
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in sorted(paths) if path.is_file()}


def copy_tree(folder: Path) -> None:
    """Put what git would see of this work tree into ``folder``."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def load_file(name: str, file: Path) -> ModuleType:
    """Return the module in ``file``, which lies in no package."""
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def api() -> ModuleType:
    """The module with the stand-in for GitHub's API, and its token."""
    return load_file("stand_in_api", Path(__file__).parent / "workflows" / "api.py")


@pytest.fixture
def hub(api: Any) -> Iterator[Any]:
    """The stand-in for GitHub's API."""
    with api.hub() as held:
        yield held


@pytest.fixture(scope="session")
def s3() -> ModuleType:
    """The module with the S3 server that knows a key for reading and a key for writing."""
    return load_file("stand_in_s3", Path(__file__).with_name("s3.py"))


@pytest.fixture(scope="session")
def forked() -> Iterator[Any]:
    """Commands without their start-up time: ``mainline`` and ``dvc`` that are forked."""
    with load_file("forks", Path(__file__).with_name("forks.py")).forks() as server:
        yield server


@pytest.fixture(scope="module")
def quick(forked: Any) -> Iterator[None]:
    """Within this module of tests, `dvc` and `mainline` start as forks, also for the code under test."""
    with forked.lent():
        yield


def make_clone(folder: Path) -> Clone:
    """Return a clone with one commit that holds what git would see of this work tree, and its data pulled."""
    copy_tree(folder)
    clone = Clone(folder)
    clone.run("git", "init", "--quiet", "--initial-branch=main")
    clone.run("git", "add", "--all")
    clone.run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "--message=Start")
    clone.dvc("pull", "--quiet", "data.dvc")
    return clone


@pytest.fixture(scope="session")
def finished(forked: Any, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone whose pipeline has run, once for all tests; those that change it work on a copy.

    The parts of `make test` share the server of forks, and beside it the run: each has a copy of it.
    """
    made, done = forked.folder / "finished", forked.folder / "finished.done"
    with (forked.folder / "finished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(made, ignore_errors=True)
            replace(make_clone(made), forks=forked).dvc("repro", "--quiet", "--force")
            done.touch()
    folder = tmp_path_factory.mktemp("clone") / "a"
    return Clone(Path(shutil.copytree(made, folder, symlinks=True)), forked, made)


@pytest.fixture
def finished_copy(finished: Clone, tmp_path: Path) -> Clone:
    """A copy of the finished clone that a test may change."""
    return replace(finished, folder=Path(shutil.copytree(finished.folder, tmp_path / "copy", symlinks=True)))


@pytest.fixture(scope="session")
def new_clone() -> Callable[[Path], Clone]:
    """Return the function that makes a clone in a folder that does not exist yet."""
    return make_clone
