"""The champion that production is held against: the stable release's commit, else this one; its files put in place."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from mainline import dvc
from mainline.compare.champion import Pinned, pinned, worktree
from mainline.compare.git import git
from mainline.errors import UserError
from mainline.objects import md5
from mainline.paths import EVALUATION, METRICS, PROFILE, TRAINING
from mainline.release.ledger import Deploy
from mainline.release.restore import outputs

FACTS = (PROFILE, TRAINING, METRICS, EVALUATION)
SECONDS = 900.0


def champion(deploy: Deploy, root: Path = Path()) -> tuple[str, str]:
    """Return the commit whose model serves, and its release; this commit and an empty text before the first release.

    Raises:
        UserError: the history was cut before that commit.
    """
    here = git("rev-parse", "HEAD", root=root).strip()
    release = deploy.state("production").stable
    if release is None:
        return here, ""
    commit = deploy.entry(release).commit
    if not git("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}", root=root, check=False):
        raise UserError(
            f"release {release}: its commit {commit[:12]} is not here", f"check out with the whole history (got {here})"
        )
    return commit, release


def put_facts(commit: str, files: Sequence[Path] = FACTS, root: Path = Path()) -> None:
    """Put the champion's ``files`` where the pipeline of ``root`` would: from cache or storage, else made again.

    Only bytes that the lock of ``commit`` pins are taken.

    Raises:
        UserError: that commit pins none, or its outputs cannot be had.
    """
    want = pinned(commit, root)
    lacking = [path.as_posix() for path in files if want is None or path.as_posix() not in want.outputs]
    if want is None or lacking:
        raise UserError(f"dvc.lock of {commit[:12]} pins no {', '.join(lacking)}", "`make run`, commit dvc.lock")
    if not _absent(want, files, root):
        return
    same = pinned(git("rev-parse", "HEAD", root=root).strip(), root)
    with nullcontext(root) if same and same.outputs == want.outputs else worktree(commit, root) as tree:
        dvc.run(["pull", "--quiet", *(path.as_posix() for path in files)], tree, SECONDS)
        if _absent(want, files, tree):
            outputs(tree)
        if tree != root:
            for path in files:
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(tree / path, root / path)
    if wrong := _absent(want, files, root):
        raise UserError(f"{', '.join(wrong)}: not what dvc.lock of {commit[:12]} pins", "run the job again")


def _absent(want: Pinned, files: Sequence[Path], root: Path) -> list[str]:
    return [path.as_posix() for path in files if md5(root / path) != want.outputs[path.as_posix()]]
