"""``mainline lock merge``: end a conflict in ``dvc.lock`` with main's, since no mixture of two locks fits any model.

Two branches that have both trained differ in the same lines of ``dvc.lock``. The lock says what was made of a commit,
and the merged commit has not been run yet: main's lock is as good a start as any, and the next run writes its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from mainline import console
from mainline.compare.git import git, resolve
from mainline.errors import UserError
from mainline.objects import EMBEDDED, place

LOCK = "dvc.lock"
INSIDE = f"{EMBEDDED.as_posix()}/"
SHOWN = 5


@dataclass(frozen=True)
class Conflict:
    """A merge, rebase or the like that git has stopped.

    Attributes:
        main: the commit whose lock is taken.
        other: the commit of the other side.
        go_on: the command that continues.
    """

    main: str
    other: str
    go_on: str


def merge_lock(root: Path = Path()) -> int:
    """Take main's ``dvc.lock`` and its objects in ``.dvc/embedded``, stage both, and say what comes next.

    Objects of the data that a ``*.dvc`` file of either side names stay. Return 0, or 1 when other files are in
    conflict, too: they are named, and the lock is resolved all the same.

    Raises:
        UserError: this is not the top of a repository, or neither file is in conflict; nothing was changed then.
    """
    top = git("rev-parse", "--show-toplevel", root=root)
    if Path(top).resolve() != root.resolve():
        raise UserError(f"{root.resolve()}: not the top of the repository", f"cd {top}")
    unmerged = _unmerged(root)
    ours = [path for path in unmerged if path == LOCK or path.startswith(INSIDE)]
    others = [path for path in unmerged if path not in ours]
    if not ours:
        more = f"; in conflict: {_few(others)}" if others else ""
        raise UserError(
            f"{LOCK}: not in conflict here{more}",
            "`git fetch origin`, then `git merge origin/main`: when that stops at dvc.lock, run this command",
        )
    conflict = _conflict(root)
    _take_lock(conflict, root)
    _take_objects(conflict, root)
    about = git("log", "-1", "--format=%h (%s)", conflict.main, root=root)
    console.say(f"{LOCK}, and its objects in {EMBEDDED}, are those of {about}: staged", "pass")
    if others:
        console.error(
            f"still in conflict: {_few(others)}\n"
            f"  fix: edit them, `git add` them, then `{conflict.go_on}`; dvc.lock is resolved already"
        )
        return 1
    _next(conflict, root)
    return 0


def _unmerged(root: Path) -> list[str]:
    """Return the files that are in conflict."""
    listed = git("ls-files", "--unmerged", "-z", root=root).split("\0")
    return sorted({entry.split("\t", 1)[1] for entry in listed if entry})


def _conflict(root: Path) -> Conflict:
    """Return what is under way and which side of it is main's.

    In a rebase git calls main's side "ours", in a merge of main "theirs"; here the commits count, not these words.
    """
    head = git("rev-parse", "HEAD", root=root)
    if onto := _state("rebase-merge/onto", root) or _state("rebase-apply/onto", root):
        replayed = git("rev-parse", "--verify", "--quiet", "REBASE_HEAD", root=root, check=False) or head
        return Conflict(onto, replayed, "git rebase --continue")
    if merged := _state("MERGE_HEAD", root):
        if _on_main(head, root) and not _on_main(merged, root):
            return Conflict(head, merged, "git commit")
        return Conflict(merged, head, "git commit")
    for name, command in (("CHERRY_PICK_HEAD", "git cherry-pick --continue"), ("REVERT_HEAD", "git revert --continue")):
        if picked := _state(name, root):
            return Conflict(head, picked, command)
    return Conflict(head, head, "git commit")


def _state(name: str, root: Path) -> str:
    """Return the first commit in a file of git's own, empty without such a file."""
    file = root / git("rev-parse", "--git-path", name, root=root)
    return file.read_text(encoding="utf-8").split()[0] if file.is_file() else ""


def _on_main(commit: str, root: Path) -> bool:
    """Return whether main has ``commit``."""
    try:
        _, main = resolve("", root)
    except UserError:
        return False
    return git("merge-base", commit, main, root=root, check=False) == commit


def _take_lock(conflict: Conflict, root: Path) -> None:
    if LOCK in _tree(conflict.main, root, LOCK):
        git("checkout", "--quiet", conflict.main, "--", LOCK, root=root)
    else:
        git("rm", "--quiet", "--force", "--ignore-unmatch", "--", LOCK, root=root)


def _take_objects(conflict: Conflict, root: Path) -> None:
    """Make ``.dvc/embedded`` hold main's objects and those of the data that ``*.dvc`` files name, and no others.

    Git takes two models for one file that was renamed in two ways, so there may be conflicts in here as well.
    """
    trees = {commit: _tree(commit, root, INSIDE) for commit in dict.fromkeys((conflict.main, "HEAD", conflict.other))}
    wanted = dict.fromkeys(trees[conflict.main], conflict.main)
    for path in _data_objects(trees, root):
        holder = next((commit for commit, paths in trees.items() if path in paths), None)
        if holder:
            wanted.setdefault(path, holder)
    for commit in trees:
        if paths := [path for path, holder in wanted.items() if holder == commit]:
            git("checkout", "--quiet", commit, "--", *paths, root=root)
    staged = set(git("ls-files", "-z", "--", INSIDE, root=root).split("\0")) - {""}
    if gone := sorted(staged - wanted.keys()):
        git("rm", "--quiet", "--force", "--", *gone, root=root)


def _data_objects(trees: dict[str, set[str]], root: Path) -> Iterator[str]:
    """Yield the paths of the objects that ``*.dvc`` files name; of a file in conflict both sides count."""
    for text in _pointers(root):
        try:
            named = [str(out["md5"]) for out in yaml.safe_load(text)["outs"] if "md5" in out]
        except (yaml.YAMLError, KeyError, TypeError):
            continue  # not DVC's; what is wrong with it is for the next `dvc` command to say
        for oid in named:
            path = place(EMBEDDED, oid).as_posix()
            yield path
            holder = next((commit for commit, paths in trees.items() if path in paths), None)
            if holder and oid.endswith(".dir"):
                for item in json.loads(git("show", f"{holder}:{path}", root=root)):
                    yield place(EMBEDDED, str(item["md5"])).as_posix()


def _pointers(root: Path) -> Iterator[str]:
    """Yield the text of each ``*.dvc`` file at the top: as it is staged, or in both versions while in conflict."""
    for entry in git("ls-files", "--stage", "-z", "--", ":(glob)*.dvc", root=root).split("\0"):
        if entry:
            yield git("cat-file", "blob", entry.split()[1], root=root)


def _tree(commit: str, root: Path, place: str) -> set[str]:
    """Return the files of ``commit`` below ``place``."""
    return set(git("ls-tree", "-r", "-z", "--name-only", commit, "--", place, root=root).split("\0")) - {""}


def _next(conflict: Conflict, root: Path) -> None:
    changed = git("diff", "--cached", "--name-only", "--no-renames", "HEAD", root=root)
    step = conflict.go_on if changed else conflict.go_on.replace("--continue", "--skip")
    why = " (the commit had nothing but the lock)" if step.endswith("--skip") else ""
    push = "git push --force-with-lease" if "rebase" in step else "git push"
    console.say(f"next: `{step}`{why}; then `{push}`: the pull request's run trains, and locks what it has made.")
    console.say("Or `make run` before you push: it trains here, and says what to commit.")


def _few(paths: Iterable[str]) -> str:
    listed = list(paths)
    return ", ".join(listed[:SHOWN]) + (f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else "")
