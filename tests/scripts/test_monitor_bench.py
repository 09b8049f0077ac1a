"""The comparison with other tools: what does not come to an end is said, and no figure stands in its place."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    return load("monitor_bench")


def test_what_does_not_finish_is_named(bench) -> None:
    def take(code: str, minutes: float = 1.0) -> dict:
        return bench.take([sys.executable, "-S", "-c", code], minutes)

    assert take('print("banner"); print(\'{"cpu": 1.0}\')') == {"cpu": 1.0}
    assert take("import time; time.sleep(60)", 0.005) == {"failed": "not finished in 0.005 minutes"}
    assert take("raise MemoryError") == {"failed": "out of memory"}
    assert take("import os; os.kill(os.getpid(), 9)") == {"failed": "out of memory"}
    assert take("import nowhere")["failed"] == "exit code 1: ModuleNotFoundError: No module named 'nowhere'"


def test_ratios_are_against_our_own_window_of_that_size(bench) -> None:
    ours = {"rows": 10, "tool": "mainline", "seconds": 2.0, "cpu": 2.0, "peak_mb": 100, "load": 0.5}
    peer = {**ours, "tool": "evidently", "version": "1", "seconds": 50.0, "cpu": 40.0, "peak_mb": 250}
    table = bench.peer_table([ours, peer, {"rows": 10, "tool": "nannyml", "failed": "out of memory", "load": 1.0}])
    assert "| 10 | evidently 1 | 50.0 s | 40.0 s | 20.0 | 250 MB | 2.5 | 0.5 |" in table
    assert "| 10 | Mainline, a window | 2.0 s | 2.0 s | 1 | 100 MB | 1 | 0.5 |" in table
    assert "| 10 | nannyml | out of memory |  |  |  |  | 1.0 |" in table


def test_both_halves_of_ours_count_the_same_columns(bench, tmp_path) -> None:
    folders = [str(tmp_path / name) for name in ("reference", "current")]
    for number, folder in enumerate(folders):
        bench.make(Path(folder), 500, number)
    peers = load("monitor_bench_peers")
    assert [peers.TOOLS[name]()(*folders) for name in ("profile", "mainline")] == [30, 30]
