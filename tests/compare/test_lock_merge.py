"""Two branches that have both trained: which lock is taken, which objects stay, and what git makes of it then."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from mainline.compare.lock_merge import merge_lock
from mainline.errors import UserError
from mainline.objects import EMBEDDED, place


class Repository:
    """A repository with data and a model; each object is the text that it is called by, and so is each file."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        self.data("january")
        self.lock("old", "shared")
        self.commit("Start")

    def git(self, *arguments: str, check: bool = True) -> str:
        who = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "core.editor=true")
        done = subprocess.run(["git", *who, *arguments], cwd=self.root, capture_output=True, text=True, timeout=60)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def write(self, name: str, text: str) -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text, encoding="utf-8")

    def put(self, text: str, suffix: str = "") -> str:
        oid = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + suffix
        self.write(place(EMBEDDED, oid).as_posix(), text)
        return oid

    def data(self, *batches: str) -> None:
        """Let data.dvc name a folder with ``batches``."""
        listing = json.dumps([{"md5": self.put(batch), "relpath": batch} for batch in batches])
        content = {"outs": [{"path": "data", "md5": self.put(listing, ".dir")}]}
        self.write("data.dvc", yaml.safe_dump(content))

    def lock(self, *outputs: str) -> None:
        """Let dvc.lock name ``outputs``; objects that it does not name any more are removed."""
        file = self.root / "dvc.lock"
        before = yaml.safe_load(file.read_text(encoding="utf-8"))["stages"]["train"]["outs"] if file.exists() else []
        outs = [{"path": f"artifacts/{number}", "md5": self.put(text)} for number, text in enumerate(outputs)]
        file.write_text(yaml.safe_dump({"stages": {"train": {"outs": outs}}}), encoding="utf-8")
        for out in before:
            if out["md5"] not in [item["md5"] for item in outs]:
                (self.root / place(EMBEDDED, out["md5"])).unlink(missing_ok=True)

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def objects(self) -> set[str]:
        """Return the staged objects by their text, lists of data left out; work tree and index must be the same."""
        assert self.git("diff", "--name-only") == "" and self.git("ls-files", "--unmerged") == ""
        names = self.git("ls-files", "--", EMBEDDED.as_posix()).splitlines()
        assert not self.git("ls-files", "--others"), "nothing is left lying about"
        return {(self.root / name).read_text(encoding="utf-8") for name in names if not name.endswith(".dir")}

    def model(self) -> list[str]:
        content = yaml.safe_load((self.root / "dvc.lock").read_text(encoding="utf-8"))
        return [out["md5"] for out in content["stages"]["train"]["outs"]]


def named(*outputs: str) -> list[str]:
    return [hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() for text in outputs]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """Main has trained a model since branch `topic` began, which has trained another and has one batch more."""
    made = Repository(tmp_path / "repository")
    made.git("checkout", "--quiet", "-b", "topic")
    made.write("params.yaml", "C: 0.5\n")
    made.data("january", "february")
    made.lock("topic's", "topic's too")
    made.commit("Topic")
    made.git("checkout", "--quiet", "main")
    made.write("model.py", "C = 1\n")
    made.lock("main's", "shared")
    made.commit("Main")
    made.git("checkout", "--quiet", "topic")
    monkeypatch.chdir(made.root)
    return made


MAINS = {"main's", "shared", "january", "february"}


def test_a_merge_of_main_takes_mains_lock_and_objects_and_keeps_the_data(repository: Repository, capsys: Any) -> None:
    repository.git("merge", "main", check=False)
    assert "dvc.lock" in repository.git("diff", "--name-only", "--diff-filter=U")
    assert merge_lock() == 0
    assert repository.model() == named("main's", "shared")
    assert repository.objects() == MAINS, "shared was removed on topic, and main's lock names it"
    said = capsys.readouterr().out
    assert "(Main): staged" in said and "next: `git commit`; then `git push`" in said and "`make run`" in said
    repository.git("commit", "--quiet", "--no-edit")
    assert repository.git("status", "--porcelain") == ""
    assert (repository.root / "params.yaml").exists() and (repository.root / "model.py").exists()


@pytest.mark.parametrize("backend", ["--merge", "--apply"])
def test_a_rebase_takes_mains_too_though_git_calls_it_ours(repository: Repository, backend: str, capsys: Any) -> None:
    repository.git("rebase", backend, "main", check=False)
    assert merge_lock() == 0
    assert repository.model() == named("main's", "shared") and repository.objects() == MAINS
    said = capsys.readouterr().out
    assert "(Main): staged" in said and "next: `git rebase --continue`; then `git push --force-with-lease`" in said
    repository.git("rebase", "--continue")
    assert repository.git("status", "--porcelain") == "" and repository.git("log", "-1", "--format=%s") == "Topic"


