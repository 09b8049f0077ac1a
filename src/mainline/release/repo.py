"""A small git repository in which a commit is made from objects alone, and appears all at once or not at all.

The work tree is only a view for people. A commit goes neither through it nor through the index: objects are written
first, then one reference is moved, on the condition that it still is where it was. A process killed anywhere leaves the
old commit or the new one.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mainline.errors import UserError
from mainline.files import write_atomic

BRANCH = "deploy"
REF = f"refs/heads/{BRANCH}"
SEEN = f"refs/remotes/origin/{BRANCH}"
WATCHED = "monitor/"  # what the monitor keeps: many files that people read as a report, not here
SECONDS = 120.0
WAIT = 20.0
STALE = 3.0  # git holds a lock file for milliseconds; an older one was left by a process that is gone
NOBODY = {"NAME": "mainline", "EMAIL": "mainline@localhost"}
NONE = "0" * 40


class Moved(UserError):
    """Someone else has moved branch ``deploy`` since it was read; nothing was changed."""


class Refused(Exception):
    """git failed; the text is what it said."""


@dataclass(frozen=True)
class Repo:
    """The repository in ``folder``; git is never let to look for another one above it."""

    folder: Path

    def git(
        self, *arguments: str, stdin: bytes | None = None, extra: Mapping[str, str] | None = None, check: bool = True
    ) -> str:
        """Return what git printed.

        Raises:
            Refused: git failed, and ``check`` is true.
            UserError: git is not there or did not end.
        """
        clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_DIR")}
        for name in ("GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR"):
            clean.pop(name, None)
        places = ["--git-dir", str(self.folder / ".git"), "--work-tree", str(self.folder)]
        durable = ["-c", "core.fsync=loose-object,reference", "-c", "core.hooksPath=/dev/null"]
        try:
            done = subprocess.run(
                ["git", *places, *durable, *arguments],
                input=stdin if stdin is not None else b"",
                env={**clean, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", **(extra or {})},
                capture_output=True,
                timeout=SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UserError(f"git {arguments[0]} in {self.folder}: {error}", "is git installed?") from error
        if check and done.returncode != 0:
            raise Refused(" ".join(done.stderr.decode("utf-8", "replace").split())[-400:])
        # Not strictly: a file that is no UTF-8 is for its parser to refuse, by name.
        return done.stdout.decode("utf-8", "surrogateescape") if done.returncode == 0 else ""

    def resolve(self, ref: str = REF) -> str:
        """Return the commit of ``ref``, an empty text without one."""
        return self.git("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}", check=False).strip()

    def read(self, path: str, commit: str = REF) -> str | None:
        """Return the content of a file of ``commit``, None if it has none.

        Raises:
            UserError: it has one, but its content is lost.
        """
        try:
            return self.git("cat-file", "blob", f"{commit}:{path}")
        except Refused as error:
            if self.git("ls-tree", "--name-only", commit, "--", path, check=False).strip():
                raise self.damaged(str(error)) from error
            return None

    def names(self, folder: str, commit: str = REF) -> list[str]:
        """Return the files of ``commit`` below ``folder``, sorted."""
        return self.git("ls-tree", "-r", "--name-only", commit, "--", f"{folder}/", check=False).splitlines()

    def damaged(self, reason: str) -> UserError:
        """Return the error for a repository that has lost something."""
        again = (
            "delete the folder: the remote has all of it" if self.remote() else f"git -C {self.folder} fsck shows what"
        )
        return UserError(f"{self.folder}: the repository is damaged: {reason}", again)

    def is_empty(self) -> bool:
        """Return whether the branch has no commit yet.

        Raises:
            UserError: it has one that cannot be read: a new beginning would bury it.
        """
        if self.resolve():
            return False
        inner = self.folder / ".git"
        packed = inner / "packed-refs"
        if (inner / REF).exists() or (packed.is_file() and f" {REF}\n" in packed.read_text(encoding="utf-8")):
            raise self.damaged(f"branch {BRANCH} points to nothing that can be read")
        return True

    def write_commit(self, message: str, files: Mapping[str, str], parent: str, when: datetime) -> str:
        """Return a new commit on ``parent`` (empty: the first one) with ``files`` put in; no reference moves yet."""
        index = self.folder / ".git" / f"mainline-{os.getpid()}.index"
        extra = {"GIT_INDEX_FILE": str(index), **self._identity(when)}
        try:
            self.git(*(["read-tree", parent] if parent else ["read-tree", "--empty"]), extra=extra)
            lines = []
            for path, text in files.items():
                blob = self.git("hash-object", "-w", "--stdin", stdin=text.encode()).strip()
                lines.append(f"100644 {blob}\t{path}\n")
            self.git("update-index", "--add", "--index-info", stdin="".join(lines).encode(), extra=extra)
            tree = self.git("write-tree", extra=extra).strip()
            above = ["-p", parent] if parent else []
            return self.git("commit-tree", tree, *above, stdin=message.encode(), extra=extra).strip()
        finally:
            index.unlink(missing_ok=True)

    def move(self, new: str, expect: str) -> None:
        """Move the branch from ``expect`` (empty: not there) to ``new``.

        Raises:
            Moved: it was somewhere else.
        """
        self.clear_locks()
        try:
            self.git("update-ref", "-m", "mainline", REF, new, expect or NONE)
        except Refused as error:
            found = self.resolve()
            if found == expect:
                raise UserError(f"{self.folder}: {error}; nothing was changed", "run the same command again") from error
            raise moved(expect, found) from error

    def remote(self) -> str | None:
        """Return the address of the remote, None without one."""
        return self.git("config", "remote.origin.url", check=False).strip() or None

    def show(self) -> list[str]:
        """Make the work tree and the index show the branch; return files whose hand edits were put aside.

        What the monitor keeps is left out of the work tree.
        """
        aside = []
        listed = self.git("ls-tree", "-r", REF).splitlines()
        wanted = {line.split("\t", 1)[1]: line.split()[2] for line in listed}
        hidden = [path for path in wanted if path.startswith(WATCHED)]
        for path, blob in wanted.items():
            if path.startswith(WATCHED):
                continue
            file = self.folder / path
            found = _blob(file.read_bytes(), len(blob)) if file.is_file() else ""
            if found == blob:
                continue
            if found and not self.git("cat-file", "-t", found, check=False):
                file.replace(file.with_name(f"{file.name}.edited"))
                aside.append(path)
            write_atomic(file, self.git("cat-file", "blob", blob))
        fresh = self.folder / ".git" / "mainline.index"
        extra = {"GIT_INDEX_FILE": str(fresh)}
        self.git("read-tree", REF, extra=extra)
        if hidden:
            self.git("update-index", "-z", "--skip-worktree", "--stdin", stdin="\0".join(hidden).encode(), extra=extra)
        fresh.replace(self.folder / ".git" / "index")
        return aside

    def clear_locks(self) -> None:
        """Remove lock files that a killed git has left; wait for one that may be alive."""
        inner = self.folder / ".git"
        for lock in (inner / f"{REF}.lock", inner / f"{SEEN}.lock", inner / "HEAD.lock", inner / "index.lock"):
            with contextlib.suppress(FileNotFoundError):
                while (age := time.time() - lock.stat().st_mtime) < STALE:
                    time.sleep(min(0.1, STALE - age))
                lock.unlink()

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Keep every other mainline command out of this repository.

        Raises:
            UserError: one has been in there for longer than ``WAIT`` seconds.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("a") as stream:
            end = time.monotonic() + WAIT
            while True:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError as error:
                    if time.monotonic() > end:
                        raise UserError(
                            f"{self.folder}: another mainline command has been writing here for {WAIT:.0f} seconds",
                            "wait until it has ended, then run the same command again",
                        ) from error
                    time.sleep(0.05)
            yield

    def _identity(self, when: datetime) -> dict[str, str]:
        """Return who commits: the user whom git knows, else mainline itself."""
        found = {}
        for key, default in NOBODY.items():
            known = self.git("config", f"user.{key.lower()}", check=False).strip() or default
            for role in ("AUTHOR", "COMMITTER"):
                found[f"GIT_{role}_{key}"] = os.environ.get(f"GIT_{role}_{key}") or known
        stamp = when.isoformat(timespec="seconds")
        return found | {"GIT_AUTHOR_DATE": stamp, "GIT_COMMITTER_DATE": stamp}


def _blob(content: bytes, digits: int) -> str:
    """Return the name that git gives a file's content; ``digits`` says which hash the repository uses."""
    made = hashlib.sha1(usedforsecurity=False) if digits == 40 else hashlib.sha256()
    made.update(b"blob %d\0" % len(content) + content)
    return made.hexdigest()


def moved(expect: str, found: str) -> Moved:
    """Return the error for a branch that is not where it was read."""
    return Moved(
        f"branch {BRANCH} has moved meanwhile: expected {expect[:12] or 'none'}, found {found[:12] or 'none'}; "
        "nothing was changed",
        "run the same command again: it starts from what is there now",
    )
