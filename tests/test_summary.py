from __future__ import annotations

import json
from typing import Any

import pytest

from mainline.evaluate.latency import Latency
from mainline.summary import _number, _value, _window


@pytest.fixture
def trained(ready: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A scratch project with every stage run, gates that any model passes, and a latency of 2 ms."""
    ready.params["gates"] = {
        "floors": {"roc_auc": 0.1}, "calibration_error": 0.9, "slice_floors": {}, "fairness_gap": None,
        "latency_ms": 50, "size_mb": 5,
    }  # fmt: skip
    ready.write()
    # The behaviours are the example's, and made-up rows need not fulfil them.
    path = ready.folder / "reports" / "evaluation.json"
    evaluation = json.loads(path.read_text())
    for item in evaluation["behaviours"]:
        item["passed"] = True
    path.write_text(json.dumps(evaluation))
    monkeypatch.setattr("mainline.summary.measure_latency", lambda: Latency(2.0, 0.01))
    return ready


def test_everything_on_one_screen(trained: Any) -> None:
    code, output = trained.run("summary")
    assert code == 0, output
    for words in ("1,200 rows in 5 batches, as of 2009-05-31", "rows, 2009-01-01 to 2009-03-18", " to 2009-05-17",
                  "bank: 13 features", "sigmoid calibration", "EUR", "roc_auc", "95% interval", "Gates",
                  "gates passed", "model card: reports/card.html"):  # fmt: skip
        assert words in output, (words, output)
    assert "✗" not in output and output.count("✓") == 15, "fourteen gates, and all of them together"


def test_a_gate_that_is_not_passed_is_exit_code_1_and_an_annotation(trained: Any, monkeypatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    trained.params["gates"]["floors"] = {"roc_auc": 0.999}
    trained.write()
    code, output = trained.run("summary")
    assert code == 1
    assert "::error file=reports/evaluation.json::gate " in output and "roc_auc" in output.split("::error", 1)[1]


@pytest.mark.parametrize(("milliseconds", "code"), [(50.0, 0), (50.1, 1)])
def test_the_latency_of_this_machine_is_a_gate(milliseconds: float, code: int, trained: Any, monkeypatch) -> None:
    monkeypatch.setattr("mainline.summary.measure_latency", lambda: Latency(milliseconds, 0.01))
    assert trained.run("summary")[0] == code


def test_latency_is_printed_with_its_budget(trained: Any, monkeypatch) -> None:
    code, output = trained.run("latency")
    assert code == 0
    assert "✓ one row: 2.00 ms (median; budget 50 ms)" in output
    assert "in blocks of 1,000 rows: 10.0 µs a row" in output
    trained.params["gates"]["latency_ms"] = 1
    trained.write()
    assert "✗ one row" in trained.run("latency")[1]
    trained.params["gates"]["latency_ms"] = None
    trained.write()
    assert "no budget" in trained.run("latency")[1]


def test_latency_is_measured_on_the_model_itself(ready: Any) -> None:
    code, output = ready.run("latency")
    assert code == 0 and " ms (median" in output


def test_what_is_lost_is_said(trained: Any) -> None:
    path = trained.folder / "reports" / "split.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"lost": ["No clock."]}))
    assert "! No clock." in trained.run("summary")[1]


def test_without_a_run_it_says_what_to_run(scratch: Any) -> None:
    code, output = scratch.run("summary")
    assert code == 1 and "reports/validation.json: not there" in output and "dvc repro" in output


def test_words() -> None:
    assert _window({"rows": 1200, "from": "2020-01-01", "to": "2020-02-01"}) == "1,200 rows, 2020-01-01 to 2020-02-01"
    assert _window({"rows": 5, "from": None, "to": None}) == "5 rows"
    assert _value(None) == "no value declared"
    assert (_number(None), _number(0.123456), _number(12345.6)) == ("–", "0.1235", "1.235e+04")
