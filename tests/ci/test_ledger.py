from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mainline.ci.ledger import by, find_ledger, open_ledger, run_number
from mainline.compare.scoring import environment
from mainline.errors import UserError
from mainline.github import KEYS
from mainline.rollout.processes import Processes, alive

TOKEN = "a-token-of-some-length"


@pytest.fixture
def clone(tmp_path: Path, git: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone with a bare origin that has no branch deploy."""
    git(tmp_path, "init", "--quiet", "--bare", "origin.git")
    git(tmp_path, "init", "--quiet", "clone")
    git(tmp_path / "clone", "remote", "add", "origin", str(tmp_path / "origin.git"))
    roles = [f"GIT_{role}_{key}" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")]
    for name in ("GIT_CONFIG_COUNT", "GIT_CONFIG_KEY_0", "GIT_CONFIG_VALUE_0", *roles):
        monkeypatch.setenv(name, "")  # so that it is gone again after the test
        monkeypatch.delenv(name)
    return tmp_path / "clone"


def test_a_job_that_only_reads_makes_no_branch(clone: Path, git: Callable[..., str]) -> None:
    variables: dict[str, str] = {}
    assert find_ledger(clone, variables) is None
    assert git(clone, "ls-remote", "origin") == ""
    made = open_ledger(clone, variables)
    found = find_ledger(clone, variables)
    assert found is not None and found.head() == made.head() != ""
    assert made.head() in git(clone, "ls-remote", "origin", "refs/heads/deploy")


def test_the_bot_commits_and_the_token_reaches_git_but_no_file(
    clone: Path, git: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    made = open_ledger(clone)
    assert git(made.repo.folder, "log", "-1", "--format=%an") == "github-actions[bot]"

    def asked(variables: dict[str, str], server: str = "github.com") -> str:
        wanted, quiet = f"protocol=https\nhost={server}\n\n", {"GIT_TERMINAL_PROMPT": "0"}
        command = ["git", "credential", "fill"]
        return subprocess.run(
            command, input=wanted, text=True, capture_output=True, env=variables | quiet, check=False
        ).stdout

    lent = dict(os.environ)
    assert f"password={TOKEN}" in asked(lent)
    assert TOKEN not in asked(lent, "example.org")
    without = {key: value for key, value in lent.items() if key not in KEYS}
    assert TOKEN not in str(without) and TOKEN not in asked(without)
    held = [path for path in clone.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
    assert held == []


def test_no_model_and_no_service_is_started_with_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in KEYS:
        monkeypatch.setenv(key, TOKEN)
    assert TOKEN not in environment(tmp_path).values()
    ids = Processes(tmp_path)
    process = ids.start("x", [sys.executable, "-c", "import os; print(dict(os.environ))"], role="x")
    while alive(process):
        time.sleep(0.02)
    text = (tmp_path / "x.log").read_text()
    assert "PATH" in text and TOKEN not in text


def test_without_an_origin_it_says_so(tmp_path: Path, git: Callable[..., str]) -> None:
    git(tmp_path, "init", "--quiet")
    with pytest.raises(UserError, match="git remote"):
        open_ledger(tmp_path, {})


def test_the_ledger_names_workflow_run_and_person() -> None:
    variables: Any = {"GITHUB_WORKFLOW": "release", "GITHUB_RUN_ID": "12", "GITHUB_ACTOR": "ada"}
    assert by(variables) == "release, run 12, started by ada" and run_number(variables) == 12
    with pytest.raises(UserError, match="is no run"):
        run_number({})
