"""What a light job runs needs no more than requirements-light.lock: other packages cannot be imported here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PIN = re.compile(r"^([a-z0-9._-]+)==(\S+)((?: ;.*?)?)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)", re.MULTILINE)
# Packages that a light environment does not have are not found, whatever is installed.
ONLY = """
import importlib.metadata, sys
light = set(sys.argv.pop(1).split(","))
names = {name for name, owners in importlib.metadata.packages_distributions().items()
         if not {owner.lower().replace("_", "-") for owner in owners} & light}
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in names - {"mainline", "bank", "_distutils_hack"}:
            raise ModuleNotFoundError(f"not light: {name}", name=name)
sys.meta_path.insert(0, Finder())
from mainline.cli import main
main()
"""


def pins(name: str) -> dict[str, tuple[str, ...]]:
    return {found[1]: found.groups()[1:] for found in PIN.finditer((ROOT / name).read_text(encoding="utf-8"))}


def test_the_light_lock_is_a_part_of_the_lock() -> None:
    light, whole = pins("requirements-light.lock"), pins("requirements.lock")
    assert {"typer", "pydantic", "pyyaml", "rich", "configobj"} <= set(light) and len(light) < 25
    for name, (version, marker, hashes) in light.items():
        # The whole lock may need a package everywhere that the light one needs on one platform alone.
        assert whole[name][0] == version and set(hashes.split()) == set(whole[name][2].split()), name
        assert whole[name][1] in ("", marker), name
    assert not re.search(r"://|index-url|find-links", (ROOT / "requirements-light.lock").read_text(encoding="utf-8"))


def light_commands() -> list[str]:
    """Return the commands of all jobs that set up a light environment."""
    found = set()
    for file in sorted(ROOT.glob(".github/workflows/*.yml")):
        for job in yaml.safe_load(file.read_text(encoding="utf-8"))["jobs"].values():
            if any(str((step.get("with") or {}).get("light")) == "true" for step in job.get("steps", ())):
                found |= {str(step["run"]) for step in job["steps"] if str(step.get("run", "")).startswith("mainline ")}
    return sorted(found)


@pytest.fixture
def run(tmp_path: Path, hub: Any, api: Any) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs a command for an event, in a repository of its own."""
    for arguments in (["init", "--quiet", "--initial-branch=main"],
                      ["-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "--allow-empty",
                       "--message=x"],
                      ["remote", "add", "origin", "."]):  # fmt: skip
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tmp_path, check=True, capture_output=True, text=True)
    commit = head.stdout.strip()
    sides = {side: {"sha": commit, "ref": ref, "repo": {"full_name": "ada/loans"}}
             for side, ref in (("head", "topic"), ("base", "main"))}  # fmt: skip
    hub.pulls[7] = {"number": 7, "state": "open", **sides}
    ended = {"id": 1, "event": "pull_request", "head_sha": commit, "head_branch": "topic", "conclusion": "failure",
             "head_repository": {"full_name": "ada/loans"}}  # fmt: skip
    event = {"action": "opened", "pull_request": hub.pulls[7], "repository": {"default_branch": "main"},
             "workflow_run": ended}  # fmt: skip
    (tmp_path / "event.json").write_text(json.dumps(event))

    def start(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(tmp_path), "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
            "GITHUB_REPOSITORY": "ada/loans", "GITHUB_TOKEN": api.TOKEN, "GITHUB_API_URL": hub.url,
            "PYTHONPATH": str(ROOT / "src"),
        }  # fmt: skip
        command = [sys.executable, "-c", ONLY, ",".join(pins("requirements-light.lock")), *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    return start


@pytest.mark.parametrize("command", light_commands())
def test_a_light_command_needs_no_other_package(run: Callable[..., Any], hub: Any, command: str) -> None:
    done = run(*command.split()[1:])
    assert "not light" not in done.stderr and "Traceback" not in done.stderr, done.stderr[-2000:]
    if command in ("mainline ci begin", "mainline ci report"):
        assert done.returncode == 0, done.stderr
        assert [item["state"] for item in hub.statuses] == ["success"]  # an empty change is words alone


def test_another_package_would_be_noticed(run: Callable[..., Any]) -> None:
    done = run("ci", "train")
    assert "not light" not in done.stderr  # it stops before: there is no pipeline
    assert "not light" in run("summary").stderr or "not light" in run("latency").stderr
