"""A repository of the example with a champion on main and a branch of its own, to plant a fault in."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

ROOT = Path(__file__).parents[3]
CODES = {"promote": 0, "reject": 1, "hold": 3}
DROPPED = ("GITHUB_ACTIONS", "MLFLOW_TRACKING_URI", "PYTHONDONTWRITEBYTECODE")


@dataclass(frozen=True)
class Done:
    """How a command ended, and all that it said."""

    code: int
    output: str


@dataclass(frozen=True)
class Site:
    """A folder with the repository, and the forks that run commands in it."""

    folder: Path
    forks: Any

    def environment(self) -> dict[str, str]:
        """Return the environment of every command: this folder's code, and a pull request's event."""
        kept = {key: value for key, value in os.environ.items() if key not in DROPPED}
        own = {"PYTHONPATH": str(self.folder / "src"), "DVC_NO_ANALYTICS": "1", "COLUMNS": "200"}
        event = {"GITHUB_EVENT_PATH": str(self.folder / ".mainline" / "event.json"), "GITHUB_REPOSITORY": "a/b"}
        return kept | own | event | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

    def run(self, program: str, *arguments: str) -> Done:
        """Return how ``mainline`` or ``dvc`` ended; a traceback fails the test."""
        module = {"mainline": "mainline.cli", "dvc": "dvc"}[program]
        found = self.forks.ask(module, list(arguments), str(self.folder), self.environment())
        output = found["out"] + found["err"]
        assert "Traceback" not in output, output
        return Done(found["code"], output)

    def dvc(self, *arguments: str) -> str:
        """Return what DVC said; it must not fail."""
        done = self.run("dvc", *arguments)
        assert done.code == 0, done.output
        return done.output

    def git(self, *arguments: str) -> str:
        """Return what git printed; it must not fail."""
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments]
        return subprocess.run(command, cwd=self.folder, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, message: str) -> str:
        """Commit every tracked file; return the commit."""
        self.git("commit", "--quiet", "--all", "--allow-empty", f"--message={message}")
        return self.git("rev-parse", "HEAD")

    def replace(self, name: str, old: str, new: str) -> None:
        """Replace the one place where a file has ``old``."""
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{name} has {old!r} {text.count(old)} times"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def rewrite(self, name: str, content: bytes) -> None:
        """Give an output other bytes; the file that DVC's cache may share stays as it is."""
        path = self.folder / name
        path.unlink()
        path.write_bytes(content)

    def rows(self, batch: str) -> pd.DataFrame:
        """Return a batch as text, so that writing it back changes nothing."""
        return pd.read_csv(self.folder / "data" / batch, dtype=str, keep_default_na=False)

    def write_rows(self, batch: str, rows: pd.DataFrame) -> None:
        """Write a batch; the file that DVC's cache may share stays as it is."""
        self.rewrite(f"data/{batch}", rows.to_csv(index=False, lineterminator="\n").encode())

    def pinned(self, path: str) -> str:
        """Return the MD5 by which dvc.lock pins an output."""
        stages = yaml.safe_load((self.folder / "dvc.lock").read_text(encoding="utf-8"))["stages"]
        (found,) = [item["md5"] for stage in stages.values() for item in stage["outs"] if item["path"] == path]
        return str(found)

    def json(self, name: str) -> dict[str, Any]:
        """Return the content of a JSON file."""
        found: dict[str, Any] = json.loads((self.folder / name).read_text(encoding="utf-8"))
        return found


def make_site(folder: Path, forks: Any) -> Site:
    """Return a site whose main pins the model of this work tree, with the branch ``change`` checked out.

    Without the card, which decides nothing, and with few resamples, so that a fault costs seconds.
    """
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    for name in listed:
        if (ROOT / name).is_file() and not name.startswith(("docs/", "tests/")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    site = Site(folder, forks)
    pipeline = yaml.safe_load((folder / "dvc.yaml").read_text(encoding="utf-8"))
    del pipeline["stages"]["card"], pipeline["plots"]
    (folder / "dvc.yaml").write_text(yaml.safe_dump(pipeline, sort_keys=False), encoding="utf-8")
    (folder / "dvc.lock").unlink()
    site.replace("params.yaml", "resamples: 1000 ", "resamples: 100 ")
    # A bound in milliseconds is one of the machine, and this one is busy; the ratio to the champion stays.
    site.replace("params.yaml", "latency_ms: 50 ", "latency_ms: 500 ")
    site.git("init", "--quiet", "--initial-branch=main")
    site.dvc("pull", "--quiet", "data.dvc")
    site.dvc("repro", "--quiet")
    site.git("add", "--all")
    base = site.commit("Start")
    site.git("checkout", "--quiet", "-b", "change")
    (folder / ".mainline").mkdir(exist_ok=True)
    repository = {"full_name": "a/b"}
    found = {
        "head": {"sha": base, "ref": "change", "repo": repository},
        "base": {"sha": base, "ref": "main", "repo": repository},
    }
    event = json.dumps({"pull_request": {"number": 7, **found}})
    (folder / ".mainline" / "event.json").write_text(event, encoding="utf-8")
    return site


def copy_site(site: Site, folder: Path) -> Site:
    """Return a copy that a fault may be planted in; the objects of its DVC cache are the same files."""

    def copied(old: str, new: str) -> str:
        if f"{os.sep}cache{os.sep}" in old:
            os.link(old, new)
            return new
        return shutil.copy2(old, new)

    return Site(Path(shutil.copytree(site.folder, folder, symlinks=True, copy_function=copied)), site.forks)
