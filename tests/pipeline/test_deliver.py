"""From a committed run to the champion that serves, with the real parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from mainline.release.ledger import Deploy


@pytest.mark.slow
def test_the_first_release_is_rehearsed_against_its_twin(finished_copy: Any) -> None:
    # Given a finished, committed run, and a rehearsal that is as short as can be
    path: Path = finished_copy.folder / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    params["rollout"]["rehearsal"] |= {"rate": 60, "pairs": 60, "requests": 5, "seconds": 0.5}
    params["rollout"]["weights"] = [20, 100]
    params["rollout"]["proxy"]["port"] = 0
    path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    finished_copy.dvc("pull", "--quiet", "replay.dvc")
    finished_copy.run("git", "checkout", "--quiet", "-B", "main")
    finished_copy.run("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-am", "Shorten it")
    # When it is delivered
    said = finished_copy.run(*finished_copy.program("mainline"), "deliver")
    # Then it serves, its twin did before it, no request failed, and MLflow knows its champion
    state = Deploy.open(finished_copy.folder / ".mainline" / "deploy").state("production")
    assert state.stable and state.candidate is None and len(state.previous) == 1, said
    assert f"promote: {state.stable} is stable now" in said and ", 0 failed" in said
    assert f"{state.previous[0]} serves: the same model" in said
    assert f"alias champion: {state.stable}" in said
    assert finished_copy.run("git", "status", "--porcelain") == ""
    # And once more, nothing is left to do
    assert f"{state.stable} serves already" in finished_copy.run(*finished_copy.program("mainline"), "deliver")
