"""``mainline compare`` from end to end on the example: every case that is not a fault, and what each must say."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from planted.plants import lock, on_main, several
from planted.site import CODES, Site
from planted.ways import step

from mainline.objects import EMBEDDED, place

pytestmark = pytest.mark.slow


@pytest.fixture
def change(copied: Callable[[], Site]) -> Site:
    """A copy of the base, on the branch of the pull request."""
    return copied()


def compare(site: Site, expected: str) -> tuple[dict[str, Any], str]:
    """Return verdict.json and all output; the outcome and its exit code must be ``expected``."""
    done = site.run("mainline", "compare")
    verdict = site.json("reports/verdict.json")
    assert (verdict["verdict"], done.code) == (expected, CODES[expected]), done.output
    return verdict, done.output


def blocked(verdict: dict[str, Any]) -> dict[str, str]:
    return {reason["gate"]: reason["level"] for reason in verdict["reasons"] if reason["level"] != "note"}


def other_params(site: Site) -> None:
    site.replace("params.yaml", "    C: 1.0", "    C: 0.9")
    site.dvc("repro", "--quiet")


def test_identical_model(change: Site) -> None:
    verdict, output = compare(change, "promote")
    assert (verdict["case"], verdict["reasons"]) == ("identical model", [])
    assert "byte for byte" in verdict["reason"] and "promote: the model and its code" in output
    assert verdict["champion"]["model_sha256"] == verdict["challenger"]["model_sha256"]
    assert str(change.folder) not in json.dumps(verdict)


def test_first_model(change: Site) -> None:
    change.git("checkout", "--quiet", "--orphan", "empty")
    change.git("rm", "--quiet", "--cached", "dvc.lock")
    change.git("commit", "--quiet", "--message=No lock")
    change.git("branch", "--force", "main", "empty")
    verdict, _ = compare(change, "promote")
    assert (verdict["case"], verdict["champion"]) == ("first model", None)


def test_an_equal_model_of_other_params_is_promoted(change: Site) -> None:
    other_params(change)
    verdict, _ = compare(change, "promote")
    assert (verdict["case"], verdict["reasons"]) == ("compared", []), verdict["reason"]
    assert verdict["champion"]["source"] == "cache" and verdict["rows"] == 7361
    assert verdict["changes"]["params"] == [{"key": "model.estimator.C", "before": 1.0, "after": 0.9}]
    assert all(gate["passed"] for gate in verdict["gates"])
    # And nothing is left behind
    assert change.git("worktree", "list").count("\n") == 0
    assert [path.name for path in (change.folder / ".mainline" / "champion").iterdir()] == ["lock"]


def test_more_data_beat_the_champion(change: Site) -> None:
    """June to August 2009: the world has moved, both miss the old floors, and the better one is still let in."""
    change.dvc("pull", "--quiet", "replay.dvc")
    for month in ("2009-06", "2009-07", "2009-08"):
        shutil.copy(change.folder / "replay" / f"{month}.csv", change.folder / "data" / f"{month}.csv")
    change.replace("params.yaml", 'as_of: "2009-05-31"', 'as_of: "2009-08-31"')
    change.dvc("repro", "--quiet")
    change.dvc("add", "--quiet", "data")
    change.dvc("push", "--quiet", "data.dvc")
    verdict, _ = compare(change, "promote")
    (entry,) = [item for item in verdict["metrics"] if item["metric"] == "log_loss"]
    assert entry["worse"]["high"] < -0.02
    assert {reason["gate"] for reason in verdict["reasons"] if reason["level"] == "note"} == {
        "floor: log_loss",
        "floor: roc_auc",
        "calibration_error",
    }
    assert verdict["changes"]["data"]["batches_added"] == ["2009-06.csv", "2009-07.csv", "2009-08.csv"]


def test_a_champion_that_is_in_no_cache_is_built_again(change: Site) -> None:
    old = change.pinned("artifacts/model.skops")
    on_main(lambda site: place(site.folder / EMBEDDED, old).unlink())(change)
    other_params(change)
    place(change.folder / ".dvc" / "cache", old).unlink()
    # And a work tree that a crash has left behind, damaged
    commit = change.git("rev-parse", "main")
    left = change.folder / ".mainline" / "champion" / commit
    change.git("worktree", "add", "--quiet", "--detach", str(left), commit)
    Site(left, change.forks).replace("params.yaml", "    C: 1.0", "    C: 0.0001")
    verdict, _ = compare(change, "promote")
    assert (verdict["champion"]["source"], verdict["champion"]["reproduced"]) == ("rebuilt", True)
    assert not left.exists()


def test_a_champion_that_only_the_repository_has_is_taken_from_there(change: Site) -> None:
    """A fresh runner: nothing of main's is in its cache, and nothing is trained again."""
    old = change.pinned("artifacts/model.skops")
    other_params(change)
    for oid in (old, change.pinned("artifacts/train.parquet")):
        place(change.folder / ".dvc" / "cache", oid).unlink()
    verdict, _ = compare(change, "promote")
    assert (verdict["champion"]["source"], verdict["champion"]["reproduced"]) == ("remote", None)
    assert blocked(verdict) == {}


