"""Which stages ``dvc.lock`` does not fit."""

from __future__ import annotations

from pathlib import Path

from mainline import dvc
from mainline.errors import UserError

SECONDS = 900.0


def stale_stages(root: Path = Path()) -> tuple[str, ...]:
    """Return the stages that ``dvc.lock`` does not fit; decided from hashes alone, no data are fetched.

    Raises:
        UserError: DVC cannot read the pipeline.
    """
    done = dvc.run(["repro", "--dry", "--allow-missing"], root, SECONDS)
    # DVC says "Stage 'x' didn't change" of each sound stage; what it would run, or stumbles over, is stale.
    sound = {line.split("'")[1] for line in done.stdout.splitlines() if line.endswith("didn't change, skipping")}
    stale = tuple(name for name in _stages(root) if name not in sound)
    if done.returncode != 0 and not stale:
        raise UserError(f"dvc.yaml: {dvc.said(done.stderr)}", "`dvc repro --dry` shows the same on your machine")
    return stale


def _stages(root: Path) -> list[str]:
    done = dvc.run(["stage", "list", "--name-only"], root, SECONDS)
    if done.returncode != 0:
        raise UserError(
            f"dvc.yaml or dvc.lock cannot be read: {dvc.said(done.stderr)}",
            "`dvc stage list` shows the same on your machine",
        )
    return done.stdout.split()
