from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mainline.ci.event import PullRequest, git, newest, pull_request, put
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
    with pytest.raises(UserError, match="event"):
        pull_request({"GITHUB_EVENT_PATH": str(tmp_path / "e")})
    with pytest.raises(UserError, match="event"):
        pull_request({})


def test_a_head_that_is_no_hash_is_refused(event: Callable[..., PullRequest]) -> None:
    event(head="$(id)")
    with pytest.raises(UserError, match="not a commit's hash"):
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


def test_a_dispatched_run_is_about_the_commit_that_it_has_checked_out_and_asks_nobody(
    event: Callable[..., PullRequest], hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    event()
    git(["init", "--quiet"])
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    git([*identity, "commit", "--quiet", "--allow-empty", "--message=x"])
    main = git(["rev-parse", "HEAD"]).strip()
    known = {"inputs": {"number": "7"}, "repository": {"default_branch": "trunk"}}
    (tmp_path / "event.json").write_text(json.dumps(known), encoding="utf-8")
    for name, value in (("EVENT_NAME", "workflow_dispatch"), ("REF", "refs/heads/topic"), ("SHA", "c" * 40)):
        monkeypatch.setenv(f"GITHUB_{name}", value)
    with pytest.raises(UserError, match="not a commit's hash"):  # the clone does not have the target
        pull_request()
    git(["update-ref", "refs/remotes/origin/trunk", main])
    assert pull_request() == PullRequest(7, "c" * 40, main, "topic", "ada/loans", False, "trunk")
    assert hub.calls == []


def test_the_champion_is_what_the_target_is_at_now(tmp_path: Path) -> None:
    git(["init", "--quiet"], root=tmp_path)
    assert newest("main", tmp_path) is None
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    git([*identity, "commit", "--quiet", "--allow-empty", "--message=x"], root=tmp_path)
    git(["update-ref", "refs/remotes/origin/main", "HEAD"], root=tmp_path)
    assert newest("main", tmp_path) == git(["rev-parse", "HEAD"], root=tmp_path).strip()
    assert newest("--all", tmp_path) is None
