"""What to do about each signal: open, update, reopen, close or nothing. Pure: the same input, the same actions.

An action that was carried out is not asked for again, so a run that dies between two actions is simply run again.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mainline.markdown import code
from mainline.monitor.alarms import SINGLE, Point, Signal, Standing, mark, standing, summary
from mainline.monitor.issue_body import EVERY, Setting, body, compose, read_state, same, title
from mainline.monitor.issue_words import APPROVED, labels
from mainline.monitor.tracker import Issue

MUTE = "mute"
SUMMARY_NUMBER = "{summary}"  # in a comment: the number of the summary's issue, known once it is open
Do = Literal["open", "update", "reopen", "close", "nothing"]


@dataclass(frozen=True)
class Action:
    """One thing to do, and why.

    Attributes:
        mark: of the signal.
        number: of the issue; None: there is none yet.
        title, body, labels: of the issue afterwards; None: as they are.
        comment: written before anything is changed.
    """

    do: Do
    mark: str
    why: str
    number: int | None = None
    title: str = ""
    body: str | None = None
    labels: tuple[str, ...] | None = None
    comment: str = ""


def plan(signals: Sequence[Signal], issues: Sequence[Issue], setting: Setting, muted: Collection[int]) -> list[Action]:
    """Return one action a signal or issue of ours, the summary's first.

    ``issues`` is newest first; ``muted`` has the numbers of those about which nothing shall be written.
    """
    mine: dict[str, Issue] = {}
    for known in issues:
        mine.setdefault(known.body.split("\n", 1)[0].rstrip("\r"), known)
    numbers = {first: known.number for first, known in mine.items()}
    columns = [item for item in signals if item.kind in SINGLE]
    heard = [item for item in columns if numbers.get(item.mark(setting.model)) not in muted]
    whole = summary(heard, setting.rules)
    upstream = standing(whole.points, setting.rules.clean_windows)
    told = read_state(found.body) if (found := mine.get(whole.mark(setting.model))) else {}
    actions = []
    for signal in (whole, *signals):
        issue = mine.get(signal.mark(setting.model))
        now = standing(signal.points, setting.rules.clean_windows)
        if issue is not None and issue.number in muted:
            actions.append(Action("nothing", signal.mark(setting.model), "muted", issue.number))
        elif signal.kind in SINGLE and upstream.on:
            actions.append(_covered(signal, issue, setting))
        elif signal.kind in SINGLE and issue is None and _told(signal, now, told):
            actions.append(Action("nothing", signal.mark(setting.model), "told in the issue about many columns"))
        else:
            actions.append(_act(signal, now, issue, setting))
    done = {action.mark for action in actions}
    left = {first: known for first, known in mine.items() if first not in done}
    return [*actions, *_left(left, signals, setting, muted)]


def muted_until(found: Sequence[str], put_on: str, days: int) -> dt.datetime | None:
    """Return until when labels mute an issue, in UTC; None: they do not. ``put_on``: when ``mute`` was put on (ISO)."""
    ends = []
    for label in found:
        if day := re.fullmatch(r"mute-until-(\d{4}-\d\d-\d\d)", label):
            try:
                last = dt.datetime.fromisoformat(day[1]).replace(tzinfo=dt.UTC)
            except ValueError:
                continue
            ends.append(last + dt.timedelta(days=1))
    if MUTE in found and put_on:
        ends.append(_time(put_on) + dt.timedelta(days=days))
    return max(ends, default=None)


def _act(signal: Signal, now: Standing, issue: Issue | None, setting: Setting) -> Action:
    first = signal.mark(setting.model)
    if issue is None:
        if not now.on:
            return Action("nothing", first, "no alarm")
        text = compose(body(signal, now, setting))
        return Action("open", first, _why(now.last), None, title(signal, setting.model), text, labels(signal.kind))
    text = compose(body(signal, now, setting), issue.body)
    if issue.open:
        if now.clean >= setting.rules.clean_windows:
            newest = code(signal.points[-1].window)
            comment = f"{now.clean} windows in a row are OK, up to {newest}. Closed; it opens again if this comes back."
            # A new champion's windows know nothing of the alarm: then the text stays as it was.
            return Action("close", first, f"{now.clean} windows are OK", issue.number, body=text if now.last else None,
                          comment=comment)  # fmt: skip
        if not now.on:
            return Action(
                "nothing", first, f"{now.clean} of {setting.rules.clean_windows} windows are OK", issue.number
            )
        if same(text, issue.body):
            return Action("nothing", first, "nothing new", issue.number)
        return Action("update", first, _why(now.last), issue.number, body=text)
    until = str(read_state(issue.body).get("until", ""))
    if not now.on or now.last is None:
        return Action("nothing", first, "closed, and no alarm", issue.number)
    if now.last.end <= until:
        return Action("nothing", first, "closed, and no window with an alarm since", issue.number)
    kept = tuple(name for name in issue.labels if name != APPROVED) if APPROVED in issue.labels else None
    note = f" The label `{APPROVED}` stood for what was known then, and is taken off." if kept is not None else ""
    comment = f"It is back, in window {code(now.last.window)}.{note}"
    return Action("reopen", first, _why(now.last), issue.number, body=text, labels=kept, comment=comment)


def _covered(signal: Signal, issue: Issue | None, setting: Setting) -> Action:
    first = signal.mark(setting.model)
    if issue is None or not issue.open:
        return Action("nothing", first, "part of the issue about many columns", issue.number if issue else None)
    newest = code(signal.points[-1].window)
    comment = f"Many columns changed at once (window {newest}): this goes on in #{SUMMARY_NUMBER}."
    text = compose(body(signal, standing(signal.points, setting.rules.clean_windows), setting), issue.body)
    return Action("close", first, "part of the issue about many columns", issue.number, body=text, comment=comment)


def _told(signal: Signal, now: Standing, told: Mapping[str, object]) -> bool:
    """Return whether the summary, which a person has closed, told of this alarm and nothing new has happened."""
    names = told.get("columns")
    listed = isinstance(names, list) and (signal.column in names or EVERY in names)
    return listed and now.last is not None and now.last.end <= str(told.get("until", ""))


def _left(
    mine: Mapping[str, Issue], signals: Sequence[Signal], setting: Setting, muted: Collection[int]
) -> list[Action]:
    """Return what becomes of issues about columns that the windows no longer have."""
    kinds = (*SINGLE, "score")
    starts = tuple(mark(setting.model, kind, "").removesuffix(" -->") for kind in kinds)
    windows = max((len(item.points) for item in signals if item.kind in kinds), default=0)
    gone = [issue for first, issue in mine.items() if first.startswith(starts) and issue.open]
    return [
        Action(
            "close",
            issue.body.split("\n", 1)[0],
            "no longer watched",
            issue.number,
            comment=f"{windows} windows in a row no longer have this column. Closed.",
        )
        for issue in gone
        if windows >= setting.rules.clean_windows and issue.number not in muted
    ]


def _why(point: Point | None) -> str:
    return f"{point.window}: {point.words}" if point else ""


def _time(text: str) -> dt.datetime:
    moment = dt.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def numbered(action: Action, number: int | None) -> Action:
    """Return ``action`` with the number of the summary's issue in its comment."""
    return replace(action, comment=action.comment.replace(SUMMARY_NUMBER, "?" if number is None else str(number)))
