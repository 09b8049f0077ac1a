"""The bootstrap: one clear line on each failure, and nothing to do while the stamp fits."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

TOP = Path(__file__).parents[2]


@pytest.fixture
def bootstrap(tmp_path: Path) -> ModuleType:
    """The script, loaded from a repository of its own so that the real .venv is out of reach."""
    for name in ("scripts/bootstrap.py", "pyproject.toml", "requirements.lock", "src/mainline/numerics.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(TOP / name, tmp_path / name)
    spec = importlib.util.spec_from_file_location("bootstrap", tmp_path / "scripts/bootstrap.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    lines = [line for line in capsys.readouterr().err.splitlines() if "setting up" not in line]
    assert len(lines) == 1, lines
    assert lines[0].startswith("mainline: ")
    assert "; fix: " in lines[0]
    return lines[0]


def test_another_python_is_refused(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bootstrap, "HIGHEST", (3, 10))
    assert bootstrap.main() == 1
    assert "cannot be used" in one_line(capsys)


def test_missing_git_is_named(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert bootstrap.main() == 1
    assert "git is not on PATH" in one_line(capsys)


def test_missing_lock_is_named(bootstrap: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    Path(bootstrap.LOCK).unlink()
    assert bootstrap.main() == 1
    assert "requirements.lock is missing" in one_line(capsys)


def test_uv_is_pinned_with_hashes(bootstrap: ModuleType) -> None:
    lines = bootstrap.stanza("uv").splitlines()
    assert lines[0].startswith("uv==")
    assert all(line.strip().startswith("--hash=sha256:") for line in lines[1:])
    assert len(lines) > 1
    assert not lines[-1].endswith("\\")


def test_a_changed_lock_project_or_pin_needs_another_stamp(bootstrap: ModuleType) -> None:
    stamps = [bootstrap.wanted_stamp()]
    for name in ("requirements.lock", "pyproject.toml", "src/mainline/numerics.py"):
        with (Path(bootstrap.TOP) / name).open("a") as stream:
            stream.write("# changed\n")
        stamps.append(bootstrap.wanted_stamp())
    assert len(set(stamps)) == 4


def test_another_hook_needs_another_stamp(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    before = bootstrap.wanted_stamp()
    monkeypatch.setattr(bootstrap, "OWN_FIRST", "import os\n")
    assert bootstrap.wanted_stamp() != before


def test_a_fitting_stamp_means_nothing_to_do(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(bootstrap, "install", done.append)
    Path(bootstrap.BIN).mkdir(parents=True)
    Path(bootstrap.PYTHON).touch()
    assert bootstrap.main() == 0
    assert len(done) == 1
    Path(bootstrap.STAMP).write_text(done[0])
    assert bootstrap.main() == 0
    assert len(done) == 1
    Path(bootstrap.PYTHON).unlink()
    assert bootstrap.main() == 0
    assert len(done) == 2


@pytest.mark.slow
def test_an_unreachable_index_is_one_line_and_leaves_no_stamp(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:secret@127.0.0.1:1/simple")
    assert bootstrap.main() == 1
    line = one_line(capsys)
    assert "could not install uv" in line
    assert "secret" not in line
    assert not Path(bootstrap.STAMP).exists()


def test_make_without_python_is_one_line() -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    command = ["make", "--no-print-directory", "setup", "PYTHON=no-such-python"]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode != 0
    assert "mainline: no-such-python is not on PATH; fix:" in done.stderr
    assert sys.executable not in done.stderr
