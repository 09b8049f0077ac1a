"""``mainline compare`` from end to end, in clones with the example's data: every case, and what each must say."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

COMMIT = ("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "--all", "--allow-empty")


def replace_in(clone: Any, name: str, old: str, new: str) -> None:
    path: Path = clone.folder / name
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{name} has no {old!r}"
    path.write_text(text.replace(old, new), encoding="utf-8")


def compare(clone: Any, expected: int) -> tuple[dict[str, Any], str]:
    """Return verdict.json and all output; the exit code must be ``expected``."""
    script = "import subprocess, sys; print('code', subprocess.call([sys.executable, '-m', 'mainline.cli', 'compare']))"
    output = clone.run(sys.executable, "-c", script)
    assert "Traceback" not in output, output
    assert f"code {expected}" in output, output
    return json.loads((clone.folder / "reports" / "verdict.json").read_text(encoding="utf-8")), output


def blocked(verdict: dict[str, Any]) -> dict[str, str]:
    return {reason["gate"]: reason["level"] for reason in verdict["reasons"] if reason["level"] != "note"}


def pinned_model(clone: Any) -> str:
    text = (clone.folder / "dvc.lock").read_text(encoding="utf-8")
    found = re.search(r"outs:\n    - path: artifacts/model.skops\n      hash: md5\n      md5: (\w{32})", text)
    assert found
    return found[1]


@pytest.fixture(scope="module")
def champion(finished: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A clone whose branch main pins the model that its pipeline has made."""
    folder = tmp_path_factory.mktemp("champion") / "a"
    shutil.copytree(finished.folder, folder, symlinks=True)
    clone = replace(finished, folder=folder)
    clone.run(*COMMIT, "--message=Lock")
    clone.run("git", "checkout", "--quiet", "-b", "change")
    return clone


@pytest.fixture
def change(champion: Any, tmp_path: Path) -> Any:
    """A copy of it on a branch of its own, which a test may change."""
    return replace(champion, folder=Path(shutil.copytree(champion.folder, tmp_path / "copy", symlinks=True)))


def test_identical_model(change: Any) -> None:
    verdict, output = compare(change, 0)
    assert (verdict["verdict"], verdict["case"]) == ("promote", "identical model")
    assert "byte for byte" in verdict["reason"] and "promote: the model and its code" in output
    assert verdict["champion"]["model_sha256"] == verdict["challenger"]["model_sha256"]
    assert str(change.folder) not in json.dumps(verdict)


def test_first_model(change: Any) -> None:
    change.run("git", "checkout", "--quiet", "--orphan", "empty")
    change.run("git", "rm", "--quiet", "--cached", "dvc.lock")
    change.run(*COMMIT[:-2], "--message=No lock")
    change.run("git", "branch", "--force", "main", "empty")
    verdict, _ = compare(change, 0)
    assert (verdict["verdict"], verdict["case"], verdict["champion"]) == ("promote", "first model", None)


def test_an_equal_model_of_other_params_is_promoted(change: Any) -> None:
    replace_in(change, "params.yaml", "C: 1.0", "C: 0.9")
    change.dvc("repro", "--quiet")
    verdict, _ = compare(change, 0)
    assert (verdict["verdict"], verdict["case"]) == ("promote", "compared"), verdict["reason"]
    assert verdict["champion"]["source"] == "cache" and verdict["rows"] == 7361
    assert verdict["changes"]["params"] == [{"key": "model.estimator.C", "before": 1.0, "after": 0.9}]
    assert all(gate["passed"] for gate in verdict["gates"])
    # And nothing is left behind
    assert change.run("git", "worktree", "list").count("\n") == 1
    assert [path.name for path in (change.folder / ".mainline" / "champion").iterdir()] == ["lock"]


def test_shuffled_labels_are_rejected(change: Any) -> None:
    old = "    target = encode(rows, settings, names)\n    columns"
    shuffled = "    target = __import__('numpy').random.default_rng(0).permutation(target)\n    columns"
    replace_in(change, "src/mainline/stages.py", old, old.replace("    columns", shuffled))
    change.dvc("repro", "--quiet", "--force")
    verdict, _ = compare(change, 1)
    assert verdict["case"] == "compared"
    assert {"primary: log_loss", "floor: roc_auc"} <= blocked(verdict).keys()
    assert verdict["changes"]["code"] == ["src/mainline/stages.py"]


def test_a_champion_that_cannot_be_built_again_holds(change: Any) -> None:
    real, fake = pinned_model(change), "a" * 32
    change.run("git", "checkout", "--quiet", "main")
    replace_in(change, "dvc.lock", real, fake)
    change.run(*COMMIT, "--message=Forged")
    change.run("git", "checkout", "--quiet", "change")
    verdict, _ = compare(change, 3)
    assert (verdict["verdict"], verdict["case"]) == ("hold", "champion not reproducible")
    assert f"the lock pins {fake}, building it again gives {real}" in verdict["reason"]
    assert verdict["champion"]["reproduced"] is False


def test_a_champion_that_is_in_no_cache_is_built_again(change: Any) -> None:
    old = pinned_model(change)
    replace_in(change, "params.yaml", "C: 1.0", "C: 0.9")
    change.dvc("repro", "--quiet")
    held = change.folder / ".dvc" / "cache" / "files" / "md5" / old[:2] / old[2:]
    held.chmod(0o644)
    held.unlink()
    # And a work tree that a crash has left behind, damaged
    commit = change.run("git", "rev-parse", "main").strip()
    left = change.folder / ".mainline" / "champion" / commit
    change.run("git", "worktree", "add", "--quiet", "--detach", str(left), commit)
    replace_in(replace(change, folder=left), "params.yaml", "C: 1.0", "C: 0.0001")
    verdict, _ = compare(change, 0)
    assert (verdict["champion"]["source"], verdict["champion"]["reproduced"]) == ("rebuilt", True)
    assert not left.exists()


