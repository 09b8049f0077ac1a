from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from typing import Any

import pandas as pd
import pytest
from markdown_it import MarkdownIt

from mainline.config import Settings
from mainline.evaluate.card import render
from mainline.project import Marks

HOSTILE = "<script>alert(1)</script>|`a`\n"


def settings(task: str = "binary", **gates: Any) -> Settings:
    data = {
        "batches": "data", "id": "key", "time": "when", "label": "y", "positive": "yes" if task == "binary" else None,
        "as_of": None, "label_delay_days": 14, "test_window_days": 30, "test_share": 0.2,
        "checks": {"min_rows": 1, "max_age_days": None, "late_rows": "accept", "distribution": "warn", "effect": 0.1,
                   "alpha": 0.01, "separation": 0.9},
    }  # fmt: skip
    model = {
        "task": task, "seed": 7, "estimator": {"C": 1.0}, "calibration": {"method": "sigmoid", "share": 0.1},
        "search": {"enabled": False, "folds": 2, "factor": 2},
    }  # fmt: skip
    bounds = {
        "floors": {}, "calibration_error": None, "slice_floors": {}, "fairness_gap": None, "latency_ms": 50.0,
        "size_mb": 5.0,
    } | gates  # fmt: skip
    primary = {"binary": "log_loss", "multiclass": "accuracy", "regression": "rmse"}[task]
    rules = {"primary": primary, "resamples": 1000, "level": 0.95, "min_rows": 100}
    return Settings.model_validate(
        {
            "project": "toy",
            "data": data,
            "features": {"drop": ["shoe"]},
            "model": model,
            "evaluate": rules,
            "gates": bounds,
        }
    )


MARKS = {
    "key": Marks(pii="hash"), "when": Marks(), "age": Marks(protected=True), "shoe": Marks(), "hat": Marks(),
    "duration": Marks(known="after"), "y": Marks(known="after"),
}  # fmt: skip


def metric(value: float | None, low: float | None, high: float | None, better: str = "lower") -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "better": better}


def slice_(group: str, value: float | None, rows: int = 500, name: str = "log_loss") -> dict[str, Any]:
    return {
        "slice": "job", "group": group, "rows": rows, "judged": rows >= 100, "metrics": {name: value},
        "mean_score": 0.1, "mean_label": 0.12,
    }  # fmt: skip


def inputs() -> dict[str, Any]:
    """A binary model with everything."""
    batch = {"file": "2009-05.csv", "rows": 1000, "from": "2009-05-01", "to": "2009-05-31", "sha256": "ab" * 32}
    return {
        "validation": {
            "passed": True, "rows": 1000, "batches": [batch], "violations": [], "lost": ["No history."],
            "distribution": [{"column": "age", "effect": 0.4, "bound": 0.1, "p": 0.0, "verdict": "moved"}],
        },
        "split": {
            "as_of": "2009-05-31", "label_delay_days": 14, "kind": "time", "lost": ["No history."],
            "train": {"rows": 800, "from": "2008-05-05", "to": "2009-03-17", "batches": []},
            "test": {"rows": 200, "from": "2009-03-18", "to": "2009-05-17", "batches": []},
            "unlabelled": {"rows": 10}, "later": {"rows": 0},
        },
        "training": {
            "task": "binary", "columns": ["age"], "classes": None, "rows": 800, "estimator": {"C": 1.0},
            "calibration": {"method": "sigmoid", "rows": 80}, "search": None, "seed": 7, "prior": 0.1,
            "separation": [{"column": "duration", "score": 0.81, "kept": False,
                            "reason": "known only after the event"}],
        },
        "evaluation": {
            "task": "binary", "primary": "log_loss", "level": 0.95, "resamples": 1000, "rows": 200,
            "metrics": {"roc_auc": metric(0.63, 0.6, 0.66, "higher"), "log_loss": metric(0.3345, 0.32, 0.35)},
            "baseline": {"log_loss": 0.3612, "roc_auc": 0.5},
            "slices": [slice_("good", 0.2), slice_("tiny", 0.9, rows=20), slice_("bad", 0.5), slice_("none", None)],
            "months": [{"month": "2009-04", "rows": 150, "judged": True, "metrics": {"log_loss": 0.4},
                        "mean_score": 0.12, "mean_label": 0.44}],
            "calibration": {"error": 0.03, "bins": [
                {"low": 0.0, "high": 0.1, "rows": 100, "mean_score": 0.05, "mean_label": 0.06}]},
            "threshold": {"value": 0.1, "unit": "EUR", "gain": 80.0, "cost": 8.0, "acted": 1234, "total": 16400.0,
                          "per_row": 3.08, "act_on_all": -500.0, "act_on_none": 0.0, "best_value": None,
                          "best_total": 0.0, "precision": 0.19, "recall": None},
            "behaviours": [
                {"kind": "invariance", "name": "length unseen", "value": 0.0, "bound": 1e-9, "direction": "<=",
                 "passed": True, "detail": ""},
                {"kind": "robustness", "name": "holes", "value": None, "bound": 0.02, "direction": "<=",
                 "passed": False, "detail": "the change fails"}],
            "fairness": [{"column": "age", "metric": "true positive rate", "gap": 0.2, "groups": [
                {"group": "18-30", "rows": 120, "positives": 30, "value": 0.5, "selected": 0.4, "judged": True}]}],
            "size_mb": 0.152,
            "gates": [
                {"gate": "floor: roc_auc", "value": 0.63, "bound": 0.6, "direction": ">=", "passed": True, "note": ""},
                {"gate": "fairness_gap", "value": 0.2, "bound": None, "direction": "<=", "passed": True, "note": "off"},
                {"gate": "behaviour: holes", "value": None, "bound": 0.02, "direction": "<=", "passed": False,
                 "note": "the change fails"}],
            "lost": ["Latency is measured elsewhere."],
        },
        "settings": settings(), "project_marks": MARKS, "about": "Will the client buy?\n\nA second paragraph.",
        "plots": {
            "roc.csv": pd.DataFrame({"false_positive_rate": [0.0, 1.0], "true_positive_rate": [0.0, 1.0]}),
            "precision_recall.csv": pd.DataFrame({"recall": [0.0, 1.0], "precision": [1.0, 0.1]}),
            "calibration.csv": pd.DataFrame({"mean_score": [0.1, None], "mean_label": [0.2, None], "rows": [9, 0]}),
            "value.csv": pd.DataFrame({"threshold": [0.0, 0.5], "total": [-500.0, 16000.0]}),
        },
    }  # fmt: skip


