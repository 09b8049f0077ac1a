from __future__ import annotations

import copy
import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt

from mainline.compare.report import CASES, LIMIT, render

HOSTILE = "<script>alert(1)</script>|`a`\n# h @team #123 GH-7 [x](http://evil.example) ![y](//z) www.evil.example"
GROUPS = {
    "job": ("admin.", "blue-collar", "entrepreneur", "housemaid", "management", "retired", "services", "student"),
    "age": ("18-30", "31-45", "46-60", "61+"),
    "contact": ("cellular", "telephone"),
    "housing": ("no", "unknown", "yes"),
}
LINKS = {"Whole report": "https://github.com/o/r/actions/runs/1/artifacts/2"}


def span(value: float, half: float) -> dict[str, float]:
    return {"value": round(value, 6), "low": round(value - half, 6), "high": round(value + half, 6)}


def entry(name: str, better: str, old: float, new: float, half: float) -> dict[str, Any]:
    gap = span(new - old, half)
    worse = gap if better == "lower" else {"value": -gap["value"], "low": -gap["high"], "high": -gap["low"]}
    return {"metric": name, "better": better, "champion": old, "challenger": new, "difference": gap, "worse": worse}


def group(
    names: dict[str, str], rows: int, old: float, gap: float, half: float, name: str = "log_loss"
) -> dict[str, Any]:
    judged = rows >= 100
    return {
        **names, "rows": rows, "judged": judged, "champion": {name: old}, "challenger": {name: round(old + gap, 6)},
        "difference": span(gap, half) if judged else None,
    }  # fmt: skip


def bins(shift: float) -> dict[str, Any]:
    at = [0.03, 0.04, 0.05, 0.06, 0.07, 0.09, 0.11, 0.16, 0.28, 0.47]
    found = [
        {"low": x, "high": x, "rows": 532, "mean_score": x, "mean_label": round(x + shift + 0.02 * (i % 3 - 1), 6)}
        for i, x in enumerate(at)
    ]
    return {"error": round(0.014 + abs(shift), 6), "bins": found}


def worth(total: float, acted: int) -> dict[str, Any]:
    return {
        "value": 0.1, "unit": "EUR", "gain": 80.0, "cost": 8.0, "acted": acted, "total": total,
        "per_row": round(total / 5325, 6), "act_on_all": 12400.0, "act_on_none": 0.0, "best_value": 0.08,
        "best_total": 31000.0, "precision": 0.31, "recall": 0.74,
    }  # fmt: skip


def gate(
    name: str, value: float | None, bound: float | None, direction: str, passed: bool, note: str = ""
) -> dict[str, Any]:
    return {"gate": name, "value": value, "bound": bound, "direction": direction, "passed": passed, "note": note}


