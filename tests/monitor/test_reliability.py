"""Levels of the score and what became of them, merged over windows."""

from __future__ import annotations

import numpy as np
import pytest

from mainline.monitor.reliability import outcome_profile, reliability


def test_months_add_up_and_a_calibrated_score_keeps_its_word() -> None:
    generator = np.random.default_rng(0)
    score = generator.random(40_000)
    y = (generator.random(40_000) < score).astype(int)
    whole = outcome_profile(y, score, "binary")
    parts = [outcome_profile(y[part], score[part], "binary") for part in np.split(np.arange(40_000), [100, 9000])]
    assert (parts[0] + parts[1] + parts[2]).to_dict() == whole.to_dict()
    table = reliability(whole)
    assert len(table) == 20 and sum(line["rows"] for line in table) == 40_000
    for line in table:
        assert line["share"] == pytest.approx((line["low"] + line["high"]) / 2, abs=0.04)


def test_several_classes_count_how_often_the_top_one_was_right() -> None:
    score = np.array([[0.7, 0.2, 0.1], [0.1, 0.7, 0.2], [0.2, 0.2, 0.6]])
    found = reliability(outcome_profile(np.array([0, 0, 2]), score, "multiclass"))
    assert [(line["high"], line["rows"], line["share"]) for line in found] == [(0.6, 1, 1.0), (0.7, 2, 0.5)]
    assert outcome_profile(np.array([1.0]), np.array([1.0]), "regression") is None
