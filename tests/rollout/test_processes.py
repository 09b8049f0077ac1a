"""Processes that start workers of their own."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import psutil

from mainline.rollout.processes import Processes, alive, lost, memory_mb

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
