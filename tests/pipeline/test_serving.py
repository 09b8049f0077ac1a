"""The example's real model and rows: the fast path, the request check, and DVC's own hashes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mainline.data.batches import combine, find_batches, read_batch
from mainline.data.split import read_rows
from mainline.errors import UserError
from mainline.project import load_schema, scores
from mainline.serve.request import make_checker
from mainline.serve.scorer import load_scorer
from mainline.serve.start import check_outputs
from mainline.train.artifact import load_model

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def replay(finished: Any) -> pd.DataFrame:
    """Every row of the future, typed."""
    finished.dvc("pull", "--quiet", "replay.dvc")
    row, _ = load_schema("bank")
    rows, violations = combine([read_batch(path) for path in find_batches(finished.folder / "replay")], row.to_schema())
    assert violations == []
    return rows


def test_the_fast_path_predicts_what_the_model_does_on_every_row_there_is(finished: Any, replay: pd.DataFrame) -> None:
    artifacts: Path = finished.folder / "artifacts"
    scorer, model = load_scorer(artifacts), load_model(artifacts / "model.skops")
    assert scorer.path == "onnx"
    compared = 0
    for rows in (read_rows(artifacts / "train.parquet"), read_rows(artifacts / "test.parquet"), replay):
        exact = scores(model, rows)
        assert np.abs(scorer.score(rows) - exact).max() <= 1e-6
        compared += len(rows)
        some = rows.sample(200, random_state=1)
        names = [item["name"] for item in scorer.inputs]
        listed = [{key: getattr(value, "item", lambda v=value: v)() for key, value in row.items()}
                  for row in some[names].to_dict("records")]  # fmt: skip
        assert np.abs(scorer.score_rows(listed) - scores(model, some)).max() <= 1e-6
    assert compared > 44_000


def test_the_request_check_takes_every_row_of_the_future(finished: Any, replay: pd.DataFrame) -> None:
    row, marks = load_schema("bank")
    scorer = load_scorer(finished.folder / "artifacts")
    names = [item["name"] for item in scorer.inputs]
    checker = make_checker(row, marks, names, "y")
    row.to_schema().select_columns(names).validate(replay[names])  # Pandera finds nothing, either
    listed = [
        dict(zip(names, values, strict=True)) for values in zip(*(replay[name].tolist() for name in names), strict=True)
    ]
    assert checker.check(listed).problems == []
    spoiled = [item | {"contact": item["contact"].upper()} for item in listed[:500]]
    assert len(checker.check(spoiled).problems) == 500


def test_what_dvc_pinned_is_what_the_service_finds(finished: Any, finished_copy: Any) -> None:
    check_outputs(finished.folder)
    path = finished_copy.folder / "artifacts" / "serving" / "serving.json"
    path.write_text(path.read_text() + " ")
    with pytest.raises(UserError, match="artifacts/serving: damaged or changed"):
        check_outputs(finished_copy.folder)
