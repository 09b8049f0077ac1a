"""From a committed run to the champion that serves, and what the way itself must stop, with the real parts."""

from __future__ import annotations

import contextlib
import json
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from mainline.release.ledger import Deploy

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Delivered:
    """A clone whose run was delivered once, and what the command said."""

    clone: Any
    said: str

    @property
    def deploy(self) -> Deploy:
        """The clone's ledger."""
        return Deploy.open(self.clone.folder / ".mainline" / "deploy")

    def mainline(self, *arguments: str, check: bool = True) -> str:
        """Return all output of a command."""
        return str(self.clone.run(*self.clone.program("mainline"), *arguments, check=check))


def change(clone: Any, **rooms: dict[str, Any]) -> None:
    """Set keys of params.yaml, and commit everything."""
    path: Path = clone.folder / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    for room, keys in rooms.items():
        params[room] |= keys
    path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    if "data" in rooms:
        clone.dvc("repro", "--quiet")
    clone.run("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--all", "--message=Change")


@pytest.fixture(scope="module")
def delivered(finished: Any, tmp_path_factory: pytest.TempPathFactory) -> Delivered:
    # A finished, committed run, and a rehearsal that is as short as can be
    folder = tmp_path_factory.mktemp("delivered") / "copy"
    clone = finished.on_main(folder)
    rollout = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))["rollout"]
    rollout["rehearsal"] |= {"rate": 60, "pairs": 60, "requests": 5, "seconds": 0.5}
    # A service that asks for a key must get its users in the same way
    change(clone, rollout=rollout | {"weights": [20, 100]}, serve={"api_key_env": "SERVICE_KEY"})
    # Another program has the port on which a rollout serves users; a rehearsal's users are its own
    with socket.socket() as busy:
        with contextlib.suppress(OSError):  # then it is in use already
            busy.bind(("127.0.0.1", rollout["proxy"]["port"]))
            busy.listen()
        said = clone.run(*clone.program("mainline"), "deliver")
    return Delivered(clone, said)


def test_the_first_release_is_rehearsed_against_its_twin(delivered: Delivered) -> None:
    # It serves, its twin did before it, no request failed, and MLflow knows its champion
    state, said = delivered.deploy.state("production"), delivered.said
    assert state.stable and state.candidate is None and len(state.previous) == 1, said
    assert f"promote: {state.stable} is stable now" in said and ", 0 failed" in said
    assert f"{state.previous[0]} serves: the same model" in said
    assert f"alias champion: {state.stable}" in said
    assert delivered.clone.run("git", "status", "--porcelain") == ""
    # And once more, nothing is left to do
    assert f"{state.stable} serves already" in delivered.mainline("deliver")


def test_a_changed_parameter_gets_its_verdict_and_the_command_that_commits_it(finished_copy: Any) -> None:
    clone, verdict = finished_copy, finished_copy.folder / "reports" / "verdict.json"
    params: Path = clone.folder / "params.yaml"
    params.write_text(params.read_text(encoding="utf-8").replace("C: 1.0", "C: 0.5", 1), encoding="utf-8")
    clone.dvc("repro", "--quiet")
    # Also when dvc.lock alone is not committed, the verdict is not one about the commit
    for command in ("true", "git -c user.name=a -c user.email=a@b commit --quiet --message=Change params.yaml"):
        clone.run("sh", "-c", command)
        said = clone.run(*clone.program("mainline"), "deliver")
        assert re.search("uncommitted changes: .*dvc.lock", said) and "promote: not worse than the champion" in said, (
            said
        )
        assert json.loads(verdict.read_text(encoding="utf-8"))["head"]["dirty"] is True
        assert not (clone.folder / ".mainline" / "releases").exists(), "nothing was built"
    (command,) = [line.strip() for line in said.splitlines() if "&& git commit" in line]
    writes = {"GIT_EDITOR": "echo Lock it >", "GIT_AUTHOR_NAME": "a", "GIT_COMMITTER_NAME": "a", "EMAIL": "a@b"}
    clone.run("sh", "-c", command, **writes)
    assert clone.run("git", "status", "--porcelain") == ""


def test_a_model_that_says_the_opposite_is_stopped_before_any_user_sees_it(delivered: Delivered) -> None:
    # Given a release that serves, and one that was trained for the other outcome, so that its probabilities are turned
    # round; nothing before the rollout would stop it, because the project tests no behaviour
    sound, before = delivered.deploy.state("production").stable, set(delivered.deploy.releases())
    expectations = delivered.clone.folder / "src" / "bank" / "expectations.py"
    expectations.write_text(expectations.read_text(encoding="utf-8") + "\n\nBEHAVIOURS = ()\n", encoding="utf-8")
    change(delivered.clone, data={"positive": "no"})
    delivered.mainline("release", "build")
    (opposite,) = set(delivered.deploy.releases()) - before
    # When it is rehearsed
    said = delivered.mainline("rollout", "rehearse", opposite, check=False)
    # Then it is aborted for that reason, no user got anything but an answer of stable, and stable is what it was
    assert "abort: " in said and "run against each other" in said, said
    assert ", 0 failed; p50" in said, said
    assert re.search(rf"answers: {sound} [\d,]+$", said, re.MULTILINE), said
    state = delivered.deploy.state("production")
    assert (state.stable, state.candidate) == (sound, None)
    assert [item.event for item in delivered.deploy.entry(opposite).transitions][-1] == "abort"