def test_a_commit_with_nothing_but_the_lock_is_left_out_of_a_rebase(repository: Repository, capsys: Any) -> None:
    repository.git("checkout", "--quiet", "-b", "locked", "main~1")
    repository.lock("locked", "shared")
    repository.commit("Lock")
    repository.git("rebase", "main", check=False)
    assert merge_lock() == 0 and "next: `git rebase --skip` (the commit had nothing but" in capsys.readouterr().out
    repository.git("rebase", "--skip")
    assert repository.git("rev-parse", "HEAD") == repository.git("rev-parse", "main")


def test_on_main_it_is_mains_lock_that_stays(repository: Repository) -> None:
    repository.git("checkout", "--quiet", "main")
    repository.git("merge", "topic", check=False)
    assert merge_lock() == 0
    assert repository.model() == named("main's", "shared") and repository.objects() == MAINS


def test_a_commit_that_is_picked_does_not_bring_its_lock(repository: Repository, capsys: Any) -> None:
    repository.git("checkout", "--quiet", "-b", "other", "main")
    repository.git("cherry-pick", "topic", check=False)
    assert merge_lock() == 0 and "next: `git cherry-pick --continue`" in capsys.readouterr().out
    assert repository.model() == named("main's", "shared") and repository.objects() == MAINS
    repository.git("cherry-pick", "--continue")


def test_other_files_in_conflict_are_named_and_the_lock_is_resolved_all_the_same(
    repository: Repository, capsys: Any
) -> None:
    repository.git("checkout", "--quiet", "main")
    repository.write("params.yaml", "C: 2\n")
    repository.data("january", "march")
    repository.commit("More")
    repository.git("checkout", "--quiet", "topic")
    repository.git("merge", "main", check=False)
    assert merge_lock() == 1
    said = "".join(capsys.readouterr())
    assert "still in conflict: data.dvc, params.yaml" in said and "then `git commit`; dvc.lock is resolved" in said
    assert repository.git("diff", "--name-only", "--diff-filter=U").split() == ["data.dvc", "params.yaml"]
    repository.git("checkout", "--theirs", "data.dvc", "params.yaml")
    repository.git("add", "data.dvc", "params.yaml")
    assert repository.model() == named("main's", "shared")
    assert repository.objects() == MAINS | {"march"}, "which data are right is not decided here: both stay"


def test_models_that_git_takes_for_one_renamed_file_are_told_apart(repository: Repository) -> None:
    def alike(name: str) -> str:
        return "".join(f"coefficient {number}\n" for number in range(200)) + name

    repository.git("checkout", "--quiet", "-B", "main", "main~1")
    repository.lock(alike("old"))
    repository.commit("Base")
    for branch in ("topic", "main"):
        repository.git("checkout", "--quiet", *(["-B", "topic"] if branch == "topic" else ["main"]))
        repository.lock(alike(branch))
        repository.commit(branch)
    repository.git("checkout", "--quiet", "topic")
    repository.git("merge", "main", check=False)
    assert EMBEDDED.as_posix() in repository.git("diff", "--name-only", "--diff-filter=U"), "renamed in two ways"
    assert merge_lock() == 0
    assert repository.objects() == {alike("main"), "january"} and repository.model() == named(alike("main"))


def test_a_lock_that_main_has_removed_goes(repository: Repository) -> None:
    repository.git("checkout", "--quiet", "main")
    repository.git("rm", "--quiet", "dvc.lock")
    repository.commit("Without")
    repository.git("checkout", "--quiet", "topic")
    repository.git("merge", "main", check=False)
    assert merge_lock() == 0 and not (repository.root / "dvc.lock").exists()
    repository.git("commit", "--quiet", "--no-edit")


def no_merge(repository: Repository) -> None:
    """Nothing is under way."""


def another_file(repository: Repository) -> None:
    repository.git("checkout", "--quiet", "-b", "words", "main")
    repository.write("model.py", "C = 3\n")
    repository.commit("Words")
    repository.git("checkout", "--quiet", "main")
    repository.write("model.py", "C = 2\n")
    repository.commit("Other words")
    repository.git("merge", "words", check=False)


@pytest.mark.parametrize(("arrange", "words"), [(no_merge, ""), (another_file, "in conflict: model.py")])
def test_without_a_conflict_of_the_lock_nothing_is_done(
    repository: Repository, arrange: Callable[[Repository], None], words: str
) -> None:
    arrange(repository)
    before = repository.git("status", "--porcelain"), repository.git("ls-files", "--stage")
    with pytest.raises(UserError, match=r"dvc\.lock: not in conflict here") as caught:
        merge_lock()
    assert words in caught.value.problem and "git merge origin/main" in caught.value.fix
    assert before == (repository.git("status", "--porcelain"), repository.git("ls-files", "--stage"))


def test_below_the_top_of_the_repository_it_says_where_to_go(repository: Repository) -> None:
    repository.git("merge", "main", check=False)
    with pytest.raises(UserError, match="not the top of the repository"):
        merge_lock(repository.root / ".dvc")
