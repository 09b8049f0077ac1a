from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mainline.ci.event import PullRequest
from mainline.ci.plan import docs_only, make_plan, stale_stages
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


@pytest.mark.parametrize("names", [["README.md"], ["docs/a.md", "docs/a.csv", "LICENSE"], []])
def test_words_alone_need_no_training(names: list[str]) -> None:
    assert docs_only(names)


@pytest.mark.parametrize(
    "name",
    ["params.yaml", "src/bank/README.md", "tests/x.md", ".github/workflows/report.yml", ".github/a.md", "dvc.lock",
     "data.dvc", "requirements.lock", "data/notes.txt", "README.md.py", "docs.py", "bentofile.yaml"],
)  # fmt: skip
def test_anything_else_does(name: str) -> None:
    assert not docs_only(["README.md", name])


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


def test_the_plan_looks_at_the_branch_alone(
    repository: Path, git: Callable[..., str], event: Callable[..., PullRequest]
) -> None:
    git(repository, "switch", "--quiet", "--create", "topic")
    (repository / "NEWS.md").write_text("x")
    git(repository, "add", "NEWS.md")
    git(repository, "commit", "--quiet", "--message=Words")
    git(repository, "switch", "--quiet", "main")
    (repository / "params.yaml").write_text("speed: 3\n")
    git(repository, "commit", "--quiet", "--all", "--message=Main moved on")
    base = git(repository, "rev-parse", "HEAD")
    git(repository, "switch", "--quiet", "topic")
    plan = make_plan(event(base=base), repository)
    assert plan.docs_only and plan.locked
    (repository / "params.yaml").write_text("speed: 2\n")
    git(repository, "commit", "--quiet", "--all", "--message=Params")
    plan = make_plan(event(base=base), repository)
    assert (plan.docs_only, plan.stale) == (False, ("second",))


def test_a_base_that_is_not_in_the_clone_is_a_users_mistake(
    repository: Path, event: Callable[..., PullRequest]
) -> None:
    with pytest.raises(UserError, match="git diff"):
        make_plan(event(), repository)
