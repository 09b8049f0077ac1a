"""A repository in which everything is configured and live, made once; each test gets a copy and breaks one thing."""

from __future__ import annotations

import datetime as dt
import hashlib
import importlib.util
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from mainline.ci.monitor_state import Beat, put_beat
from mainline.doctor import hub as doctor_hub
from mainline.doctor import pipeline
from mainline.doctor.found import Finding
from mainline.doctor.run import CHECKS, examine
from mainline.doctor.sight import sight
from mainline.release.ledger import Deploy, Entry, Transition
from mainline.release.repo import Repo

ROOT = Path(__file__).parents[2]
NOW = dt.datetime(2010, 1, 10, 12, tzinfo=dt.UTC)
SPEC = importlib.util.spec_from_file_location("stand_in_api_doctor", ROOT / "tests" / "workflows" / "api.py")
assert SPEC is not None and SPEC.loader is not None
API = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = API
SPEC.loader.exec_module(API)
ACTION = "a" * 40
UPGRADE = "Upgrade to GitHub Pro or make this repository public to enable this feature."
WORKFLOWS = ("pull-request", "report", "comment", "release", "rollback", "monitor", "heartbeat", "retrain")


def git(folder: Path, *arguments: str) -> str:
    """Run git as a test's author; return what it printed."""
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def keep(store: Path, content: bytes) -> dict[str, Any]:
    """Put an object into a DVC remote that is a folder; return the entry that names it."""
    oid = hashlib.md5(content, usedforsecurity=False).hexdigest()
    file = store / "files" / "md5" / oid[:2] / oid[2:]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return {"md5": oid, "size": len(content), "hash": "md5"}


def ruled(file: str) -> list[dict[str, Any]]:
    """Return the rules of a ruleset as GitHub lists them for a branch."""
    found = json.loads((ROOT / ".github" / file).read_text(encoding="utf-8"))["rules"]
    for rule in found:
        rule.update(ruleset_id=1, ruleset_source_type="Repository")
        for asked in rule.get("parameters", {}).get("required_status_checks", ()):
            asked["integration_id"] = 15368
    return list(found)


def answers() -> dict[str, Any]:
    """Return what GitHub says of a repository in which everything is set up, by path."""
    listed = [{"path": f".github/workflows/{name}.yml", "state": "active"} for name in WORKFLOWS]
    asked = {"type": "required_reviewers", "reviewers": [{"type": "User"}]}
    policy = {"protected_branches": False, "custom_branch_policies": True}
    return {
        "": {"visibility": "public", "default_branch": "main", "has_issues": True, "fork": False, "archived": False},
        "/actions/workflows": {"workflows": listed},
        "/actions/permissions": {"enabled": True, "allowed_actions": "all"},
        "/rules/branches/main": ruled("ruleset.json"),
        "/rules/branches/deploy": [{"type": "deletion"}, {"type": "non_fast_forward"}],
        "/codeowners/errors": {"errors": []},
        "/collaborators": [{"login": name, "permissions": {"push": True}} for name in ("ada", "grace")],
        "/environments": {
            "environments": [
                {"name": "staging", "protection_rules": [], "deployment_branch_policy": policy},
                {"name": "production", "protection_rules": [asked], "deployment_branch_policy": policy},
            ]
        },
        "/environments/staging/deployment-branch-policies": {"branch_policies": [{"name": "main"}]},
        "/environments/production/deployment-branch-policies": {"branch_policies": [{"name": "ma*"}]},
        "/labels": [{"name": name} for name in ("bug", "monitoring", "retrain-approved", "mute")],
        "/actions/variables/MAINLINE_LOG": {"name": "MAINLINE_LOG", "value": "s3://private-place/of-the-log"},
        "/actions/secrets": {"secrets": [{"name": "STORAGE_KEY"}]},
        "/actions/organization-secrets": {"secrets": []},
        "/dependabot/secrets": {"secrets": [{"name": "AWS_SECRET_ACCESS_KEY"}]},
        "/actions/permissions/workflow": {"can_approve_pull_request_reviews": True},
        "/commits/v1": {"sha": ACTION},
    }


