"""Check rows: which rows, which scores, and when two sets of scores are the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mainline.evaluate import check_rows as room
from mainline.evaluate.check_rows import CheckRows, Compared, apart, compare_scores

POSITIONS = tuple(range(0, 600, 2))


def reference(scores: Any = None) -> CheckRows:
    return CheckRows("binary", POSITIONS, np.linspace(0.01, 0.99, 300) if scores is None else np.asarray(scores))


def all_rows(check: CheckRows) -> Any:
    """Return scores of 600 rows that are those of ``check`` where it looks."""
    found = np.full((600, *check.scores.shape[1:]), 0.5)
    found[list(check.positions)] = check.scores
    return found


def test_other_last_digits_are_the_same_scores() -> None:
    check = reference()
    assert compare_scores(check, all_rows(check)) == Compared(True, 300, 0.0, ())
    found = compare_scores(check, all_rows(check) + 3e-12)
    assert found.equal and found.largest == pytest.approx(3e-12, rel=1e-3)
    assert found.words() == "largest difference 3e-12 on 300 check rows"


def test_one_row_of_300_that_differs_by_a_thousandth_is_another_model() -> None:
    check, scores = reference(), all_rows(reference())
    scores[42] += 1e-3
    scores[44] += 2e-9
    found = compare_scores(check, scores)
    assert not found.equal and found.largest == pytest.approx(1e-3)
    assert [item.position for item in found.examples] == [42, 44]
    assert found.shown().startswith(f"row 42: {check.scores[21]:.10g} → {check.scores[21] + 1e-3:.10g}")
    assert found.row()["examples"][0]["found"] == scores[42]


@pytest.mark.parametrize(("change", "equal"), [(0.9e-6, True), (1.1e-6, False)])
def test_the_tolerance_is_that_of_golden_rows(change: float, equal: bool) -> None:
    from mainline.release import golden

    assert golden.TOLERANCE == room.TOLERANCE == 1e-6
    assert compare_scores(reference(), all_rows(reference()) + change).equal is equal


def test_beyond_one_the_difference_is_relative() -> None:
    check = reference(np.full(300, 5000.0))
    found = compare_scores(check, all_rows(check) + 4e-3)
    assert found.equal and found.largest == pytest.approx(apart(5000.004, 5000.0)) == pytest.approx(8e-7)


@pytest.mark.parametrize("missing", [np.nan, np.inf])
def test_a_score_that_is_no_number_equals_nothing_not_even_itself(missing: float) -> None:
    scores = np.linspace(0, 1, 300)
    scores[7] = missing
    check = CheckRows.read(json.loads(json.dumps(reference(scores).document(), allow_nan=False)))
    found = compare_scores(check, all_rows(reference(scores)))
    assert not found.equal and found.largest is None and found.examples[0].reference is None
    assert not compare_scores(reference(), all_rows(check)).equal
    assert "missing or not finite" in found.words() and "row 14: none → none" in found.shown()


def test_scores_of_another_shape_or_of_fewer_rows_are_not_the_same() -> None:
    check = reference()
    for scores in (all_rows(check)[:500], np.column_stack([all_rows(check)] * 2)):
        assert compare_scores(check, scores) == Compared(False, 300, None)
    classes = reference(np.full((300, 3), 1 / 3))
    assert compare_scores(classes, all_rows(classes)).equal
    scores = all_rows(classes)
    scores[6, 1] += 1e-3
    assert compare_scores(classes, scores).examples[0].found == scores[6, 1]


def test_the_file_gives_back_every_digit() -> None:
    check = reference(np.random.default_rng(1).random((300, 2)))
    again = CheckRows.read(json.loads(json.dumps(check.document())))
    assert (again.scores == check.scores).all() and again.positions == POSITIONS


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, "version 1"),
        ({"positions": [0, -1]}, "row numbers"),
        ({"positions": [True]}, "row numbers"),
        ({"scores": ["x"] * 300}, "not numbers"),
        ({"scores": [0.5]}, "not one score"),
        ({"positions": [], "scores": []}, "not one score"),
    ],
)
def test_what_is_no_such_file_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        CheckRows.read(reference().document() | change)
    with pytest.raises(ValueError, match="version 1"):
        CheckRows.read([])


def test_rare_rows_and_numbers_are_bounded(monkeypatch: pytest.MonkeyPatch, scratch: Any) -> None:
    """Fifty categories in each of many columns would make a check row of every row."""
    from mainline.project import load_project

    settings, project = scratch.settings(), load_project("bank")
    rows = pd.concat(scratch.batches.values(), ignore_index=True)
    training = {"columns": ["age", "job", "month"], "task": "binary"}
    monkeypatch.setattr(room, "places", lambda _: (list(range(0, 900, 3)), list(range(1, 1200, 2))))
    for width, most in ((1, 600), (100, 300)):
        monkeypatch.setattr("mainline.project.scores", lambda model, frame, k=width: np.zeros((len(frame), k)))
        found = room.check_rows(rows, None, project, settings, training)
        assert len(found.positions) == len(set(found.positions)) <= most
        assert list(found.positions) == sorted(found.positions)


def test_the_scores_are_those_that_predict_gives(ready: Any, tmp_path: Path) -> None:
    from mainline.compare.scoring import predict_rows

    content = json.loads((ready.folder / "artifacts/check.json").read_text(encoding="utf-8"))
    check = CheckRows.read(content)
    predict_rows(ready.folder / "artifacts/test.parquet", tmp_path / "scores.npy")
    assert (np.load(tmp_path / "scores.npy")[list(check.positions)] == check.scores).all()
    assert 100 <= len(check.positions) <= room.ROWS + room.RARE
    assert (ready.folder / "artifacts/check.json").stat().st_size < 20_000
