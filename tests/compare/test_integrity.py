"""What cannot be looked at is not a pass."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mainline.compare.integrity import lock_integrity, remote_integrity


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which DVC has been set up, and nothing else."""
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("[core]\n    no_scm = True\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_a_lock_or_a_remote_nothing_is_sound(empty: Path) -> None:
    assert lock_integrity().faults == ("there is no dvc.lock with outputs",)
    found = remote_integrity()
    assert (found.faults, found.known) == (("no default remote is set",), False)


def test_a_pipeline_that_dvc_cannot_read_is_not_a_pass(empty: Path) -> None:
    outs = [{"path": "out", "md5": "900150983cd24fb0d6963f7d28e17f72"}]
    lock = {"schema": "2.0", "stages": {"a": {"cmd": "a", "outs": outs}}}
    (empty / "dvc.lock").write_text(json.dumps(lock), encoding="utf-8")
    (empty / "out").write_text("abc", encoding="utf-8")
    (empty / "dvc.yaml").write_text("stages:\n  a: {cmd: a, outs: [out], nonsense: 1}\n", encoding="utf-8")
    found = lock_integrity()
    assert (found.known, len(found.faults)) == (False, 1) and "dvc status" in found.faults[0]
