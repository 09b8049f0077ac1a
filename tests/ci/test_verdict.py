from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mainline.ci.event import PullRequest
from mainline.ci.verdict import report_text, write_summary

HEAD = "a" * 40


def reports(**files: str) -> None:
    Path("reports").mkdir(exist_ok=True)
    for name, text in files.items():
        Path("reports", name.replace("_", ".")).write_text(text, encoding="utf-8")


def test_the_summary_shows_the_report_and_notes_whose_it_is(event: Callable[..., PullRequest]) -> None:
    reports_of = event()
    reports(report_md="# Reject\n")
    write_summary(reports_of)
    assert Path(os.environ["GITHUB_STEP_SUMMARY"]).read_text() == "# Reject\n\n"
    assert json.loads(Path("reports/pull_request.json").read_text()) == {"number": 7, "head": HEAD}


def test_a_summary_stays_below_a_mebibyte(event: Callable[..., PullRequest]) -> None:
    found = event()
    reports(report_md="ä\n" * 1_000_000)
    write_summary(found)
    assert Path(os.environ["GITHUB_STEP_SUMMARY"]).stat().st_size < 1024 * 1024


def test_without_a_report_the_violations_are_shown(event: Callable[..., PullRequest]) -> None:
    found = event()
    entry = {"batch": "2009-05.csv", "line": 3, "column": "contact", "check": "a|b<img>", "count": 4}
    reports(validation_json=json.dumps({"violations": [entry] * 30}))
    write_summary(found)
    text = Path("reports/report.md").read_text()
    assert "| `2009-05.csv` | `3` | `contact` | `a¦b‹img›` | `4` |" in text and "10 more" in text


def test_what_stopped_the_run_stands_in_the_report(tmp_path: Path) -> None:
    (tmp_path / "stopped.json").write_text(json.dumps({"problem": "data/1.csv is\nnowhere <b>", "fix": "push it"}))
    text = report_text(tmp_path)
    assert "\n`data/1.csv is nowhere ‹b›`\n" in text and "What helps: `push it`" in text


@pytest.mark.parametrize("content", ["", "[]", "{}", '"x"', "null"])
def test_a_note_that_is_none_is_passed_over(tmp_path: Path, content: str) -> None:
    (tmp_path / "stopped.json").write_text(content)
    assert report_text(tmp_path).startswith("## No verdict")


def test_checks_that_failed_are_named_and_no_verdict_of_an_earlier_run_is_shown(
    event: Callable[..., PullRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = event()
    monkeypatch.setenv("CHECK_RESULT", "failure")
    write_summary(found)
    text = Path("reports/report.md").read_text()
    assert "make check" in text and Path(os.environ["GITHUB_STEP_SUMMARY"]).read_text() == f"{text}\n"
