"""What the champion predicts is put into the challenger's order, or it is said why it cannot be compared."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

from mainline.compare import against
from mainline.compare.against import _aligned, _latency, another_question
from mainline.compare.scoring import CannotScore

ROOT = Path(__file__).parents[2]


@pytest.fixture
def aligned(settings_for: Any, tmp_path: Path) -> Any:
    """Return a function that aligns scores, with params of the champion and classes of both."""

    def align(score: Any, task: str = "binary", old: Any = "ab", new: Any = "ab", rows: int = 2, **theirs: Any) -> Any:
        params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        params["model"]["task"] = task
        positive = "yes" if task == "binary" else None
        params["data"]["positive"] = positive
        settings = settings_for(model__task=task, data__positive=positive)
        for key, value in theirs.items():
            room, name = key.split("__")
            params[room][name] = value
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        challenger: Any = SimpleNamespace(
            settings=settings, rows=range(rows), inputs={"training": {"classes": list(new)}}
        )
        return _aligned(np.asarray(score, dtype=np.float64), challenger, {"classes": list(old)}, tmp_path)

    return align


def test_sound_scores_stay_as_they_are(aligned: Any) -> None:
    assert aligned([0.1, 0.2]).tolist() == [0.1, 0.2]
    assert aligned([1.0, 2.0], task="regression").tolist() == [1.0, 2.0]


def test_classes_are_put_into_the_challengers_order(aligned: Any) -> None:
    found = aligned([[0.1, 0.2, 0.7], [0.3, 0.3, 0.4]], task="multiclass", old="abc", new="cxab")
    assert found.tolist() == [[0.7, 0.0, 0.1, 0.2], [0.4, 0.0, 0.3, 0.3]]
    assert aligned([0.25, 0.5], task="multiclass", new="ba").tolist() == [[0.25, 0.75], [0.5, 0.5]]


@pytest.mark.parametrize(
    ("score", "change", "says"),
    [
        ([0.1, 0.2], {"data__label": "z"}, "something else: data.label was 'z', now 'y'"),
        ([0.1, 0.2], {"data__positive": "no"}, "data.positive was 'no'"),
        ([0.1, 0.2], {"model__task": "regression"}, "model.task was 'regression'"),
        ([0.1, 0.2, 0.3], {}, "3 predictions for 2 rows"),
        ([0.1, np.nan], {}, "not finite"),
        ([[0.1, 0.2, 0.7], [0.1, 0.2, 0.7]], {}, "3 classes apart, the task is binary"),
        ([[0.1, 0.2, 0.7], [0.1, 0.2, 0.7]], {"task": "multiclass", "old": "ab"}, "its classes are a, b"),
        ([[0.1, 0.9], [0.2, 0.8]], {"task": "multiclass", "new": "ac"}, "the challenger's a, c"),
    ],
)
def test_what_cannot_be_compared_is_named(aligned: Any, score: Any, change: Any, says: str) -> None:
    with pytest.raises(CannotScore, match=says):
        aligned(score, **change)


@pytest.mark.parametrize(
    ("mine", "theirs", "ratio"),
    [
        ([10.0], [10.0], 1.0),
        # a busy machine made one of the measurements slow: neither hides a slow model nor accuses a fast one
        ([50.0, 51.0, 50.0], [20.0, 10.0, 10.0], 5.0),
        ([90.0, 12.0], [10.0, 10.0], 1.2),
        ([50.0, 50.0, 50.0], [10.0, 30.0, 30.0], 5.0),
    ],
)
def test_a_busy_machine_decides_nothing(
    mine: Any, theirs: Any, ratio: float, settings_for: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    left = {Path(): mine[1:], tmp_path: theirs[1:]}
    monkeypatch.setattr(against, "predictions", lambda tree, _: SimpleNamespace(latency_ms=left[tree].pop(0)))
    challenger: Any = SimpleNamespace(settings=settings_for(), predicted=SimpleNamespace(latency_ms=mine[0]))
    champion: Any = SimpleNamespace(latency_ms=theirs[0])
    found = _latency(challenger, champion, tmp_path)
    assert found is not None and found["ratio"] == ratio


@pytest.mark.parametrize(
    ("before", "says"),
    [
        ({"project": "shop", "data": {"label": "sold"}}, "data.label was 'sold', now 'y'"),
        ({"project": "shop", "data": {"time": None}}, "data.time was None, now 'contact_date'"),
        ({"project": "shop", "model": {"task": "regression"}}, "model.task was 'regression'"),
        ({"project": "shop"}, ""),  # a new name alone makes no other question
        ({"data": {"label": "sold"}}, ""),  # nor does another label in the same project: that is held
    ],
)
def test_a_champion_of_another_project_is_no_measure(before: Any, says: str, settings_for: Any) -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for room, value in before.items():
        params[room] = params[room] | value if isinstance(value, dict) else value
    found = another_question(settings_for(), yaml.safe_dump(params))
    assert says in found and bool(found) == bool(says)
    assert another_question(settings_for(), None) == another_question(settings_for(), "[") == ""
