"""The real workflows on a scratch clone with a bare origin, run by act, against a stand-in for GitHub."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
REPOSITORY = "ada/loans"
BIN = Path(sys.executable).parent
RESTORE = """
    - shell: bash
      env: {INTO: "${{ inputs.path }}"}
      run: |
        kept="$STAND_IN/cache-of-dvc"
        if [ "$INTO" = .dvc/cache ] && [ -d "$kept" ]; then ln -s "$kept" "$INTO"; fi
"""
# What the actions that download would have done, by the part that matters here. Setup finds the environment LENT in
# .venv, stamped as its own, and the code of the work tree goes first; in the job REAL it makes one as on GitHub.
STAND_INS = {
    "actions/checkout": """
    - shell: bash
      env: {REF: "${{ inputs.ref }}"}
      run: |
        git init --quiet
        git remote add origin "$STAND_IN/origin.git"
        echo "$STAND_IN/origin.git/objects" > .git/objects/info/alternates  # what is there need not be sent
        git fetch --quiet origin
        git checkout --quiet --detach "$(git rev-parse --verify --quiet "origin/${REF:-main}" || echo "$REF")"
        if [ "$GITHUB_JOB" != "$REAL" ]; then
          mkdir .venv
          ln -s "$LENT/bin" .venv/bin
          cd scripts
          python3 -c "import bootstrap; open(bootstrap.STAMP, 'w').write(bootstrap.wanted_stamp())"
          cd ..
          echo "PYTHONPATH=$PWD/src" >> "$GITHUB_ENV"
        fi
""",
    "actions/setup-python": "",
    "actions/cache/save": "",
    "actions/cache": RESTORE,
    "actions/cache/restore": RESTORE,
    "actions/upload-artifact": """
    - shell: python
      env: {NAME: "${{ inputs.name }}", PATHS: "${{ inputs.path }}"}
      run: |
        import os, pathlib, shutil
        paths = os.environ["PATHS"].split()
        top = os.path.commonpath(paths) if len(paths) > 1 else os.path.dirname(paths[0])  # as the real action does
        if os.path.isdir(paths[0]):
            top = paths[0]
            paths = [os.path.join(at, name) for at, _, names in os.walk(top) for name in names]
        for file in filter(os.path.isfile, paths):
            into = pathlib.Path(os.environ["STAND_IN"], "artifacts", os.environ["NAME"], os.path.relpath(file, top))
            into.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, into)
""",
    "actions/download-artifact": """
    - shell: bash
      env: {NAME: "${{ inputs.name }}", INTO: "${{ inputs.path }}"}
      run: mkdir -p "$INTO" && cp -R "$STAND_IN/artifacts/$NAME/." "$INTO"
""",
    "actions/attest-build-provenance": """
    - shell: bash
      env: {SUBJECT: "${{ inputs.subject-path }}"}
      run: sha256sum "$SUBJECT" >> "$STAND_IN/attested"
""",
    "iterative/setup-cml": """
    - shell: bash
      run: echo "$STAND_IN/cml" >> "$GITHUB_PATH"
