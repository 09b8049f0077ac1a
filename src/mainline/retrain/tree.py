"""A work tree of its own for the retraining, so that nobody's files are touched, and the branch that it gives."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mainline import child
from mainline.compare.champion import share_cache
from mainline.dvc import cache_folder
from mainline.errors import UserError

FOLDER = Path(".mainline", "retrain")
SECONDS = 600.0
KEY = "Retrain-Key:"
LOCKED = "Lock the outputs of "
NOBODY = {"name": "mainline", "email": "mainline@localhost"}


@dataclass(frozen=True)
class Repository:
    """The repository in ``root``; ``extra`` is what git needs in its environment to reach the remote."""

    root: Path
    extra: Mapping[str, str] = field(default_factory=dict, repr=False)

    def git(self, *arguments: str, at: Path | None = None, check: bool = True) -> str:
        """Return what git printed, without the end of line; hooks never run.

        Raises:
            UserError: git failed (unless ``check`` is false: then nothing is returned) or is not there.
        """
        environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", **self.extra}
        command = ["git", "-c", "core.hooksPath=/dev/null", *arguments]
        try:
            done = child.run(command, at or self.root, seconds=SECONDS, environment=environment)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UserError(
                f"git {arguments[0]}: {error}", "is git installed, and this folder a repository?"
            ) from error
        if done.returncode != 0:
            if check:
                raise UserError(f"git {arguments[0]}: {' '.join(done.stderr.split())[-300:]}", "see git's own words")
            return ""
        return done.stdout.rstrip("\n")

    def base(self, *, remote: bool) -> str:
        """Return the default branch's newest commit: the remote's, or the one here.

        Raises:
            UserError: there is none.
        """
        name = self._default(remote=remote)
        if remote:
            self.git("fetch", "--quiet", "origin", f"+refs/heads/{name}:refs/remotes/origin/{name}")
        for ref in (f"origin/{name}", name) if remote else (name, f"origin/{name}"):
            if found := self.git("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}", check=False):
                return found
        raise UserError(f"no branch {name} here", f"git fetch origin {name}")

    def _default(self, *, remote: bool) -> str:
        """Return the name of the default branch: the remote's word, or what this clone knows of it; else main."""
        if remote:
            for line in self.git("ls-remote", "--symref", "origin", "HEAD").splitlines():
                if line.startswith("ref: refs/heads/"):
                    return line.split()[1].removeprefix("refs/heads/")
        known = self.git("symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD", check=False)
        return known.removeprefix("origin/") or "main"

    def head(self, branch: str, *, remote: bool) -> str:
        """Return the newest commit of ``branch``, fetched if it is the remote's; empty if there is no such branch."""
        if not remote:
            return self.git("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}^{{commit}}", check=False)
        listed = self.git("ls-remote", "origin", f"refs/heads/{branch}").split()
        if listed:
            self.git("fetch", "--quiet", "--no-tags", "origin", f"refs/heads/{branch}")
        return listed[0] if listed else ""

    def made_of(self, branch: str, head: str, base: str) -> str:
        """Return the key of the newest retraining on a branch; empty if all of it is in ``base``.

        Raises:
            UserError: there are commits on it that no retraining has made.
        """
        key = ""
        for commit in self.git("rev-list", f"{base}..{head}").split():
            message = self.git("show", "--no-patch", "--format=%B", commit)
            keys = _keys(message)
            if not keys and not message.startswith(LOCKED):
                raise UserError(
                    f"{branch}: holds {commit[:12]} ({message.splitlines()[0][:60]}), which no retraining has made",
                    "finish that pull request by hand, or close it and delete the branch, then approve again",
                )
            key = key or (keys[-1] if keys else "")
        return key

    def commit(self, tree: Path, message: str, identity: Mapping[str, str] | None) -> str:
        """Commit what is staged in ``tree``; return the commit. Without ``identity``: the user's own, else nobody's."""
        if identity is None and not self.git("config", "user.email", check=False):
            identity = NOBODY
        who = [part for key, value in (identity or {}).items() for part in ("-c", f"user.{key}={value}")]
        self.git(*who, "commit", "--quiet", f"--message={message}", at=tree)
        return self.git("rev-parse", "HEAD", at=tree)

    def publish(self, branch: str, new: str, old: str, *, remote: bool) -> None:
        """Make ``new`` the branch, here or on the remote, if it still is ``old`` (empty: not there).

        Raises:
            UserError: it has moved meanwhile, is checked out here, or the remote refuses.
        """
        ref = f"refs/heads/{branch}"
        if remote:
            self.git("push", "--quiet", f"--force-with-lease={ref}:{old}", "origin", f"{new}:{ref}")
            return
        if f"branch {ref}" in self.git("worktree", "list", "--porcelain").splitlines():
            raise UserError(f"{branch}: is checked out", "git switch main, then run the same command again")
        self.git("update-ref", ref, new, old or "0" * 40)


def _keys(message: str) -> list[str]:
    """Return the keys in the last paragraph of a commit message; what looks like one further up is no trailer."""
    last = message.strip("\n").split("\n\n")[-1]
    return [line.removeprefix(KEY).strip() for line in last.split("\n") if line.startswith(KEY)]


@contextmanager
def workspace(repository: Repository, commit: str) -> Iterator[Path]:
    """Yield a clean work tree of ``commit`` below ``.mainline/retrain`` that shares this repository's DVC cache.

    It is gone afterwards, and what a crash has left goes first. One at a time.

    Raises:
        UserError: git cannot make it, or another retraining is under way here.
    """
    folder = (repository.root / FOLDER).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    tree = folder / "tree"
    with (folder / "lock").open("w") as guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError("another `mainline retrain` is running here", "wait until it has ended") from error
        _remove(repository, tree)
        try:
            repository.git("worktree", "add", "--detach", "--quiet", "--force", str(tree), commit)
            share_cache(tree, cache_folder(repository.root))
            yield tree
        finally:
            _remove(repository, tree)


def _remove(repository: Repository, tree: Path) -> None:
    repository.git("worktree", "remove", "--force", "--force", str(tree), check=False)
    shutil.rmtree(tree, ignore_errors=True)
    repository.git("worktree", "prune", check=False)
