"""``mainline deliver``: from a committed pipeline run to the champion that serves, rehearsed on this machine."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from mainline import console
from mainline.compare.git import changed_files, git
from mainline.compare.run import run_compare
from mainline.objects import EMBEDDED
from mainline.paths import CARD_PAGE, REPORT_PAGE
from mainline.release.build import build
from mainline.release.fitness import failed_gates
from mainline.release.ledger import FOLDER as LEDGER
from mainline.release.ledger import Deploy
from mainline.release.registry import sync
from mainline.release.show import show_built
from mainline.release.store import Release
from mainline.release.twin import twin
from mainline.rollout.journal import FOLDER as STORIES
from mainline.rollout.rehearsal import rehearse, tell

SHOWN = 3  # changed files by name
LISTED = 12  # files in the command that commits them; more become `git add --all`


def deliver() -> int:
    """Compare, release and rehearse what the last pipeline run made; return the exit code: 0, or that of what stopped.

    With changes that are not committed it ends with the verdict on them, and with the command that commits them: a
    release is built from a commit.

    Raises:
        UserError: as the commands that it calls.
    """
    changed = changed_files("HEAD")
    if changed:
        return _uncommitted(changed)
    code = run_compare()
    if code:
        return code
    deploy = Deploy.open()
    with console.working("building the release"):
        built = build(deploy=deploy)
    show_built(built)
    if deploy.state("production").stable == built.release.id:
        console.say(f"{built.release.id} serves already: nothing to roll out", "pass")
        return _places(built.release, 0)
    if deploy.state("production").stable is None and not _first(built.release, deploy):
        return _places(built.release, 1)
    done = rehearse(built.release.id, "production", None)
    tell(done, STORIES)
    if done.tick.outcome != "promote":
        return _places(built.release, 1)
    for mark, line in sync(Deploy.open()):
        console.say(line, mark)
    return _places(built.release, 0)


def _uncommitted(changed: Sequence[str]) -> int:
    """Give the verdict on the working tree, and the command that commits it; return the verdict's exit code."""
    names = _grouped(changed)
    some = ", ".join(names[:SHOWN]) + (" …" if len(names) > SHOWN else "")
    console.say(
        f"uncommitted changes: {some}; a release is built from a commit, so this run ends with a verdict", "warn"
    )
    code = run_compare()
    if code:
        return code
    if failed := failed_gates():
        console.say(f"a release of this model will be refused: gates not passed: {', '.join(failed)}", "fail")
        return 1
    console.say("this verdict is about uncommitted changes. To release them, commit, then run `make run` again:")
    console.say(f"    {commit_command(changed)}")
    return 0


def commit_command(changed: Sequence[str]) -> str:
    """Return the command line that commits the ``changed`` files, and nothing else, from the top of the repository."""
    known = set(git("ls-files", "-z").split("\0"))
    paths = [path for path in changed if path in known or Path(path).exists() or Path(path).is_symlink()]
    named = _grouped(paths)
    if len(named) > LISTED:
        return "git add --all && git commit"
    return f"git add -- {shlex.join(named)} && git commit" if named else "git commit"


def _grouped(paths: Sequence[str]) -> list[str]:
    """Return ``paths``, sorted; all objects of the embedded remote, whose names are hashes, become one entry."""
    inside = f"{EMBEDDED.as_posix()}/"
    return sorted(
        {inside if path.startswith(inside) else path for path in paths}, key=lambda path: (path == inside, path)
    )


def _first(release: Release, deploy: Deploy) -> bool:
    """Put a twin in as stable: nothing else is there to hold the first release against. Return whether it serves."""
    with console.working("nothing serves yet: making a twin of the release, to rehearse against"):
        other = twin(release, deploy)
    done = rehearse(other.id, "production", None)
    if done.tick.outcome != "promote":
        tell(done, STORIES)
        return False
    console.say(
        f"{other.id} serves: the same model, so the rehearsal that follows tests the way and not the model", "warn"
    )
    return True


def _places(release: Release, code: int) -> int:
    for what, place in (
        ("verdict", REPORT_PAGE),
        ("model card", CARD_PAGE),
        ("release", release.path),
        ("rollout", STORIES / release.id / "timeline.html"),
        ("ledger", LEDGER),
    ):
        console.say(f"{what}: {place}")
    return code
