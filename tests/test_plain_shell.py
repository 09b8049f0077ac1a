"""`dvc` and `mainline` of .venv, called by their path from a shell in which nothing was activated."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mainline import child, dvc, repro

ROOT = Path(__file__).resolve().parents[1]
OWN = Path(sys.executable).parent
PLAIN = "/usr/bin:/bin"
needs_setup = pytest.mark.skipif(
    Path(sys.prefix).resolve() != ROOT / ".venv", reason="not in the environment of `make setup`"
)


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """The folder of programs of another environment, with a `mainline` of its own."""
    folder = tmp_path / "other" / "bin"
    folder.mkdir(parents=True)
    (folder / "mainline").write_text("#!/bin/sh\necho the wrong mainline\n", encoding="utf-8")
    (folder / "mainline").chmod(0o755)
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a DVC pipeline of one stage, which calls `mainline` by its name."""
    folder = tmp_path / "project"
    folder.mkdir()
    plainly(folder, "dvc", "init", "--no-scm", "--quiet")
    stage = "stages:\n  help:\n    cmd: mainline --help > said\n    outs: [said]\n"
    (folder / "dvc.yaml").write_text(stage, encoding="utf-8")
    return folder


def plainly(folder: Path, program: str, *arguments: str, path: str = PLAIN) -> str:
    """Return all output of a program of .venv; it gets HOME and PATH and no other variable."""
    done = subprocess.run(
        [str(OWN / program), *arguments],
        cwd=folder,
        env={"HOME": str(folder.parent), "PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_setup
@pytest.mark.parametrize("program", ["dvc", "mainline"])
@pytest.mark.parametrize("activated", [False, True])
def test_the_pipeline_runs_from_a_plain_shell_and_from_another_environment(
    project: Path, other: Path, program: str, activated: bool
) -> None:
    plainly(project, program, "repro", path=f"{other}:{PLAIN}" if activated else PLAIN)
    assert "From batches to a champion" in (project / "said").read_text(encoding="utf-8")


@needs_setup
def test_the_search_path_of_other_processes_is_left_alone(project: Path) -> None:
    script = "import os; print(os.environ['PATH'])"
    found = plainly(project, "python", "-c", script, path=f"{OWN}:{PLAIN}")
    assert found.strip() == f"{OWN}:{PLAIN}", "named once, and the rest in its order"
    outside = [sys._base_executable, "-c", script]
    assert subprocess.check_output(outside, env={"PATH": PLAIN}, text=True).strip() == PLAIN


def test_commands_that_mainline_starts_find_its_own_programs(
    other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where .venv was not made by `make setup`, so that no hook runs."""
    for path in (PLAIN, f"{other}:{PLAIN}", f"{other}:{OWN}:{PLAIN}"):
        monkeypatch.setenv("PATH", path)
        assert child.search_path() == f"{OWN}:{path}"
    monkeypatch.setenv("PATH", f"{OWN}:{PLAIN}")
    assert child.search_path() == f"{OWN}:{PLAIN}"
    monkeypatch.delenv("PATH")
    assert child.search_path() == f"{OWN}:{os.defpath}", "no empty entry, which would be the working directory"

    seen: list[str] = []

    def note(command: list[str], *_: object, **options: object) -> subprocess.CompletedProcess[str]:
        environment = options.get("env") or options["environment"]
        assert isinstance(environment, dict)
        seen.append(environment["PATH"].split(os.pathsep)[0])
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr("subprocess.run", note)
    monkeypatch.setattr("mainline.child.run", note)
    repro._dvc(tmp_path)
    dvc.run(["status"], tmp_path, 1)
    assert seen == [str(OWN), str(OWN)]
