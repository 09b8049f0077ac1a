from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from mainline.errors import UserError
from mainline.release.ledger import Deploy
from mainline.release.trace import trace
from mainline.serve.log_read import read


def record(request: str, release: str, **more: Any) -> dict[str, Any]:
    return {"kind": "prediction", "time": "2009-06-01T08:00:00.000Z", "request_id": request, "row": 0,
            "release": release, "track": "stable", "features": {"age": 30}, "score": 0.25,
            "decision": True} | more  # fmt: skip


@pytest.fixture
def log(built: Any, tmp_path: Path) -> Path:
    """A prediction log of two requests, one with an outcome, one answered in shadow as well."""
    release = built.only().id
    lines = [
        record("r-1", release),
        record("r-2", release),
        record("r-2", "bank-eeeeeeeeeeee", track="shadow", score=0.5),
        {"kind": "feedback", "time": "2009-06-09T08:00:00.000Z", "request_id": "r-1", "row": 0, "outcome": "yes"},
        {"kind": "feedback", "time": "2009-06-09T08:00:00.000Z", "request_id": "r-9", "row": 0, "outcome": "no"},
    ]
    folder = tmp_path / "log"
    folder.mkdir()
    (folder / "20090601T080000-000-1.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in lines) + '{"kind": "predi'
    )
    return folder


def test_a_prediction_leads_back_to_everything_it_came_from(built: Any, log: Path) -> None:
    code, output = built.mainline("trace", "r-1", "--log", str(log), "--json")
    assert code == 0, output
    found = json.loads(output)
    assert [item["score"] for item in found["predictions"]] == [0.25]
    assert [item["outcome"] for item in found["feedback"]] == ["yes"]
    (release,) = found["releases"]
    commit = built.git("rev-parse", "HEAD")
    assert release["commit"] == {
        "hash": commit,
        "author": "Ada",
        "time": built.git("show", "-s", "--format=%aI", commit),
        "subject": "Merge pull request #7 from ada/model",
    }
    assert release["entry"]["pull_request"] == 7
    assert release["entry"]["digests"]["model"] == built.only().digests["model"]
    assert [batch["file"] for batch in release["data"]] == [f"2009-0{month}.csv" for month in range(1, 6)]
    assert all(len(batch["sha256"]) == 64 for batch in release["data"])
    assert release["params"]["model"]["seed"] == 20080505
    assert release["gaps"] == []


def test_the_way_back_can_be_read(built: Any, log: Path) -> None:
    code, output = built.mainline("trace", "r-1", "--log", str(log))
    assert code == 0, output
    for words in (built.only().id, "Merge pull request #7", "score 0.25", "outcome    yes", "2009-05.csv", "sha256",
                  "seed", "staging: built, by Ada"):  # fmt: skip
        assert words in output


def test_what_is_gone_is_named_and_the_rest_is_shown(built: Any, log: Path) -> None:
    code, output = built.mainline("trace", "r-2", "--log", str(log))
    assert code == 0, output
    assert "track shadow" in output
    assert "bank-eeeeeeeeeeee.yaml" in output
    assert "release bank-eeeeeeeeeeee: is not in .mainline/releases" in output


def test_without_the_store_commit_and_params_come_from_git(built: Any, log: Path, tmp_path: Path) -> None:
    deploy = Deploy.open(built.folder / ".mainline/deploy")
    with contextlib.chdir(built.folder):
        found = trace("r-1", read, str(log), deploy, store=tmp_path / "none")
    (release,) = found.releases
    assert release["params"]["model"]["seed"] == 20080505
    assert release["data"] is None
    assert [gap.split(":")[0] for gap in release["gaps"]] == ["store"]
    # A fresh machine with a shallow clone has neither store nor commit; the rest is shown all the same
    (elsewhere := tmp_path / "shallow").mkdir()
    built.git("init", "--quiet", str(elsewhere))
    (release,) = trace("r-1", read, str(log), deploy, root=elsewhere, store=tmp_path / "none").releases
    assert release["entry"]["pull_request"] == 7 and release["params"] is None
    assert [gap.split(":")[0] for gap in release["gaps"]] == ["store", "git", "params"]


def test_an_unknown_request_says_where_it_was_looked_for(built: Any, log: Path) -> None:
    code, output = built.mainline("trace", "r-0", "--log", str(log))
    assert code == 1
    assert f"request 'r-0': no prediction among the 5 records in {log}" in output
    assert "sample" not in output


def test_a_sampled_log_may_have_left_it_out(built: Any, log: Path) -> None:
    deploy = Deploy.open(built.folder / ".mainline/deploy")
    with pytest.raises(UserError, match=r"serve.log.sample: 0.1\), so it may have been left out"):
        trace("r-9", read, str(log), deploy, sample=0.1)
    with pytest.raises(UserError, match="but 1 outcomes of it"):
        trace("r-9", read, str(log), deploy)


def test_a_log_that_is_not_there_is_named(built: Any, tmp_path: Path) -> None:
    code, output = built.mainline("trace", "r-1", "--log", str(tmp_path / "nowhere"))
    assert code == 1
    assert "no prediction among the 0 records in" in output
    assert "nowhere" in output
