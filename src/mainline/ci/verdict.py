"""What a run of a pull request's code says of itself: the summary on its page, and the report in its artifact."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from mainline.ci.event import PullRequest, append
from mainline.files import write_atomic, write_json
from mainline.github import fit
from mainline.markdown import code

REPORTS = Path("reports")
SUMMARY_LIMIT = 1024 * 1024 - 1024
SHOWN = 20
LONGEST = 2000  # letters of the sentence that says what stopped a run


def write_summary(found: PullRequest, environment: Mapping[str, str] = os.environ) -> None:
    """Show the report on the run's page, and note in ``reports/`` whose it is; without a report, say what stopped.

    ``CHECK_RESULT`` is how the step `make check` ended, in GitHub's words.
    """
    checks = environment.get("CHECK_RESULT", "success") == "success"
    text = report_text() if checks else unchecked()
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


def unchecked() -> str:
    """Return a report in Markdown for a run whose checks failed."""
    return "\n".join([
        "## No verdict", "", "The checks before training failed: the code, its types or the workflows.", "",
        "The step `make check` in the log of the job `train` names them; `make check` shows the same on your machine.",
        "",
    ])  # fmt: skip


def stopped(folder: Path = REPORTS) -> str:
    """Return a report in Markdown for a run that came to no verdict."""
    lines = ["## No verdict", "", "The run stopped before the champion and the challenger could be compared."]
    try:
        why = json.loads((folder / "stopped.json").read_text(encoding="utf-8"))
        words = {key: code(str(why[key]), LONGEST) for key in ("problem", "fix")}
    except (OSError, ValueError, KeyError, TypeError):
        words = {}
    if words:
        lines += ["", words["problem"], *(["", f"What helps: {words['fix']}"] if words["fix"] else [])]
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
        lines += ["| " + " | ".join(code(value, 120) for value in row) + " |" for row in rows[:SHOWN]]
        lines += [f"\n… and {len(rows) - SHOWN} more."] if len(rows) > SHOWN else []
    return "\n".join([*lines, "", "The log of the job `train` has the details; `make run` shows the same.", ""])
