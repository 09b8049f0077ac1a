"""What a run has locked: a commit in its own clone, and the same files as an artifact for the workflow `report`.

The run of a pull request's code has no key that writes. It commits here, so that what is compared is a commit, and
hands the files on. The workflow `report`, which runs main's code, checks them and commits them to the branch.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from mainline.ci.event import BOT, PullRequest, git
from mainline.ci.words import between
from mainline.console import say
from mainline.files import write_json
from mainline.objects import EMBEDDED

LOCK = "dvc.lock"
PATHS = (LOCK, EMBEDDED.as_posix())
PACKED = Path("reports", "lock.json")


def commit_lock(found: PullRequest, root: Path = Path()) -> str:
    """Commit ``dvc.lock`` and the objects in the repository if the run has changed them; pack what was changed.

    Returns the commit to compare. Nothing is pushed.

    Raises:
        UserError: git refuses.
    """
    before = git(["rev-parse", "HEAD"], root=root).strip()
    paths = [path for path in PATHS if (root / path).exists()]
    if git(["status", "--porcelain", "--", *paths], root=root):
        git(["add", "--all", "--", *paths], root=root)
        identity = {
            f"GIT_{role}_{key.upper()}": value for role in ("AUTHOR", "COMMITTER") for key, value in BOT.items()
        }
        git(
            ["commit", "--quiet", f"--message={headline(found.head)}", "--only", "--", *paths],
            root=root,
            extra=identity,
        )
        say("what the run has locked is a commit of its own", "pass")
    after = git(["rev-parse", "HEAD"], root=root).strip()
    write_json(root / PACKED, pack(before, after, root))
    return after


def headline(head: str) -> str:
    """Return the first line of the message of a commit that locks what was made of ``head``."""
    return f"Lock the outputs of {head[:7]}"


def pack(before: str, after: str, root: Path = Path()) -> dict[str, Any]:
    """Return the files in which two commits differ, as GitHub's createCommitOnBranch takes them."""
    additions, deletions = [], []
    for name in between(before, after, root):
        if git(["ls-tree", "-z", after, "--", name], root=root):
            content = base64.b64encode((root / name).read_bytes()).decode()
            additions.append({"path": name, "contents": content})
        else:
            deletions.append({"path": name})
    tree = git(["rev-parse", f"{after}^{{tree}}"], root=root).strip()
    return {"head": before, "tree": tree, "additions": additions, "deletions": deletions}
