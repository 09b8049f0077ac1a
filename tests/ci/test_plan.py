from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mainline.ci.plan import stale_stages
from mainline.errors import UserError

pytestmark = pytest.mark.usefixtures("quick")

PIPELINE = """
stages:
  first:
    cmd: cp in.txt a.txt
    deps: [in.txt]
    outs: [a.txt]
  second:
    cmd: cp a.txt b.txt
    deps: [a.txt]
    params: [speed]
    outs: [b.txt]
"""


@pytest.fixture
def repository(tmp_path: Path, git: Callable[..., str], dvc: Callable[..., str]) -> Path:
    """Two stages, run and committed."""
    (tmp_path / "in.txt").write_text("1\n")
    (tmp_path / "params.yaml").write_text("speed: 1\n")
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    dvc(tmp_path, "init", "--quiet")
    dvc(tmp_path, "repro", "--quiet")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message=Start")
    return tmp_path


def test_a_lock_that_fits_needs_no_data(repository: Path, dvc: Callable[..., str]) -> None:
    for name in ("a.txt", "b.txt"):
        (repository / name).unlink()
    assert stale_stages(repository) == ()


def test_the_stages_that_a_change_reaches_are_stale(repository: Path) -> None:
    (repository / "params.yaml").write_text("speed: 2\n")
    assert stale_stages(repository) == ("second",)
    (repository / "in.txt").write_text("2\n")
    assert stale_stages(repository) == ("first", "second")
    (repository / "dvc.lock").unlink()
    assert stale_stages(repository) == ("first", "second")


def test_a_broken_pipeline_is_named(repository: Path) -> None:
    (repository / "dvc.yaml").write_text("stages: [")
    with pytest.raises(UserError, match=r"dvc\.yaml"):
        stale_stages(repository)
