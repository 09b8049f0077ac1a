"""The fast path is taken only where it is proven, and the exact model is the judge."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

import mainline.train.export as room
from mainline.project import scores
from mainline.serve.scorer import ExactScorer, OnnxScorer, load_scorer
from mainline.train.artifact import save_model
from mainline.train.export import bound, export, save_export, session_scores
from mainline.train.fit import fit

ROOT = Path(__file__).parents[2]
NAMES = ["a", "b", "word"]


class Odd(ClassifierMixin, BaseEstimator):
    """An estimator that no converter knows."""

    def fit(self, X: Any, y: Any) -> Odd:
        self.classes_, self.rate_ = np.unique(y), float(np.mean(y))
        return self

    def predict_proba(self, X: Any) -> Any:
        return np.tile([1 - self.rate_, self.rate_], (len(X), 1))


class Fold(TransformerMixin, BaseEstimator):
    """A feature of the project's own."""

    def fit(self, X: Any, y: Any = None) -> Fold:
        return self

    def transform(self, X: Any) -> Any:
        return np.abs(X)


def features(unknown: str = "ignore", *, fill: bool = True) -> ColumnTransformer:
    numbers = make_pipeline(SimpleImputer(), StandardScaler()) if fill else StandardScaler()
    words = OneHotEncoder(handle_unknown=unknown, sparse_output=False)
    return ColumnTransformer([("n", numbers, ["a", "b"]), ("w", words, ["word"])])


def model(estimator: Any, rows: pd.DataFrame, target: str = "binary", **options: Any) -> Pipeline:
    return Pipeline([("features", features(**options)), ("model", estimator)]).fit(rows[NAMES], rows[target])


@pytest.mark.parametrize("target", ["binary", "three", "value"])
def test_a_model_that_converts_is_exported_and_predicts_the_same(
    rows_for: Callable[..., pd.DataFrame], tmp_path: Path, target: str
) -> None:
    rows = rows_for()
    fitted = model(LinearRegression() if target == "value" else LogisticRegression(), rows, target)
    made = export(fitted, rows, NAMES, 1)
    assert made.facts["path"] == "onnx", made.facts
    assert made.facts["parity"] <= 1e-6
    assert made.facts["rows"] > 600 + 3 * 200
    assert made.facts["inputs"] == [{"name": "a", "kind": "number"}, {"name": "b", "kind": "number"},
                                    {"name": "word", "kind": "text"}]  # fmt: skip
    save_model(tmp_path / "model.skops", fitted)
    save_export(tmp_path / "serving", made)
    scorer = load_scorer(tmp_path)
    assert isinstance(scorer, OnnxScorer)
    awkward = pd.DataFrame({"a": [np.nan, 0.5, 3.0], "b": [1.0, np.nan, 0.1], "word": ["x", None, "unseen"]})
    exact = scores(fitted, awkward)
    assert np.abs(scorer.score(awkward) - exact).max() <= 1e-6
    listed = [
        {key: None if pd.isna(value) else value for key, value in row.items()} for row in awkward.to_dict("records")
    ]
    assert np.abs(scorer.score_rows(listed) - exact).max() <= 1e-6
    assert np.array_equal(ExactScorer(fitted, scorer.inputs).score_rows(listed), exact)


@pytest.mark.parametrize(
    ("difference", "told"),
    [(0.0, 0.0), (5.19e-08, 1e-07), (5.21e-08, 1e-07), (1e-07, 1e-07), (1.01e-07, 1e-06), (0.3, 1.0), (2.0, 10.0)],
)
def test_digits_that_depend_on_the_processor_are_in_no_output(difference: float, told: float) -> None:
    assert bound(difference) == told


def test_the_projects_own_pipeline_converts_with_its_calibration(
    rows_for: Callable[..., pd.DataFrame], project_for: Callable[..., Any], settings_for: Callable[..., Any]
) -> None:
    rows = rows_for()
    settings = settings_for(model__calibration__share=0.3)
    fitted = fit(rows, rows["binary"].to_numpy(), project_for(build_features=lambda columns: features()), settings)
    assert export(fitted.model, rows, NAMES, 1).facts["path"] == "onnx"


@pytest.mark.parametrize(
    "estimator", [HistGradientBoostingClassifier(max_iter=5), Odd()], ids=["hist_gradient_boosting", "unknown"]
)
def test_an_estimator_that_does_not_convert_falls_back_to_the_exact_path(
    rows_for: Callable[..., pd.DataFrame], tmp_path: Path, estimator: Any
) -> None:
    rows = rows_for()
    fitted = model(estimator, rows)
    made = export(fitted, rows, NAMES, 1)
    assert (made.facts["path"], made.onnx) == ("exact", None)
    assert made.facts["reason"].startswith("does not convert to ONNX")
    if isinstance(estimator, Odd):
        return
    (tmp_path / "serving").mkdir()
    (tmp_path / "serving" / "model.onnx").write_bytes(b"of an earlier run")
    save_export(tmp_path / "serving", made)
    save_model(tmp_path / "model.skops", fitted)
    assert not (tmp_path / "serving" / "model.onnx").exists()
    scorer = load_scorer(tmp_path)
    assert scorer.path == "exact"
    assert np.array_equal(scorer.score(rows), scores(fitted, rows))


