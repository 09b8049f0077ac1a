"""May this work tree become a release? Committed, locked, passed: each is looked at anew, none is believed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mainline.compare.git import changed_files, git
from mainline.compare.integrity import Finding, lock_integrity
from mainline.compare.reproduce import NoProof, Reproduction, apart, prove, reference, written
from mainline.dvc import cache_folder
from mainline.errors import UserError
from mainline.files import read_json, sha256
from mainline.objects import stage_outputs
from mainline.paths import CARD, CARD_PAGE, EVALUATION, KEPT, MODEL, SPLIT, TEST, TRAINING, VALIDATION, VERDICT

NEEDED = (MODEL, TRAINING, TEST, VALIDATION, SPLIT, EVALUATION, CARD, CARD_PAGE)
FILES = ("params.yaml", "dvc.yaml", "requirements.lock", "bentofile.yaml")
SHOWN = 5


def check_fitness(root: Path = Path()) -> dict[str, Any] | None:
    """Return the verdict on this very model, None when nobody has compared it here.

    Raises:
        UserError: something is not committed, an output is missing, ``dvc.lock`` does not fit, a gate is not passed, or
            the verdict is not "promote".
    """
    if not git("rev-parse", "--verify", "--quiet", "HEAD", root=root, check=False):
        raise UserError("there is no commit yet", "a release is made of a commit: git add, git commit")
    changed = changed_files("HEAD", root=root)
    if changed:
        raise UserError(
            f"not committed: {_few(changed)}", "commit or remove them; a release is made of a commit and nothing else"
        )
    absent = [name for name in FILES if not (root / name).is_file()]
    if absent:
        raise UserError(f"{_few(absent)}: not there", "git checkout them from a commit that has them")
    missing = [path.as_posix() for path in NEEDED if not (root / path).is_file()]
    if missing:
        raise UserError(f"{_few(missing)}: not there", "run `dvc repro` (or `dvc pull`) first")
    found = lock_integrity(root)
    if found.faults and _other_bytes(root):
        found = Finding()
    if found.faults or not found.known:
        raise UserError(
            f"dvc.lock does not match this work tree: {_few(found.faults)}",
            "`dvc repro`, then commit dvc.lock; if only outputs differ, `dvc checkout --force`",
        )
    unlocked = {path.as_posix() for path in NEEDED} - {output.path for output in stage_outputs(root)}
    if unlocked:
        raise UserError(f"{_few(sorted(unlocked))}: dvc.lock does not pin it", "list it under outs in dvc.yaml")
    if failed := failed_gates(root):
        raise UserError(
            f"{EVALUATION}: gates not passed: {_few(failed)}", "mend the model, or move the bound in a pull request"
        )
    return _verdict(root)


def reproduced(root: Path = Path()) -> Reproduction | None:
    """Return what says that the model on disk was built again with other bytes than ``dvc.lock`` pins, None if it was
    not. :func:`check_fitness` does not believe it: it compares the model's scores anew.
    """
    found, pinned = written(root), {output.path: output.oid for output in stage_outputs(root)}
    if (
        found is None
        or found.case != "other bytes"
        or found.outputs.get(MODEL.as_posix()) == pinned.get(MODEL.as_posix())
    ):
        return None
    return found


def _other_bytes(root: Path) -> bool:
    """Return whether all that differs from the lock are outputs of a model that was built again, and is the same.

    Raises:
        UserError: its scores of the check rows are others.
    """
    made = reproduced(root)
    if made is None:
        return False
    kept = {path.as_posix() for path in KEPT}
    pinned = {output.path: output.oid for output in stage_outputs(root)}
    if lock_integrity(root, {path: oid for path, oid in made.outputs.items() if path in kept}).faults:
        return False
    try:
        proof = prove(reference(pinned, cache_folder(root), root), pinned, root)
    except NoProof as error:
        raise UserError(
            f"{MODEL}: has other bytes than dvc.lock pins, and {error}", "`dvc checkout --force`"
        ) from error
    if not proof.equal:
        raise UserError(f"{MODEL}: has other bytes than dvc.lock pins, and {apart(proof)}", "`dvc checkout --force`")
    return True


def failed_gates(root: Path = Path()) -> list[str]:
    """Return the names of the gates that the last run's model did not pass; a release needs all of them."""
    return [str(gate["gate"]) for gate in read_json(root / EVALUATION)["gates"] if not gate["passed"]]


def _verdict(root: Path) -> dict[str, Any] | None:
    """Return what reports/verdict.json says if it is about this model, and about a commit.

    Raises:
        UserError: it says "hold" or "reject", or cannot be read: then nobody knows what it would say.
    """
    path = root / VERDICT
    if not path.is_file():
        return None
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        model, verdict, reason = said["challenger"]["model_sha256"], said["verdict"], said["reason"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{VERDICT}: is no verdict ({type(error).__name__}: {error})",
            "`mainline compare` makes it again; or delete it",
        ) from error
    if model != sha256(root / MODEL):
        return None
    if verdict != "promote":
        raise UserError(
            f"{VERDICT}: the verdict on this model is {verdict}: {reason}", "the report says what to do; then compare"
        )
    head = said.get("head")
    if isinstance(head, dict) and head.get("dirty"):
        return None  # a verdict on uncommitted changes: what was committed since may be something else
    return dict(said)


def _few(names: Any) -> str:
    listed = list(names)
    return ", ".join(listed[:SHOWN]) + (f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else "")
