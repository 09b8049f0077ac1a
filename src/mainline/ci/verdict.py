"""From the results of the jobs and ``reports/verdict.json`` to what GitHub is told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mainline import child
from mainline.ci.event import PullRequest, append
from mainline.console import say, warn
from mainline.errors import UserError
from mainline.files import write_atomic, write_json
from mainline.github import LARGEST_BODY, GitHub, State, fit

REPORTS = Path("reports")
SUMMARY_LIMIT = 1024 * 1024 - 1024
SHOWN = 20
LONGEST = 2000  # letters of the sentence that says what stopped a run


@dataclass(frozen=True)
class Results:
    """How the jobs before this one ended, in GitHub's words; ``docs_only`` as the plan says."""

    check: str
    train: str
    docs_only: bool


def judge(results: Results, verdict: Mapping[str, Any] | None, head: str) -> tuple[State, str]:
    """Return state and description of the commit status; only a promote of this very commit is a success."""
    if "cancelled" in (results.check, results.train):
        return "pending", "cancelled: a newer push has a run of its own"
    if results.check != "success":
        return "failure", "the checks before training failed: see the job check"
    if results.docs_only:
        return "success", "documentation only: nothing to train, nothing to compare"
    if verdict is None:
        return "failure", "no verdict: the run stopped before the comparison, see the job train"
    word, reason = str(verdict.get("verdict")), str(verdict.get("reason", ""))
    if (verdict.get("head") or {}).get("commit") != head:
        return "failure", "no verdict: the one in the artifact is about another commit"
    if (verdict.get("head") or {}).get("dirty"):
        return "failure", "no verdict: a step of the run changed files that are committed, see the job train"
    if word == "promote" and results.train != "success":
        return "failure", "promote does not count: a step of the run failed, see the job train"
    return ("success" if word == "promote" else "failure"), f"{word}: {reason}"


def load_verdict(folder: Path = REPORTS) -> dict[str, Any] | None:
    """Return ``verdict.json``, or None when there is none that can be read."""
    try:
        found = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def post_status(
    server: GitHub, number: int, head: str, state: State, description: str, *, text: str, url: str = ""
) -> None:
    """Set ``mainline/verdict`` on ``head``, and add a check run that shows ``text``, the report.

    Raises:
        UserError: the status could not be set; without it nothing says that the pull request may be merged.
    """
    server.set_status(head, state, description, url)
    say(f"mainline/verdict is {state} on {head[:7]} of #{number}: {description}", "pass")
    if state == "pending":
        return
    try:
        server.add_check(head, state, description, text)
    except UserError as error:
        warn(f"no check run: {error}")


def write_summary(found: PullRequest, environment: Mapping[str, str] = os.environ) -> None:
    """Show the report on the run's page, and note in ``reports/`` whose it is; without a report, say what stopped."""
    text = report_text()
    if not (REPORTS / "report.md").is_file():
        write_atomic(REPORTS / "report.md", text)
    if Path("dvc.lock").is_file():  # a fork's author takes it from the artifact, whose files all lie in one folder
        write_atomic(REPORTS / "dvc.lock", Path("dvc.lock").read_bytes())
    write_json(REPORTS / "pull_request.json", {key: asdict(found)[key] for key in ("number", "head")})
    append(environment.get("GITHUB_STEP_SUMMARY", ""), fit(text, SUMMARY_LIMIT) + "\n")


def report_text(folder: Path = REPORTS) -> str:
    """Return ``report.md``, or a short one made of what validation found."""
    try:
        return (folder / "report.md").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return stopped(folder)


def stopped(folder: Path = REPORTS) -> str:
    """Return a report in Markdown for a run that came to no verdict."""
    lines = ["## No verdict", "", "The run stopped before the champion and the challenger could be compared."]
    try:
        why = json.loads((folder / "stopped.json").read_text(encoding="utf-8"))
        words = {key: _cell(str(why[key]), LONGEST) for key in ("problem", "fix")}
    except (OSError, ValueError, KeyError, TypeError):
        words = {}
    if words:
        lines += ["", f"**{words['problem']}**", *(["", f"To mend it: {words['fix']}"] if words["fix"] else [])]
    try:
        violations = json.loads((folder / "validation.json").read_text(encoding="utf-8"))["violations"]
        rows = [
            [str(item.get(key, "")) for key in ("batch", "line", "column", "check", "count")] for item in violations
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        rows = []
    if rows:
        lines += ["", "The data are not fit to train on:", "", "| batch | line | column | check | rows |"]
        lines += ["|---|---|---|---|---|"]
        lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows[:SHOWN]]
        lines += [f"\n… and {len(rows) - SHOWN} more."] if len(rows) > SHOWN else []
    return "\n".join([*lines, "", "The log of the job `train` has the details; `make run` shows the same.", ""])


def post_comment(
    found: PullRequest, server: GitHub | None, folder: Path = REPORTS, environment: Mapping[str, str] = os.environ
) -> bool:
    """Comment the report through CML, or by our own call when CML is absent or fails; return whether one was posted.

    Nothing that goes wrong here is an error: the verdict is in the status, the report in summary and artifact.
    """
    text = report_text(folder)
    file = write_atomic(folder / "comment.md", fit(text, LARGEST_BODY - 1024))  # CML adds a mark of its own
    arguments = ["comment", "update", f"--target=pr/{found.number}", "--publish=false", str(file)]
    if program := shutil.which("cml", path=environment.get("PATH")):
        quiet = {"ITERATIVE_DO_NOT_TRACK": "1", "CI": "true"}
        try:
            done = child.run([program, *arguments], seconds=120, environment={**environment, **quiet})
        except (OSError, subprocess.TimeoutExpired) as error:
            warn(f"CML did not post the report: {type(error).__name__}")
        else:
            if done.returncode == 0:
                say(f"CML commented on #{found.number}", "pass")
                return True
            words = " ".join((done.stderr or done.stdout).split())[-300:]
            warn(f"CML did not post the report (exit code {done.returncode}): {words}")
    else:
        warn("CML is not here, so mainline posts the report itself")
    try:
        if server is None:
            return False
        server.comment(found.number, text)
        say(f"commented on #{found.number}", "pass")
        return True
    except UserError as error:
        warn(f"no comment: {error}")
        return False


def _cell(text: str, longest: int = 120) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())[:longest]