def test_a_copy_that_predicts_otherwise_is_not_served(rows_for: Callable[..., pd.DataFrame]) -> None:
    """A tree cuts between neighbours that only float64 tells apart; in ONNX's float32 they are one."""
    rows = rows_for()
    rows["a"] = 1.0 + np.arange(len(rows)) * 1e-12
    rows["binary"] = np.arange(len(rows)) % 2
    fitted = Pipeline([("f", ColumnTransformer([("n", "passthrough", ["a", "b"])])), ("m", DecisionTreeClassifier())])
    made = export(fitted.fit(rows[["a", "b"]], rows["binary"]), rows, ["a", "b"], 1)
    assert made.facts["path"] == "exact"
    assert "differs by up to 1, more than 1e-06" in made.facts["reason"]


def test_the_judge_looks_at_awkward_rows_too(
    rows_for: Callable[..., pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fast path that is right on every training row and wrong on a missing value is found out."""
    rows = rows_for()
    fitted = model(LogisticRegression(), rows)
    true = session_scores

    def sly(content: bytes, inputs: Any) -> Any:
        fast = true(content, inputs)
        return lambda frame: fast(frame) + 0.01 * frame["word"].isna().to_numpy()

    monkeypatch.setattr(room, "session_scores", sly)
    assert export(fitted, rows, NAMES, 1).facts["path"] == "exact"


def test_what_the_exact_model_cannot_take_is_told_and_does_not_stop_the_fast_path(
    rows_for: Callable[..., pd.DataFrame],
) -> None:
    rows = rows_for()
    made = export(model(LogisticRegression(), rows, unknown="error", fill=False), rows, NAMES, 1)
    assert made.facts["path"] == "onnx"
    assert ["word", "unseen"] in made.facts["refused"] and ["a", "missing"] in made.facts["refused"]


def test_a_damaged_or_foreign_onnx_file_is_named(rows_for: Callable[..., pd.DataFrame], tmp_path: Path) -> None:
    from mainline.errors import UserError

    rows = rows_for()
    made = export(model(LogisticRegression(), rows), rows, NAMES, 1)
    save_export(tmp_path / "serving", made)
    file = tmp_path / "serving" / "model.onnx"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(UserError, match=f"model.onnx: damaged: its SHA-256 is .*names {made.facts['sha256'][:12]}"):
        load_scorer(tmp_path)
    file.unlink()
    with pytest.raises(UserError, match="model.onnx: not there"):
        load_scorer(tmp_path)
    (tmp_path / "serving" / "serving.json").write_text("{}")
    with pytest.raises(UserError, match="serving.json: lacks 'path'"):
        load_scorer(tmp_path)


SAME = """
import hashlib
import numpy as np, pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from mainline.train.export import export
rows = pd.DataFrame({"a": np.linspace(0, 1, 300), "b": np.linspace(1, 0, 300) ** 2})
model = Pipeline([("f", ColumnTransformer([("n", StandardScaler(), ["a", "b"])])), ("m", LogisticRegression())])
made = export(model.fit(rows, np.arange(300) % 3 == 0), rows, ["a", "b"], 1)
found = f"{hashlib.sha256(made.onnx).hexdigest()} {made.facts}"
"""


def test_the_same_model_gives_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    here: dict[str, Any] = {}
    exec(SAME, here)
    command = [sys.executable, "-W", "ignore", "-c", f"{SAME}\nprint(found)"]
    environment = {"PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1",
                   "HOME": str(tmp_path)}  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert done.stdout.strip() == here["found"], done.stderr
    assert not list(tmp_path.iterdir()), "ONNX Runtime leaves an id of the machine below the home folder"
    assert here["made"].facts["sha256"] == hashlib.sha256(here["made"].onnx).hexdigest()


def test_columns_may_have_names_that_the_converter_would_change(rows_for: Callable[..., pd.DataFrame]) -> None:
    rows = rows_for().rename(columns={"a": "a b", "b": "a_b", "word": "Straße/m²"})
    names = ["a b", "a_b", "Straße/m²"]
    parts = [("n", SimpleImputer(), names[:2]), ("w", OneHotEncoder(handle_unknown="ignore"), names[2:])]
    fitted = Pipeline([("features", ColumnTransformer(parts)), ("model", LogisticRegression())])
    made = export(fitted.fit(rows[names], rows["binary"]), rows, names, 1)
    assert made.facts["path"] == "onnx", made.facts
