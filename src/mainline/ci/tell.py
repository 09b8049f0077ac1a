"""Telling GitHub what was found: the status first, then the check run and the comment, which nothing depends on."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mainline import child
from mainline.ci import artifact
from mainline.ci.here import Here
from mainline.ci.report import Finding
from mainline.console import say, warn
from mainline.errors import UserError
from mainline.files import write_atomic, write_json
from mainline.github import CML_TITLE, LARGEST_BODY, MARK, GitHub, fit

FOLDER = Path(".mainline", "comment")
NAME = "comment"
LIMITS = {"comment.md": LARGEST_BODY * 4, "target.json": 1_000}


def tell(finding: Finding, here: Here, url: str = "", folder: Path = FOLDER) -> None:
    """Set the status, add the check run, comment, and put the comment's text into ``folder`` for CML.

    Raises:
        UserError: the status could not be set; without it nothing says whether the pull request may be merged.
    """
    server, commit = here.server, finding.commit
    if finding.keep and here.verdict(commit) in ("success", "failure"):
        say(f"{finding.description}; {commit[:7]} has a verdict: it stays")
        return
    server.set_status(commit, finding.state, finding.description, url)
    say(f"mainline/verdict is {finding.state} on {commit[:7]}: {finding.description}", "pass")
    if not finding.number or not (text := finding.text or _short(finding, url)):
        return
    if finding.state != "pending" and not finding.claim:
        try:
            server.add_check(commit, finding.state, finding.description, text)
        except UserError as error:
            warn(f"no check run: {error}")
    body = f"{MARK}\n{fit(text, LARGEST_BODY - 1024)}"  # CML adds a mark of its own
    try:
        server.comment(finding.number, f"{body}\n\n{watermark(commit)}")
        say(f"commented on #{finding.number}", "pass")
    except UserError as error:
        warn(f"no comment: {error}")
    if not finding.claim:  # CML sees nothing that a fork has written
        write_atomic(folder / "comment.md", body)
        write_json(folder / "target.json", {"number": finding.number})


def watermark(commit: str) -> str:
    """Return the mark by which CML knows its comment again, so that it takes ours for its own."""
    return f'![](https://cml.dev/watermark.png#{commit} "CML watermark {CML_TITLE}")'


def comment_by_cml(run: int, server: GitHub, environment: Mapping[str, str] = os.environ) -> bool:
    """Put the comment of a run of the workflow `report` in its place by CML; return whether CML has done so.

    Nothing that goes wrong here is an error: the comment is there already, by our own call.
    """
    try:
        found = _taken(run, server)
        if found is None:
            say("nothing to comment")
            return False
        number, body = found
        if not _cml(number, body, environment):
            return False
        for entry in server.our_comments(number)[:-1]:
            server.call("DELETE", f"issues/comments/{int(entry['id'])}")
    except UserError as error:
        warn(f"CML did not comment: {error}")
        return False
    return True


def _taken(run: int, server: GitHub) -> tuple[int, str] | None:
    there = server.run_artifacts(run, NAME)
    if not there:
        return None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "comment.zip")
        server.download(int(there[0]["id"]), file, artifact.LARGEST)
        found = artifact.unpack(file, LIMITS)
    target: dict[str, Any] = artifact.document(found, "target.json") or {}
    return int(target.get("number", 0)), artifact.text(found, "comment.md") or ""


def _cml(number: int, body: str, environment: Mapping[str, str]) -> bool:
    program = shutil.which("cml", path=environment.get("PATH"))
    if program is None:
        warn("CML is not here; the comment stays as mainline has posted it")
        return False
    with tempfile.TemporaryDirectory() as folder:
        file = write_atomic(Path(folder, "comment.md"), body)
        options = [f"--target=pr/{number}", "--publish=false", f"--watermark-title={CML_TITLE}"]
        command = [program, "comment", "update", *options, str(file)]
        quiet = {"ITERATIVE_DO_NOT_TRACK": "1", "CI": "true"}
        try:
            done = child.run(command, seconds=120, environment={**environment, **quiet})
        except (OSError, subprocess.TimeoutExpired) as error:
            warn(f"CML did not comment: {type(error).__name__}")
            return False
    if done.returncode != 0:
        words = " ".join((done.stderr or done.stdout).split())[-300:]
        warn(f"CML did not comment (exit code {done.returncode}): {words}")
        return False
    say(f"CML commented on #{number}", "pass")
    return True


def _short(finding: Finding, url: str) -> str:
    if finding.state != "failure":
        return ""
    return f"## No verdict\n\n{finding.description[:1].upper()}{finding.description[1:]}.\n" + (
        f"\n{url}\n" if url else ""
    )
