"""What the workflow `retrain` asks for, and who hears what came of it."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mainline.ci.event import BOT, append, credentials
from mainline.console import warn
from mainline.errors import UserError
from mainline.github import connect
from mainline.markdown import code
from mainline.monitor.tracker import Tracker
from mainline.monitor.tracker_github import GitHubTracker
from mainline.retrain import words
from mainline.retrain.approval import LABEL, NotApproved
from mainline.retrain.run import Ask, Outcome, retrain
from mainline.retrain.show import show

SCHEDULE = "the schedule of retrain.yml"


def run(environment: Mapping[str, str] = os.environ) -> int:
    """Retrain as the event asks; return the exit code.

    Raises:
        UserError: the event asks for nothing that is known, or the retraining stopped; the issue has heard of it.
    """
    ask = asked(environment)
    server = connect(environment)
    tracker = GitHubTracker(server)
    place = environment.get("GITHUB_SERVER_URL") or "https://github.com"
    try:
        found = retrain(ask, tracker, server=server, credentials=credentials(server.token, place), identity=BOT)
    except NotApproved as refusal:
        refuse(refusal, tracker)
        append(environment.get("GITHUB_STEP_SUMMARY", ""), f"## Nothing was done\n\n{code(str(refusal), 600)}\n")
        return 0
    except UserError as stopped:
        if ask.issue is not None:
            tracker.comment(ask.issue, words.stopped(stopped.problem, stopped.fix, environment.get("RUN_URL", "")))
        raise
    append(environment.get("GITHUB_STEP_SUMMARY", ""), summary(found))
    return show(found)


def asked(environment: Mapping[str, str]) -> Ask:
    """Return what the run's event asks for.

    Who may dispatch a workflow has write permission: GitHub sees to that. Who put a label on is asked of the API later.

    Raises:
        UserError: it is no event of this workflow, or an input cannot be read.
    """
    path, name = environment.get("GITHUB_EVENT_PATH", ""), environment.get("GITHUB_EVENT_NAME", "")
    try:
        event: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
        if name == "issues" and event["action"] == "labeled" and event["label"]["name"] == LABEL:
            return Ask(int(event["issue"]["number"]), push=True)
        if name == "workflow_dispatch":
            given = {key: str(value or "").strip() for key, value in (event.get("inputs") or {}).items()}
            return Ask(
                int(given["issue"].removeprefix("#")) if given.get("issue") else None,
                by=environment.get("GITHUB_TRIGGERING_ACTOR") or environment["GITHUB_ACTOR"],
                source=given.get("source", ""),
                as_of=dt.date.fromisoformat(given["as_of"]) if given.get("as_of") else None,
                push=True,
            )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"GITHUB_EVENT_PATH={path}: cannot be read ({error})",
            "give the issue as a number, and the as-of date like 2009-08-31",
        ) from error
    if name == "schedule":
        return Ask(by=SCHEDULE, push=True)
    raise UserError(f"event {name!r}: asks for no retraining", f"the label {LABEL}, a dispatch or a schedule does")


def refuse(refusal: NotApproved, tracker: Tracker) -> None:
    """Take a label that does not count off again, and say why."""
    warn(str(refusal))
    if refusal.issue is not None:
        tracker.update(refusal.issue.number, labels=tuple(name for name in refusal.issue.labels if name != LABEL))
        tracker.comment(refusal.issue.number, words.refused(refusal.problem, refusal.fix))


def summary(found: Outcome) -> str:
    """Return what came of it in Markdown, for the run's page."""
    batches = [f"- {code(item.name)}: {item.rows:,} rows, {item.first} to {item.last}" for item in found.batches]
    pull = [f"Pull request: {found.pull_request}"] if found.pull_request else []
    reason = [code(line, 600) for line in found.reason.splitlines()]
    return "\n\n".join([f"## Retraining: {found.result}", *reason, "\n".join(batches), *pull]) + "\n"
