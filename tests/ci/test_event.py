from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from mainline.ci.event import PullRequest, git, pull_request, put
from mainline.errors import UserError


def test_the_event_is_read(event: Callable[..., PullRequest]) -> None:
    made = event()
    assert pull_request() == made and not made.fork


def test_another_repository_is_a_fork(event: Callable[..., PullRequest]) -> None:
    event(home="eve/loans")
    assert pull_request().fork


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pull_request": null}', '{"pull_request": {"number": 7}}'])
def test_another_event_is_a_users_mistake(tmp_path: Path, text: str) -> None:
    (tmp_path / "e").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="no event of a pull request"):
        pull_request({"GITHUB_EVENT_PATH": str(tmp_path / "e")})
    with pytest.raises(UserError, match="no event of a pull request"):
        pull_request({})


def test_a_head_that_is_no_hash_is_refused(event: Callable[..., PullRequest]) -> None:
    event(head="$(id)")
    with pytest.raises(UserError, match="no commit's hash"):
        pull_request()


def test_outputs_are_written_and_a_line_break_cannot_set_another(tmp_path: Path) -> None:
    environment = {"GITHUB_OUTPUT": str(tmp_path / "out")}
    put(environment, docs_only=True, head="abc")
    with pytest.raises(UserError, match="line break"):
        put(environment, head="abc\nlocked=true")
    assert (tmp_path / "out").read_text() == "docs_only=true\nhead=abc\n"


def test_a_planted_hook_does_not_run(tmp_path: Path) -> None:
    git(["init", "--quiet"], root=tmp_path)
    hook = tmp_path / ".git" / "hooks" / "pre-commit"
    hook.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    hook.chmod(0o755)
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    git([*identity, "commit", "--quiet", "--allow-empty", "--message=x"], root=tmp_path)
    with pytest.raises(UserError, match="git rev-parse"):
        git(["rev-parse", "--verify", "nothing"], root=tmp_path)


@pytest.fixture
def dispatched(event: Callable[..., PullRequest], hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that dispatches a run for #7, whose head may be another by then."""
    made = event()

    def put(
        branch: str = "topic", commit: str = made.head, home: str = "ada/loans", state: str = "open"
    ) -> PullRequest:
        sides = {"head": {"sha": made.head, "ref": "topic", "repo": {"full_name": home}},
                 "base": {"sha": made.base, "ref": "main", "repo": {"full_name": "ada/loans"}}}  # fmt: skip
        hub.pulls[7] = {"number": 7, "state": state, **sides}
        (tmp_path / "event.json").write_text('{"inputs": {"number": "7"}}', encoding="utf-8")
        for name, value in (("EVENT_NAME", "workflow_dispatch"), ("REF", f"refs/heads/{branch}"), ("SHA", commit)):
            monkeypatch.setenv(f"GITHUB_{name}", value)
        return made

    return put


def test_a_dispatched_run_is_about_the_same_pull_request_as_its_event_would_be(dispatched: Any, hub: Any) -> None:
    made = dispatched()
    assert pull_request() == made and hub.calls == ["GET /pulls/7"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"commit": "c" * 40}, "this run is at cccccccccccc"),
        ({"branch": "main"}, "of main"),
        ({"home": "eve/loans"}, "from a fork, or not open"),
        ({"state": "closed"}, "from a fork, or not open"),
    ],
)
def test_a_dispatched_run_on_another_commit_is_refused(dispatched: Any, change: dict[str, str], words: str) -> None:
    dispatched(**change)
    with pytest.raises(UserError, match=words):
        pull_request()


def test_later_jobs_take_what_the_first_has_read(dispatched: Any, hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = dispatched()
    monkeypatch.setenv("PULL_REQUEST", json.dumps(asdict(made)))
    assert pull_request() == made and hub.calls == []


def test_what_a_variable_says_never_goes_before_the_event(
    event: Callable[..., PullRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = event()
    monkeypatch.setenv("PULL_REQUEST", json.dumps(asdict(made) | {"number": 8}))
    assert pull_request() == made
