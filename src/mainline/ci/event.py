"""The pull request that a run is about, and the files through which GitHub Actions hears from us."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainline import child
from mainline.errors import UserError
from mainline.github import connect

SECONDS = 300.0
HASH = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


@dataclass(frozen=True)
class PullRequest:
    """A pull request as its event describes it.

    Attributes:
        head: hash of its newest commit when the run began.
        base: hash of the commit that it would be merged into.
        branch: its own branch, in ``home``.
        home: owner/name of the repository that the branch lives in.
        fork: whether that is another repository than the one that runs the workflow.
    """

    number: int
    head: str
    base: str
    branch: str
    home: str
    fork: bool


def pull_request(environment: Mapping[str, str] = os.environ) -> PullRequest:
    """Return the pull request of this run.

    A run that was dispatched for one (input ``number``) has it from PULL_REQUEST, as an earlier job read it, else from
    GitHub: then it must be open, of this repository, and at the very commit that the run has checked out.

    Raises:
        UserError: GITHUB_EVENT_PATH names no event of a pull request, or the dispatched run is about another commit.
    """
    path = environment.get("GITHUB_EVENT_PATH", "")
    try:
        event = json.loads(Path(path).read_text(encoding="utf-8"))
        if environment.get("GITHUB_EVENT_NAME") == "workflow_dispatch" and "pull_request" not in event:
            kept = environment.get("PULL_REQUEST", "")
            made = PullRequest(**json.loads(kept)) if kept else _dispatched(int(event["inputs"]["number"]), environment)
        else:
            made = _read(event["pull_request"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"GITHUB_EVENT_PATH={path}: no event of a pull request",
            "this command belongs in a workflow that `pull_request` starts, or a dispatch with a pull request's number",
        ) from error
    for commit in (made.head, made.base):
        if not HASH.fullmatch(commit):
            raise UserError(f"GITHUB_EVENT_PATH={path}: {commit!r} is no commit's hash", "run the workflow again")
    return made


def _read(found: Mapping[str, Any]) -> PullRequest:
    head, base = found["head"], found["base"]
    home = str((head["repo"] or {}).get("full_name", ""))  # null when the fork is gone
    return PullRequest(
        number=int(found["number"]),
        head=str(head["sha"]),
        base=str(base["sha"]),
        branch=str(head["ref"]),
        home=home,
        fork=home != str(base["repo"]["full_name"]),
    )


def _dispatched(number: int, environment: Mapping[str, str]) -> PullRequest:
    """Return what GitHub says of a pull request, if this run is about its head.

    Who dispatches a run chooses branch and number: were the two not held against each other, the verdict on one
    commit could be set on another.
    """
    found = connect(environment).pull_request(number)
    made = _read(found)
    here = environment.get("GITHUB_REF", "").removeprefix("refs/heads/"), environment.get("GITHUB_SHA", "")
    if made.fork or found.get("state") != "open":
        raise UserError(f"#{number}: is from a fork, or not open", "only an open pull request of this repository")
    if (made.branch, made.head) != here:
        raise UserError(
            f"#{number}: its head is {made.head[:12]} of {made.branch}, this run is at {here[1][:12]} of {here[0]}",
            "dispatch the workflow on the pull request's own branch; a branch that moved on needs a new run",
        )
    return made


def put(environment: Mapping[str, str] = os.environ, **values: str | bool) -> None:
    """Hand ``values`` to the next steps (GITHUB_OUTPUT), and show them.

    Raises:
        UserError: a value has a line break, which would let it set further outputs.
    """
    lines = []
    for name, value in values.items():
        text = str(value).lower() if isinstance(value, bool) else value
        if "\n" in text or "\r" in text:
            raise UserError(f"output {name}: a line break in {text!r}", "use one line")
        lines.append(f"{name}={text}\n")
    append(environment.get("GITHUB_OUTPUT", ""), "".join(lines))
    print("".join(lines), end="")


def append(path: str, text: str) -> None:
    """Append ``text`` to one of the runner's files; nothing without a path (outside GitHub Actions)."""
    if path:
        with Path(path).open("a", encoding="utf-8") as stream:
            stream.write(text)


def git(arguments: Sequence[str], *, root: Path = Path(), extra: Mapping[str, str] | None = None) -> str:
    """Return what git said; hooks never run, since a pull request's code may have planted one.

    Raises:
        UserError: git failed; its last words are in the message.
    """
    command = ["git", "-c", "core.hooksPath=/dev/null", *arguments]
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", **(extra or {})}
    try:
        done = child.run(command, root, seconds=SECONDS, environment=environment)
    except subprocess.TimeoutExpired as error:
        raise UserError(f"git {arguments[0]}: no end after {SECONDS:.0f} seconds", "run the job again") from error
    if done.returncode != 0:
        raise UserError(f"git {arguments[0]}: {' '.join(done.stderr.split())[-300:]}", "see the lines above")
    return done.stdout