def changed(**parts: Any) -> dict[str, Any]:
    """Return the inputs with ``evaluation={"months": []}`` and the like put in."""
    whole = inputs()
    for name, part in parts.items():
        whole[name] = {**whole[name], **part} if isinstance(part, dict) and name != "plots" else part
    return whole


def section(text: str, name: str) -> str:
    return text.split(f"## {name}\n")[1].split("\n## ")[0]


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for key, value in attrs if key in {"href", "src", "data", "action", "style"}]


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    return reader


def test_the_summary_says_what_how_good_and_whether_it_passes() -> None:
    text, page = render(**inputs())
    first = text.split("\n\n")[1]
    assert first == (
        "Predicts the probability that `y` is `yes`. On 200 rows from 2009-03-18 to 2009-05-17 that training never "
        "saw, its log loss is 0.3345 (95 % interval 0.32 to 0.35), against 0.3612 for a constant prediction. "
        "1 of 2 gates pass."
    )
    assert page.startswith("<!DOCTYPE html>") and "Will the client buy?" in page and "A second paragraph." in text


def test_the_page_needs_no_network_and_no_script() -> None:
    _, page = render(**inputs())
    reader = read(page)
    assert "script" not in reader.tags and "img" not in reader.tags and "link" not in reader.tags
    assert all(link.startswith("#") for link in reader.links)
    assert not re.search(r"https?:|url\(|@import", page)
    assert reader.tags.count("svg") == 7


def test_every_link_of_the_page_has_its_section() -> None:
    _, page = render(**inputs())
    assert {link[1:] for link in read(page).links} == set(re.findall(r'<h2 id="([^"]+)"', page))


def test_gates_show_number_direction_bound_and_verdict() -> None:
    text, _ = render(**inputs())
    gates = section(text, "Gates")
    assert "| floor: roc\\_auc | 0.63 | ≥ 0.6 | ✅ pass |  |" in gates
    assert "| behaviour: holes | – | ≤ 0.02 | ❌ fail | the change fails |" in gates
    assert "| fairness\\_gap | 0.2 | – | off | off |" in gates
    assert "50 ms" in gates and "0.152 MB" in gates
    assert "The gate `behaviour: holes` fails" in section(text, "Limits")


def test_slices_are_worst_first_and_the_unjudged_last() -> None:
    text, page = render(**inputs())
    groups = re.findall(r"\| `job` \| `(\w+)` \|", section(text, "By slice"))
    assert groups == ["bad", "good", "none", "tiny"]
    assert "not judged" in section(text, "By slice").split("`tiny`")[1]
    assert page.index("job: bad") < page.index("job: good")


