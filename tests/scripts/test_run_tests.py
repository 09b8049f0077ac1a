"""The suite in parts: every test once, and no failure lost."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "run_tests.py"
NAMES = ("pipeline", "workflow", "release", "other", "top")
SLOW = """
import os
import pytest

@pytest.mark.slow
def test_slow_{name}():
    assert os.environ["SHARED"] == "a folder"
    assert {name!r} != {bad!r}
"""
FORKS = """
import contextlib, types
SHARED = "SHARED"
forks = lambda: contextlib.nullcontext(types.SimpleNamespace(folder="a folder"))
"""


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module; its pytests load no plugin."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_ADDOPTS", "-rA")
    spec = importlib.util.spec_from_file_location("run_tests", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "run_tests", module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def suite(root: Path, *, bad: str = "") -> Path:
    """Make a suite with slow tests in a folder that is a part of its own, in another, and at the top."""
    (root / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\nmarkers = slow: x\n")
    files = {
        "pipeline": "pipeline/test_a.py",
        "workflow": "workflows/test_a.py",
        "release": "workflows/test_release.py",
    }
    for name, file in (files | {"other": "other/test_a.py", "top": "test_a.py"}).items():
        path = root / "tests" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(SLOW.format(name=name, bad=bad) + f"\n\ndef test_fast_{name}():\n    pass\n")
    (root / "tests" / "forks.py").write_text(FORKS)
    return root


def test_every_test_runs_once(script: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert script.main([], suite(tmp_path)) == 0
    said = capfd.readouterr().out
    passed = sorted(line.partition("::")[2] for line in said.splitlines() if line.startswith("PASSED"))
    assert passed == sorted(f"test_{kind}_{name}" for kind in ("slow", "fast") for name in NAMES)
    assert "5 of 5 parts passed" in said


@pytest.mark.parametrize("bad", ["pipeline", "top"])
def test_a_failure_in_any_part_is_told(
    bad: str, script: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert script.main([], suite(tmp_path, bad=bad)) == 1
    said = capfd.readouterr().out
    assert f"FAILED tests/{'' if bad == 'top' else 'pipeline/'}test_a.py::test_slow_{bad}" in said
    assert "4 of 5 parts passed" in said


def test_parts_without_a_test_do_not_fail(script: ModuleType, tmp_path: Path) -> None:
    root = suite(tmp_path)
    assert script.main(["-k", "test_fast_top"], root) == 0
    assert script.main(["-k", "no_such_test"], root) == 5


def test_a_signal_ends_every_part(tmp_path: Path) -> None:
    # Given a suite that would take minutes, run by the script from its own place
    root = suite(tmp_path)
    (root / "scripts").mkdir()
    (root / "scripts" / "run_tests.py").write_bytes(SCRIPT.read_bytes())
    note = root / "pid"
    (root / "tests" / "test_a.py").write_text(
        "import os, pathlib, time\n\n\ndef test_long():\n"
        f"    pathlib.Path({str(note)!r}).write_text(str(os.getpid()))\n    time.sleep(120)\n"
    )
    process = subprocess.Popen(
        [sys.executable, str(root / "scripts" / "run_tests.py")],
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not (note.exists() and note.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    # When it is told to stop
    process.send_signal(signal.SIGTERM)
    # Then it does, and so does the pytest that it has started
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)
