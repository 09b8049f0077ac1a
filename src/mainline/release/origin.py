"""The remote's branch ``deploy``: asked before each change, and changed only if it still is what was read."""

from __future__ import annotations

from mainline.errors import UserError
from mainline.release.repo import BRANCH, REF, SEEN, Refused, Repo, moved


def fetch(repo: Repo) -> str:
    """Return the commit of the remote's branch, an empty text if it has none.

    Raises:
        UserError: the remote does not answer.
    """
    repo.clear_locks()
    try:
        listed = repo.git("ls-remote", "origin", REF).split()
        if listed and repo.resolve(SEEN) != listed[0]:
            repo.git("fetch", "--quiet", "--no-tags", "origin", f"+{REF}:{SEEN}")
    except Refused as error:
        raise UserError(
            f"the remote {repo.remote()} does not answer: {error}", "check the address, the network and the key"
        ) from error
    return repo.resolve(SEEN) if listed else ""


def push(repo: Repo, new: str, expect: str) -> None:
    """Make ``new`` the remote's branch if that is ``expect`` (empty: not there).

    Raises:
        Moved: it is something else.
        UserError: the remote refused for another reason, or does not answer.
    """
    repo.clear_locks()
    try:
        repo.git("push", "--quiet", f"--force-with-lease={REF}:{expect}", "origin", f"{new}:{REF}")
    except Refused as error:
        # The connection may have been lost after the remote had taken it, so the remote is asked.
        theirs = fetch(repo)
        if theirs == new:
            return
        if theirs != expect:
            raise moved(expect, theirs) from error
        raise UserError(
            f"the remote {repo.remote()} refused the commit: {error}; nothing was changed",
            f"check that you may push to branch {BRANCH} there",
        ) from error
