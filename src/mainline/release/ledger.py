"""Branch ``deploy``: what runs where, and what happened to every release. Each change is one commit, or none.

On a laptop it is a repository of its own in ``.mainline/deploy``; with a remote, the remote's branch is the truth and
this folder follows it. All is read from the commit, never from the work tree, which only shows it to people.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainline import console
from mainline.errors import UserError
from mainline.release.begin import README, prepare, said
from mainline.release.draft import draft_files, draft_ledger, draft_states
from mainline.release.origin import fetch, push
from mainline.release.repo import BRANCH, REF, SEEN, WATCHED, Moved, Repo, moved
from mainline.release.state import (
    ENVIRONMENTS,
    Entry,
    Environment,
    State,
    Transition,
    dump_state,
    entry_path,
    parse_entry,
    parse_state,
    state_path,
)

FOLDER = Path(".mainline", "deploy")
CLUSTER = "kubernetes/"
TRIES = 5  # pushes of one commit, while others push what does not concern it

__all__ = ["Deploy", "Entry", "Moved", "State", "Transition"]


def now() -> dt.datetime:
    """Return the time, in UTC."""
    return dt.datetime.now(dt.UTC)


@dataclass(frozen=True)
class Deploy:
    """The branch in ``repo.folder``; ``remote`` is its address, None on a laptop."""

    repo: Repo
    remote: str | None
    clock: Callable[[], dt.datetime] = now

    @classmethod
    def open(cls, folder: Path = FOLDER, remote: str | None = None, clock: Callable[[], dt.datetime] = now) -> Deploy:
        """Return the branch, made if there is none, and brought up to the remote's.

        ``remote`` is the address of a repository; without one, MAINLINE_DEPLOY_REMOTE, else the address that the folder
        was opened with before.
        Whatever a crash has left half done is gone afterwards; files that somebody edited by hand without a commit
        are put aside as ``*.edited``, and that is said.

        Raises:
            UserError: the remote does not answer, or the folder has commits that the remote lacks.
        """
        repo = Repo(folder.resolve())
        with repo.guarded():
            prepare(repo, remote or os.environ.get("MAINLINE_DEPLOY_REMOTE") or None)
            made = cls(repo, repo.remote(), clock)
            with said(repo):
                repo.is_empty()
                made._follow()
                if repo.is_empty():
                    made._begin()
                made._is_ledger()
            made._show()
        return made

    def head(self) -> str:
        """Return the commit of the branch, as this folder knows it; :meth:`open` and :meth:`refresh` ask the remote."""
        return self.repo.resolve()

    def refresh(self) -> str:
        """Bring the folder up to the remote's branch; return the commit.

        Raises:
            UserError: as :meth:`open`.
        """
        with self.repo.guarded():
            with said(self.repo):
                self._follow()
            self._show()
        return self.head()

    def state(self, environment: Environment) -> State:
        """Return what runs in ``environment``.

        Raises:
            UserError: the file was broken by hand; it and the key are named.
        """
        path = state_path(environment)
        text = self.repo.read(path)
        if text is None:
            raise UserError(f"{self._where(path)}: not there", f"`git -C {self.repo.folder} log -- {path}` shows it")
        return parse_state(environment, text, self._where(path))

    def entry(self, release: str) -> Entry:
        """Return the entry of ``release``.

        Raises:
            UserError: there is none, or the file was broken by hand; it and the key are named.
        """
        path = entry_path(release)
        text = self.repo.read(path)
        if text is None:
            raise UserError(f"{self._where(path)}: not there", "`mainline release list` shows the releases")
        return parse_entry(release, text, self._where(path))

    def releases(self) -> list[str]:
        """Return the ids of all releases in the ledger, sorted."""
        return [Path(path).stem for path in self.repo.names("ledger") if path.endswith(".yaml")]

    def evidence(self, transition: Transition) -> dict[str, Any] | None:
        """Return the evidence of ``transition``, also when it has a file of its own.

        Raises:
            UserError: that file is gone, or is not the one that was written.
        """
        found = transition.evidence
        if not found or set(found) != {"file", "sha256"}:
            return found
        text = self.repo.read(found["file"])
        if text is None or hashlib.sha256(text.encode()).hexdigest() != found["sha256"]:
            raise UserError(
                f"{self._where(found['file'])}: is not the evidence that was written",
                f"`git -C {self.repo.folder} log -p -- {found['file']}` shows who changed it",
            )
        return dict(json.loads(text))

    def commit(
        self,
        message: str,
        *,
        expect: str,
        states: Sequence[State] = (),
        transitions: Sequence[Transition] = (),
        entries: Sequence[Entry] = (),
        files: Mapping[str, str] | None = None,
    ) -> str:
        """Make one commit and return it; with a remote it is there as well, before anything here changes.

        ``expect`` is the :meth:`head` that all was decided on; what the monitor has kept since does not matter. Each
        state gets the next revision. ``entries`` adds releases or changes their facts; transitions are only ever
        appended, whatever an entry brings along. ``files`` are what a cluster follows, all below ``kubernetes/``.

        Raises:
            Moved: the branch (here or on the remote) is not ``expect``, or a state was read from an older revision.
            UserError: a release is not in the ledger, a state contradicts itself, git or the remote fails.
                Nothing is changed in any of these cases.
        """

        def draft(when: dt.datetime) -> Mapping[str, str]:
            texts = draft_states(self, states) | draft_ledger(self, entries, transitions, when)
            return texts | draft_files(files or {}, CLUSTER)

        return self._put(message, expect, draft, watched=False)

    def keep(self, message: str, files: Mapping[str, str], *, expect: str) -> str:
        """Make one commit of ``files``, all below ``monitor/``, and return it, as :meth:`commit` does.

        Raises:
            Moved: something below ``monitor/`` is not what it was at ``expect``.
            UserError: git or the remote fails; nothing is changed.
        """
        return self._put(message, expect, lambda _: draft_files(files, WATCHED), watched=True)

    def _put(
        self, message: str, expect: str, draft: Callable[[dt.datetime], Mapping[str, str]], *, watched: bool
    ) -> str:
        """Commit what ``draft`` returns on ``expect``, or on what came after it and concerns only the other half.

        The monitor keeps its windows on the same branch: neither it nor a rollout shall stop because of the other.
        """
        with self.repo.guarded(), said(self.repo):
            for left in reversed(range(TRIES)):
                here = self.repo.resolve()
                if here != expect and not self._only(expect, here, watched=not watched):
                    raise moved(expect, here)
                when = self.clock()
                new = self.repo.write_commit(message.strip() + "\n", draft(when), here, when)
                try:
                    if self.remote:
                        push(self.repo, new, here)
                except Moved:
                    theirs = self.repo.resolve(SEEN)
                    if not left or not self._only(here, theirs, watched=not watched):
                        raise
                    self._follow()
                    continue
                self.repo.move(new, here)
                self._show()
                return new
        raise AssertionError("the last try returns or raises")

    def _only(self, old: str, new: str, *, watched: bool) -> bool:
        """Return whether ``new`` comes after ``old``, and all that changed between them is what was watched, or not."""
        if not old or self.repo.git("merge-base", old, new, check=False).strip() != old:
            return False
        # Without --no-renames git names only where a file went, not that it is gone from where it was.
        changed = self.repo.git("diff", "--no-renames", "--name-only", "-z", old, new).split("\0")
        return all(path.startswith(WATCHED) is watched for path in changed if path)

    def _is_ledger(self) -> None:
        """Refuse a branch of this name that somebody uses for something else.

        Raises:
            UserError: it has no state of production.
        """
        path = state_path("production")
        if not self.repo.git("ls-tree", "--name-only", REF, "--", path).strip():
            where = self.remote or self.repo.folder
            raise UserError(
                f"branch {BRANCH} of {where} is not a ledger of releases: it has no {path}",
                f"mainline needs the name: rename that branch on the server, and delete the folder {self.repo.folder}",
            )

    def _begin(self) -> None:
        """Make the first commit; if another machine was faster, take its."""
        files = {"README.md": README} | {state_path(name): dump_state(State(name)) for name in ENVIRONMENTS}
        new = self.repo.write_commit("Begin the ledger\n", files, "", self.clock())
        if self.remote:
            try:
                push(self.repo, new, "")
            except Moved:
                self._follow()
                return
        self.repo.move(new, "")

    def _follow(self) -> None:
        """Take the remote's branch; push ours if it has none yet."""
        if not self.remote:
            return
        theirs, here = fetch(self.repo), self.repo.resolve()
        if theirs == here:
            return
        if not theirs:
            push(self.repo, here, "")
        elif not here or self.repo.git("merge-base", here, theirs, check=False).strip() == here:
            self.repo.move(theirs, here)
        else:
            raise UserError(
                f"{self.repo.folder}: has commits on {BRANCH} that {self.remote} lacks, and the other way round",
                f"look at `git -C {self.repo.folder} log`; to take the remote's: delete the folder",
            )

    def _show(self) -> None:
        for path in self.repo.show():
            console.warn(
                f"{self.repo.folder / path}: an edit that was not committed does not count; it is kept as {path}.edited"
            )

    def _where(self, path: str) -> str:
        return f"{path} on branch {BRANCH} ({self.repo.folder})"
