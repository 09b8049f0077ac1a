"""Production as the workflows drive it: the rehearsed rollout, and the way back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mainline import dvc
from mainline.ci import host
from mainline.ci.event import append
from mainline.ci.ledger import by
from mainline.ci.release_build import fetch
from mainline.console import say
from mainline.errors import UserError
from mainline.github import GitHub, fit
from mainline.objects import data_outputs
from mainline.release.ledger import Deploy
from mainline.rollout.here import back, controller
from mainline.rollout.journal import FOLDER
from mainline.rollout.rehearsal import REPLAY, Rehearsed, rehearse, tell
from mainline.rollout.rollback import Back, choose
from mainline.rollout.rollback import drop as drop_in_git

STORY = Path("reports", "rollout")
SUMMARY_LIMIT = 1024 * 1024 - 1024


def roll_out(release: str, deploy: Deploy, server: GitHub | None, root: Path = Path()) -> bool:
    """Rehearse the rollout of ``release`` with replayed requests, or go on with it; return whether it is stable now.

    Raises:
        UserError: another release is being tried, or something does not run; branch ``deploy`` says how far it came.
    """
    state = deploy.state("production")
    if state.stable == release:
        say(f"{release} is stable already", "pass")
        return True
    if state.candidate not in (None, release):
        raise UserError(f"production: {state.candidate} is being tried already", "let its run end, or roll back")
    if host.followed_by():
        return host.roll_out(release, deploy)
    fetch(release, deploy, server, root)
    if state.stable:
        fetch(state.stable, deploy, server, root)
    have_replay(root)
    begin_again(release)
    done = rehearse(release, "production", None)
    tell(done, FOLDER)
    _story(done)
    return done.tick.outcome == "promote"


def begin_again(release: str) -> bool:
    """Return whether the rollout of ``release`` was set back to its beginning, because its records are not here.

    What an interrupted run has seen of the candidate went with its machine. To go on in the middle would be to judge
    without it; so the candidate loses its users, and has to earn them again.
    """
    of = controller("production", by=by())
    state = of.state()
    if state.candidate != release or state.phase is None or of.journal(release).events():
        return False
    why = f"the run that tried it ended in {state.phase} at {state.weight} %, and its records with it"
    made = replace(state, phase=None, weight=0, step=0, started=of.now())
    of.commit(f"production: {release} from the beginning\n\n{why}", made, [
        of.transition(release, "hold", f"{why}: from the beginning", 0, {})
    ])  # fmt: skip
    say(f"{release}: {why}; it starts from the beginning")
    return True


def go_back(release: str, why: str, deploy: Deploy, server: GitHub | None, root: Path = Path()) -> Back:
    """Make ``release`` (empty: the one before) stable again; return what was done. Nothing is trained.

    A machine that follows the branch has it still, or gets it by itself: then only git is changed here.

    Raises:
        UserError: there is none, or it can neither be fetched nor restored.
    """
    target, why = choose(deploy.state("production"), release or None), why or "asked for in the workflow rollback"
    if host.followed_by():
        return host.go_back(target, why)
    fetch(target, deploy, server, root)
    done = back("production", target, why)
    say(f"{done.state.stable} is stable again instead of {done.left}", "pass")
    return done


def drop(why: str) -> str:
    """Take out the release that is being tried, and leave stable as it is; return its id. A run that tries it stops.

    Raises:
        UserError: nothing is being tried.
    """
    of = controller("production", by=by())
    dropped = drop_in_git(of, why or "asked for in the workflow rollback")
    say(f"{dropped} is dropped; {of.deploy.state('production').stable or 'nothing'} is stable as before", "pass")
    return dropped


def have_replay(root: Path) -> None:
    """Fetch the batches that are played as requests, unless they are here.

    Raises:
        UserError: they cannot be fetched.
    """
    sources = [item.source for item in data_outputs(root) if item.path == REPLAY.as_posix()]
    if (root / REPLAY).is_dir() or not sources:
        return
    done = dvc.run(["pull", "--quiet", *sources], root, 900.0)
    if done.returncode != 0:
        raise UserError(f"{sources[0]}: not fetched: {dvc.said(done.stderr)}", "`dvc push` where the batches are")


def _story(done: Rehearsed, environment: Mapping[str, str] = os.environ) -> None:
    """Put the timeline where the artifact and the run's page find it."""
    STORY.mkdir(parents=True, exist_ok=True)
    for name in ("timeline.md", "timeline.html", "events.jsonl"):
        if (FOLDER / done.release / name).is_file():
            shutil.copyfile(FOLDER / done.release / name, STORY / name)
    if (STORY / "timeline.md").is_file():
        text = (STORY / "timeline.md").read_text(encoding="utf-8")
        append(environment.get("GITHUB_STEP_SUMMARY", ""), fit(text, SUMMARY_LIMIT) + "\n")
