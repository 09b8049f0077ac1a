"""What the workflow `report` has at hand: a clone of the default branch, and GitHub. Both are ours."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainline.ci.event import BOT, HASH, credentials, git
from mainline.ci.lock import headline
from mainline.ci.lock_check import Locked
from mainline.ci.words import between, changed, words_only
from mainline.errors import UserError
from mainline.github import GitHub, connect
from mainline.github_call import Refused

COMMIT = "mutation($input: CreateCommitOnBranchInput!){createCommitOnBranch(input:$input){commit{oid tree{oid}}}}"
BODY = "The pull request's own run trained because dvc.lock did not fit."


class MovedOn(UserError):
    """The branch is at another commit than the run was about, or is gone."""


@dataclass(frozen=True)
class Here:
    """A clone with the newest commit of the default branch checked out, and the repository on GitHub.

    Attributes:
        default: name of the default branch.
        access: git's environment for reading from the origin.
    """

    server: GitHub
    default: str
    root: Path
    access: Mapping[str, str]

    @property
    def tip(self) -> str:
        """The newest commit of the default branch, as it was checked out."""
        return git(["rev-parse", "HEAD"], root=self.root).strip()

    def fetch(self, commit: str) -> None:
        """Get a commit with its history, without checking it out.

        Raises:
            UserError: the origin does not have it.
        """
        _hash(commit)
        flags = ["--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head"]
        git(["fetch", *flags, "origin", commit], root=self.root, extra=self.access)

    def changed(self, head: str) -> list[str]:
        """Return the files that ``head`` has changed since it left the default branch."""
        return changed(self.tip, head, self.root)

    def words_only(self, names: Sequence[str]) -> bool:
        """Return whether files are words alone, by what the default branch's pipeline reads."""
        return words_only(names, self.root)

    def moved_on(self, head: str, judged: str) -> bool:
        """Return whether the default branch has changed more than words since ``head`` left it, or ``judged``.

        ``judged`` is the commit whose model ``head`` was compared with. One that the default branch does not hold
        counts as changed.
        """
        tip = self.tip
        if not HASH.fullmatch(judged) or not self._is_ancestor(judged, tip):
            return True
        since = {*changed(head, tip, self.root), *between(judged, tip, self.root)}
        return not words_only(sorted(since), self.root)

    def tree(self, commit: str) -> str:
        """Return the tree of a commit of this clone."""
        return git(["rev-parse", "--verify", f"{_hash(commit)}^{{tree}}"], root=self.root).strip()

    def follows(self, commit: str, head: str) -> bool:
        """Return whether ``head`` is the only parent of ``commit``."""
        return git(["rev-list", "--parents", "-n1", _hash(commit)], root=self.root).split()[1:] == [head]

    def commit(self, locked: Locked, branch: str, head: str) -> str:
        """Commit the files to a branch that is still at ``head``; return the new commit. GitHub signs it.

        Raises:
            MovedOn: the branch is at another commit, or is gone. It is not made again.
            UserError: GitHub refuses.
        """
        asked = {
            "branch": {"repositoryNameWithOwner": self.server.repository, "branchName": branch},
            "message": {"headline": headline(head), "body": BODY},
            "fileChanges": locked.changes(),
            "expectedHeadOid": head,
        }

        def made() -> dict[str, Any] | None:
            now = self.server.commit(f"heads/{branch}")  # an answer got lost: was the commit made?
            if now == head:
                return None
            self.fetch(now)
            if not self.follows(now, head):
                raise MovedOn(f"{branch} is at {now[:12]}", "its newer run decides")
            return {"data": {"createCommitOnBranch": {"commit": {"oid": now, "tree": {"oid": self.tree(now)}}}}}

        try:
            found = self.server.graphql(COMMIT, {"input": asked}, made)
        except Refused as error:
            if error.kind in ("STALE_DATA", "NOT_FOUND"):
                raise MovedOn(error.problem, "its newer run decides") from error
            raise
        return _hash(str(found["createCommitOnBranch"]["commit"]["oid"]))

    def pull_of(self, home: str, branch: str) -> dict[str, Any] | None:
        """Return the open pull request of a branch into the default branch, None if there is none."""
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", home):
            return None
        for found in self.server.pulls(home.split("/")[0], branch):
            head, base = found.get("head") or {}, found.get("base") or {}
            here = (head.get("repo") or {}).get("full_name"), head.get("ref"), base.get("ref")
            if found.get("state") == "open" and here == (home, branch, self.default):
                return found
        return None

    def verdict(self, commit: str) -> str:
        """Return the state of the status ``mainline/verdict`` that a workflow has set; empty if there is none."""
        found = self.server.verdict_status(commit) or {}
        return str(found.get("state", "")) if (found.get("creator") or {}).get("login") == BOT["name"] else ""

    def _is_ancestor(self, commit: str, of: str) -> bool:
        try:
            git(["merge-base", "--is-ancestor", commit, of], root=self.root)
        except UserError:
            return False
        return True


def here(event: Mapping[str, Any], environment: Mapping[str, str] = os.environ, root: Path = Path()) -> Here:
    """Return what this run has at hand.

    Raises:
        UserError: there is no token, or the event names no default branch.
    """
    default = (event.get("repository") or {}).get("default_branch")
    if not isinstance(default, str) or not default:
        raise UserError("the event names no default branch", "this command belongs in .github/workflows/report.yml")
    server = connect(environment)
    page = environment.get("GITHUB_SERVER_URL") or "https://github.com"
    return Here(server, default, root, credentials(server.token, page))


def _hash(commit: str) -> str:
    if not HASH.fullmatch(commit):
        raise UserError(f"{commit[:80]!r} is not a commit's hash", "run the workflow again")
    return commit