@dataclass
class Place:
    """The copy: ``repo`` is the clone, ``hub`` the stand-in for GitHub, ``environment`` what the doctor sees.

    ``more`` is what GitHub answers, by path; ``plan`` are the paths that the account's plan does not have.
    """

    top: Path
    hub: Any
    more: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict)
    plan: set[str] = field(default_factory=set)

    def lacks(self, *paths: str) -> None:
        """Let GitHub say of these that the account's plan does not have them."""
        self.plan.update(paths)
        self.hub.refuse.update(dict.fromkeys(paths, 403))

    @property
    def repo(self) -> Path:
        """The clone."""
        return self.top / "repo"

    def look(self, *names: str, offline: bool = False, now: dt.datetime = NOW) -> list[Finding]:
        """Return what the checks of these names find, all without a name."""
        chosen = [check for check in CHECKS if not names or check.name in names]
        with sight(self.repo, self.environment, offline=offline, now=now) as seen:
            return examine(seen, chosen)

    def find(self, name: str, **how: Any) -> Finding:
        """Return what one check finds."""
        (found,) = self.look(name, **how)
        return found

    def params(self, **keys: Any) -> None:
        """Set keys of params.yaml, written as serve__api_key_env=…"""
        file = self.repo / "params.yaml"
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        for key, value in keys.items():
            *rooms, last = key.split("__")
            room = content
            for room_name in rooms:
                room = room[room_name]
            room[last] = value
        file.write_text(yaml.safe_dump(content), encoding="utf-8")

    def ledger(self) -> Deploy:
        """Return the branch deploy of the origin, as a workflow has it open."""
        return Deploy(Repo(self.top / "ledger"), str(self.top / "origin.git"), lambda: NOW)

    def state(self, **changes: Any) -> None:
        """Change what runs in production."""
        deploy = self.ledger()
        made = replace(deploy.state("production"), **changes)
        deploy.commit("Change", expect=deploy.head(), states=[made])

    def edit(self, path: str, old: str, new: str) -> None:
        """Change a file of the clone; it must hold ``old``."""
        file = self.repo / path
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with clone, origin with its ledger, and storage."""
    top = tmp_path_factory.mktemp("sound")
    repo, store = top / "repo", top / "store"
    git(top, "init", "--quiet", "--template=", "--bare", "origin.git")
    git(top, "init", "--quiet", "--template=", "--initial-branch=main", "repo")
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["serve"]["api_key_env"] = "SERVICE_KEY"
    lock = {"stages": {"train": {"outs": [{"path": "artifacts/model.skops", **keep(store, b"model")}]}}}
    files = {
        "params.yaml": yaml.safe_dump(params),
        "dvc.yaml": "stages: {train: {cmd: 'true', outs: [artifacts/model.skops]}}\n",
        "dvc.lock": yaml.safe_dump(lock),
        "data.dvc": yaml.safe_dump({"outs": [{"path": "data.csv", **keep(store, b"rows")}]}),
        ".dvc/config": "[core]\n    remote = mine\n['remote \"mine\"']\n    url = ../../store\n",
        "src/bank/schema.py": "",
        ".gitignore": "mlflow.db\n.mainline/\n.dvc/config.local\n.dvc/tmp\n",
        ".github/CODEOWNERS": "# @your-org/ml-owners was here\n/params.yaml @ada @ada/team\n",
        ".github/ruleset.json": (ROOT / ".github" / "ruleset.json").read_text(encoding="utf-8"),
    }
    text = f"on: {{push: {{branches: [main]}}}}\nsteps:\n  - uses: x/y@{ACTION} # v1\n"
    text += "    env: {KEY: '${{ secrets.STORAGE_KEY }}', MORE: '${{ secrets.AWS_SECRET_ACCESS_KEY }}'}\n"
    text += "  - env: {GOOGLE: '${{ secrets.GOOGLE_APPLICATION_CREDENTIALS_DATA }}'}\n"
    text += "  - env: {WRITE: '${{ secrets.MAINLINE_WRITE_AWS_SECRET_ACCESS_KEY }}'}\n"
    text += "  - env: {TOKEN: '${{ secrets.REGISTRY_TOKEN }}'}\n"
    for name, content in files.items() | {(f".github/workflows/{name}.yml", text) for name in WORKFLOWS}:
        (repo / name).parent.mkdir(parents=True, exist_ok=True)
        (repo / name).write_text(content, encoding="utf-8")
    (repo / ".mainline" / "log").mkdir(parents=True)
    line = {"kind": "prediction", "time": "2010-01-09T10:00:00.000Z"}
    (repo / ".mainline" / "log" / "20100109T100000-1-abcd.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    with closing(sqlite3.connect(repo / "mlflow.db")) as database, database:
        database.execute("CREATE TABLE runs (run_uuid TEXT)")
        database.execute("INSERT INTO runs VALUES ('a')")
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "--message=Start")
    git(repo, "remote", "add", "origin", "../origin.git")
    git(repo, "push", "--quiet", "--set-upstream", "origin", "main")
    deploy = Deploy.open(top / "ledger", str(top / "origin.git"), lambda: NOW)
    made = replace(deploy.state("production"), stable="r2", previous=("r1",))
    events = [
        Transition("r2", "production", event, "t", "t", weight)
        for event, weight in (("shadow", 0), ("step", 5), ("promote", 100))
    ]
    entries = [Entry(name, "c" * 40, verdict="promote") for name in ("r1", "r2")]
    deploy.commit("Start", expect=deploy.head(), states=[made], entries=entries, transitions=events)
    put_beat(deploy, "log", Beat(NOW - dt.timedelta(hours=3), "https://example.org/run/1", 0))
    for name in ("repo", "origin.git", "ledger"):
        git(top / name, "gc", "--quiet")  # each test copies all of it
    return top


@pytest.fixture
def place(sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A copy in which all checks are ok."""
    top = Path(shutil.copytree(sound, tmp_path / "top"))
    git(top / "ledger", "config", "remote.origin.url", str(top / "origin.git"))
    with stand_in(top, monkeypatch) as made:
        yield made


