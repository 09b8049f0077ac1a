"""From the kept windows and the last report to issues: read, plan, carry out, print."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainline import console
from mainline.config import Settings, load_settings
from mainline.errors import UserError
from mainline.files import read_json
from mainline.monitor.alarms import LEVELS, Point, Signal, mark, of_report, of_windows
from mainline.monitor.issue_body import Setting, read_points
from mainline.monitor.lifecycle import MUTE, Action, muted_until, numbered, plan
from mainline.monitor.store import Store
from mainline.monitor.tracker import Issue, Tracker

SIGNS: Mapping[str, console.Mark] = {"open": "fail", "reopen": "fail", "update": "warn", "close": "pass"}
QUIET = ("no alarm",)


@dataclass(frozen=True)
class Told:
    """What was done about one signal; ``issue`` is None where there is none, and in a dry run where there would be."""

    action: Action
    issue: Issue | None


def issues(tracker: Tracker, now: dt.datetime, url: str = "", dry_run: bool = False) -> list[Told]:
    """Bring the issues into line with what was watched, print what was done, and return it.

    Raises:
        UserError: nothing was watched yet, a kept file is damaged, ``url`` is no address, or GitHub refuses. What was
            done until then stays, and the next run does the rest.
    """
    if url and not re.fullmatch(r"https?://[^\s<>]+", url):
        raise UserError(f"--url: {url!r} is no address", "write the whole address of the run's page")
    settings = load_settings()
    report = _report(Path(settings.monitor.folder) / "report.json")
    known = tracker.all()
    store = Store(Path(settings.monitor.folder), **report["store"])
    scope = store.scope.removesuffix("-table")
    setting = Setting(settings.project, settings.monitor, "" if scope == "all" else scope, url)
    actions = plan(_signals(store, report, known, settings, now), known, setting, _muted(tracker, known, settings, now))
    return carry_out(actions, known, tracker, dry_run)


def carry_out(actions: Sequence[Action], known: Sequence[Issue], tracker: Tracker, dry_run: bool = False) -> list[Told]:
    """Do what is planned, in order, and print it; with ``dry_run`` print it only."""
    by_number = {issue.number: issue for issue in known}
    done: list[Told] = []
    for action in actions:
        summary = done[0].issue if done else None
        step = numbered(action, summary.number if summary else None)
        issue = by_number.get(step.number) if step.number is not None else None
        if not dry_run:
            issue = _do(step, issue, tracker)
        done.append(Told(step, issue))
        _print(step, issue, dry_run)
    if all(told.action.do == "nothing" for told in done):
        console.say("no issue changed", "none")
    return done


def _do(action: Action, issue: Issue | None, tracker: Tracker) -> Issue | None:
    if action.do == "nothing":
        return issue
    if action.do == "open":
        return tracker.create(action.title, action.body or "", action.labels or ())
    assert action.number is not None
    # The comment goes first: one that is there already is not repeated, a change that was made is not asked for again.
    if action.comment:
        tracker.comment(action.number, action.comment)
    state = {"reopen": True, "close": False}.get(action.do)
    return tracker.update(action.number, body=action.body, labels=action.labels, open=state)


def _print(action: Action, issue: Issue | None, dry_run: bool) -> None:
    if action.do == "nothing" and (issue is None or action.why in QUIET):
        return
    number = f" #{issue.number}" if issue is not None else ""
    name = action.title or (issue.title if issue is not None else "")
    words = f"{'would ' if dry_run and action.do != 'nothing' else ''}{action.do}{number} {name}: {action.why}"
    console.say(words, SIGNS.get(action.do, "none"))
    if action.do in ("open", "reopen") and not dry_run:
        console.annotate("warning", f"{name}: {issue.url if issue is not None else ''}")


def _report(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise UserError(f"{path}: nothing was watched yet", "run `mainline monitor run` first")
    report = read_json(path)
    if not isinstance(report, dict) or not {"store", "performance", "levels"} <= set(report):
        raise UserError(f"{path}: is no report of this version", "run `mainline monitor run` again")
    return report


def _signals(
    store: Store, report: Mapping[str, Any], known: Sequence[Issue], settings: Settings, now: dt.datetime
) -> list[Signal]:
    kept = store.all()
    window, end = (kept[-1].judged.window, kept[-1].judged.end) if kept else (f"{now:%Y-%m-%d}", now.isoformat()[:10])
    keys = [("performance", report["performance"]["primary"]), *(("level", name) for name in LEVELS)]
    past: dict[tuple[str, str], list[Point]] = {}
    for kind, column in keys:
        first = mark(settings.project, kind, column)
        issue = next((item for item in known if item.body.startswith(first)), None)
        past[kind, column] = read_points(issue.body) if issue else []
    return [*of_windows(kept, settings.monitor), *of_report(report, window, end, past)]


def _muted(tracker: Tracker, known: Sequence[Issue], settings: Settings, now: dt.datetime) -> set[int]:
    found = set()
    for issue in known:
        asked = [label for label in issue.labels if label == MUTE or label.startswith(f"{MUTE}-")]
        if not asked:
            continue
        put_on = {label: by for label in asked if (by := _muted_by(tracker, issue, label))}
        if not put_on:
            continue
        until = muted_until(list(put_on), put_on.get(MUTE, ""), settings.monitor.mute_days)
        if until is None:
            console.warn(f"issue #{issue.number}: label {asked[0]!r} names no date such as mute-until-2030-01-31")
        elif now < until:
            found.add(issue.number)
    return found


def _muted_by(tracker: Tracker, issue: Issue, label: str) -> str:
    """Return when somebody who may write put the label on, an empty text if nobody did.

    Whoever may sort issues may label them, too; to keep alarms from being told takes more.
    """
    found = tracker.labelled_by(issue.number, label)
    who, when = found or ("", "")
    if when and tracker.may_write(who):
        return when
    console.warn(f"issue #{issue.number}: label {label!r} does not count: {who or 'somebody'} may not write here")
    return ""