def promote() -> dict[str, Any]:
    """A sound challenger, trained on three more batches."""
    rng = np.random.default_rng(5)
    slices = [
        group({"slice": name, "group": value}, int(rng.integers(60, 2600)), round(float(rng.uniform(0.2, 0.5)), 4),
              round(float(rng.normal(-0.003, 0.004)), 4), 0.006)
        for name, values in GROUPS.items() for value in values
    ]  # fmt: skip
    slices[1] = group({"slice": "job", "group": "blue-collar"}, 1103, 0.2871, -0.0183, 0.0071)
    slices[9] = group({"slice": "age", "group": "31-45"}, 2240, 0.3107, 0.0094, 0.0052)
    months = [
        group({"month": "2009-03"}, 512, 0.4871, -0.021, 0.009),
        group({"month": "2009-04"}, 2650, 0.3312, -0.001, 0.005),
        group({"month": "2009-05"}, 2163, 0.2954, -0.0006, 0.004),
    ]
    return {
        "verdict": "promote", "case": "compared",
        "reason": "The log loss is 0.0032 lower than the champion's (95 % interval 0.0009 to 0.0055); gates hold.",
        "reasons": [{"level": "note", "gate": "data", "text": "3 batches were added: `2009-06.csv` and two more."}],
        "against": {"ref": "origin/main", "commit": "452b4e5f" * 5},
        "head": {"commit": "9a1c77d0" * 5, "dirty": False},
        "champion": {"commit": "452b4e5f" * 5, "model_sha256": "ab" * 32, "source": "cache", "reproduced": None,
                     "trained_to": "2009-03-17", "rows": 34211},
        "challenger": {"model_sha256": "cd" * 32, "trained_to": "2009-06-17", "rows": 37840},
        "rows": 5325, "window": {"from": "2009-03-18", "to": "2009-05-17"},
        "primary": "log_loss", "rule": "non_inferior", "margin": 0.005, "level": 0.95, "resamples": 1000,
        "metrics": [
            entry("roc_auc", "higher", 0.6312, 0.6391, 0.0061), entry("log_loss", "lower", 0.3345, 0.3313, 0.0023),
            entry("brier", "lower", 0.0971, 0.0968, 0.0011),
            entry("average_precision", "higher", 0.2514, 0.2611, 0.0052),
        ],
        "slices": slices, "months": months,
        "calibration": {"champion": bins(0.021), "challenger": bins(0.004)},
        "fairness": {"champion": 0.212, "challenger": 0.198},
        "value": {"champion": worth(24120.0, 1834), "challenger": worth(25688.0, 1791), "difference": span(0.29, 0.22)},
        "latency": {"champion_ms": 4.21, "challenger_ms": 4.3, "ratio": 1.02},
        "size": {"champion_mb": 0.152, "challenger_mb": 0.153},
        "gates": [
            gate("primary: log_loss", -0.0009, 0.005, "<=", True, "non-inferior"),
            gate("floor: roc_auc", 0.6391, 0.6, ">=", True), gate("calibration_error", 0.018, 0.05, "<=", True),
            gate("slice floor: roc_auc", 0.561, 0.5, ">=", True, "worst of 15: job = student"),
            gate("fairness_gap", 0.198, None, "<=", True, "switched off in params.yaml"),
        ],
        "changes": {
            "data": {"rows_before": 39536, "rows_after": 43165, "batches_removed": [], "batches_changed": [],
                     "batches_added": ["2009-06.csv", "2009-07.csv", "2009-08.csv"],
                     "drift": [{"column": "poutcome", "effect": 0.142, "bound": 0.1, "verdict": "moved",
                                "gained": "success: 4.1% before, 17.9% now"},
                               {"column": "job", "effect": 0.03, "bound": 0.1, "verdict": "same", "gained": ""}]},
            "params": [{"key": "data.as_of", "before": "2009-05-31", "after": "2009-08-31"}],
            "gates": [], "features": {"added": [], "removed": []}, "dependencies": [], "schema": False, "code": [],
        },
        "lost": [],
    }  # fmt: skip


def reject() -> dict[str, Any]:
    """A worse challenger that also lowers a gate."""
    whole = promote()
    whole |= {
        "verdict": "reject",
        "reason": "The log loss is 0.0214 higher than the champion's (95 % interval 0.0181 to 0.0247).",
        "reasons": [
            {"level": "note", "gate": "changes", "text": "A gate was made looser."},
            {
                "level": "reject",
                "gate": "primary: log_loss",
                "text": "0.0181, must be <= 0.005 (worse beyond the bound)",
            },
            {"level": "hold", "gate": "latency ratio", "text": "could not be computed"},
        ],
        "lost": ["The latency of the champion was not measured: its environment has another Python."],
        "latency": {"champion_ms": None, "challenger_ms": 4.3, "ratio": None},
    }
    whole["metrics"][1] = entry("log_loss", "lower", 0.3345, 0.3559, 0.0033)
    whole["metrics"][0] = entry("roc_auc", "higher", 0.6312, 0.5991, 0.0061)
    whole["gates"] = [
        gate("floor: roc_auc", 0.5991, 0.55, ">=", True),
        gate("primary: log_loss", 0.0181, 0.005, "<=", False, "worse beyond the bound"),
        gate("latency ratio", None, 1.5, "<=", False, "the champion was not measured"),
    ]
    whole["changes"] |= {
        "gates": [
            {"key": "gates.calibration_error", "before": 0.05, "after": 0.03, "looser": False},
            {"key": "gates.floors.roc_auc", "before": 0.6, "after": 0.55, "looser": True},
        ],
        "features": {"added": ["pdays"], "removed": ["euribor3m", "nr_employed"]}, "schema": True,
        "dependencies": [{"package": "scikit-learn", "before": "1.8.0", "after": "1.8.1"},
                         {"package": "xgboost", "before": None, "after": "3.1.0"}],
        "code": ["src/bank/features.py", "src/bank/model.py"],
    }  # fmt: skip
    return whole


