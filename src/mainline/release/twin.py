"""A twin: the same model under another id, so that the first release of all has somebody to be held against.

Before anything serves there is no stable release, and a canary has nothing to be compared with. A rehearsal with the
twin as stable is an A/A test of the way itself: whatever it finds is a fault of the way, not of the model.
"""

from __future__ import annotations

from pathlib import Path

from mainline.compare.champion import worktree
from mainline.compare.git import git
from mainline.config import load_settings
from mainline.release.build import enter
from mainline.release.identity import digests, release_id
from mainline.release.ledger import Deploy
from mainline.release.restore import build_there
from mainline.release.store import STORE, Release, find

MARK = Path("src", "TWIN")  # the id covers src, and no stage of the pipeline reads this file
KEPT = "refs/mainline/twin"  # without a reference, git would forget the commit one day
WHO = ("-c", "user.name=mainline", "-c", "user.email=mainline@localhost", "-c", "commit.gpgsign=false")


def twin(of: Release, deploy: Deploy, root: Path = Path(), store: Path = STORE) -> Release:
    """Return the twin of a release, built into ``store`` and entered into the ledger; no branch is touched.

    Raises:
        UserError: the model's files are neither in cache nor remote, or the build fails.
    """
    with worktree(of.commit, root) as tree:
        (tree / MARK).write_text(f"A twin of {of.id}, for a rehearsal.\n", encoding="utf-8")
        git("add", "--force", str(MARK), root=tree)
        subject = f"Make a twin of {of.id}, for a rehearsal"
        git(*WHO, "commit", "--quiet", "--no-verify", f"--message={subject}", root=tree)
        build_there(tree, root / store, f"the twin of {of.id}")
        name = release_id(load_settings(tree / "params.yaml").project, digests(tree))
        git("update-ref", KEPT, "HEAD", root=tree)
    made = find(name, store)
    enter(deploy, made, None, root)
    return made