def test_slices_are_worst_first_when_higher_is_better() -> None:
    slices = [slice_("high", 0.9, name="accuracy"), slice_("low", 0.4, name="accuracy")]
    whole = changed(
        evaluation={"primary": "accuracy", "metrics": {"accuracy": metric(0.7, 0.6, 0.8, "higher")}, "slices": slices},
        training={"classes": ["a", "b"]}, settings=settings("multiclass"),
    )  # fmt: skip
    text, _ = render(**whole)
    assert re.findall(r"\| `job` \| `(\w+)` \|", text) == ["low", "high"]


def test_threshold_and_value_are_in_words() -> None:
    value = section(render(**inputs())[0], "Threshold and value")
    assert "Act when the probability is at least 0.10: a hit is worth EUR 80, every act costs EUR 8." in value
    assert "1,234 acts for 200 rows" in value and "worth EUR 16,400 in all, EUR 3.08 a row" in value
    assert "Acting on every row would have been worth EUR -500" in value
    assert "they found – of all positives" in value and "hindsight" not in value


def test_features_and_columns_left_out_have_a_reason() -> None:
    text = section(render(**inputs())[0], "Features")
    assert "1 feature: `age`." in text
    for row in (
        "| `key` | the key of a row | – |",
        "| `when` | the time of a row | – |",
        "| `shoe` | dropped in params.yaml (features.drop) | – |",
        "| `hat` | not among the project's features | – |",
        "| `duration` | known only after the event | 0.81 |",
        "| `y` | the label | – |",
    ):
        assert row.replace("_", "\\_") in text
    assert "| `key` | hashed in logs and reports | – | no |" in text
    assert "| `age` | – | yes, gaps are measured | yes |" in text


def test_data_states_lineage_clock_and_windows() -> None:
    text = section(render(**inputs())[0], "Data")
    assert "1 batch, 1,000 rows." in text and "As-of date: 2009-05-31" in text and "14 days" in text
    assert "| `2009-05.csv` | 1,000 | 2009-05-01 | 2009-05-31 | `abababababab` |" in text
    assert "| test | 200 | 2009-03-18 | 2009-05-17 |" in text and "as-of date |" not in text


def test_limits_hold_each_lost_sentence_once_and_the_cautions() -> None:
    text = section(render(**inputs())[0], "Limits")
    assert text.count("No history.") == 1 and "Latency is measured elsewhere." in text
    assert "in 2009-04" in text and "predicted 12.0 %, observed 44.0 %" in text
    assert "1 slice with fewer than 100 rows" in text and "differs from the earlier ones in `age`" in text


@pytest.mark.parametrize(
    ("label", "bound", "warns"),
    [(0.44, None, True), (0.44, 0.5, False), (0.13, None, False), (0.13, 0.005, True), (None, None, False)],
)
def test_calibration_drift_between_months_is_a_caution(label: float | None, bound: float | None, warns: bool) -> None:
    month = {"month": "2009-04", "rows": 150, "judged": True, "metrics": {}, "mean_score": 0.12, "mean_label": label}
    whole = changed(evaluation={"months": [month]}, settings=settings(calibration_error=bound))
    assert ("Calibration moves" in render(**whole)[0]) == warns
    whole["evaluation"]["months"] = [{**month, "rows": 5, "judged": False}]
    assert "Calibration moves" not in render(**whole)[0], "five rows can be chance"


def test_a_small_month_far_beyond_chance_is_a_caution_too() -> None:
    month = {"month": "2009-03", "rows": 87, "judged": False, "metrics": {}, "mean_score": 0.15, "mean_label": 0.43}
    assert "Calibration moves" in render(**changed(evaluation={"months": [month]}))[0]


@pytest.mark.parametrize(("high", "warns"), [(0.35, False), (0.3612, True), (0.5, True), (None, False)])
def test_an_interval_that_reaches_the_constant_is_a_caution(high: float | None, warns: bool) -> None:
    low = None if high is None else 0.3
    whole = changed(evaluation={"metrics": {"log_loss": metric(0.33, low, high)}})
    assert ("includes a constant prediction" in render(**whole)[0]) == warns


def test_without_time_value_slices_or_anything_declared() -> None:
    whole = changed(
        validation={"batches": [{"file": "a.csv", "rows": 9, "from": None, "to": None, "sha256": "cd" * 32}],
                    "distribution": []},
        split={"as_of": None, "label_delay_days": None, "kind": "random", "unlabelled": None,
               "test": {"rows": 3, "from": None, "to": None}, "train": {"rows": 6, "from": None, "to": None}},
        evaluation={"months": [], "slices": [], "threshold": None, "behaviours": [], "fairness": [], "gates": [],
                    "calibration": None, "baseline": {}, "size_mb": None,
                    "metrics": {"log_loss": metric(None, None, None)}},
        settings=settings(latency_ms=None), plots={}, about="", project_marks={"y": Marks()},
    )  # fmt: skip
    text, page = render(**whole)
    for name in ("By month", "By slice", "Threshold and value", "Behaviour", "Fairness", "Calibration"):
        assert f"## {name}" not in text and f">{name}</h2>" not in page
    assert "No gate is switched on." in text and "drawn at random" in text and "could not be computed" in text
    assert "None" not in text and "nan" not in text and "There is no latency budget." in text


