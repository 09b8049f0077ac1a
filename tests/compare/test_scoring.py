"""The command that scores rows with the code of a commit, and what its failures are called."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mainline.compare.scoring import CannotScore, _reason, predictions
from mainline.data.split import read_rows
from mainline.files import read_json
from mainline.paths import MODEL, TEST
from mainline.project import load_project, scores
from mainline.train.artifact import load_model


def test_predict_writes_the_scores_of_the_model(ready: Any) -> None:
    code, output = ready.run("predict", str(TEST), "out.npy", "--latency", "latency.json")
    assert code == 0, output
    found = np.load("out.npy", allow_pickle=False)
    model = load_model(MODEL, load_project("bank").trusted)
    assert found.dtype == np.float64
    assert np.array_equal(found, scores(model, read_rows(TEST)))
    assert read_json(ready.folder / "latency.json")["single_ms"] > 0
    assert [path.name for path in ready.folder.glob(".*.part")] == []


def test_predict_shows_the_model_nothing_known_only_afterwards(ready: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def spy(model: Any, frame: Any) -> Any:
        seen.append(list(frame.columns))
        return scores(model, frame)

    monkeypatch.setattr("mainline.project.scores", spy)
    assert ready.run("predict", str(TEST), "out.npy")[0] == 0
    assert not {"y", "duration", "_batch", "_line"} & set(seen[0]) and "age" in seen[0]


def test_predict_without_a_model_says_what_to_do(scratch: Any) -> None:
    code, output = scratch.run("predict", "nowhere.parquet", "out.npy")
    assert code == 1 and "nowhere.parquet: not there" in output


def test_a_process_that_fails_is_named(tmp_path: Any) -> None:
    with pytest.raises(CannotScore):
        predictions(tmp_path, tmp_path / "rows.parquet")


@pytest.mark.parametrize(
    ("stderr", "reason"),
    [
        ("Usage: …\n│ No such command 'predict'. │\n", "its version of mainline has no `mainline predict`"),
        ("✗ rows.parquet: not there\n  fix: run it\n", "rows.parquet: not there"),
        ("Traceback\n  File x\nValueError: columns are missing: {'age'}\n", "ValueError: columns are missing: {'age'}"),
        ("", "it failed without a word"),
    ],
)
def test_reasons(stderr: str, reason: str) -> None:
    assert _reason(stderr) == reason
