"""A pull request's environment: an event file, the runner's files, and the stand-in for GitHub."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mainline.ci.event import PullRequest
from mainline.github import GitHub

HEAD, BASE = "a" * 40, "b" * 40
REPOSITORY = "ada/loans"


@pytest.fixture
def server(hub: Any, api: Any) -> GitHub:
    """A connection to the stand-in."""
    return GitHub(REPOSITORY, api.TOKEN, hub.url)


@pytest.fixture
def event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: Any, api: Any) -> Callable[..., PullRequest]:
    """Return a function that puts an event and the runner's files in place, in an empty working folder."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"):
        monkeypatch.setenv(name, str(tmp_path / name))
        (tmp_path / name).touch()
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(tmp_path / "event.json"))
    monkeypatch.setenv("GITHUB_REPOSITORY", REPOSITORY)
    monkeypatch.setenv("GITHUB_API_URL", hub.url)
    monkeypatch.setenv("GITHUB_TOKEN", api.TOKEN)

    def make(home: str = REPOSITORY, head: str = HEAD, base: str = BASE, branch: str = "topic") -> PullRequest:
        found = {
            "number": 7,
            "head": {"sha": head, "ref": branch, "repo": {"full_name": home}},
            "base": {"sha": base, "ref": "main", "repo": {"full_name": REPOSITORY}},
        }
        (tmp_path / "event.json").write_text(json.dumps({"pull_request": found}), encoding="utf-8")
        return PullRequest(7, head, base, branch, home, home != REPOSITORY)

    return make


@pytest.fixture(scope="session")
def git() -> Callable[..., str]:
    """Return a function that runs git and gives back what it printed."""

    def run(folder: Path, *arguments: str) -> str:
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments]
        return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()

    return run


@pytest.fixture(scope="session")
def dvc() -> Callable[..., str]:
    """Return a function that runs DVC and gives back what it printed."""

    def run(folder: Path, *arguments: str) -> str:
        command = [sys.executable, "-m", "dvc", *arguments]
        environment = {key: value for key, value in os.environ.items() if key != "GITHUB_TOKEN"}
        done = subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run
