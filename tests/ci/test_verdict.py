from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mainline.ci.event import PullRequest
from mainline.ci.verdict import Results, judge, post_comment, report_text, write_summary
from mainline.cli import app
from mainline.github import GitHub

HEAD = "a" * 40
SOUND = {"verdict": "promote", "reason": "better", "head": {"commit": HEAD}}


@pytest.mark.parametrize(
    ("check", "train", "docs_only", "change", "state", "words"),
    [
        ("success", "success", False, {}, "success", "promote: better"),
        ("success", "failure", False, {"verdict": "reject"}, "failure", "reject: better"),
        ("success", "failure", False, {"verdict": "hold"}, "failure", "hold: better"),
        ("success", "success", False, {"verdict": "Promote"}, "failure", "Promote"),
        ("success", "failure", False, {}, "failure", "promote does not count"),
        ("success", "skipped", False, {}, "failure", "promote does not count"),
        ("success", "", False, {}, "failure", "promote does not count"),
        ("failure", "skipped", True, {}, "failure", "checks before training"),
        ("success", "skipped", True, {}, "success", "documentation only"),
        ("success", "cancelled", False, {}, "pending", "cancelled"),
        ("cancelled", "skipped", True, {}, "pending", "cancelled"),
        ("success", "success", False, {"head": {"commit": "b" * 40}}, "failure", "another commit"),
        ("success", "success", False, {"head": {"commit": HEAD, "dirty": True}}, "failure", "changed files"),
        ("success", "success", False, {"head": None}, "failure", "another commit"),
        ("success", "success", False, None, "failure", "no verdict"),
    ],
)
def test_only_a_promote_of_this_commit_passes(
    check: str, train: str, docs_only: bool, change: dict[str, Any] | None, state: str, words: str
) -> None:
    verdict = None if change is None else SOUND | change
    found, description = judge(Results(check, train, docs_only), verdict, HEAD)
    assert found == state and words in description


def status(**environment: str) -> int:
    settings = {"CHECK_RESULT": "success", "TRAIN_RESULT": "success", "DOCS_ONLY": "false"} | environment
    result = CliRunner().invoke(app, ["ci", "status"], env=settings)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result.exit_code


def reports(**files: str) -> None:
    Path("reports").mkdir(exist_ok=True)
    for name, text in files.items():
        Path("reports", name.replace("_", ".")).write_text(text, encoding="utf-8")


def test_the_status_is_set_on_the_resulting_head_with_a_check(event: Callable[..., PullRequest], hub: Any) -> None:
    event(head="c" * 40)
    reports(verdict_json=json.dumps(SOUND), report_md="# Promote")
    assert status(HEAD_COMMIT=HEAD, RUN_URL="https://example.org/run") == 0
    assert [(item["sha"], item["state"]) for item in hub.statuses] == [(HEAD, "success")]
    assert [(item["head_sha"], item["conclusion"]) for item in hub.checks] == [(HEAD, "success")]
    assert hub.checks[0]["output"]["summary"] == "# Promote"


def test_a_failure_is_set_and_is_the_exit_code(event: Callable[..., PullRequest], hub: Any) -> None:
    event()
    assert status(TRAIN_RESULT="failure") == 1
    assert [(item["sha"], item["state"]) for item in hub.statuses] == [(HEAD, "failure")]


def test_a_status_that_cannot_be_set_is_an_error(event: Callable[..., PullRequest], hub: Any) -> None:
    event()
    hub.refuse["/statuses/"] = 403
    assert status(DOCS_ONLY="true") == 1


def test_a_check_that_cannot_be_added_is_none(event: Callable[..., PullRequest], hub: Any) -> None:
    event()
    hub.refuse["/check-runs"] = 403
    assert status(DOCS_ONLY="true") == 0 and len(hub.statuses) == 1


def test_a_forks_run_sets_nothing_and_still_fails(event: Callable[..., PullRequest], hub: Any) -> None:
    event(home="eve/loans")
    assert status(TRAIN_RESULT="failure") == 1
    reports(verdict_json=json.dumps(SOUND))
    assert status() == 0
    assert hub.calls == []


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
    assert "| 2009-05.csv | 3 | contact | a\\|b&lt;img> | 4 |" in text and "10 more" in text


def program(folder: Path, script: str) -> dict[str, str]:
    folder.mkdir()
    (folder / "cml").write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (folder / "cml").chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


def test_cml_comments_when_it_is_there(
    tmp_path: Path, event: Callable[..., PullRequest], server: GitHub, hub: Any
) -> None:
    environment = program(tmp_path / "bin", f'echo "$ITERATIVE_DO_NOT_TRACK $@" > {tmp_path}/said')
    assert post_comment(event(), server, environment=environment)
    assert (tmp_path / "said").read_text() == "1 comment update --target=pr/7 --publish=false reports/comment.md\n"
    assert hub.calls == []


@pytest.mark.parametrize("script", ["echo no canvas >&2; exit 1", None])
def test_a_cml_that_fails_or_is_absent_is_a_warning_and_we_post(
    tmp_path: Path, event: Callable[..., PullRequest], server: GitHub, hub: Any, script: str | None,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    found = event()
    reports(report_md="# Promote")
    environment = program(tmp_path / "bin", script) if script else {"PATH": "/nowhere"}
    assert post_comment(found, server, environment=environment)
    assert [item["body"].splitlines()[-1] for item in hub.comments] == ["# Promote"]
    assert ("no canvas" if script else "CML is not here") in capsys.readouterr().out


def test_nothing_that_fails_here_is_an_error(
    event: Callable[..., PullRequest], hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    event()
    monkeypatch.setenv("PATH", "/nowhere")
    hub.refuse["/comments"] = 403
    assert CliRunner().invoke(app, ["ci", "comment"]).exit_code == 0
    monkeypatch.delenv("GITHUB_TOKEN")
    assert CliRunner().invoke(app, ["ci", "comment"]).exit_code == 0


def test_what_stopped_the_run_stands_in_the_report(tmp_path: Path) -> None:
    (tmp_path / "stopped.json").write_text(json.dumps({"problem": "data/1.csv is\nnowhere <b>", "fix": "push it"}))
    text = report_text(tmp_path)
    assert "**data/1.csv is nowhere &lt;b>**" in text and "To mend it: push it" in text


@pytest.mark.parametrize("content", ["", "[]", "{}", '"x"', "null"])
def test_a_note_that_is_none_is_passed_over(tmp_path: Path, content: str) -> None:
    (tmp_path / "stopped.json").write_text(content)
    assert report_text(tmp_path).startswith("## No verdict")
