"""A small repository with two batches, the third not delivered yet, and a tracker with one approved issue."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from mainline.monitor.tracker_local import LocalTracker
from mainline.retrain import pipeline
from mainline.retrain.pipeline import Trained
from mainline.retrain.run import Ask, Outcome, retrain

ROOT = Path(__file__).parents[2]
LABELS = ("monitoring", "drift", "retrain-approved")
IDENTITY = {"name": "t", "email": "t@example.org"}


@dataclass
class Bench:
    """The repository in ``root``; ``trained`` are the work trees that training was asked for."""

    root: Path
    tracker: LocalTracker
    rows: Callable[..., pd.DataFrame]
    trained: list[Path] = field(default_factory=list)

    def git(self, *arguments: str) -> str:
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments]
        return subprocess.run(command, cwd=self.root, check=True, capture_output=True, text=True).stdout.strip()

    def deliver(self, month: str, first_id: int, change: Callable[[pd.DataFrame], object] = lambda rows: None) -> None:
        rows = self.rows(month, first_id=first_id)
        change(rows)
        rows.to_csv(self.root / "inbox" / f"{month}.csv", index=False)

    def run(self, ask: Ask | None = None, **options: Any) -> Outcome:
        return retrain(ask or Ask(1), self.tracker, root=self.root, identity=IDENTITY, **options)

    def comments(self, number: int = 1) -> list[str]:
        return self.tracker.comments(number)

    def branches(self) -> list[str]:
        return self.git("for-each-ref", "--format=%(refname:short)", "refs/heads").splitlines()


@pytest.fixture
def bench(tmp_path: Path, rows_of: Callable[..., pd.DataFrame], monkeypatch: pytest.MonkeyPatch) -> Bench:
    """The repository; training and comparing are pretended, git and validation are real."""
    root = tmp_path / "repository"
    made = Bench(root, LocalTracker(root / ".mainline" / "issues"), rows_of)
    for folder in ("data", "inbox"):
        (root / folder).mkdir(parents=True)
    (root / "src").symlink_to(ROOT / "src")
    (root / ".gitignore").write_text("/data\n/inbox\n.mainline/\n/artifacts\n/reports\n", encoding="utf-8")
    (root / ".dvc").mkdir()
    (root / ".dvc" / ".gitignore").write_text("/config.local\n", encoding="utf-8")
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    text = text.replace("source: replay", "source: inbox").replace('as_of: "2009-05-31"', 'as_of: "2009-02-28"')
    (root / "params.yaml").write_text(text, encoding="utf-8")
    for number, month in enumerate(("2009-01", "2009-02")):
        rows_of(month, first_id=1 + 240 * number).to_csv(root / "data" / f"{month}.csv", index=False)
    made.git("init", "--quiet", "--initial-branch=main")
    made.git("add", "--all")
    made.git("commit", "--quiet", "--message=Start")
    made.tracker.create("Drift of contact", "<!-- mark -->\nx", LABELS)
    made.deliver("2009-03", 481)

    def pull(tree: Path, place: str) -> str:
        shutil.copytree(root / "data", tree / "data")
        return place

    def train(tree: Path, folder: str, *, remote: bool) -> None:
        made.trained.append(tree)
        content = yaml.safe_dump({"schema": "2.0", "batches": sorted(path.name for path in (tree / folder).iterdir())})
        (tree / "dvc.lock").write_text(content, encoding="utf-8")
        made_by = ["git", "add", "--intent-to-add", "dvc.lock"]
        subprocess.run(made_by, cwd=tree, check=True)

    def measure(tree: Path, base: str) -> Trained:
        window = {"rows": 100, "from": "2009-01-01", "to": "2009-03-01"}
        return Trained(None, {"train": window, "test": window})

    monkeypatch.setattr("mainline.retrain.tree.cache_folder", lambda root: root / ".dvc" / "cache")
    for name, step in (("pull", pull), ("train", train), ("measure", measure)):
        monkeypatch.setattr(pipeline, name, step)
    for name in [key for key in os.environ if key.startswith("GITHUB_")]:
        monkeypatch.delenv(name)
    return made