def test_multiclass_shows_the_confusion_matrix() -> None:
    table = pd.DataFrame({"actual": ["a", "a", "b"], "predicted": ["a", "b", "b"], "count": [8, 2, 5]})
    whole = changed(
        training={"classes": ["a", "b", "c"]}, settings=settings("multiclass"), plots={"confusion": table},
        evaluation={"primary": "accuracy", "metrics": {"accuracy": metric(0.7, 0.6, 0.8, "higher")},
                    "baseline": {"accuracy": 0.4}, "threshold": None,
                    "months": [{**slice_("x", 0.7, name="accuracy"), "month": "2009-04",
                                                   "mean_score": [0.1, 0.2], "mean_label": [0.1, 0.3]}]},
    )  # fmt: skip
    text, page = render(**whole)
    assert "3 classes of `y`" in text and "a predicted as b: 2 of 10" in page and "c predicted as c: 0 of 0" in page
    assert page == render(**{**whole, "plots": {"confusion.csv": table.rename(columns={"count": "rows"})}})[1]


def test_regression_shows_residuals_and_big_numbers() -> None:
    table = pd.DataFrame({"predicted": [1e5, 2e5], "actual": [1.1e5, 1.8e5], "residual": [1e4, -2e4]})
    whole = changed(
        settings=settings("regression"), plots={"residuals.csv": table},
        evaluation={"primary": "rmse", "metrics": {"rmse": metric(12345.6, 11000.2, 13000.0)},
                    "baseline": {"rmse": 50000.0},
                    "threshold": None, "calibration": None, "slices": [slice_("a", 9000.0, name="rmse")]},
    )  # fmt: skip
    text, page = render(**whole)
    assert "the value of `y`" in text and "12,346 (95 % interval 11,000 to 13,000)" in text
    assert ">Residuals<" in page and "Calibration moves" not in text


def test_text_from_data_is_harmless_in_both_formats() -> None:
    text = json.dumps(
        {key: value for key, value in inputs().items() if key in ("validation", "split", "training", "evaluation")}
    )
    for word in ("bad", "age", "2009-05.csv", "2009-04", "No history.", "length unseen", "the change fails", "18-30",
                 "EUR", "known only after the event", "floor: roc_auc"):  # fmt: skip
        assert word in text
        text = text.replace(json.dumps(word), json.dumps(HOSTILE))
    whole = {**inputs(), **json.loads(text), "project_marks": {**MARKS, HOSTILE: Marks(pii="drop")}, "about": HOSTILE}
    markdown, page = render(**whole)
    assert "script" not in read(page).tags
    tokens = MarkdownIt("commonmark").enable("table").parse(markdown)
    html = [item for token in tokens for item in (token, *(token.children or [])) if item.type.startswith("html")]
    assert {re.sub(r"[^a-z]", "", item.content.lower().split("summary>")[0]) for item in html} <= {"details"}
    assert all("<script" not in item.content for item in html)
    for table in re.findall(r"(?m)(?:^\|.*\n)+", markdown):
        widths = {len(re.findall(r"(?<!\\)\|", row)) for row in table.strip().splitlines()}
        assert len(widths) == 1, f"a row has other cells than its head:\n{table}"


def test_equal_inputs_give_equal_bytes_whatever_the_hash_seed() -> None:
    script = "import hashlib, test_card as t; print(hashlib.sha256(repr(t.render(**t.inputs())).encode()).hexdigest())"
    here = os.path.dirname(__file__)  # noqa: PTH120
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([here, *(path for path in sys.path if path)])}
    runs = [
        subprocess.run(
            [sys.executable, "-c", script], env=environ | {"PYTHONHASHSEED": seed}, capture_output=True, text=True
        )
        for seed in ("1", "2")
    ]
    assert runs[0].returncode == 0, runs[0].stderr
    assert runs[0].stdout == runs[1].stdout


def test_the_inputs_are_not_changed() -> None:
    whole = inputs()
    before = copy.deepcopy({key: value for key, value in whole.items() if key != "plots"})
    render(**whole)
    assert {key: value for key, value in whole.items() if key != "plots"} == before
