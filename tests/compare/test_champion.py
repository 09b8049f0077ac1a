"""The champion's lock and work tree, in a small repository: made, shared, cleaned up, also after a crash."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mainline.compare import against, champion
from mainline.compare.champion import FOLDER, Champion, NotReproducible, Pinned, pinned, worktree
from mainline.compare.git import changed_files, resolve, text_at
from mainline.errors import UserError

LOCK = """stages:
  train:
    outs:
    - path: artifacts/model.skops
      md5: abc
    - path: artifacts/training.json
      md5: def
"""


def git(root: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "a repository"
    (root / ".dvc").mkdir(parents=True)
    (root / ".dvc" / "config").write_text("[core]\n    analytics = false\n", encoding="utf-8")
    (root / ".dvc" / ".gitignore").write_text("/config.local\n/tmp\n/cache\n", encoding="utf-8")
    (root / ".gitignore").write_text(".mainline/\n", encoding="utf-8")
    (root / "dvc.lock").write_text(LOCK, encoding="utf-8")
    (root / "code.py").write_text("x = 1\n", encoding="utf-8")
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message=a")
    monkeypatch.chdir(root)
    return root


def test_a_ref_becomes_a_commit(repository: Path) -> None:
    head = git(repository, "rev-parse", "HEAD")
    assert resolve("") == ("main", head)
    git(repository, "update-ref", "refs/remotes/origin/main", head)
    assert resolve("") == ("origin/main", head)
    for wrong in ("nothing", "--all", "-x", "main:code.py"):
        with pytest.raises(UserError, match="no such commit here"):
            resolve(wrong)


def test_what_a_commit_pins(repository: Path) -> None:
    found = pinned("HEAD")
    assert found == Pinned("HEAD", {"artifacts/model.skops": "abc", "artifacts/training.json": "def"})
    for text, expected in ((LOCK.replace("model.skops", "other"), None), ("", None), ("stages: 1\n", UserError)):
        (repository / "dvc.lock").write_text(text, encoding="utf-8")
        git(repository, "commit", "--quiet", "--all", "--allow-empty", "--message=b")
        if expected is None:
            assert pinned("HEAD") is None
        else:
            with pytest.raises(expected, match="cannot be read"):
                pinned("HEAD")
    git(repository, "rm", "--quiet", "dvc.lock")
    git(repository, "commit", "--quiet", "--message=c")
    assert pinned("HEAD") is None
    assert text_at("HEAD", "dvc.lock") is None


def test_changed_files_are_those_of_the_work_tree(repository: Path) -> None:
    assert changed_files("HEAD") == []
    (repository / "code.py").write_text("x = 2\n", encoding="utf-8")
    (repository / "new.py").write_text("", encoding="utf-8")
    assert changed_files("HEAD") == ["code.py", "new.py"]
    assert changed_files("HEAD", "new.py") == ["new.py"]


def test_a_file_that_was_moved_has_changed_in_both_places(repository: Path) -> None:
    git(repository, "mv", "code.py", "notes.txt")
    assert changed_files("HEAD") == ["code.py", "notes.txt"]
    git(repository, "commit", "--quiet", "--message=Move it")
    assert changed_files("HEAD~1") == ["code.py", "notes.txt"]


def test_a_comparison_asks_dvc_once_for_its_cache(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    run = champion.dvc.run

    def counted(arguments: Sequence[str], *others: Any) -> Any:
        asked.append(list(arguments))
        return run(arguments, *others)

    def gone(want: Pinned, tree: Path, cache: Path) -> Champion:
        assert cache == repository / ".dvc" / "cache" and str(cache) in (tree / ".dvc/config.local").read_text()
        raise NotReproducible("gone")

    monkeypatch.setattr(champion.dvc, "run", counted)
    monkeypatch.setattr(against, "provide", gone)
    challenger: Any = SimpleNamespace(settings=SimpleNamespace(project="bank"))
    found = against.hold_against(challenger, pinned(git(repository, "rev-parse", "HEAD")))
    assert (found.case, found.said) == ("champion not reproducible", "gone")
    assert asked == [["cache", "dir"]]


def left_over(root: Path) -> list[str]:
    assert git(root, "worktree", "list").count("\n") == 0
    return sorted(path.name for path in (root / FOLDER).iterdir())


def test_a_work_tree_shares_the_cache_and_goes(repository: Path) -> None:
    head = git(repository, "rev-parse", "HEAD")
    (repository / "code.py").write_text("x = 2\n", encoding="utf-8")
    with worktree(head) as tree:
        assert (tree / "code.py").read_text(encoding="utf-8") == "x = 1\n"
        assert str(repository / ".dvc" / "cache") in (tree / ".dvc" / "config.local").read_text(encoding="utf-8")
        with pytest.raises(UserError, match="another `mainline compare`"), worktree(head):
            pass
        assert tree.is_dir()
    assert left_over(repository) == ["lock"]


def test_a_work_tree_goes_also_when_the_comparison_fails(repository: Path) -> None:
    head = git(repository, "rev-parse", "HEAD")
    with pytest.raises(RuntimeError), worktree(head):
        raise RuntimeError
    assert left_over(repository) == ["lock"]


@pytest.mark.parametrize("damage", ["nothing", "changed", "half", "other"])
def test_what_a_crash_has_left_is_used_or_made_anew(repository: Path, damage: str) -> None:
    head = git(repository, "rev-parse", "HEAD")
    left = repository / FOLDER / head
    if damage == "half":  # killed before git had written anything that it would know again
        left.mkdir(parents=True)
        (left / "code.py").write_text("x = 3\n", encoding="utf-8")
    else:
        git(repository, "worktree", "add", "--quiet", "--detach", str(left), head)
    if damage == "changed":
        (left / "code.py").write_text("x = 3\n", encoding="utf-8")
    if damage == "other":
        git(repository, "commit", "--quiet", "--allow-empty", "--message=next")
        head = git(repository, "rev-parse", "HEAD")
    with worktree(head) as tree:
        assert (tree / "code.py").read_text(encoding="utf-8") == "x = 1\n"
        assert git(tree, "rev-parse", "HEAD") == head
    assert left_over(repository) == ["lock"]
