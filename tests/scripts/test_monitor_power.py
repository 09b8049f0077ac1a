"""The measurement of the drift rule, in small: few false alarms, every gross fault found, the usual rule cries wolf."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bank.features import COLUMNS
from mainline.config import Monitor

SCRIPT = Path(__file__).parents[2] / "scripts" / "monitor_power.py"
RULES = Monitor()


@pytest.fixture(scope="module")
def power():
    spec = importlib.util.spec_from_file_location("monitor_power", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["monitor_power"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["monitor_power"]


@pytest.fixture
def rows(scratch) -> pd.DataFrame:
    found = pd.concat(scratch.batches.values(), ignore_index=True)[list(COLUMNS)]
    return found.assign(**{"(score)": np.random.default_rng(0).beta(2, 8, len(found)).round(6)})


def test_few_false_alarms_where_the_usual_rule_has_many(power, rows) -> None:
    found = power.false_alarms(rows, RULES, [100, 1000, 10_000], 8, 10)
    assert all(line["alarms"] <= 0.05 and line["issues"] <= 1 for line in found), found
    assert np.mean([line["naive"] for line in found]) >= 0.25, found


def test_without_its_bounds_the_rule_would_cry_wolf(power, rows) -> None:
    # The gate taken out: neither significance nor size is asked for
    lax = RULES.model_copy(update={"alpha": 0.9, "effect": 0.001})
    assert power.false_alarms(rows, lax, [500], 4, 10, compare=False)[0]["alarms"] > 0.5


def test_gross_faults_are_found(power, rows, monkeypatch) -> None:
    chosen = (
        "mean + 0.5 sd (age)",
        "missing 0 → 5 % (age)",
        "cellular → CELLULAR, 10 % of it",
        "unit × 100 on 1 % of rows (age)",
    )
    planted = {name: fault for name, fault in power.faults().items() if name in chosen}
    monkeypatch.setattr(power, "faults", lambda: planted)
    many = pd.concat([rows] * 10, ignore_index=True)  # from a reference of a thousand rows, ten odd ones prove little
    found = power.detection(many, RULES, [1000], 4, 3, compare=False)
    assert len(found) == 4
    for line in found:
        assert line["found"] == 1.0 and line["delay"] == (2.0 if line["fault"].startswith("mean") else 1.0), line


def test_flipped_outcomes_are_found_only_after_their_labels_are_in(power, rows) -> None:
    from mainline.config import load_settings

    few = pd.concat([rows] * 3, ignore_index=True)
    settings = load_settings(SCRIPT.parents[1] / "params.yaml")
    found = {
        line["flipped"]: line for line in power.late_labels(few, settings, [50], 1, shares=(0.2, 0.5), delay=5, days=30)
    }
    assert all(line["before"] == 0 for line in found.values()), found
    assert found[0.5]["found"] == 1.0 and 6 <= found[0.5]["delay"] < found[0.2]["delay"], found
