"""The champion: the model that another commit's ``dvc.lock`` pins, in a work tree of that commit.

Its files come by their hashes, from the cache, from the embedded remote of that commit or from the default remote; else
they are built again by that commit's own code. What is built again counts if its bytes have the MD5 in that lock, or if
it gives the scores in the check.json that this lock names. Metrics files of the champion are never read.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import yaml
from configobj import ConfigObj

from mainline import child, dvc
from mainline.compare.git import git, text_at
from mainline.compare.reproduce import NoProof, apart, prove, reference
from mainline.compare.scoring import environment
from mainline.errors import UserError
from mainline.evaluate.check_rows import Compared
from mainline.files import replace_atomic
from mainline.objects import EMBEDDED, bring, data_outputs, intact, place, stage_outputs
from mainline.paths import MODEL, SPLIT, TRAIN, TRAINING, VALIDATION
from mainline.remote import is_embedded

FOLDER = Path(".mainline", "champion")
NEEDED = (MODEL, TRAINING)
WANTED = (SPLIT, TRAIN, VALIDATION)  # to know what it was trained on; without them the verdict can only be a hold
SECONDS = 3600.0

Source = Literal["cache", "remote", "rebuilt"]


class NotReproducible(Exception):
    """The champion's commit does not give the model that its lock pins; the text has both hashes, or the reason.

    ``proof`` has the scores of the check rows, if they could be compared.
    """

    def __init__(self, text: str, proof: Compared | None = None) -> None:
        super().__init__(text)
        self.proof = proof


@dataclass(frozen=True)
class Pinned:
    """What the lock of ``commit`` pins: MD5s by path."""

    commit: str
    outputs: dict[str, str]

    @property
    def model(self) -> str:
        """The MD5 of the model."""
        return self.outputs[MODEL.as_posix()]


@dataclass(frozen=True)
class Champion:
    """A work tree of the champion's commit with its model and training facts in place.

    ``proof``: the model was built again with other bytes, and these are its scores of the check rows.
    """

    commit: str
    root: Path
    source: Source
    files: frozenset[str] = field(default_factory=frozenset)
    proof: Compared | None = None

    def path(self, relative: Path) -> Path | None:
        """Return where one of the champion's files stands, None if it could not be had."""
        return self.root / relative if relative.as_posix() in self.files else None


