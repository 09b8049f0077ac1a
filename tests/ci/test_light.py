"""Jobs that only read, ask git and call GitHub install requirements-light.lock: their commands must get by with it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from mainline.ci.release_plan import sources
from mainline.release.ledger import Deploy
from mainline.release.state import Entry, State, Transition

ROOT = Path(__file__).parents[2]
FILES = ("release.yml", "rollback.yml", "heartbeat.yml")
# Every package that is neither Python's own nor of the light lock is taken for absent.
BLOCKER = """
import importlib.abc, os, sys
LIGHT = set(os.environ["LIGHT"].split())
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.split(".")[0]
        if top not in LIGHT and top not in sys.stdlib_module_names and not top.startswith("_"):
            raise ImportError(f"{name} is not in requirements-light.lock")
sys.meta_path.insert(0, Absent())
from mainline.cli import main
sys.exit(main())
"""
OTHER_NAMES = {"pyyaml": "yaml", "markdown-it-py": "markdown_it", "pydantic-core": "pydantic_core"}
# Each command of a light job: its environment besides that of a run, exit code, and what it says.
COMMANDS: dict[str, tuple[dict[str, str], int, str]] = {
    "mainline ci release plan": ({"GITHUB_EVENT_NAME": "push"}, 0, "is stable already"),
    "mainline ci release refused": ({"RELEASE": "new"}, 0, "refused by alan"),
    "mainline ci release issue": ({"RELEASE": "new", "BUILD": "success"}, 0, "did not come to an end"),
    "mainline ci monitor heartbeat": ({"MAINLINE_LOG": "s3://x"}, 1, "no run of the workflow monitor has ever"),
    "mainline monitor blind": ({"WHY": "It fell."}, 0, "Monitoring is blind"),
    "mainline ci monitor enable": ({"MAINLINE_LOG": "s3://x"}, 0, "monitor.yml is enabled"),
}


def light_commands() -> set[str]:
    """Return the commands that steps run after a light setup and before a full one."""
    found = set()
    for file in FILES:
        content = yaml.safe_load((ROOT / ".github" / "workflows" / file).read_text(encoding="utf-8"))
        for job in content["jobs"].values():
            light = False
            for step in job["steps"]:
                if step.get("uses") == "./.github/actions/setup":
                    light = (step.get("with") or {}).get("light") == "true"
                elif light and step.get("run", "").startswith("mainline "):
                    found.add(step["run"].split(" --")[0])
    # After the full setup of the job `build` the light one is gone.
    return found


def test_every_command_of_a_light_job_is_run_here() -> None:
    assert light_commands() == set(COMMANDS)


@pytest.fixture
def clone(tmp_path: Path, git: Callable[..., str]) -> Path:
    """A clone whose origin has a ledger with two releases; "old" is of its commit and stable."""
    for name in ("dvc.lock", "requirements.lock", "service.py"):
        (tmp_path / "origin" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "origin" / name).write_text(name)
    origin = tmp_path / "origin"
    (origin / "params.yaml").write_text((ROOT / "params.yaml").read_text(encoding="utf-8"))
    git(origin, "init", "--quiet", "--initial-branch=main")
    git(origin, "add", "--all")
    git(origin, "commit", "--quiet", "--message=Initial commit")
    git(tmp_path, "clone", "--quiet", "origin", "clone")
    commit = git(origin, "rev-parse", "HEAD")
    deploy = Deploy.open(tmp_path / "deploy", str(origin))
    staged = Transition("new", "staging", "staged", "release, run 12, started by ada", "ok")
    entries = [Entry("old", commit, digests=sources(tmp_path / "clone")), Entry("new", commit)]
    deploy.commit("x", expect=deploy.head(), entries=entries, transitions=[staged],
                  states=[State("production", stable="old")])  # fmt: skip
    return tmp_path / "clone"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_a_light_job_needs_no_other_package(clone: Path, hub: Any, api: Any, command: str) -> None:
    given, code, words = COMMANDS[command]
    hub.approvals = [{"user": {"login": "alan"}, "state": "rejected", "environments": [{"name": "production"}]}]
    lock = (ROOT / "requirements-light.lock").read_text(encoding="utf-8")
    names = {OTHER_NAMES.get(name, name.replace("-", "_")) for name in re.findall(r"^([\w-]+)==", lock, re.MULTILINE)}
    run = {
        "LIGHT": " ".join({"mainline", "mainline_numerics", *names}),
        "GITHUB_API_URL": hub.url,
        "GITHUB_REPOSITORY": "ada/loans",
        "GITHUB_TOKEN": api.TOKEN,
        "GITHUB_RUN_ID": "12",
        "GITHUB_SHA": "c" * 40,
        "RUN_URL": "https://example.org/run",
    }
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", BLOCKER, *command.split()[1:]], cwd=clone, env=kept | run | given,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert "requirements-light.lock" not in said and (done.returncode, words in said) == (code, True), said