def test_a_champion_that_saw_the_test_rows_is_no_measure(change: Any) -> None:
    replace_in(change, "params.yaml", "test_window_days: 60", "test_window_days: 90")
    change.dvc("repro", "--quiet")
    verdict, _ = compare(change, 1)
    assert verdict["case"] == "champion saw test rows"
    assert verdict["reasons"][0]["gate"] == "rows seen by the champion"
    assert verdict["metrics"][0]["difference"] is None


def test_a_test_window_too_small_holds(change: Any) -> None:
    replace_in(change, "params.yaml", "min_rows: 500 ", "min_rows: 9000 ")
    replace_in(change, "params.yaml", "C: 1.0", "C: 0.9")
    change.dvc("repro", "--quiet")
    verdict, _ = compare(change, 3)
    assert (verdict["case"], blocked(verdict)) == ("too few rows", {"test rows": "hold"})


def test_a_champion_without_the_command_cannot_score(change: Any) -> None:
    change.run("git", "checkout", "--quiet", "main")
    replace_in(change, "src/mainline/cli.py", "@app.command(hidden=True)\n", "")
    change.run(*COMMIT, "--message=An older version")
    change.run("git", "checkout", "--quiet", "change")
    replace_in(change, "params.yaml", "C: 1.0", "C: 0.9")
    change.dvc("repro", "--quiet")
    verdict, _ = compare(change, 3)
    assert verdict["case"] == "champion cannot score"
    assert "has no `mainline predict`" in verdict["reason"]


def test_a_champion_with_other_features_is_scored_by_its_own_code(change: Any) -> None:
    replace_in(change, "src/bank/features.py", 'BANDS = ("age", "balance")', 'BANDS = ("balance",)')
    change.dvc("repro", "--quiet")
    verdict, _ = compare(change, 0)
    assert verdict["changes"]["features"] == {"added": [], "removed": ["age"]}
    assert verdict["case"] == "compared"


def edit_lock(clone: Any) -> None:
    replace_in(clone, "dvc.lock", pinned_model(clone), "b" * 32)


def edit_params(clone: Any) -> None:
    replace_in(clone, "params.yaml", "C: 1.0", "C: 0.9")


def edit_model(clone: Any) -> None:
    path = clone.folder / "artifacts" / "model.skops"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content + b"\0")


def edit_code(clone: Any) -> None:
    replace_in(clone, "src/bank/model.py", "max_iter=2000", "max_iter=2001")


def edit_evaluation(clone: Any) -> None:
    path = clone.folder / "reports" / "evaluation.json"
    text = path.read_text(encoding="utf-8")
    path.unlink()
    found = json.loads(text)
    found["metrics"]["roc_auc"]["value"] = 0.9
    path.write_text(json.dumps(found), encoding="utf-8")


def drop_data(clone: Any) -> None:
    objects = sorted((clone.folder / ".dvc" / "embedded" / "files" / "md5").glob("*/*"))
    next(path for path in objects if path.suffix != ".dir" and path.stat().st_size > 100_000).unlink()


@pytest.mark.parametrize(
    ("fault", "gate", "says"),
    [
        (edit_lock, "lock", "dvc.lock pins bbbb"),
        (edit_params, "lock", "params.yaml: model modified"),
        (edit_model, "lock", "artifacts/model.skops: dvc.lock pins"),
        (edit_code, "lock", "src/bank/model.py modified"),
        (edit_evaluation, "evaluation", "metrics.roc_auc.value: reports/evaluation.json says 0.9"),
        (drop_data, "remote", "is not in the embedded remote"),
    ],
)
def test_what_does_not_fit_together_is_rejected(
    change: Any, fault: Callable[[Any], None], gate: str, says: str
) -> None:
    fault(change)
    verdict, _ = compare(change, 1)
    assert blocked(verdict)[gate] == "reject"
    assert any(reason["gate"] == gate and says in reason["text"] for reason in verdict["reasons"]), verdict["reasons"]


def test_an_object_missing_from_a_real_remote_is_named(change: Any, tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    remote.mkdir()
    change.dvc("remote", "add", "--quiet", "--default", "store", str(remote))
    change.dvc("push", "--quiet", "data.dvc")
    change.dvc("push", "--quiet")
    verdict, _ = compare(change, 0)
    assert blocked(verdict) == {}
    model = pinned_model(change)
    (remote / "files" / "md5" / model[:2] / model[2:]).unlink()
    verdict, _ = compare(change, 1)
    assert blocked(verdict) == {"remote": "reject"}
    assert f"artifacts/model.skops ({model}, named by dvc.lock) is not in the remote" in verdict["reason"]
    # And storage that does not answer is not a pass
    replace_in(change, ".dvc/config", str(remote), "ssh://localhost:1/nowhere")
    verdict, _ = compare(change, 3)
    assert blocked(verdict) == {"remote": "hold"}


def test_a_ref_that_is_not_there(change: Any) -> None:
    command = (sys.executable, "-m", "mainline.cli", "compare", "--against", "no-such")
    (change.folder / "reports" / "verdict.json").write_text("{}", encoding="utf-8")
    output = change.run(*command, check=False)
    assert "--against no-such: no such commit here" in output and "Traceback" not in output
    assert not (change.folder / "reports" / "verdict.json").exists()
