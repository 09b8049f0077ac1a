"""What a pull request needs: nothing but a status when only words changed, else training when the lock does not fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mainline import dvc
from mainline.ci.event import PullRequest, git
from mainline.errors import UserError

WORDS = (".md", ".txt", ".png", ".svg", ".jpg")
WORD_FILES = ("LICENSE", "NOTICE", "CITATION.cff")
SECONDS = 900.0


@dataclass(frozen=True)
class Plan:
    """What the next jobs have to do."""

    docs_only: bool
    stale: tuple[str, ...]

    @property
    def locked(self) -> bool:
        """Whether ``dvc.lock`` fits code, data pointers and params."""
        return not self.stale


def make_plan(found: PullRequest, root: Path = Path()) -> Plan:
    """Return the plan for the commit that is checked out.

    Raises:
        UserError: the base commit is not in the clone, or DVC cannot read the pipeline.
    """
    changed = git(["diff", "--name-only", "-z", f"{found.base}...HEAD"], root=root).split("\0")
    names = [name for name in changed if name]
    return Plan(docs_only(names), () if docs_only(names) else stale_stages(root))


def docs_only(names: Sequence[str]) -> bool:
    """Return whether none of the changed files can reach the model, its tests or its workflows."""
    return all(_is_words(PurePosixPath(name)) for name in names)


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


def _is_words(path: PurePosixPath) -> bool:
    top = path.parts[0]
    if top in ("src", "tests", "scripts", "data", "replay", ".github", ".dvc"):
        return False
    return top == "docs" or path.suffix.lower() in WORDS or path.as_posix() in WORD_FILES
