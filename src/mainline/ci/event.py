"""The pull request that a run is about, and the files through which GitHub Actions hears from us."""

from __future__ import annotations

import base64
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

SECONDS = 300.0
# What a workflow commits is in this name; GitHub gives it to commits that are made with the token of a run.
BOT = {"name": "github-actions[bot]", "email": "41898282+github-actions[bot]@users.noreply.github.com"}
HASH = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


@dataclass(frozen=True)
class PullRequest:
    """A pull request as its event describes it.

    Attributes:
        head: hash of its newest commit when the run began.
        base: hash of the newest commit of the branch that it would be merged into.
        branch: its own branch, in ``home``.
        home: owner/name of the repository that the branch lives in.
        fork: whether that is another repository than the one that runs the workflow.
        target: the branch that it would be merged into.
    """

    number: int
    head: str
    base: str
    branch: str
    home: str
    fork: bool
    target: str = "main"


def read_event(environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Return the event that started this run.

    Raises:
        UserError: GITHUB_EVENT_PATH names no JSON object.
    """
    path = environment.get("GITHUB_EVENT_PATH", "")
    try:
        event = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"GITHUB_EVENT_PATH={path}: not an event", "this command belongs in a workflow") from error
    if not isinstance(event, dict):
        raise UserError(f"GITHUB_EVENT_PATH={path}: not an event", "this command belongs in a workflow")
    return event


def pull_request(environment: Mapping[str, str] = os.environ) -> PullRequest:
    """Return the pull request of this run, without asking GitHub: the run of a pull request's code has no token.

    A run that was dispatched for one (input ``number``) is about the commit that it has checked out. Which pull request
    that commit belongs to, and whether it is still open, is asked by the workflow `report`.

    Raises:
        UserError: GITHUB_EVENT_PATH names no event of a pull request.
    """
    path = environment.get("GITHUB_EVENT_PATH", "")
    event = read_event(environment)
    try:
        if environment.get("GITHUB_EVENT_NAME") == "workflow_dispatch" and "pull_request" not in event:
            made = _dispatched(event, environment)
        else:
            made = _read(event["pull_request"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"GITHUB_EVENT_PATH={path}: no event of a pull request",
            "this command belongs in a workflow that `pull_request` starts, or a dispatch with a pull request's number",
        ) from error
    for commit in (made.head, made.base):
        if not HASH.fullmatch(commit):
            raise UserError(f"GITHUB_EVENT_PATH={path}: {commit!r} is not a commit's hash", "run the workflow again")
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
        target=str(base["ref"]),
    )


def _dispatched(event: Mapping[str, Any], environment: Mapping[str, str]) -> PullRequest:
    target = str(event["repository"]["default_branch"])
    return PullRequest(
        number=int(event["inputs"]["number"]),
        head=environment.get("GITHUB_SHA", ""),
        base=newest(target) or "",
        branch=environment.get("GITHUB_REF", "").removeprefix("refs/heads/"),
        home=environment.get("GITHUB_REPOSITORY", ""),
        fork=False,
        target=target,
    )


def newest(branch: str, root: Path = Path()) -> str | None:
    """Return the newest commit of the origin's ``branch`` in this clone, None if the clone does not have it.

    The event of a pull request names the commit that its target was at when the event came, which may be an earlier
    one: the champion is what the target is at now.
    """
    try:
        wanted = ["--verify", "--quiet", "--end-of-options", f"refs/remotes/origin/{branch}^{{commit}}"]
        return git(["rev-parse", *wanted], root=root).strip()
    except UserError:
        return None


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


def credentials(token: str, server: str) -> dict[str, str]:
    """Return the environment that lets git reach ``server``; the token is in no file and on no command line."""
    if not token:
        return {}
    word = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.{server.rstrip('/')}/.extraheader",
        "GIT_CONFIG_VALUE_0": f"AUTHORIZATION: basic {word}",
    }
