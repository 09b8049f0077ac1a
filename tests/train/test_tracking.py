from __future__ import annotations

import json
import math
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.utils.validation import _validate_metric_name  # the judge of what MLflow accepts
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from mainline.config import Settings
from mainline.train import lineage, tracking, tracking_store
from mainline.train.artifact import save_model
from mainline.train.tracking import Places, Recorded, record
from mainline.train.tracking_facts import flatten, measurements, safe_names

SETTINGS: dict[str, Any] = {
    "project": "toy",
    "data": {
        "batches": "data", "id": None, "time": None, "label": "y", "positive": "yes", "as_of": None,
        "label_delay_days": None, "test_window_days": 1, "test_share": 0.2,
        "checks": {
            "min_rows": 1, "max_age_days": None, "late_rows": "accept", "distribution": "off", "effect": 0.1,
            "alpha": 0.01, "separation": 0.9,
        },
    },
    "features": {"drop": []},
    "model": {
        "task": "binary", "seed": 1, "estimator": {"C": 1.0}, "calibration": {"method": "none", "share": 0.1},
        "search": {"enabled": False, "folds": 2, "factor": 2},
    },
    "evaluate": {"primary": "log_loss", "resamples": 100, "level": 0.95, "min_rows": 10},
    "gates": {
        "floors": {"roc_auc": 0.6}, "calibration_error": None, "slice_floors": {}, "fairness_gap": None,
        "latency_ms": None, "size_mb": None,
    },
}  # fmt: skip
ROWS = pd.DataFrame({"x": [0.1, 0.4, 0.6, 0.9], "colour": ["a|b", "a b", "<c>", "a|b"]})


def evaluation() -> dict[str, Any]:
    def group(name: str, value: float | None) -> dict[str, Any]:
        return {
            "slice": "colour", "group": name, "rows": 40, "judged": True, "metrics": {"log_loss": value},
            "mean_score": 0.5, "mean_label": 0.4,
        }  # fmt: skip

    return {
        "metrics": {"log_loss": {"value": 0.3, "low": 0.2, "high": 0.4, "better": "lower"}},
        "baseline": {"log_loss": 0.7},
        "slices": [group("a|b", 0.31), group("a_b", 0.32), group("gone", 0.33), group("null", None)],
        "months": [],
        "gates": [{"gate": "roc_auc", "passed": True}],
        "size_mb": 0.1,
    }


def fitted(c: float = 1.0) -> Pipeline:
    columns = ColumnTransformer([("c", OneHotEncoder(handle_unknown="ignore"), ["colour"])], remainder="passthrough")
    return Pipeline([("f", columns), ("m", LogisticRegression(C=c))]).fit(ROWS, np.array([0, 0, 1, 1]))


def arguments(**other: Any) -> dict[str, Any]:
    """Return a whole set of arguments of ``record``, with its files in the working directory."""
    model = fitted()
    save_model(Path("model.skops"), model)
    Path("plots").mkdir(exist_ok=True)
    Path("plots/roc.csv").write_text("x,y\n0,0\n")
    Path("card.md").write_text("# card\n")
    known: dict[str, Any] = {
        "settings": Settings.model_validate(SETTINGS),
        "validation": {"batches": [{"file": "a.csv", "sha256": "11" * 32}]},
        "split": {},
        "training": {"columns": ["x", "colour"]},
        "evaluation": evaluation(),
        "model": model,
        "example": ROWS.head(2),
        "warn": pytest.fail,
        "places": Places(Path("model.skops"), Path("plots"), Path("card.md"), Path("card.html"), Path("lock.txt")),
    }
    return known | other


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow takes seconds to make its tables: they are made once, by the code under test, and copied."""
    folder, here = tmp_path_factory.mktemp("migrated"), Path.cwd()
    os.chdir(folder)
    try:
        with tracking_store.quiet():
            tracking_store.open_experiment("toy")
    finally:
        os.chdir(here)
    assert [path.name for path in folder.iterdir()] == ["mlflow.db"]
    return folder / "mlflow.db"


@pytest.fixture
def root(tmp_path: Path, migrated: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty repository outside git, with a fresh store."""
    root = tmp_path / "root"
    root.mkdir()
    shutil.copyfile(migrated, root / "mlflow.db")
    monkeypatch.chdir(root)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")  # the same as none, and put back even if a test sets another
    return root