def test_a_champion_that_cannot_be_built_again_holds(change: Site) -> None:
    real = change.pinned("artifacts/model.skops")
    on_main(several(lock("artifacts/model.skops"), lock("artifacts/check.json")))(change)
    verdict, _ = compare(change, "hold")
    assert verdict["case"] == "champion not reproducible"
    assert f"the lock pins {'b' * 32}, building it again gives {real}" in verdict["reason"]
    assert f"artifacts/check.json ({'b' * 32}) is in no cache or remote" in verdict["reason"]
    assert verdict["champion"]["reproduced"] is False


def test_a_champion_without_the_command_cannot_score(change: Site) -> None:
    change.git("checkout", "--quiet", "main")
    change.replace("src/mainline/cli.py", "@app.command(hidden=True)\n", "")
    change.commit("An older version")
    change.git("checkout", "--quiet", "change")
    other_params(change)
    verdict, _ = compare(change, "hold")
    assert verdict["case"] == "champion cannot score"
    assert "has no `mainline predict`" in verdict["reason"]


def test_a_champion_with_other_features_is_scored_by_its_own_code(change: Site) -> None:
    change.replace("src/bank/features.py", 'BANDS = ("age", "balance")', 'BANDS = ("balance",)')
    change.dvc("repro", "--quiet")
    verdict, _ = compare(change, "promote")
    assert verdict["changes"]["features"] == {"added": [], "removed": ["age"]}
    assert verdict["case"] == "compared"


def test_data_missing_from_a_real_remote_are_named_and_outputs_are_not_asked_for(change: Site, tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    remote.mkdir()
    change.dvc("remote", "add", "--quiet", "--default", "store", str(remote))
    change.dvc("fetch", "--quiet", "--remote", "embedded", "replay.dvc")
    change.dvc("push", "--quiet", "data.dvc", "replay.dvc")
    # The outputs go there after the verdict, from main's code.
    verdict, _ = compare(change, "promote")
    assert blocked(verdict) == {}
    data = yaml.safe_load((change.folder / "data.dvc").read_text(encoding="utf-8"))["outs"][0]["md5"]
    listing = place(remote, data)  # DVC pushes it last: where it is, DVC takes the files for there
    listing.unlink()
    verdict, _ = compare(change, "reject")
    assert blocked(verdict) == {"remote": "reject"}
    assert f"data ({data}) is not in the remote" in verdict["reason"]
    # And storage that does not answer is not a pass
    change.replace(".dvc/config", str(remote), "ssh://localhost:1/nowhere")
    verdict, _ = compare(change, "hold")
    assert blocked(verdict) == {"remote": "hold"}


def test_a_ref_that_is_not_there(change: Site) -> None:
    (change.folder / "reports" / "verdict.json").write_text("{}", encoding="utf-8")
    done = step(change, "mainline compare --against no-such")
    assert done.code == 1 and "--against no-such: no such commit here" in done.output
    assert not (change.folder / "reports" / "verdict.json").exists()