def pinned(commit: str, root: Path = Path()) -> Pinned | None:
    """Return what ``commit`` pins, None if it has no model: no lock, or no model in it.

    Raises:
        UserError: its lock is not one.
    """
    text = text_at(commit, "dvc.lock", root)
    if text is None:
        return None
    try:
        stages = (yaml.safe_load(text) or {}).get("stages") or {}
        outs = [out for stage in stages.values() for out in stage.get("outs", [])]
        outputs = {str(out["path"]): str(out["md5"]) for out in outs if "md5" in out}
    except (yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        raise UserError(f"dvc.lock of {commit[:12]}: cannot be read ({error})", "mend it on that branch") from error
    return Pinned(commit, outputs) if MODEL.as_posix() in outputs else None


@contextmanager
def worktree(commit: str, root: Path = Path(), cache: Path | None = None) -> Iterator[Path]:
    """Yield a clean work tree of ``commit`` below ``.mainline/champion`` that shares this repository's DVC cache.

    ``cache`` is that cache; whoever has asked DVC for it already spares the second question.

    It is gone afterwards; one that a crash has left is used again if it is clean, else made anew. One at a time.

    Raises:
        UserError: git cannot make it, or another comparison holds it.
    """
    folder = (root / FOLDER).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    tree = folder / commit
    with (folder / "lock").open("w") as guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError("another `mainline compare` is running here", "wait until it has ended") from error
        git("worktree", "prune", root=root)
        for old in [path for path in folder.iterdir() if path.is_dir() and not _usable(path, commit)]:
            _remove(old, root)
        try:
            if not tree.is_dir():
                git("worktree", "add", "--detach", "--quiet", "--force", str(tree), commit, root=root)
            share_cache(tree, cache or dvc.cache_folder(root))
            yield tree
        finally:
            _remove(tree, root)


def provide(want: Pinned, tree: Path, cache: Path) -> Champion:
    """Return the champion with its files put into ``tree``.

    Raises:
        NotReproducible: model or training facts are neither in cache nor remote, and building them again gives others.
        UserError: DVC took too long.
    """
    paths = [path for path in map(Path.as_posix, (*NEEDED, *WANTED)) if path in want.outputs]
    lacking = [path for path in map(Path.as_posix, NEEDED) if path not in want.outputs]
    if lacking:
        raise NotReproducible(f"the lock of {want.commit[:12]} pins no {', '.join(lacking)}")
    source: Source = "cache"
    if _absent(want, cache, paths):
        source = "remote"
        bring(stage_outputs(tree), tree / EMBEDDED, cache)
        # Each by itself: one that the remote lacks must not keep the others from coming.
        for path in [] if is_embedded(tree) else _absent(want, cache, paths):
            dvc.run(["fetch", "--quiet", path], tree, SECONDS, "the champion's files")
    proof = None
    if _absent(want, cache, map_posix(NEEDED)):
        source = "rebuilt"
        proof = _rebuild(want, tree, cache)
    elif _absent(want, cache, paths):
        _rows_again(tree)
    have = [path for path in paths if intact(cache, want.outputs[path])]
    for path in have:
        origin = place(cache, want.outputs[path])
        replace_atomic(tree / path, lambda temporary, origin=origin: shutil.copyfile(origin, temporary))  # type: ignore[misc]
    # With other bytes the model in the tree is the one that was built there.
    return Champion(want.commit, tree, source, frozenset([*have, *map_posix(NEEDED)]), proof)


def map_posix(paths: Sequence[Path]) -> list[str]:
    """Return ``paths`` as the lock writes them."""
    return [path.as_posix() for path in paths]


def data_read(root: Path) -> list[str]:
    """Return the ``*.dvc`` files below ``root`` whose data the locked pipeline reads."""
    stages = yaml.safe_load((root / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    read = {dep["path"] for stage in stages.values() for dep in stage.get("deps", [])}
    return sorted({output.source for output in data_outputs(root) if output.path in read})


def _absent(want: Pinned, cache: Path, paths: Sequence[str]) -> list[str]:
    return [path for path in paths if not intact(cache, want.outputs[path])]


def _rebuild(want: Pinned, tree: Path, cache: Path) -> Compared | None:
    """Run the champion's own pipeline up to the model; its outputs go into the shared cache.

    Return None if the bytes are those that the lock pins, else how far its scores are from those of the lock's
    check.json.

    Raises:
        NotReproducible: it fails, or gives another model than the lock pins.
    """
    failure = _again(tree, "train")
    if failure:
        raise NotReproducible(f"building it again {failure}")
    found = _locked(tree / "dvc.lock")
    differ = [path for path in map_posix(NEEDED) if found.get(path) != want.outputs[path]]
    if not differ:
        return None
    path = differ[0]
    what = f"{path}: the lock pins {want.outputs[path]}, building it again gives {found.get(path, 'nothing')}"
    try:
        proof = prove(reference(want.outputs, cache, tree), want.outputs, tree)
    except NoProof as error:
        raise NotReproducible(f"{what}; the predictions could not be compared: {error}") from error
    if not proof.equal:
        raise NotReproducible(f"{what}; {apart(proof)}", proof)
    return proof


def _rows_again(tree: Path) -> None:
    """Make the champion's rows again, without training: they tell which test rows it has seen.

    Only rows whose bytes have the hash in the lock are used, so a failure here leads to what lacking rows lead to.
    """
    _again(tree, "split")


def _again(tree: Path, stage: str) -> str:
    """Run the pipeline in ``tree`` up to ``stage``; return an empty text, or why it did not get there."""
    command = [sys.executable, "-m", "dvc", "repro", "--no-run-cache", stage]
    data = [sys.executable, "-m", "dvc", "pull", *data_read(tree)]
    for step in (data, command) if data_read(tree) else (command,):
        try:
            done = child.run(step, tree, seconds=SECONDS, environment=environment(tree))
        except subprocess.TimeoutExpired:
            return f"took more than {SECONDS:.0f} seconds"
        if done.returncode != 0:
            lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
            errors = [line for line in lines if line.startswith(("✗", "ERROR"))] or lines[-1:]
            return f"failed: {' / '.join(errors)[:300]}"
    return ""


def _locked(lock: Path) -> dict[str, str]:
    stages = yaml.safe_load(lock.read_text(encoding="utf-8"))["stages"]
    return {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", [])}


def _usable(tree: Path, commit: str) -> bool:
    """Return whether ``tree`` is a work tree of ``commit`` in which no tracked file was changed."""
    if tree.name != commit or not (tree / ".git").is_file():
        return False
    try:
        head = git("rev-parse", "HEAD", root=tree)
        return head == commit and not git("status", "--porcelain", "--untracked-files=no", root=tree)
    except UserError:
        return False


def _remove(tree: Path, root: Path) -> None:
    git("worktree", "remove", "--force", "--force", str(tree), root=root, check=False)
    shutil.rmtree(tree, ignore_errors=True)
    git("worktree", "prune", root=root, check=False)


def share_cache(tree: Path, cache: Path) -> None:
    """Let DVC in the work tree ``tree`` keep its objects in ``cache``."""
    local = ConfigObj(str(tree / ".dvc" / "config.local"), encoding="utf-8")
    local["cache"] = {"dir": str(cache)}
    # A rebuilt model that differs must not be pushed by anyone from here.
    local["core"] = {**local.get("core", {}), "analytics": "false", "autostage": "false"}
    local.write()
