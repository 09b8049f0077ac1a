"""A release that is gone from the store is built again from the commit in the ledger, by that commit's own code."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from mainline import dvc
from mainline.compare.champion import worktree
from mainline.compare.git import git
from mainline.compare.reproduce import NoProof, Reproduction, apart, prove, reference
from mainline.compare.scoring import environment
from mainline.console import warn
from mainline.dvc import cache_folder
from mainline.errors import UserError
from mainline.files import write_atomic
from mainline.objects import EMBEDDED, bring, data_outputs, md5, stage_outputs
from mainline.paths import REPRODUCTION
from mainline.release.ledger import Deploy
from mainline.release.store import STORE, Release, find
from mainline.release.verify import faults

SECONDS = 3600.0


def restore(release: str, deploy: Deploy, root: Path = Path(), store: Path = STORE) -> Release:
    """Return the release, from the store if it is whole there, else built again; the model comes from cache or remote.

    What storage lacks is trained again, and must give what the commit's ``dvc.lock`` pins; what comes out must be what
    the ledger has, byte for byte.

    Raises:
        UserError: the ledger does not know it, its commit or its data are gone, or it comes out otherwise.
    """
    entry = deploy.entry(release)
    pinned = entry.digests.get("manifest")
    if not faults(release, store, pinned):
        return find(release, store)
    if not git("rev-parse", "--verify", "--quiet", f"{entry.commit}^{{commit}}", root=root, check=False):
        raise UserError(
            f"release {release}: its commit {entry.commit[:12]} is not here",
            f"git fetch origin {entry.commit}; then run the same command again",
        )
    with worktree(entry.commit, root) as tree:
        build_there(tree, root / store, f"release {release}: building it again")
    wrong = faults(release, store, pinned)
    if wrong:
        raise UserError(
            f"release {release}: built again from {entry.commit[:12]}, it is not what the ledger has: {wrong[0]}",
            "build it with the Python version and the packages of its own commit",
        )
    return find(release, store)


def build_there(tree: Path, store: Path, what: str) -> None:
    """Build the release of the commit in ``tree`` by its own code, into ``store``; the ledger is not touched.

    Raises:
        UserError: its model cannot be had, or the build fails; ``what`` begins the message.
    """
    outputs(tree)
    build = ["release", "build", "--store", str(store.resolve()), "--no-ledger"]
    _run([sys.executable, "-m", "mainline.cli", *build], tree, what)


def outputs(tree: Path, *, other_bytes: bool = False) -> None:
    """Put what ``dvc.lock`` pins into ``tree``: from cache, embedded or default remote, else by running the pipeline.

    With ``other_bytes`` outputs that come out of the pipeline with other bytes are left in the tree if the model gives
    the scores in the lock's check.json; reports/reproduction.json has the figures then, and ``dvc.lock`` is as before.

    Raises:
        UserError: the pipeline fails, or comes out otherwise than the lock says.
    """
    (tree / REPRODUCTION).unlink(missing_ok=True)
    lock, cache = tree / "dvc.lock", cache_folder(tree)
    bring(stage_outputs(tree), tree / EMBEDDED, cache)
    for verb in ("checkout", "pull"):
        dvc.run([verb, "--quiet", "--allow-missing"], tree, SECONDS)
        if all(md5(tree / output.path) == output.oid for output in (*data_outputs(tree), *stage_outputs(tree))):
            return
    before, wanted = lock.read_bytes(), _pinned(tree)
    _run([sys.executable, "-m", "dvc", "repro", "--quiet"], tree, "training its model again")
    made = _pinned(tree)
    changed = tuple(path for path, oid in made.items() if wanted.get(path) != oid)
    if not changed:
        write_atomic(lock, before)
        return
    what = f"its model cannot be had: storage lacks it, and training it again gives other bytes ({changed[0]})"
    fix = "`dvc push` on a machine that has it; or lock it again in a pull request (`make run`), and release that"
    write_atomic(lock, before)
    if not other_bytes:
        raise UserError(what, fix)
    try:
        proof = prove(reference(wanted, cache, tree), wanted, tree)
    except NoProof as error:
        raise UserError(f"{what}; {error}", fix) from error
    if not proof.equal:
        raise UserError(f"{what}; {apart(proof)}", fix)
    found = Reproduction("other bytes", made, changed, proof)
    found.write(tree)
    warn(f"the model of this commit: {found.sentence()}")


def _pinned(tree: Path) -> dict[str, str]:
    return {output.path: output.oid for output in stage_outputs(tree)}


def _run(command: list[str], tree: Path, what: str) -> None:
    with tempfile.TemporaryFile("w+") as said:
        done = subprocess.run(
            command, cwd=tree, env=environment(tree), stdin=subprocess.DEVNULL, stdout=said, stderr=said,
            timeout=SECONDS, check=False,
        )  # fmt: skip
        said.seek(0)
        lines = [line.strip() for line in said.read().splitlines() if line.strip()]
    if done.returncode != 0:
        errors = [line for line in lines if line.startswith(("✗", "ERROR"))] or lines[-1:]
        raise UserError(f"{what} failed: {' / '.join(errors)[:400]}", "the reason stands in the line above")
