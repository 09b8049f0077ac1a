"""How a pull request's ``dvc.lock`` is used: main's own lock is believed, one that a pull request brings is a claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from mainline import dvc
from mainline.compare.reproduce import NoProof, OtherRows, Reproduction, apart, prove
from mainline.compare.reproduce import reference as reference_of
from mainline.errors import UserError
from mainline.evaluate.check_rows import CheckRows
from mainline.objects import EMBEDDED, bring, expand, intact, stage_outputs
from mainline.paths import ROW_FILES

SECONDS = 6 * 3600.0
SHOWN = 3
MAINS = "`git checkout origin/main -- dvc.lock` and push: the run then trains where it must, and writes the lock"


@dataclass(frozen=True)
class Lock:
    """The lock as the run finds it.

    Attributes:
        commit: newest commit that the pull request shares with main.
        outputs: MD5 by path of what it names.
        brought: whether it is another than that commit's: then it proves nothing.
        cache: DVC's cache.
    """

    commit: str
    outputs: Mapping[str, str]
    brought: bool
    cache: Path

    def take(self, stale: Sequence[str], root: Path) -> bool:
        """Put the outputs of all stages but ``stale`` into the work tree, by their hashes.

        Return whether all outputs that hold no rows were at hand.
        """
        bring(stage_outputs(root), root / EMBEDDED, self.cache)
        lock = yaml.safe_load((root / "dvc.lock").read_text(encoding="utf-8")) if self.outputs else {}
        sound = [str(name) for name in lock.get("stages") or {} if name not in stale]
        if sound:
            # What the remote lacks is made again by the pipeline.
            dvc.run(["pull", "--quiet", "--allow-missing", *sound], root, SECONDS)
        rows = {path.as_posix() for path in ROW_FILES}
        asked = [output for output in stage_outputs(root) if output.path not in rows]
        return all(intact(self.cache, oid) for oid in expand(asked, self.cache))

    def reference(self, root: Path) -> CheckRows | str:
        """Return the check rows that the lock names, or why there are none."""
        try:
            return reference_of(self.outputs, self.cache, root, self.commit)
        except NoProof as error:
            return str(error)

    def judge(
        self, wanted: CheckRows | str | None, outputs: dict[str, str], changed: tuple[str, ...], root: Path
    ) -> Reproduction:
        """Return what becomes of outputs that came out with other bytes than the lock names.

        Raises:
            UserError: their predictions are others, or, for a lock of main's own, cannot be compared.
        """
        try:
            if not isinstance(wanted, CheckRows):
                raise NoProof(wanted or "there are no check rows")
            proof = prove(wanted, self.outputs, root)
        except NoProof as error:
            if self.brought and not isinstance(error, OtherRows):
                return Reproduction("not compared", outputs, changed)
            raise self._stopped(changed, outputs, f"; {error}") from error
        if not proof.equal:
            raise self._stopped(changed, outputs, f"; {apart(proof)}")
        return Reproduction("other bytes", outputs, changed, proof)

    def _stopped(self, changed: tuple[str, ...], outputs: Mapping[str, str], why: str) -> UserError:
        shown = [f"{path} ({self.outputs.get(path)} → {outputs[path]})" for path in changed[:SHOWN]]
        names = ", ".join(shown) + (f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else "")
        if self.brought:
            return UserError(
                f"dvc.lock: claims another model than code, data and params give: a run of them gave {names}{why}",
                MAINS,
            )
        return UserError(
            "dvc.lock: not reproducible: outputs that main's own lock names are in no cache or remote, and a run of "
            f"the same code, data and params gave other bytes: {names}{why}",
            "`make setup`, `make run` on main, and commit what changed in a pull request of its own; when the model is "
            "too large for the repository, `make remote URL=…` keeps its outputs in storage of your own",
        )


def pinned(root: Path) -> dict[str, str]:
    """Return the MD5 by path of every output that ``dvc.lock`` names."""
    return {output.path: output.oid for output in stage_outputs(root)}
