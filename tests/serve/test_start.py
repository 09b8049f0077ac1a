"""What ``mainline serve`` looks at before it starts anything."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mainline.errors import UserError
from mainline.numerics import pinned
from mainline.serve.metrics import clean_folders, metrics_folder
from mainline.serve.start import Start, prepare


@pytest.fixture
def free() -> Iterator[int]:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    yield port


@pytest.fixture
def project(outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the outputs as working directory."""
    for name in ("MAINLINE_RELEASE", "MAINLINE_TRACK", "MAINLINE_LOG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(shutil.copytree(outputs, tmp_path / "project"))
    return tmp_path / "project"


def start(port: int, **options: Any) -> Start:
    usual = {"bento": "", "host": "127.0.0.1", "workers": 1, "track": "", "log": ""}
    return prepare(port=port, **{**usual, **options})


def test_the_command_and_its_environment(project: Path, free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Prescott")
    made = start(free, workers=2, track="canary")
    assert made.folder == project
    own = {key: made.environment[key] for key in made.environment if key.startswith(("MAINLINE_", "OMP", "OTEL"))}
    assert own.items() >= {
        "MAINLINE_RELEASE": "unreleased", "MAINLINE_TRACK": "canary", "MAINLINE_WORKERS": "2",
        "MAINLINE_LOG": str(project / ".mainline/log"), "OMP_NUM_THREADS": "1", "OTEL_SDK_DISABLED": "true",
    }.items()  # fmt: skip
    assert made.environment.items() >= pinned({}).items(), "threads and numeric kernels"
    assert "127.0.0.1" in made.command and str(free) in made.command
    assert start(free, log="s3://bucket/log").environment["MAINLINE_LOG"] == "s3://bucket/log"


def test_a_bento_is_served_from_its_own_folder_under_its_releases_id(
    project: Path, free: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPYCACHEPREFIX", raising=False)
    release = tmp_path / "bank-0123456789ab"
    shutil.copytree(project, release / "bento" / "src")
    (release / "bento" / "src" / "service.py").touch()
    (release / "release.json").write_text(json.dumps({"id": "bank-0123456789ab"}))
    made = start(free, bento=str(release / "bento"))
    assert made.folder == release / "bento" / "src"
    assert made.environment["MAINLINE_RELEASE"] == "bank-0123456789ab"
    assert made.environment["MAINLINE_LOG"] == str(project / ".mainline/log"), "not inside the Bento"
    assert made.environment["PYTHONPYCACHEPREFIX"] == str(project / ".mainline/pycache"), "nor is compiled Python"
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path / "shared"))
    assert start(free, bento=str(release / "bento")).environment["PYTHONPYCACHEPREFIX"] == str(tmp_path / "shared")
    with pytest.raises(UserError, match="not a built Bento"):
        start(free, bento=str(release))


@pytest.mark.parametrize(
    "name",
    ["artifacts/model.skops", "artifacts/serving", "artifacts/training.json", "artifacts/profile.json",
     "reports/evaluation.json"],
)  # fmt: skip
def test_an_output_that_is_absent_or_damaged_is_named(project: Path, free: int, name: str) -> None:
    path = project / name
    file = path if path.is_file() else path / "model.onnx"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(UserError, match=f"{name}: damaged or changed: its hash is .*dvc.lock pins") as caught:
        start(free)
    assert "dvc checkout" in caught.value.fix
    file.unlink()
    shutil.rmtree(path, ignore_errors=True)
    with pytest.raises(UserError, match=f"{name}: not there, so there is nothing to serve") as caught:
        start(free)
    assert "dvc repro" in caught.value.fix


def test_without_a_lock_nothing_is_served(project: Path, free: int) -> None:
    (project / "dvc.lock").write_text("stages: {}")
    with pytest.raises(UserError, match="pins no artifacts/model.skops"):
        start(free)
    (project / "dvc.lock").unlink()
    with pytest.raises(UserError, match="dvc.lock: not there"):
        start(free)


def test_a_taken_port_and_a_foreign_address_are_named(project: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"127.0.0.1:{port}: cannot be had .*in use"):
            start(port)
    with pytest.raises(UserError, match="192.0.2.1:"):
        start(port, host="192.0.2.1")


def test_a_track_or_release_that_is_none_is_refused(project: Path, free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="track 'blue'"):
        start(free, track="blue")
    monkeypatch.setenv("MAINLINE_RELEASE", "a b")
    with pytest.raises(UserError, match="'a b' is no release id"):
        start(free)


def test_the_command_line_says_what_is_missing(scratch: Any) -> None:
    code, output = scratch.run("serve")
    assert code == 1
    assert "artifacts/model.skops" in output and "run `dvc repro` first" in output


def test_figures_of_services_that_are_gone_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: Callable[..., int]
) -> None:
    monkeypatch.setattr("mainline.serve.metrics.base", lambda: tmp_path)
    import os

    own, other, gone = (metrics_folder(pid) for pid in (os.getpid(), os.getppid(), 2**22 + 7))
    for folder in (own, other, gone):
        folder.mkdir()
    clean_folders(os.getpid())
    assert (own.exists(), other.exists(), gone.exists()) == (False, True, False)
