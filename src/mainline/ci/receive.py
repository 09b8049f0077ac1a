"""Taking in what a fork's run left behind. All of it was made by the fork's own code, so all of it is only a claim."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainline.ci.event import HASH
from mainline.console import say, warn
from mainline.errors import UserError
from mainline.github import GitHub, State, fit

LIMITS = {"pull_request.json": 1_000, "verdict.json": 4 * 1024 * 1024, "report.md": 65_536}
NOTE = (
    "> Made by the run of a fork, with the fork's own code and workflow: a claim, not a verdict. "
    "Push its head to a branch of this repository to have `mainline/verdict` decided.\n\n"
)


@dataclass(frozen=True)
class Run:
    """The run that ended, as GitHub itself describes it in the ``workflow_run`` event."""

    head: str
    home: str
    conclusion: str
    url: str


def finished_run(environment: Mapping[str, str] = os.environ) -> Run:
    """Return the run that started this workflow.

    Raises:
        UserError: GITHUB_EVENT_PATH names no ``workflow_run`` event.
    """
    path = environment.get("GITHUB_EVENT_PATH", "")
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))["workflow_run"]
        run = Run(
            str(found["head_sha"]),
            str(found["head_repository"]["full_name"]),
            str(found["conclusion"]),
            str(found.get("html_url", "")),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"GITHUB_EVENT_PATH={path}: no workflow_run event", "this command belongs in .github/workflows/report.yml"
        ) from error
    if not HASH.fullmatch(run.head):
        raise UserError(f"{run.head!r} is no commit's hash", "run the workflow again")
    return run


def receive(folder: Path, run: Run, server: GitHub) -> tuple[State, str]:
    """Post a fork's report and set its status; return what was set.

    A fork's run can fail its own pull request, never pass it: "promote" becomes ``pending``.

    Raises:
        UserError: the artifact is not what our workflow makes, or names a pull request that GitHub says is another's;
            nothing was posted.
    """
    claim = _json(folder, "pull_request.json")
    number = claim.get("number")
    if not isinstance(number, int) or isinstance(number, bool) or not 0 < number < 10**9:
        raise UserError(f"pull_request.json: number: {str(number)[:40]!r} is no pull request's", "nothing to mend here")
    report = _text(folder, "report.md")
    known = server.pull_request(number)
    head = known.get("head") or {}
    if (head.get("sha"), (head.get("repo") or {}).get("full_name")) != (run.head, run.home):
        raise UserError(
            f"the artifact names #{number}, whose head GitHub says is another than this run's",
            "the pull request moved on, or the artifact was made to point at someone else's; a new push runs anew",
        )
    verdict = _json(folder, "verdict.json") if (folder / "verdict.json").exists() else {}
    state, description = _judge(run, verdict)
    server.set_status(run.head, state, description, run.url)
    say(f"mainline/verdict is {state} on {run.head[:7]} of #{number}", "pass")
    try:
        server.comment(number, fit(NOTE + harmless(report)))
    except UserError as error:
        warn(f"no comment: {error}")
    return state, description


def harmless(text: str) -> str:
    """Return Markdown that calls nobody (``@name``), loads no image and holds no hidden comment."""
    for dangerous, shown in (("@", "@\u200b"), ("![", "!\u200b["), ("<!--", "&lt;!--"), ("<img", "&lt;img")):
        text = text.replace(dangerous, shown).replace(dangerous.upper(), shown)
    return text


def _judge(run: Run, verdict: Mapping[str, Any]) -> tuple[State, str]:
    if run.conclusion == "cancelled":
        return "pending", "cancelled: a newer push has a run of its own"
    if run.conclusion == "success":
        return "pending", "the fork's own run passed; to decide, push its head to a branch of this repository"
    word = verdict.get("verdict")
    return "failure", f"the fork's own run failed{f' ({word})' if word in ('hold', 'reject') else ''}"


def _text(folder: Path, name: str) -> str:
    path = folder / name
    problem = ""
    if path.is_symlink() or not path.is_file():
        problem = "is not there as a plain file"
    elif path.stat().st_size > LIMITS[name]:
        problem = f"is larger than {LIMITS[name]:,} bytes"
    else:
        try:
            text = path.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            problem = "is not UTF-8"
        else:
            if all(letter.isprintable() or letter in "\n\t\r\u200b" for letter in text):
                return text
            problem = "holds control characters"
    raise UserError(f"artifact: {name} {problem}", "nothing was posted; the fork's run has the report on its own page")


def _json(folder: Path, name: str) -> dict[str, Any]:
    try:
        found = json.loads(_text(folder, name))
    except (ValueError, RecursionError) as error:
        raise UserError(f"artifact: {name} is not JSON", "nothing was posted") from error
    if not isinstance(found, dict):
        raise UserError(f"artifact: {name} is no object", "nothing was posted")
    return found