def client() -> Any:
    import mlflow

    return mlflow.MlflowClient(f"sqlite:///{Path.cwd() / 'mlflow.db'}")


def runs() -> list[Any]:
    number = client().get_experiment_by_name("toy").experiment_id
    return list(client().search_runs([number]))


def done(**other: Any) -> Recorded:
    result = record(**arguments(**other))
    assert result is not None
    return result


def test_a_run_holds_numbers_lineage_files_and_a_model(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Path("lock.txt").write_text("numpy==1\n")
    Path("data.dvc").write_text("outs:\n- md5: abc.dir\n  path: data\n")
    found = done()
    run = client().get_run(found.run_id)

    assert (found.updated, found.uri, run.info.status) == (False, "sqlite:///mlflow.db", "FINISHED")
    assert run.data.metrics["log_loss"] == 0.3 and run.data.metrics["log_loss/low"] == 0.2
    assert run.data.metrics["slice/colour/gone/log_loss"] == 0.33
    assert "slice/colour/null/log_loss" not in run.data.metrics
    assert run.data.params["model.estimator.C"] == "1.0" and run.data.params["data.id"] == "null"
    assert run.data.tags["mainline.params.gates.floors.roc_auc"] == "0.6"
    assert run.data.tags["mainline.data.dvc_md5"] == "abc.dir"
    assert len(run.data.tags["mainline.lock.sha256"]) == 64
    assert "mlflow.source.git.commit" not in run.data.tags, "outside git there is no commit"
    stored = root / run.info.artifact_uri
    assert {"plots", "card.md", "reports", "environment.json"} == {path.name for path in stored.iterdir()}
    assert "numpy" in json.loads((stored / "environment.json").read_text())["packages"]
    assert capfd.readouterr().out == ""


def test_the_store_names_no_login_and_no_path(root: Path) -> None:
    import sqlite3

    import mlflow

    found = done()
    logged = mlflow.get_logged_model(found.model_uri.removeprefix("models:/"))
    assert logged.tags["mlflow.user"] == "mainline" and logged.tags["mlflow.source.name"] == "mainline"
    with sqlite3.connect("mlflow.db") as database:
        for table, column in (("runs", "artifact_uri"), ("logged_models", "artifact_location")):
            assert not str(database.execute(f"SELECT {column} FROM {table}").fetchone()[0]).startswith("/")


def test_a_moved_folder_still_loads_its_model(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow.sklearn

    found, expected = done(), fitted().predict_proba(ROWS)
    moved = root.rename(root.parent / "moved")
    monkeypatch.chdir(moved)
    mlflow.set_tracking_uri(f"sqlite:///{moved / 'mlflow.db'}")

    for address in (found.model_uri, f"runs:/{found.run_id}/model"):
        np.testing.assert_allclose(mlflow.sklearn.load_model(address).predict_proba(ROWS), expected)
    assert done().updated, "a training that is recorded again after the move finds its run"


def test_the_same_training_updates_its_run(root: Path) -> None:
    first = done()
    changed = evaluation()
    changed["metrics"]["log_loss"]["value"] = 0.25
    changed["slices"] = [item for item in changed["slices"] if item["group"] != "gone"]
    again = done(evaluation=changed)

    assert again == Recorded(first.run_id, first.uri, first.model_uri, updated=True)
    assert len(runs()) == 1
    assert runs()[0].data.metrics["log_loss"] == 0.25
    assert math.isnan(runs()[0].data.metrics["slice/colour/gone/log_loss"]), "a slice that is gone has no number"


def test_new_gates_are_the_same_training_but_new_data_is_not(root: Path) -> None:
    first = done()
    gates = Settings.model_validate({**SETTINGS, "gates": {**SETTINGS["gates"], "floors": {"roc_auc": 0.7}}})
    assert done(settings=gates).run_id == first.run_id
    assert runs()[0].data.tags["mainline.params.gates.floors.roc_auc"] == "0.7"

    other = done(validation={"batches": [{"file": "a.csv", "sha256": "22" * 32}]})
    assert other.run_id != first.run_id and not other.updated


def test_other_model_bytes_are_another_training(root: Path) -> None:
    first, given = done(), arguments()
    save_model(Path("model.skops"), fitted(0.5))
    second = record(**given)
    assert second is not None and second.run_id != first.run_id


@pytest.mark.slow
def test_a_run_killed_half_way_is_completed(root: Path) -> None:
    script = """
import os, sys
sys.path.insert(0, sys.argv[1])
import mlflow.sklearn
mlflow.sklearn.save_model = lambda *args, **kwargs: os._exit(9)   # dies while the model is being written
import test_tracking
test_tracking.record(**test_tracking.arguments())
"""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    killed = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parent)], env=environ, capture_output=True
    )
    assert killed.returncode == 9, killed.stderr.decode()
    assert [run.info.status for run in runs()] == ["RUNNING"]

    found = done()
    assert found.updated and [run.info.status for run in runs()] == ["FINISHED"]
    number = runs()[0].info.experiment_id
    models = client().search_logged_models([number])
    assert [f"models:/{item.model_id}" for item in models] == [found.model_uri], "the half-written model is gone"


