from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

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
