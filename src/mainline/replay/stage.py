"""A clone to play in: the person's branches, work tree, ledger and tracking are left alone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from configobj import ConfigObj

from mainline import console, dvc
from mainline.compare.champion import share_cache
from mainline.compare.git import changed_files, git
from mainline.compare.scoring import environment
from mainline.dvc import cache_folder
from mainline.errors import UserError
from mainline.remote import is_embedded
from mainline.serve.clock import SWITCH

PLACE = Path(".mainline", "replay", "loop")
REMOTE = "replay"  # of the clone, where the data are in storage of one's own
OUTSIDE = ("GITHUB_", "MLFLOW_TRACKING_", "MAINLINE_")  # what would lead out of the clone
PORT = re.compile(r"(^ +proxy:[^\n]*\n(?:^ {4,}[^\n]*\n)*?^ {4}port: +)\d+", re.MULTILINE)


class Stopped(Exception):
    """A command ended otherwise than the loop needs; ``code`` is its exit code."""

    def __init__(self, command: str, code: int) -> None:
        super().__init__(f"`{command}` ended with exit code {code}")
        self.code = code


@dataclass(frozen=True)
class Stage:
    """The clone in ``folder``; commands in it run its own code. ``storage`` is the remote that has its data."""

    folder: Path
    storage: str = ""

    def mainline(self, *arguments: str, codes: Sequence[int] = (0,)) -> int:
        """Run a command of ``mainline`` as a person would, in sight; return its exit code.

        Raises:
            Stopped: the exit code is none of ``codes``.
        """
        return self._run([sys.executable, "-m", "mainline.cli", *arguments], f"mainline {' '.join(arguments)}", codes)

    def dvc(self, *arguments: str) -> None:
        """Run a command of DVC."""
        self._run([sys.executable, "-m", "dvc", *arguments], f"dvc {' '.join(arguments)}", (0,))

    def git(self, *arguments: str) -> str:
        """Return what git printed."""
        return git(*arguments, root=self.folder)

    def commit(self, message: str) -> None:
        """Commit all that is tracked."""
        self.git("-c", "user.name=replay", "-c", "user.email=replay@localhost", "commit", "--quiet", "--all",
                 f"--message={message}")  # fmt: skip

    def _run(self, command: list[str], shown: str, codes: Sequence[int]) -> int:
        console.say(f"$ {shown}")
        sys.stdout.flush()
        own = {key: value for key, value in environment(self.folder).items() if not key.startswith(OUTSIDE)}
        code = subprocess.run(command, cwd=self.folder, env=own | {SWITCH: "1"}, check=False).returncode
        if code not in codes:
            raise Stopped(shown, code)
        return code


def make_stage(root: Path) -> Stage:
    """Return a fresh clone of ``root``'s newest commit below ``.mainline/replay``, as branch main, without a remote.

    It shares the DVC cache, which only ever grows, and which is also its remote where the data are in storage of
    one's own: what is replayed is not written there. The proxy takes any free port.

    Raises:
        UserError: there is no commit, or something of an earlier clone still runs.
    """
    if not git("rev-parse", "--verify", "--quiet", "HEAD", root=root, check=False):
        raise UserError("there is no commit yet", "git add, git commit")
    if changed := changed_files("HEAD", root=root):
        console.warn(f"not committed, and so not played: {', '.join(changed[:3])}{' …' if len(changed) > 3 else ''}")
    folder = (root / PLACE).resolve()
    if (folder / ".mainline").is_dir():
        Stage(folder).mainline("rollout", "stop")
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    head = git("rev-parse", "HEAD", root=root)
    git("clone", "--quiet", "--no-checkout", str(root.resolve()), str(folder), root=root)
    stage = Stage(folder)
    stage.git("checkout", "--quiet", "-B", "main", head)
    stage.git("remote", "remove", "origin")
    cache = cache_folder(root)
    share_cache(folder, cache)
    storage = _replace_storage(stage, root, cache)
    params = folder / "params.yaml"
    text = params.read_text(encoding="utf-8")
    played = PORT.sub(r"\g<1>0", text)
    if played != text:
        params.write_text(played, encoding="utf-8")
        stage.commit("Let the proxy take any free port, for the replay")
    return Stage(folder, storage)


def _replace_storage(stage: Stage, root: Path, cache: Path) -> str:
    """Make the DVC cache the default remote of ``stage`` and return the name of the one that was.

    The remote inside the repository stays, since the clone has one of its own; then the name is empty, as without any.
    """
    file = stage.folder / ".dvc" / "config"
    config = ConfigObj(str(file), encoding="utf-8", indent_type="    ")
    name = str(config.get("core", {}).get("remote") or "")
    section = config.get(dvc.heading(name), {})
    if not section.get("url") or is_embedded(stage.folder):
        return ""
    if "://" not in section["url"]:
        section["url"] = str((root / ".dvc" / section["url"]).resolve())  # else it would be relative to the clone
    config["core"]["remote"] = REMOTE
    config[dvc.heading(REMOTE)] = {"url": str(cache)}
    config.write()
    stage.commit("Let the DVC cache be the remote, for the replay")
    console.say(f"nothing is written to your storage (remote {name}): the DVC cache takes its place")
    return name


@dataclass
class Clock:
    """Says which step it is, and how long the one before took."""

    number: int = 0
    began: float = 0.0

    def step(self, what: str) -> None:
        """Print the heading of the next step."""
        now = time.monotonic()
        took = f"  (the step before took {now - self.began:.0f} s)" if self.number else ""
        self.number, self.began = self.number + 1, now
        console.say(f"\n── {self.number}. {what}{took}")


def interactive() -> bool:
    """Return whether a person sits at a terminal and can be asked."""
    return sys.stdin.isatty() and sys.stdout.isatty() and not os.environ.get("CI")
