"""``mainline deliver``: from a committed pipeline run to the champion that serves, rehearsed on this machine."""

from __future__ import annotations

from mainline import console
from mainline.compare.git import changed_files
from mainline.compare.run import run_compare
from mainline.paths import CARD_PAGE, REPORT_PAGE
from mainline.release.build import build
from mainline.release.ledger import FOLDER as LEDGER
from mainline.release.ledger import Deploy
from mainline.release.registry import sync
from mainline.release.show import show_built
from mainline.release.store import Release
from mainline.release.twin import twin
from mainline.rollout.journal import FOLDER as STORIES
from mainline.rollout.rehearsal import rehearse, tell


def deliver() -> int:
    """Compare, release and rehearse what the last pipeline run made; return the exit code: 0, or that of what stopped.

    Work that is not committed is no mistake, but can be no release either: it is said, and nothing is done.

    Raises:
        UserError: as the commands that it calls.
    """
    changed = changed_files("HEAD")
    if changed:
        some = ", ".join(changed[:3]) + (" …" if len(changed) > 3 else "")
        console.say(
            f"not committed: {some}; a release is made of a commit: `git commit`, then `make run` goes on", "warn"
        )
        return 0
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
