"""What `make` does before any of our commands runs: on a clone that is new, as every user's is at first."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DVC = """#!/bin/sh
echo "dvc $*" >> calls
[ ! -e broken ] || exit 1
for name in "$@"; do case "$name" in *.dvc) mkdir -p "${name%.dvc}" ;; esac; done
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with the Makefile, the pointers and a dvc that notes what it is asked for."""
    for name in ("Makefile", "data.dvc", "replay.dvc"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/dvc").write_text(DVC)
    (tmp_path / "bin/dvc").chmod(0o755)
    return tmp_path


def data(clone: Path) -> tuple[int, str, int]:
    """Return exit code, errors, and how often something was pulled."""
    done = subprocess.run(["make", "-o", "setup", "BIN=bin", "data"], cwd=clone, capture_output=True, text=True,
                          check=False)  # fmt: skip
    calls = (clone / "calls").read_text() if (clone / "calls").exists() else ""
    return done.returncode, done.stderr, calls.count("dvc pull data.dvc replay.dvc\n")


def test_the_batches_of_a_new_clone_are_pulled_and_only_once(clone: Path) -> None:
    assert data(clone) == (0, "", 1)
    assert data(clone) == (0, "", 1), "they are there"
    (clone / "data" / "mine.csv").touch()
    assert data(clone) == (0, "", 1), "batches that were added are left alone"
    with (clone / "data.dvc").open("a") as stream:
        stream.write("# another batch\n")
    assert data(clone) == (0, "", 2)
    shutil.rmtree(clone / "replay")
    assert data(clone) == (0, "", 3)


def test_a_project_without_a_replay_asks_for_none(clone: Path) -> None:
    (clone / "replay.dvc").unlink()
    code, said, _ = data(clone)
    assert (code, said, (clone / "calls").read_text()) == (0, "", "dvc pull data.dvc\n")


def test_what_cannot_be_fetched_is_said_and_tried_again(clone: Path) -> None:
    (clone / "broken").touch()
    for pulls in (1, 2):
        code, said, found = data(clone)
        assert (code != 0, found) == (True, pulls)
        assert "mainline: the batches were not fetched; fix: " in said
    (clone / "broken").unlink()
    assert data(clone) == (0, "", 3)


@pytest.mark.parametrize(
    ("repro", "summary", "called", "fails"),
    [
        (0, 0, ["repro", "summary", "deliver"], False),
        (0, 1, ["repro", "summary", "deliver"], False),  # a gate is not passed: the verdict comes all the same
        (0, 2, ["repro", "summary"], True),
        (255, 0, ["repro"], True),
    ],
)
def test_a_run_goes_on_to_the_verdict_also_after_a_gate_that_is_not_passed(
    clone: Path, repro: int, summary: int, called: list[str], fails: bool
) -> None:
    program = f'#!/bin/sh\necho "$1" >> commands\ncase $1 in repro) exit {repro} ;; summary) exit {summary} ;; esac\n'
    (clone / "bin/mainline").write_text(program)
    (clone / "bin/mainline").chmod(0o755)
    done = subprocess.run(["make", "-o", "setup", "BIN=bin", "run"], cwd=clone, capture_output=True, check=False)
    assert (clone / "commands").read_text().split() == called
    assert (done.returncode != 0) is fails