""",
}

# Programs of a run that is not ``real``. act starts Node.js four times a job, for hashFiles and to find it; what comes
# of that only goes to the cache's action, which has a stand-in.
TOOLS = {
    "make": "echo not checked here",
    "node": 'if [ "$1" = --no-warnings ]; then echo "$0"; else echo __OUTPUT__0123456789__OUTPUT__ >&2; fi',
}


def load_api() -> ModuleType:
    """Return the module of the stand-in for GitHub's API."""
    spec = importlib.util.spec_from_file_location("stand_in_api", Path(__file__).parent / "api.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def git(folder: Path, *arguments: str) -> str:
    """Run git as a test's author; return what it printed."""
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def per_job(text: str) -> dict[str, tuple[int, int]]:
    """Return where each job of a workflow begins and ends in its text."""
    lines = text.splitlines(keepends=True)
    begins = [number for number, line in enumerate(lines) if re.match(r"  [\w-]+:\s*$", line)]
    first = next(number for number, line in enumerate(lines) if line.startswith("jobs:"))
    begins = [number for number in begins if number > first]
    spans = {}
    for begin, end in zip(begins, [*begins[1:], len(lines)], strict=True):
        spans[lines[begin].strip().rstrip(":")] = (sum(map(len, lines[:begin])), sum(map(len, lines[:end])))
    return spans


def with_tokens(
    name: str, text: str, *, fork: bool, environments: dict[str, dict[str, str]] | None = None
) -> tuple[str, dict[str, dict[str, str]]]:
    """Return a workflow in which each job has a token of its own, and what each token may do.

    A job has the permissions that it names, else the workflow's; of a fork's pull request, to read alone. The secrets
    of an environment reach the jobs that name it.
    """
    content, grants, parts, end = yaml.safe_load(text), {}, [], 0
    for job, (begin, finish) in per_job(text).items():
        token = f"token-of-{job}-in-{name.removesuffix('.yml')}"
        named = content["jobs"][job].get("permissions", content.get("permissions") or {})
        grants[token] = {key: "read" if fork and level == "write" else level for key, level in named.items()}
        body = text[begin:finish].replace("${{ github.token }}", token)
        for key, value in (environments or {}).get(content["jobs"][job].get("environment", ""), {}).items():
            body = body.replace(f"${{{{ secrets.{key} }}}}", json.dumps(value))
        parts += [text[end:begin], body]
        end = finish
    return "".join([*parts, text[end:]]), grants


@dataclass(frozen=True)
class Outcome:
    """How act ended: exit code, log, seconds, and what the jobs left behind."""

    code: int
    log: str
    seconds: float
    artifact: Path

    def json(self, name: str) -> Any:
        """Return a file of the artifact ``report``."""
        return json.loads((self.artifact / name).read_text(encoding="utf-8"))


@dataclass
class Place:
    """A clone on the branch ``topic``, its origin, and the stand-in for GitHub."""

    top: Path
    hub: Any
    token: str
    lent: Path = BIN.parent
    calls: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    # What Settings → Secrets has: GitHub gives the first to no fork's pull request, and Dependabot's the second alone.
    secrets: dict[str, str] = field(default_factory=dict)
    dependabot: dict[str, str] = field(default_factory=dict)
    environments: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def clone(self) -> Path:
        """The clone."""
        return self.top / "clone"

    @property
    def origin(self) -> str:
        """What the branch ``topic`` of the origin points at."""
        return git(self.top / "origin.git", "rev-parse", "topic")

    def edit(self, name: str, change: Callable[[str], str], message: str = "Change") -> str:
        """Change a file of the clone, commit and push; return the new head."""
        path = self.clone / name
        before = path.read_text(encoding="utf-8")
        after = change(before)
        assert after != before
        path.write_text(after, encoding="utf-8")
        return self.push(message)

    def other_model(self, C: str = "0.5") -> str:  # noqa: N803 - the param's own name
        """Push params of another model; how fast a machine is that many tests share is not the question here."""
        return self.edit(
            "params.yaml",
            lambda text: re.sub(r"latency_ms: \d+", "latency_ms: 5000", text.replace("C: 1.0", f"C: {C}")),
        )

    def push(self, message: str = "Change") -> str:
        """Commit everything and push; return the new head."""
        git(self.clone, "add", "--all")
        git(self.clone, "commit", "--quiet", f"--message={message}")
        git(self.clone, "push", "--quiet", "--force", "origin", "HEAD:refs/heads/topic")
        return git(self.clone, "rev-parse", "HEAD")

    def dvc(self, *arguments: str) -> None:
        """Run DVC in the clone, on the clone's own code."""
        programs = self.lent / "bin"
        own = {"PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(self.clone / "src")}
        subprocess.run(
            [programs / "dvc", *arguments], cwd=self.clone, env=os.environ | own | {"DVC_NO_ANALYTICS": "1"}, check=True
        )

    def cml(self, script: str) -> None:
        """Let ``cml`` do what ``script`` says."""
        file = self.top / "cml" / "cml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        file.chmod(0o755)

    def forget(self) -> None:
        """Let no run find the objects of earlier ones."""
        shutil.rmtree(self.top / "cache-of-dvc")

    def run(self, *, home: str = REPOSITORY, real: bool = False, **content: Any) -> Outcome:
        """Run the workflow `pull request` for the clone's head as act does, on this machine.

        With ``real``, the job `train` installs its own environment and `make check` checks; without, both are passed
        over. ``content`` goes into the event.
        """
        self._event(self.opened(home) | content)
        shutil.rmtree(self.top / "artifacts", ignore_errors=True)
        text = git(self.clone, "show", "HEAD:.github/workflows/pull-request.yml")
        return self._act("pull_request", "pull-request.yml", text, "train" if real else "", fork=home != REPOSITORY)

    def begin(self, *, home: str = REPOSITORY, real: bool = False, **content: Any) -> Outcome:
        """Run the workflow `report` for the event of the clone's head, on the default branch's code."""
        self._event(self.opened(home) | content)
        return self._on_main("pull_request_target", "report.yml", "begin" if real else "")

    def report(self, ended: Outcome | str, head: str = "", home: str = REPOSITORY, **run: Any) -> Outcome:
        """Run the workflow `report` for a run that has ended, on the default branch's code."""
        conclusion = ended if isinstance(ended, str) else "success" if ended.code == 0 else "failure"
        known = {
            "id": 1, "event": "pull_request", "head_sha": head or git(self.clone, "rev-parse", "topic"),
            "head_branch": "topic", "conclusion": conclusion, "path": ".github/workflows/pull-request.yml",
            "head_repository": {"full_name": home}, "run_started_at": "2026-11-29T00:00:00Z", "html_url": "https://run",
        }  # fmt: skip
        self._event({"action": "completed", "workflow_run": known | run})
        return self._on_main("workflow_run", "report.yml")

    def comment(self) -> Outcome:
        """Run the workflow `comment` after a run of `report`."""
        run = {"id": 1, "event": "workflow_run", "path": ".github/workflows/report.yml", "conclusion": "success"}
        self._event({"action": "completed", "workflow_run": run})
        return self._on_main("workflow_run", "comment.yml")

    def opened(self, home: str = REPOSITORY) -> dict[str, Any]:
        """Return the event of pull request 7, whose branch is the clone's; the stand-in for GitHub knows it, too."""
        head, base = git(self.clone, "rev-parse", "topic"), git(self.top / "origin.git", "rev-parse", "main")
        sides = {
            "head": {"sha": head, "ref": "topic", "repo": {"full_name": home}},
            "base": {"sha": base, "ref": "main", "repo": {"full_name": REPOSITORY}},
        }
        self.hub.origin = self.top / "origin.git"
        self.hub.artifacts = self.top / "artifacts"
        self.hub.pulls[7] = {"number": 7, "state": "open", **sides}
        return {
            "action": "synchronize",
            "number": 7,
            "pull_request": {"number": 7, **sides},
            "sender": {"login": "ada"},
        }

    def _on_main(self, event: str, name: str, real: str = "") -> Outcome:
        """Run a workflow of the default branch, whose newest commit is checked out."""
        git(self.clone, "fetch", "--quiet", "origin")
        git(self.clone, "switch", "--quiet", "--detach", "origin/main")
        try:
            return self._act(event, name, git(self.clone, "show", f"HEAD:.github/workflows/{name}"), real)
        finally:
            git(self.clone, "switch", "--quiet", "topic")

    def _event(self, content: dict[str, Any]) -> None:
        known = {"repository": {"full_name": REPOSITORY, "private": False, "default_branch": "main"}}
        (self.top / "event.json").write_text(json.dumps(known | content), encoding="utf-8")

    def start(self, event: str, workflow: str, branch: str = "main", **content: Any) -> subprocess.Popen[bytes]:
        """Begin a run of ``branch`` for ``event``, in an environment that is there; its log goes to ``run.log``."""
        head = git(self.top / "origin.git", "rev-parse", branch)
        known = {
            "ref": f"refs/heads/{branch}",
            "after": head,
            "repository": {"full_name": REPOSITORY, "private": False, "default_branch": "main"},
        }
        (self.top / "event.json").write_text(json.dumps(known | content), encoding="utf-8")
        git(self.clone, "fetch", "--quiet", "origin")
        git(self.clone, "switch", "--quiet", branch)
        text = (self.clone / ".github/workflows" / workflow).read_text(encoding="utf-8")
        command, environment = self._command(event, workflow, text)
        with (self.top / "run.log").open("wb") as log:
            return subprocess.Popen(
                command, cwd=self.clone, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def finish(self, begun: subprocess.Popen[bytes]) -> Outcome:
        """Wait for a run that :meth:`start` began."""
        began = time.monotonic()
        code = begun.wait(timeout=900)
        log = (self.top / "run.log").read_text(encoding="utf-8", errors="replace")
        print(log, f"\nact: exit code {code} after {time.monotonic() - began:.1f} s")
        return Outcome(code, log, time.monotonic() - began, self.top / "artifacts")

    def _act(self, event: str, workflow: str, text: str, real: str = "", *, fork: bool = False) -> Outcome:
        command, environment = self._command(event, workflow, text, real, fork=fork)
        began = time.monotonic()
        done = subprocess.run(
            command, cwd=self.clone, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=900, check=False,
        )  # fmt: skip
        seconds = time.monotonic() - began
        print(done.stdout, f"act: exit code {done.returncode} after {seconds:.1f} s")
        return Outcome(done.returncode, done.stdout, seconds, self.top / "artifacts" / "report")

    def _command(
        self, event: str, workflow: str, text: str, real: str = "", *, fork: bool = False
    ) -> tuple[list[str], dict[str, str]]:
        """Return act's command line and environment for the workflow ``text``, in which each job has its own token."""
        file = self.top / "workflows" / workflow
        file.parent.mkdir(exist_ok=True)
        content, grants = with_tokens(workflow, text, fork=fork, environments={} if fork else self.environments)
        file.write_text(content, encoding="utf-8")
        self.hub.grants |= grants
        sender = json.loads((self.top / "event.json").read_text(encoding="utf-8")).get("sender", {}).get("login")
        secrets = {} if fork else self.dependabot if sender == "dependabot[bot]" else self.secrets
        tools = self.top / "tools"
        tools.mkdir(exist_ok=True)
        for name, script in TOOLS.items():
            (tools / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
            (tools / name).chmod(0o755)
        path = f"{BIN}:{os.environ['PATH']}" if real else f"{tools}:{os.environ['PATH']}"
        path = ":".join(part for part in path.split(":") if part != str(BIN))
        command = [
            str(BIN / "act"), event, "--workflows", str(file),
            "--eventpath", str(self.top / "event.json"),
            "--platform", "ubuntu-latest=-self-hosted", "--action-offline-mode", "--pull=false", "--no-cache-server",
            "--no-skip-checkout", "--actor", sender or "ada",
            "--secret", "GITHUB_TOKEN=token-that-no-job-has", "--env", f"GITHUB_API_URL={self.hub.url}",
            "--env", f"GITHUB_REPOSITORY={REPOSITORY}", "--env", f"STAND_IN={self.top}",
            "--env", f"UV_CACHE_DIR={Path.home() / '.cache' / 'uv'}",
            "--env", f"LENT={self.lent}", "--env", f"REAL={real}",
        ]  # fmt: skip
        for flag, values in (("--var", {} if fork else self.variables), ("--secret", secrets)):
            command += [part for name, value in values.items() for part in (flag, f"{name}={value}")]
        for action, folder in self._stand_ins().items():
            command += ["--local-repository", f"{action}={folder}"]
        quiet = {"XDG_CACHE_HOME": str(self.top / "cache"), "XDG_CONFIG_HOME": str(self.top / "config"), "PATH": path}
        dropped = ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE", "GITHUB_TOKEN", "GH_TOKEN")
        environment = {key: value for key, value in os.environ.items() if key not in dropped} | quiet
        (self.top / "config").mkdir(exist_ok=True)
        return command, environment

    def _stand_ins(self) -> dict[str, Path]:
        """Return the folder that stands in for each action that the workflows use, by name and pin."""
        used = {
            name
            for file in ROOT.glob(".github/**/*.yml")
            for name in re.findall(r"uses: ([\w-]+/[\w/-]+@\w+)", file.read_text(encoding="utf-8"))
        }
        found = {}
        for name in sorted(used):
            action, _, pin = name.partition("@")
            repository = "/".join(action.split("/")[:2])
            folder = self.top / "actions" / action
            folder.mkdir(parents=True, exist_ok=True)
            steps = STAND_INS[action] or '\n    - {shell: bash, run: "true"}\n'
            keys = "".join(f"  {key}: {{required: false}}\n" for key in ("name", "path", "ref", "subject-path"))
            text = f"name: stand-in\ndescription: x\ninputs:\n{keys}runs:\n  using: composite\n  steps:{steps}"
            assert yaml.safe_load(text)
            (folder / "action.yml").write_text(text, encoding="utf-8")
            found[f"{repository}@{pin}"] = self.top / "actions" / repository
        return found


def make_start(finished: Path, top: Path) -> Path:
    """Put a clone of the folder ``finished`` and a bare origin into ``top``; return it.

    ``main`` pins the model that the pipeline has made there, and ``cache-of-dvc`` holds it.
    """
    git(top, "clone", "--quiet", "--no-local", "--origin=finished", str(finished), "clone")
    shutil.copy(finished / "dvc.lock", top / "clone" / "dvc.lock")
    git(top / "clone", "commit", "--quiet", "--all", "--allow-empty", "--message=Lock")
    git(top, "clone", "--quiet", "--bare", "clone", "origin.git")
    git(top / "clone", "remote", "add", "origin", "../origin.git")
    git(top / "clone", "fetch", "--quiet", "origin")
    git(top / "clone", "switch", "--quiet", "--create", "topic")
    shutil.copytree(finished / ".dvc" / "cache", top / "cache-of-dvc")
    return top


@contextmanager
def make_place(start: Path, top: Path, lent: Path = BIN.parent) -> Iterator[Place]:
    """Yield a copy of ``start`` in the new folder ``top``; DVC in its clone begins with an empty cache.

    ``lent`` is the environment that jobs find ready.
    """
    shutil.copytree(start, top, symlinks=True)
    api = load_api()
    with api.hub() as hub:
        made = Place(top, hub, api.TOKEN, lent)
        made.cml(f'echo "$@" >> "{top}/said"; cat "$6" >> "{top}/said"')
        yield made


@pytest.fixture(scope="session")
def start(finished: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What every :class:`Place` is a copy of."""
    return make_start(finished.folder, tmp_path_factory.mktemp("start"))


@pytest.fixture(scope="session")
def lent(forked: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This environment, with commands that need no start-up time."""
    return Path(forked.lend(BIN.parent, tmp_path_factory.mktemp("lent") / "venv"))


@pytest.fixture
def place(start: Path, lent: Path, tmp_path: Path) -> Iterator[Place]:
    """A place that a test may change."""
    with make_place(start, tmp_path / "place", lent) as made:
        yield made