def test_a_store_killed_while_it_is_made_is_not_taken_for_whole(
    root: Path, migrated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    Path("mlflow.db").unlink()
    real = mlflow.MlflowClient

    def dies(uri: str | None = None) -> Any:
        Path(str(uri).removeprefix("sqlite:///")).write_bytes(migrated.read_bytes()[:5000])
        raise RuntimeError("killed")

    warned: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(mlflow, "MlflowClient", dies)
        assert record(**arguments(warn=warned.append)) is None
    assert "killed" in warned[0] and not Path("mlflow.db").exists() and not list(root.glob(".mlflow*"))

    def whole(uri: str | None = None) -> Any:
        if uri and uri.endswith(".part"):
            shutil.copyfile(migrated, uri.removeprefix("sqlite:///"))
        return real(uri)

    monkeypatch.setattr(mlflow, "MlflowClient", whole)
    assert done().run_id


def test_a_faster_process_keeps_its_database(root: Path, migrated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    inode = Path("mlflow.db").stat().st_ino
    with monkeypatch.context() as patch:
        patch.setattr(mlflow, "MlflowClient", lambda uri: _Copies(migrated, uri))
        tracking_store._create_database()  # as if the file had appeared after the look for it
    assert Path("mlflow.db").stat().st_ino == inode


class _Copies:
    """Stands for a client that makes its tables at once."""

    def __init__(self, migrated: Path, uri: str) -> None:
        shutil.copyfile(migrated, uri.removeprefix("sqlite:///"))

    def get_experiment_by_name(self, name: str) -> None: ...


@pytest.mark.parametrize("answers", [False, True], ids=["refuses", "hangs"])
def test_a_dead_server_costs_a_warning_and_little_time(
    root: Path, monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    Path("mlflow.db").unlink()
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if answers:
            server.listen(8)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://ann:s@cret@127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")  # the user's own value is kept
        warned: list[str] = []
        given = arguments(warn=warned.append)
        before, start = set(root.rglob("*")), time.monotonic()
        assert record(**given) is None
    assert time.monotonic() - start < 6
    assert len(warned) == 1 and "does not answer" in warned[0] and "mainline card" in warned[0]
    assert "cret" not in warned[0] and "ann" not in warned[0].replace("cannot", "")
    assert set(root.rglob("*")) == before, "nothing is written on this side"
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "1" and "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ


class Own(TransformerMixin, BaseEstimator):
    """A step that nobody has put on an allow-list."""

    def fit(self, rows: pd.DataFrame, target: object = None) -> Own:
        return self

    def transform(self, rows: pd.DataFrame) -> pd.DataFrame:
        return rows


def test_an_unreviewed_type_costs_the_record_not_the_training(root: Path) -> None:
    warned: list[str] = []
    own = Pipeline([("own", Own()), *fitted().steps])
    assert record(**arguments(model=own, warn=warned.append)) is None
    assert "untrusted" in warned[0]
    assert [run.info.status for run in runs()] == ["FAILED"]
    allowed = done(model=own, trusted=(f"{Own.__module__}.Own",))
    assert allowed.updated and [run.info.status for run in runs()] == ["FINISHED"]


def test_redacted_features_leave_no_example(root: Path) -> None:
    found = done(example=ROWS[["x"]])
    folder = root / "mlartifacts" / "models" / found.model_uri.removeprefix("models:/")
    assert not list(folder.rglob("input_example.json")) and list(folder.rglob("model.skops"))


def test_the_environment_is_put_back(root: Path) -> None:
    before = dict(os.environ)
    done()
    kept = {"MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"}
    assert {key: value for key, value in os.environ.items() if key not in kept} == {
        key: value for key, value in before.items() if key not in kept
    }


def test_metric_names_are_accepted_and_never_shared() -> None:
    groups = ["a|b", "a_b", "A_b", "", "..", "ä", "ö", "x/y", "x_y", "é" * 300, "\n", "admin."]
    names = safe_names([("slice", group, "log_loss") for group in groups])
    assert len({name.casefold() for name in names.values()}) == len(groups)
    for name in names.values():
        _validate_metric_name(name)
    assert names[("slice", "admin.", "log_loss")] == "slice/admin./log_loss"


def test_measurements_leave_out_what_is_not_a_number() -> None:
    found = measurements(
        {"metrics": {"a": {"value": math.inf, "low": None, "high": 1}}, "slices": None, "size_mb": True}
    )
    assert found == {"a/high": 1.0, "gates_failed": 0.0}


def test_flatten_keeps_every_setting() -> None:
    flat = flatten({"a": {"b": {"c": 1.5}, "d": []}, "e": None, "f": {}, "g": "x"})
    assert flat == {"a.b.c": "1.5", "a.d": "[]", "e": "null", "f": "{}", "g": "x"}


def test_commit_is_read_from_git_and_dvc_lock_is_not_dirt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert lineage.commit() == lineage.Commit(None, None, None)

    def git(*words: str) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
        return subprocess.run(["git", *identity, *words], check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q", "-b", "main")
    assert lineage.commit() == lineage.Commit(None, "main", False)
    for name in ("dvc.lock", "code.py"):
        Path(name).write_text("1\n")
    git("add", ".")
    git("commit", "-qm", "one")
    assert lineage.commit() == lineage.Commit(git("rev-parse", "HEAD"), "main", False)
    Path("dvc.lock").write_text("2\n")
    assert lineage.commit().dirty is False
    Path("code.py").write_text("2\n")
    assert lineage.commit().dirty is True
    git("checkout", "-q", "--", "code.py")
    Path("new.py").write_text("1\n")
    assert lineage.commit().dirty is True, "a new file can shape the model too"
    monkeypatch.setenv("PATH", "")
    assert lineage.commit() == lineage.Commit(), "a machine without git"


def test_data_hash_ignores_order_and_sees_content() -> None:
    one, two = {"file": "a", "sha256": "1"}, {"file": "b", "sha256": "2"}
    assert lineage.data_hash([one, two]) == lineage.data_hash([two, one])
    assert lineage.data_hash([one]) != lineage.data_hash([{**one, "sha256": "3"}])


@pytest.mark.parametrize("content", ["", "outs: []", "a: [", "- 1", "outs:\n- path: x"])
def test_a_damaged_dvc_file_has_no_hash(tmp_path: Path, content: str) -> None:
    path = tmp_path / "data.dvc"
    path.write_text(content)
    assert lineage.dvc_md5(path) is None
    assert lineage.dvc_md5(tmp_path / "absent.dvc") is None


def test_identity_depends_on_the_commit(root: Path) -> None:
    given = arguments()
    del given["warn"]
    run = tracking._Training(**given, trusted=())
    assert tracking.identity(run, lineage.Commit("a")) != tracking.identity(run, lineage.Commit("b"))
    assert tracking.identity(run, lineage.Commit("a")) == tracking.identity(run, lineage.Commit("a", "x", True))