@pytest.fixture
def hosted(sound: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """The same without a copy, for what changes on GitHub or in the environment alone."""
    with stand_in(sound, monkeypatch) as made:
        yield made


@contextmanager
def stand_in(top: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Yield the place in ``top`` with a GitHub of its own."""
    for name in ("GITHUB_REPOSITORY", "GITHUB_TOKEN", "GITHUB_ACTIONS", "MLFLOW_TRACKING_URI", "MAINLINE_LOG"):
        monkeypatch.delenv(name, raising=False)
    # DVC takes seconds to say so; tests/doctor/test_whole.py asks the real one.
    monkeypatch.setattr(pipeline, "stale_stages", lambda root: ())
    monkeypatch.setattr(doctor_hub, "PATIENCE", 30.0)  # of a busy machine
    with API.hub() as held:
        more, plain, plan = answers(), held.answer, set[str]()

        def answer(method: str, path: str, body: dict[str, Any], query: dict[str, str]) -> tuple[int, Any]:
            assert method == "GET", "the doctor only looks"
            if path in held.refuse:
                code = held.refuse[path]
                return code, {"message": UPGRADE if path in plan else "Resource not accessible by integration"}
            return (200, more[path]) if path in more else plain(method, path, body, query)

        held.answer = answer
        environment = {
            "GITHUB_REPOSITORY": "ada/loans",
            "GITHUB_TOKEN": API.TOKEN,
            "GITHUB_API_URL": held.url,
            "SERVICE_KEY": "key-of-the-service",
        }
        yield Place(top, held, more, environment, plan)
