"""A release that the way itself must stop: real services of two real models, one of which says the opposite."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from mainline.release.ledger import Deploy, State

SHORT = {"rate": 60, "pairs": 60, "requests": 5, "seconds": 0.5}


def commit(clone: Any, **data: str) -> None:
    """Set keys of the room data, make the rehearsal short, run the pipeline and commit."""
    path: Path = clone.folder / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    params["data"] |= data
    params["rollout"]["rehearsal"] |= SHORT
    params["rollout"]["proxy"]["port"] = 0
    path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    if data:
        clone.dvc("repro", "--quiet")
    clone.run("git", "checkout", "--quiet", "-B", "main")
    clone.run("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--all", "--message=Change")


def build(clone: Any, deploy: Deploy) -> str:
    """Return the id of the release of the clone's commit."""
    before = deploy.releases() if deploy.repo.folder.is_dir() else ()
    clone.run(*clone.program("mainline"), "release", "build")
    (made,) = set(deploy.releases()) - set(before)
    return made


@pytest.mark.slow
def test_a_model_that_says_the_opposite_is_stopped_before_any_user_sees_it(finished_copy: Any) -> None:
    # Given a release that serves
    finished_copy.dvc("pull", "--quiet", "replay.dvc")
    commit(finished_copy)
    deploy = Deploy.open(finished_copy.folder / ".mainline" / "deploy")
    sound = build(finished_copy, deploy)
    deploy.commit("It serves", expect=deploy.head(), states=[State("production", stable=sound)])
    # And one that was trained for the other outcome, so that its probabilities are turned round; nothing before the
    # rollout would stop it, because the project tests no behaviour
    expectations = finished_copy.folder / "src" / "bank" / "expectations.py"
    expectations.write_text(expectations.read_text(encoding="utf-8") + "\n\nBEHAVIOURS = ()\n", encoding="utf-8")
    commit(finished_copy, positive="no")
    opposite = build(finished_copy, deploy)
    # When it is rehearsed
    said = finished_copy.run(*finished_copy.program("mainline"), "rollout", "rehearse", opposite, check=False)
    # Then it is aborted for that reason, no user got anything but an answer of stable, and stable is what it was
    assert "abort: " in said and "run against each other" in said, said
    assert ", 0 failed; p50" in said, said
    assert re.search(rf"answers: {sound} [\d,]+$", said, re.MULTILINE), said
    state = deploy.state("production")
    assert (state.stable, state.candidate) == (sound, None)
    assert [item.event for item in deploy.entry(opposite).transitions][-1] == "abort"