def hold() -> dict[str, Any]:
    """Too few rows to tell."""
    whole = promote()
    whole |= {
        "verdict": "hold", "case": "too few rows", "rows": 212,
        "reason": "212 rows are too few: the interval of the difference (-0.021 to 0.034) holds the margin of 0.005.",
        "reasons": [{"level": "hold", "gate": "rows", "text": "212, must be >= 1000"}],
        "metrics": [entry("log_loss", "lower", 0.3345, 0.341, 0.0275)],
        "slices": [group({"slice": "job", "group": "student"}, 41, 0.3, 0.1, 0.1)], "months": [], "value": None,
        "calibration": {"champion": None, "challenger": None}, "latency": None,
        "gates": [gate("rows", 212, 1000, ">=", False, "too few rows")],
    }  # fmt: skip
    whole["head"]["dirty"] = True
    return whole


def first() -> dict[str, Any]:
    whole = promote()
    whole |= {
        "case": "first model", "champion": None, "reason": "There is no champion, and all gates hold.", "changes": None,
        "calibration": {"champion": None, "challenger": bins(0.0)}, "fairness": {"champion": None, "challenger": 0.1},
        "value": {"champion": None, "challenger": worth(1.0, 2)}, "latency": {"challenger_ms": 4.0},
        "size": {"champion_mb": None, "challenger_mb": 0.1}, "against": {"ref": "origin/main", "commit": None},
    }  # fmt: skip
    for key in ("metrics", "slices", "months"):
        for item in whole[key]:
            item |= {"champion": None, "difference": None, "worse": None}
    return whole


def regression() -> dict[str, Any]:
    whole = promote()
    whole |= {
        "primary": "rmse", "value": None, "calibration": {"champion": None, "challenger": None}, "fairness": None,
        "metrics": [entry("rmse", "lower", 1523.4, 1498.8, 12.0), entry("r2", "higher", 0.71, 0.72, 0.02),
                    {"metric": "bias", "better": "lower", "champion": -40.0, "challenger": 3.0,
                     "difference": span(43.0, 9.0), "worse": None}],
        "slices": [group({"slice": "site", "group": "north"}, 400, 1500.0, 60.0, 20.0, "rmse")], "months": [],
    }  # fmt: skip
    return whole


def multiclass() -> dict[str, Any]:
    whole = promote()
    whole |= {
        "primary": "accuracy", "value": None,
        "metrics": [entry("accuracy", "higher", 0.81, 0.84, 0.01), entry("macro_f1", "higher", 0.7, 0.69, 0.02)],
        "slices": [group({"slice": "site", "group": "north"}, 400, 0.8, 0.06, 0.02, "accuracy")], "months": [],
    }  # fmt: skip
    return whole


def of_case(case: str) -> Callable[[], dict[str, Any]]:
    """A verdict without any number of a champion, as each case that cannot be compared leaves it."""

    def make() -> dict[str, Any]:
        return first() | {"case": case, "verdict": "hold", "champion": promote()["champion"] | {"reproduced": False}}

    return make


def nothing(value: Any) -> Any:
    return {key: nothing(item) for key, item in value.items()} if isinstance(value, dict) else None


MADE: dict[str, Callable[[], dict[str, Any]]] = {
    "promote": promote, "reject": reject, "hold": hold, "first": first, "regression": regression,
    "multiclass": multiclass, "empty": dict, "null": lambda: nothing(promote()),
    "identical": lambda: promote() | {"case": "identical model"},
} | {case: of_case(case) for case in CASES}  # fmt: skip


