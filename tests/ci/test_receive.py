from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mainline.ci.receive import Run, finished_run, harmless, receive
from mainline.cli import app
from mainline.errors import UserError
from mainline.github import GitHub

HEAD = "a" * 40
RUN = Run(HEAD, "eve/loans", "success", "https://example.org/run")


@pytest.fixture
def artifact(tmp_path: Path, hub: Any) -> Callable[..., Path]:
    """Return a function that writes an artifact; #7 is the fork's own pull request, #8 someone else's."""
    hub.pulls[7] = {"head": {"sha": HEAD, "repo": {"full_name": "eve/loans"}}}
    hub.pulls[8] = {"head": {"sha": "b" * 40, "repo": {"full_name": "ada/loans"}}}
    hub.pulls[9] = {"head": {"sha": HEAD, "repo": None}}

    def make(number: Any = 7, report: bytes = b"# Promote", verdict: bytes | None = None) -> Path:
        folder = tmp_path / "incoming"
        folder.mkdir()
        (folder / "pull_request.json").write_text(json.dumps({"number": number, "head": HEAD}), encoding="utf-8")
        (folder / "report.md").write_bytes(report)
        if verdict is not None:
            (folder / "verdict.json").write_bytes(verdict)
        return folder

    return make


@pytest.mark.parametrize(
    ("conclusion", "verdict", "state", "words"),
    [
        ("success", {"verdict": "promote"}, "pending", "push its head"),
        ("failure", {"verdict": "promote"}, "failure", "own run failed"),
        ("failure", {"verdict": "reject"}, "failure", "(reject)"),
        ("cancelled", {"verdict": "promote"}, "pending", "cancelled"),
    ],
)
def test_a_fork_can_fail_its_pull_request_but_never_pass_it(
    artifact: Callable[..., Path], server: GitHub, hub: Any, conclusion: str, verdict: dict[str, str], state: str,
    words: str,
) -> None:  # fmt: skip
    run = Run(HEAD, "eve/loans", conclusion, "")
    found, description = receive(artifact(verdict=json.dumps(verdict).encode()), run, server)
    assert found == state and words in description
    assert [item["state"] for item in hub.statuses] == [state]
    assert "a claim, not a verdict" in hub.comments[0]["body"]


@pytest.mark.parametrize("number", [8, 9, 404, 0, -7, True, "7", "7/../8", None, 10**12])
def test_a_number_that_is_not_this_runs_posts_nothing(
    artifact: Callable[..., Path], server: GitHub, hub: Any, number: Any
) -> None:
    with pytest.raises(UserError):
        receive(artifact(number=number), RUN, server)
    assert hub.statuses == [] and hub.comments == []


@pytest.mark.parametrize(
    ("report", "words"),
    [(b"x" * 65_537, "larger"), (b"\xff\xfe", "UTF-8"), (b"a\x1b[31m", "control"), (b"a\x00", "control")],
)
def test_a_report_that_is_no_plain_text_posts_nothing(
    artifact: Callable[..., Path], server: GitHub, hub: Any, report: bytes, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        receive(artifact(report=report), RUN, server)
    assert hub.calls == []


@pytest.mark.parametrize("verdict", [b"[]", b"[" * 100_000, b"nonsense"])
def test_a_verdict_that_is_no_object_posts_nothing(
    artifact: Callable[..., Path], server: GitHub, hub: Any, verdict: bytes
) -> None:
    with pytest.raises(UserError, match=r"verdict\.json"):
        receive(artifact(verdict=verdict), RUN, server)
    assert hub.statuses == [] and hub.comments == []


def test_a_link_out_of_the_artifact_is_not_followed(artifact: Callable[..., Path], server: GitHub, hub: Any) -> None:
    folder = artifact()
    (folder / "report.md").unlink()
    (folder / "report.md").symlink_to("/etc/passwd")
    with pytest.raises(UserError, match="plain file"):
        receive(folder, RUN, server)
    assert hub.calls == []


def test_the_text_calls_nobody_and_loads_nothing() -> None:
    text = harmless("@team ![x](http://h) <img src=1> <IMG src=1> <!-- mainline:verdict -->")
    assert not [part for part in ("@t", "![", "<img", "<IMG", "<!--") if part in text]


def test_the_command_reads_the_workflow_run_event(
    artifact: Callable[..., Path], event: Callable[..., Any], hub: Any, tmp_path: Path
) -> None:
    event()
    found = {"head_sha": HEAD, "head_repository": {"full_name": "eve/loans"}, "conclusion": "failure"}
    (tmp_path / "event.json").write_text(json.dumps({"workflow_run": found}), encoding="utf-8")
    assert finished_run().conclusion == "failure"
    assert CliRunner().invoke(app, ["ci", "receive", str(artifact())]).exit_code == 0
    assert [item["state"] for item in hub.statuses] == ["failure"]
    (tmp_path / "event.json").write_text("{}", encoding="utf-8")
    assert CliRunner().invoke(app, ["ci", "receive", str(tmp_path)]).exit_code == 1
