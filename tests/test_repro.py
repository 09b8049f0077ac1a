"""What `mainline repro` does to the ``*.dvc`` files; DVC is replaced by what it would write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mainline import repro as room
from mainline.repro import repro

POINTER = "outs:\n- md5: {}.dir\n  path: data\n"
LOCK = "stages:\n  validate:\n    deps:\n    - path: data\n      md5: {}.dir\n"
Run = Callable[[Path], int]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "data.dvc").write_text(POINTER.format("old"), encoding="utf-8")
    (tmp_path / "replay.dvc").write_text(POINTER.format("later").replace("path: data", "path: replay"), "utf-8")
    (tmp_path / "dvc.lock").write_text(LOCK.format("old"), encoding="utf-8")
    return tmp_path


def noted(root: Path, lock: str = "old") -> None:
    (root / "data.dvc").write_text(POINTER.format("new"), encoding="utf-8")
    (root / "dvc.lock").write_text(LOCK.format(lock), encoding="utf-8")


def refused(root: Path) -> int:
    noted(root)
    return 255


def failed_later(root: Path) -> int:
    noted(root, lock="new")
    return 1


def interrupted(root: Path) -> int:
    noted(root)
    raise KeyboardInterrupt


def passed(root: Path) -> int:
    noted(root, lock="new")
    return 0


@pytest.mark.parametrize(("run", "kept"), [(refused, "old"), (failed_later, "new"), (passed, "new")])
def test_data_that_came_through_no_stage_are_not_named(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], run: Run, kept: str
) -> None:
    monkeypatch.setattr(room, "_dvc", run)
    code = {"refused": 255, "failed_later": 1, "passed": 0}[run.__name__]
    assert repro(root) == code
    assert (root / "data.dvc").read_text(encoding="utf-8") == POINTER.format(kept)
    assert ("data.dvc is as it was" in capsys.readouterr().out) is (kept == "old")
    assert "later" in (root / "replay.dvc").read_text(encoding="utf-8")


def test_an_interrupted_run_names_none_either_also_without_a_lock(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_dvc", interrupted)
    with pytest.raises(KeyboardInterrupt):
        repro(root)
    assert "old" in (root / "data.dvc").read_text(encoding="utf-8")

    def first_run(root: Path) -> int:
        (root / "data.dvc").write_text(POINTER.format("new"), encoding="utf-8")
        return 255

    (root / "dvc.lock").unlink()
    monkeypatch.setattr(room, "_dvc", first_run)
    assert repro(root) == 255 and "old" in (root / "data.dvc").read_text(encoding="utf-8")
