"""Processes that start workers of their own."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from mainline.rollout import processes as processes_module
from mainline.rollout.processes import Process, Processes, alive, lost, memory_mb

SUPERVISOR = """
import subprocess, sys, time
child = "import os, time; held = bytearray(64 * 2**20); print('ready', os.getpid(), flush=True); time.sleep(60)"
for _ in range(2):
    subprocess.Popen([sys.executable, "-c", child], start_new_session=True)
time.sleep(60)
"""


def test_workers_in_sessions_of_their_own_are_counted_missed_and_ended(tmp_path: Path) -> None:
    # Given a process that starts its workers as BentoML does
    processes = Processes(tmp_path)
    process = processes.start("a", [sys.executable, "-c", SUPERVISOR], role="candidate", release="r")
    end = time.monotonic() + 20
    while processes.tail(process).count("ready") < 2:
        assert time.monotonic() < end
        time.sleep(0.02)
    processes.settle(process)
    (settled,) = processes.all()
    # Then their memory counts, and the end of one is seen though the parent lives on
    first, second = [psutil.Process(pid) for pid, _ in settled.workers]
    assert os.getpgid(first.pid) != process.pid
    assert (memory_mb(settled) or 0) > 128
    assert not lost(settled)
    first.kill()
    while not lost(settled):
        assert time.monotonic() < end
        time.sleep(0.02)
    assert alive(settled)
    # And the other one is not left behind, whether or not anybody knew of it
    processes.stop(process)
    second.wait(5)


@pytest.mark.skipif(not psutil.LINUX, reason="elsewhere the kernel keeps the time itself")
def test_a_clock_that_is_stepped_makes_no_process_another_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    processes = Processes(tmp_path)
    started = processes.start("a", [sys.executable, "-c", SUPERVISOR], role="candidate", release="r")
    stepped = psutil.boot_time() + 500
    try:
        # The operating system tells when a process began by the clock and the time since the machine's start
        monkeypatch.setattr(psutil._psplatform, "boot_time", lambda: stepped)
        (found,) = processes.all()
        assert abs(psutil.Process(found.pid).create_time() - time.time()) > 3, "the step is there"
        assert alive(found)
        assert not alive(replace(found, began=found.began - 1)), "another process with its number"
    finally:
        monkeypatch.undo()
        processes.stop(started)


@pytest.mark.parametrize("kernel", [True, False], ids=["by the kernel", "by the clock"])
def test_a_process_of_before_the_machines_start_is_forgotten(
    kernel: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = tmp_path / "boot_id"
    name.write_text("first\n")
    monkeypatch.setattr(processes_module, "BOOT", name if kernel else tmp_path / "none")
    monkeypatch.setattr(psutil, "boot_time", lambda: 1_000_000.0)
    processes = Processes(tmp_path / "processes")
    processes.folder.mkdir()
    processes.save(Process("a", "stable", "r", 1, 2**22, 0.0, processes_module._boot()))
    monkeypatch.setattr(psutil, "boot_time", lambda: 1_000_030.0 if not kernel else 2_000_000.0)
    assert [item.name for item in processes.all()] == ["a"], "the clock was set, no more"
    name.write_text("second\n")
    monkeypatch.setattr(psutil, "boot_time", lambda: 1_000_100.0)
    assert processes.all() == []
    assert not list(processes.folder.iterdir())
