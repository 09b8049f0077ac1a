"""What a branch changes, and whether that is words alone: decided from commits, in a repository of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mainline.ci.words import changed, is_words, judges, words_only
from mainline.errors import UserError

Git = Callable[..., str]


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "docs/a.csv", "docs/a/b.py", "LICENSE", "CITATION.cff"])
def test_these_are_words(name: str) -> None:
    assert is_words(name)


@pytest.mark.parametrize(
    "name",
    ["params.yaml", "src/bank/README.md", "tests/x.md", ".github/workflows/report.yml", ".github/a.md", "dvc.lock",
     "data.dvc", "requirements.lock", "data/notes.txt", "README.md.py", "docs.py", "bentofile.yaml", "notes.txt",
     "deploy/README.md", "docs", "Docs/a.md", ".md/x", ".dvc/config", "LICENSE/x"],
)  # fmt: skip
def test_these_are_not(name: str) -> None:
    assert not is_words(name)


@pytest.fixture
def repository(tmp_path: Path, git: Git) -> Path:
    """Main with a pipeline that reads a text below docs/, and the branch topic at the same commit."""
    for name, text in {
        "README.md": "a\n",
        "src/code.py": "a = 1\n" * 9,
        "docs/vocabulary.txt": "a\n",
        "docs/deep/x/y.csv": "a\n",
        "dvc.yaml": "stages: {a: {cmd: run docs/tool.sh, deps: [./docs/vocabulary.txt, 'docs/deep/${x}/y.csv']}}\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    commit(git, tmp_path)
    git(tmp_path, "switch", "--quiet", "--create", "topic")
    return tmp_path


def commit(git: Git, folder: Path) -> str:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message=x")
    return git(folder, "rev-parse", "HEAD")


def only_words(git: Git, folder: Path) -> bool:
    """Commit to topic; decide as the workflow `report` does, with main checked out."""
    head = commit(git, folder)
    git(folder, "switch", "--quiet", "main")
    return words_only(changed("main", head, folder), folder)


def test_words_alone(repository: Path, git: Git) -> None:
    (repository / "README.md").write_text("b\n")
    (repository / "docs" / "new.png").write_text("b\n")
    assert only_words(git, repository)


def test_a_file_moved_into_docs_is_gone_from_where_it_was(repository: Path, git: Git) -> None:
    (repository / "src/code.py").rename(repository / "docs/code.py")
    assert not only_words(git, repository)


@pytest.mark.parametrize("name", ["docs/vocabulary.txt", "docs/deep/other/z.csv", "docs/tool.sh"])
def test_what_the_pipeline_reads_is_never_words(repository: Path, git: Git, name: str) -> None:
    (repository / name).parent.mkdir(parents=True, exist_ok=True)
    (repository / name).write_text("b\n")
    assert not only_words(git, repository)


def test_a_branch_cannot_take_its_file_out_of_the_pipeline(repository: Path, git: Git) -> None:
    (repository / "docs/vocabulary.txt").write_text("b\n")
    (repository / "dvc.yaml").write_text("stages: {}\n")
    assert not only_words(git, repository)


def test_what_main_has_done_meanwhile_is_not_the_branchs(repository: Path, git: Git) -> None:
    (repository / "README.md").write_text("b\n")
    commit(git, repository)
    git(repository, "switch", "--quiet", "main")
    (repository / "src/code.py").write_text("b = 1\n")
    commit(git, repository)
    git(repository, "switch", "--quiet", "topic")
    assert only_words(git, repository)


def test_after_merges_both_ways_the_changes_since_each_parting_count(repository: Path, git: Git) -> None:
    """Seen from one of the two commits at which they parted, the branch has left one of the two files as it was."""
    start = git(repository, "rev-parse", "main")
    (repository / "src/other.py").write_text("b = 1\n")
    first = commit(git, repository)
    git(repository, "switch", "--quiet", "main")
    (repository / "src/code.py").write_text("b = 1\n")
    second = commit(git, repository)
    git(repository, "merge", "--quiet", "-m", "x", first)
    git(repository, "switch", "--quiet", "topic")
    git(repository, "merge", "--quiet", "--no-commit", second)
    git(repository, "checkout", start, "--", "src/code.py")  # the merge takes back what main has changed
    (repository / "src/other.py").unlink()
    head = commit(git, repository)
    assert len(git(repository, "merge-base", "--all", "main", head).split()) == 2
    assert changed("main", head, repository) == ["src/code.py", "src/other.py"]


def test_a_submodule_is_seen_whatever_its_settings_say(repository: Path, git: Git) -> None:
    (repository / ".gitmodules").write_text('[submodule "x"]\n\tpath = docs2\n\turl = x\n\tignore = all\n')
    git(repository, "update-index", "--add", "--cacheinfo", f"160000,{git(repository, 'rev-parse', 'main')},docs2")
    git(repository, "add", ".gitmodules")
    git(repository, "commit", "--quiet", "--message=x")
    assert changed("main", "topic", repository) == [".gitmodules", "docs2"]


def test_without_a_common_history_nothing_is_decided(repository: Path, git: Git) -> None:
    git(repository, "switch", "--quiet", "--orphan", "alone")
    head = commit(git, repository)
    with pytest.raises(UserError, match="merge-base"):
        changed("main", head, repository)


def test_who_changes_the_judge_is_told() -> None:
    names = ["src/mainline/ci/report.py", "src/bank/model.py", ".github/x", "Makefile", "Makefile.md", "scripts/a"]
    assert judges(names) == ["src/mainline/ci/report.py", ".github/x", "Makefile", "scripts/a"]