def tables() -> dict[str, pd.DataFrame]:
    x = np.linspace(0, 1, 50)
    made = {}
    for model, power in (("champion", 0.6), ("challenger", 0.5)):
        made[f"{model}/roc.csv"] = pd.DataFrame({"false_positive_rate": x, "true_positive_rate": x**power})
        made[f"{model}/precision_recall.csv"] = pd.DataFrame({"recall": x, "precision": 1 - 0.9 * x**power})
        made[f"{model}/value.csv"] = pd.DataFrame({"threshold": x, "total": 20000 * (1 - x) * x**power})
    return made


class Page(HTMLParser):
    """Collects tags, addresses and text, and fails when a tag is closed that is not open."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for key, value in attrs if key in {"href", "src", "data", "action", "style"}]
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def section(text: str, name: str) -> str:
    assert text.count(f"\n## {name}\n") == 1, name
    return text.split(f"\n## {name}\n")[1].split("\n## ")[0]


def cells(text: str, start: str) -> list[str]:
    (row,) = [line for line in text.splitlines() if line.startswith(f"| {start}")]
    return [cell.strip() for cell in row.strip("|").split(" | ")]


@pytest.mark.parametrize("name", sorted(MADE))
def test_every_case_is_a_sound_comment_and_a_sound_page(name: str) -> None:
    text, page = render(MADE[name](), tables(), LINKS)
    assert len(text.encode()) <= LIMIT and text.endswith("\n") and text.startswith("# ")
    assert not re.search(r"\bNone\b|\bnan\b|\{\}|<!--", text), "an absent value is a dash"
    assert text.count("<details>") == text.count("</details>") and text.count("```") % 2 == 0
    found = Page(page)
    assert not {"script", "img", "link", "iframe"} & set(found.tags)
    assert all(address.startswith("#") or address in LINKS.values() for address in found.addresses)
    assert not re.search(r"url\(|@import|\bNone\b|\bnan\b", page)


@pytest.mark.parametrize(
    ("name", "first_line"),
    [("promote", "# ✅ Promote"), ("reject", "# ❌ Reject"), ("hold", "# ⏸️ Hold"), ("empty", "# ❌ No verdict")],
)
def test_the_verdict_and_its_reason_come_first(name: str, first_line: str) -> None:
    whole = MADE[name]()
    text, page = render(whole)
    assert text.splitlines()[0] == first_line
    assert text.splitlines()[2] == whole.get("reason", "The verdict gives no reason.")
    assert f"<h1>{first_line.split(' ', 2)[2]}</h1>" in page.split("<h2")[0]


def test_a_difference_has_its_interval_and_a_word() -> None:
    table = section(render(promote())[0], "Both models")
    assert "| 95 % interval |" in table and "| :-- | --: | --: | --: | --: | :-- |" in table
    assert cells(table, "log loss") == [
        "log loss (decides)", "0.3345", "0.3313", "-0.0032", "-0.0055 to -0.0009", "▲ better",
    ]  # fmt: skip
    assert cells(table, "Brier")[5] == "≈ unclear"
    whole = promote()
    whole["metrics"] = [entry("log_loss", "lower", 0.3, 0.3, 0.0)]
    assert cells(section(render(whole)[0], "Both models"), "log loss")[5] == "= same"
    assert cells(section(render(reject())[0], "Both models"), "ROC AUC")[5] == "▼ worse"


def test_the_metric_that_decides_is_first() -> None:
    table = section(render(promote())[0], "Both models")
    assert table.index("log loss") < table.index("ROC AUC")


def test_a_signed_metric_is_judged_by_its_size() -> None:
    whole = regression()
    assert cells(section(render(whole)[0], "Both models"), "bias")[5] == "▲ better"
    # From -40 to 41 nothing is gained; the verdict's own "worse" knows, the plain difference does not.
    whole["metrics"][2] |= {"challenger": 41.0, "difference": span(81.0, 9.0), "worse": span(1.0, 9.0)}
    assert cells(section(render(whole)[0], "Both models"), "bias")[5] == "≈ unclear"
    whole["metrics"][2] |= {"challenger": 90.0, "worse": None}
    assert cells(section(render(whole)[0], "Both models"), "bias")[5] == "▼ worse"


def test_higher_is_better_where_it_is() -> None:
    text = render(multiclass())[0]
    assert cells(section(text, "Both models"), "accuracy")[5] == "▲ better"
    assert "▲ better" in section(text, "Slices that moved")
    assert "▼ worse" in section(render(regression())[0], "Slices that moved")


def test_failed_gates_are_open_with_number_bound_and_direction_and_the_others_folded() -> None:
    open_part, folded = section(render(reject())[0], "Gates").split("<details>")
    assert "2 of 3 gates fail." in open_part
    assert cells(open_part, "primary")[1:4] == ["0.0181", "≤ 0.005", "❌ fail"]
    assert cells(open_part, "latency ratio")[1:4] == ["not computed", "≤ 1.5", "❌ fail"]
    assert "floor" not in open_part and "≥ 0.55" in folded
    whole = promote()
    assert "All 5 gates hold." in section(render(whole)[0], "Gates")
    whole["gates"][1] |= {"passed": None}
    assert "1 of 5 gates fails." in section(render(whole)[0], "Gates"), "unknown is not passed"


def test_only_slices_and_months_that_moved_are_open() -> None:
    whole = promote()
    whole["slices"] = [
        group({"slice": "job", "group": "up"}, 500, 0.3, -0.05, 0.01),
        group({"slice": "job", "group": "down"}, 500, 0.3, 0.02, 0.01),
        group({"slice": "job", "group": "still"}, 500, 0.3, 0.009, 0.01),
        group({"slice": "job", "group": "tiny"}, 20, 0.3, 0.5, 0.01),
    ]
    whole["slices"][3]["difference"] = span(0.5, 0.01)  # an interval does not make twenty rows judgeable
    text, page = render(whole)
    open_part, folded = section(text, "Slices that moved").split("<details>")
    assert re.findall(r"`job` \| `(\w+)`", open_part) == ["down", "up"], "the worse one first"
    assert re.findall(r"`job` \| `(\w+)`", folded) == ["still", "tiny"]
    assert "2 of 3 judged slices moved" in open_part and "job: down" in page
    open_part, folded = section(text, "Months that moved").split("<details>")
    assert "2009-03" in open_part and "2009-04" not in open_part and "2009-04" in folded


def test_a_looser_gate_is_at_the_top_and_marked() -> None:
    text, page = render(reject())
    top = text.split("\n## ")[0]
    assert "> [!CAUTION]" in top and "`gates.floors.roc_auc`: `0.6` → `0.55`" in top and "calibration" not in top
    table = section(text, "Changed gates")
    assert table.index("❌ LOOSER") < table.index("✅ not looser")
    assert "LOOSER" in page and page.index("banner bad") < page.index("<h2")
    whole = reject()
    whole["changes"]["gates"] = whole["changes"]["gates"][:1]
    assert "CAUTION" not in render(whole)[0]
    whole["changes"]["gates"][0]["looser"] = None
    assert "CAUTION" in render(whole)[0], "a change that nobody can judge is loud too"


def test_data_params_features_and_dependencies() -> None:
    text = render(reject())[0]
    data = section(text, "Data")
    assert "43,165 rows (before: 39,536, +3,629)" in data and "3 batches added: `2009-06.csv`, " in data
    assert cells(data, "`poutcome`")[1:4] == ["0.142", "0.1", "❌ moved"]
    assert data.index("poutcome") < data.index("<details>") < data.index("`job`")
    both = reject()
    both["changes"]["params"] += both["changes"]["gates"]
    assert "gates" not in section(render(both)[0], "Changed params"), "a gate is shown once"
    assert '| `data.as_of` | `"2009-05-31"` | `"2009-08-31"` |' in section(text, "Changed params")
    features = section(text, "Features and schema")
    assert "1 feature added: `pdays`" in features and "`euribor3m`, `nr_employed`" in features and "schema" in features
    assert "| `xgboost` | new | 3.1.0 |" in section(text, "Changed dependencies")
    whole = promote()
    whole["changes"]["data"]["batches_changed"] = [{"file": "2008-05.csv", "rows": 7}]
    assert "❌ check 1 batch changed: `2008-05.csv (7 rows)`" in section(render(whole)[0], "Data")


def test_calibration_is_a_diagram_in_the_comment_and_a_plot_on_the_page() -> None:
    text, page = render(promote())
    calibration = section(text, "Calibration")
    assert calibration.count("```mermaid\n---\nconfig:") == 2 and calibration.count("\nxychart-beta\n") == 2
    assert "line [3.00, 4.40, 7.40," not in calibration
    bars = re.findall(r"    bar \[(.*)\]", calibration)
    assert [len(bar.split(",")) for bar in bars] == [10, 10]
    assert "challenger 0.018, champion 0.035" in calibration
    assert 'aria-label="Calibration"' in page and "xychart" not in page


def test_curves_of_both_models_are_drawn_when_their_tables_are_given() -> None:
    _, page = render(promote(), tables())
    for name in ("ROC curve", "Precision and recall", "Value of acting, by threshold"):
        picture = page.split(f'aria-label="{name}"')[1].split("</svg>")[0]
        assert picture.count("<polyline") == 2 and ">champion<" in picture
    assert "ROC curve" not in render(promote())[1]
    residuals = pd.DataFrame({"predicted": [1.0, 2.0], "residual": [0.1, None]})
    assert "Residuals: challenger" in render(regression(), {"residuals": residuals})[1]
    confusion = pd.DataFrame({"actual": ["a", "b"], "predicted": ["a", "a"], "rows": [3, 4]})
    assert "Confusion: challenger" in render(multiclass(), {"confusion.csv": confusion})[1]


def test_value_latency_and_size() -> None:
    text = render(promote())[0]
    value = section(text, "Business value")
    assert cells(value, "value in all, EUR")[1:] == ["24,120", "25,688", "+1,568"]
    assert cells(value, "value a row, EUR")[3] == "+0.29 (0.07 to 0.51)"
    assert cells(section(text, "Latency and size"), "one row")[1:] == ["4.21", "4.3", "× 1.02"]
    assert "Business value" not in render(regression())[0]


def test_a_work_tree_with_changes_is_not_called_reproducible() -> None:
    assert "give this verdict again, to the last digit" in render(promote())[0]
    text = render(hold())[0]
    assert "do not give this verdict again" in text and "to the last digit" not in text


def test_columns_that_cannot_be_judged_are_not_called_unmoved() -> None:
    whole = promote()
    whole["changes"]["data"]["drift"][0]["verdict"] = "unbounded"
    data = section(render(whole)[0], "Data")
    assert "like the earlier ones in 1 column; 1 column cannot be judged." in data


def test_the_rule_is_there_only_where_it_was_applied() -> None:
    rule = "Rule: the 95 % interval of the difference must rule out a log loss that is worse by 0.005 or more"
    assert rule in render(promote())[0] and "Rule:" not in render(first())[0]
    assert "must show a better log loss" in render(promote() | {"rule": "superior"})[0]


def test_a_reason_does_not_repeat_its_gate_and_a_hold_is_told_from_a_reject() -> None:
    whole = reject()
    whole["reasons"] = [
        {"level": "reject", "gate": "primary: log_loss", "text": "primary: log_loss: 0.0181, must be 0"}
    ]
    whole["gates"][2]["level"] = "hold"
    text = render(whole)[0]
    assert "- ❌ reject `primary: log_loss`: 0.0181, must be 0" in text and "| ❌ hold |" in section(text, "Gates")


def test_what_is_lost_is_said_once() -> None:
    whole = reject()
    whole["lost"] *= 2
    assert section(render(whole)[0], "What is not known").count("The latency of the champion was not measured") == 1
    assert "What is not known" not in render(promote())[0]


@pytest.mark.parametrize("case", sorted(CASES))
def test_each_case_is_said_in_words(case: str) -> None:
    text, page = render(of_case(case)())
    assert f"**{CASES[case]}**" in text and CASES[case] in Page(page).text


def test_a_first_model_has_no_champion_columns() -> None:
    text, page = render(first(), links=LINKS)
    table = section(text, "The challenger")
    assert "champion" not in table.splitlines()[3] and "0.3313" in table
    assert "the model</summary>" in text and "▲" not in text and "moved" not in text.replace("that moved", "")
    assert "champion" not in section(text, "Latency and size") and "champion" not in section(text, "Business value")
    assert "## Data" not in text and "Slices that moved" not in text and "## Slices" in text


def test_the_commands_hold_commits_and_nothing_else() -> None:
    whole = promote()
    commands = section(render(whole)[0], "How to reproduce")
    for line in (f"git checkout {'9a1c77d0' * 5}", "dvc repro", f"mainline compare --against {'452b4e5f' * 5}", "data"):
        assert line in commands
    whole["against"] = {"ref": "$(rm -rf ~)", "commit": "`rm -rf ~`\n```"}
    whole["head"] = {"commit": "--upload-pack=x", "dirty": False}
    text, page = render(whole)
    block = text.split("```sh\n")[1].split("```")[0]
    assert "rm" not in block.replace("params", "") and "upload-pack" not in block and "<commit of head>" in block
    assert "rm -rf" not in page.split("<pre>")[1].split("</pre>")[0]


def put(value: Any, text: str) -> Any:
    """Return ``value`` with every text and every list of nothing replaced, but for what chooses a path."""
    if isinstance(value, dict):
        keep = {"verdict", "level", "better", "primary", "rule", "metric", "direction"}
        return {
            key: item if key in keep and not isinstance(item, list) else put(item, text) for key, item in value.items()
        }
    if isinstance(value, list):
        return [put(item, text) for item in value]
    return text if isinstance(value, str) else value


def test_nothing_from_data_becomes_markup_a_mention_or_a_reference() -> None:
    whole = put(reject(), HOSTILE)
    text, page = render(whole, tables(), {HOSTILE: "javascript:alert(1)", "b": "https://x.example/) <b>"})
    for drawn in (page,):
        found = Page(drawn)
        assert not {"script", "img", "b ", "iframe"} & set(found.tags)
        assert all(address.startswith("#") for address in found.addresses)
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    flat = [child for token in tokens for child in (token, *(token.children or []))]
    kinds = {token.type for token in flat}
    assert not kinds & {"link_open", "image"}
    allowed = re.compile(r"<details><summary>[^<]*</summary>|</details>")
    for token in flat:
        if token.type in {"html_block", "html_inline"}:
            assert allowed.sub("", token.content).strip() == "", token.content
    outside = " ".join(token.content for token in flat if token.type in {"text", "html_block"})
    assert "alert(1)" in outside, "the text itself is still readable"
    assert not re.search(r"(?i)@team|#123|gh-7|http://|www\.e", outside)


def test_hostile_names_do_not_leave_their_cell() -> None:
    whole = put(reject(), "a|b`c")
    tokens = MarkdownIt("commonmark").enable("table").parse(render(whole)[0])
    widths: list[list[int]] = []
    for token in tokens:
        if token.type == "thead_open":
            widths.append([])
        elif token.type == "tr_open":
            widths[-1].append(0)
        elif token.type in {"th_open", "td_open"}:
            widths[-1][-1] += 1
    assert len(widths) > 8 and all(len(set(rows)) == 1 for rows in widths)


def test_a_long_report_is_cut_at_sections_the_least_important_first() -> None:
    whole = reject()
    whole["slices"] += [
        group({"slice": "s" * 70, "group": f"{n:03d}" + "é" * 70}, 500, 0.3, 0.001, 0.01) for n in range(400)
    ]
    whole["changes"]["code"] = [f"src/{n}/" + "x" * 150 for n in range(400)]
    whole["changes"]["params"] = [{"key": f"k{n}" * 20, "before": "|" * 160, "after": "@" * 150} for n in range(400)]
    whole["changes"]["data"]["drift"] = [
        {"column": "c" * 80, "effect": 0.0, "bound": 0.1, "verdict": "same", "gained": "@|" * 90} for _ in range(400)
    ]
    whole["gates"] += [gate("g" * 250, 1.0, 2.0, "<=", number % 2 == 0, "@" * 280) for number in range(60)]
    text, page = render(whole, None, LINKS)
    assert LIMIT * 0.5 < len(text.encode()) <= LIMIT
    note = next(line for line in text.splitlines() if line.startswith("**Cut to stay below 60,000 bytes:**"))
    assert (
        "columns that did not drift" in note
        and "[Whole report](<https://github.com/o/r/actions/runs/1/artifacts/2>)" in note
    )
    assert "Both models" not in note and "## Both models" in text and "## Gates" in text
    assert text.index("Cut to stay") < text.index("\n## "), "where it cannot be overlooked"
    assert page.count("<td><code>" + "s" * 70) == 400, "the page has it all"
    assert "reports/report.html" in render(whole)[0]


def test_a_table_in_the_comment_says_how_many_rows_it_leaves_out() -> None:
    whole = promote()
    whole["changes"]["params"] = [{"key": f"k{n}", "before": n, "after": None} for n in range(100)]
    text = section(render(whole)[0], "Changed params")
    assert text.count("\n| `k") == 39 and "and 61 more: see report.html" in text


def test_even_a_flood_fits_and_keeps_the_verdict() -> None:
    whole = put(reject(), "@😀|" * 20_000)
    whole["reasons"] = [{"level": "reject", "gate": "é" * 9_000, "text": "@" * 9_000}] * 500
    whole["lost"] = ["#1" * 9_000] * 500
    text, _ = render(whole)
    assert len(text.encode()) <= LIMIT and text.startswith("# ❌ Reject\n\n") and "Cut to stay below" in text
    assert (
        len(render(whole, None, {str(n): "https://a.example/" + "x" * 9_000 for n in range(99)})[0].encode()) <= LIMIT
    )


def test_numbers_that_are_none_nan_or_of_another_kind_are_dashes() -> None:
    whole = promote()
    whole["metrics"][1] |= {
        "challenger": float("nan"),
        "difference": {"value": float("inf"), "low": None, "high": "x"},
        "worse": 3,
    }
    whole["metrics"].append(None)
    whole["slices"].append("x")
    whole["calibration"] = {"champion": "x", "challenger": {"error": None, "bins": [None, {"mean_score": 1}]}}
    row = cells(section(render(whole)[0], "Both models"), "log loss")
    assert row[2:6] == ["–", "–", "–", "–"]


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, item in pairs for place in places(item, (*at, key)))]


@pytest.mark.parametrize("seed", range(50))
def test_a_damaged_verdict_still_makes_a_report(seed: int) -> None:
    rng = random.Random(seed)
    whole = rng.choice([promote, reject, hold, first, regression])()
    junk = [
        None,
        "",
        "`a``<b>`",
        -1,
        1e308,
        float("nan"),
        float("inf"),
        True,
        [],
        {},
        [None],
        ["x"],
        [{}],
        10**400,
        " ",
    ]
    for _ in range(5):
        *way, last = rng.choice(places(whole)[1:])
        spot = whole
        for key in way:
            spot = spot[key]
        spot[last] = copy.deepcopy(rng.choice(junk))
    text, page = render(whole, None, LINKS)
    assert text.startswith("# ") and len(text.encode()) <= LIMIT and page.encode()


def test_equal_inputs_are_equal_bytes_and_inputs_stay_as_they_are() -> None:
    whole = reject()
    before = copy.deepcopy(whole)
    code = (
        "import hashlib, json, sys; from mainline.compare.report import render; "
        "print(hashlib.sha256('|'.join(render(json.load(sys.stdin))).encode()).hexdigest())"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code], input=json.dumps(whole), text=True, capture_output=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "LC_ALL": "C"},
        ).stdout
        for seed in ("0", "1")
    }  # fmt: skip
    assert len(seen) == 1 and whole == before
