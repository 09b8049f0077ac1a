"""The text of an issue. Whatever comes from data is shown as code, where neither Markdown, HTML nor @names work."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mainline.config import Monitor
from mainline.github import fit
from mainline.markdown import code, plain
from mainline.monitor.alarms import Point, Signal, Standing, standing
from mainline.monitor.issue_words import TITLES, causes, command, ways

YOURS = "<!-- mainline:yours -->"
INVITATION = f"*What you write below this line stays.*\n{YOURS}"
STATE = "<!-- mainline:state "
REPORT = "The run's report: "
LARGEST = 60_000
WHOLE = 64_000  # ours and a person's together; GitHub takes 65,536
SHOWN, MEMBERS, KEPT = 12, 40, 30
# In the state of a summary: letters of the columns' names together, and what stands for more.
NAMES, EVERY = 4_000, "*"


@dataclass(frozen=True)
class Setting:
    """What an issue says beside its signal: model, rules, length of a window, release watched, page of the run."""

    model: str
    rules: Monitor
    release: str = ""
    url: str = ""


def title(signal: Signal, model: str) -> str:
    """Return the title of a new issue."""
    return f"{TITLES[signal.kind].format(code(signal.column, 80))} ({plain(model, 60)})"


def body(signal: Signal, now: Standing, setting: Setting) -> str:
    """Return our part of the text, at most ``LARGEST`` bytes: the mark, the state, and what a person reads."""
    last = now.last
    head = [signal.mark(setting.model), state_line(signal, now)]
    parts = [*_what(signal, now), *_members(signal, setting.rules), *_table(signal), *_chart(signal)]
    if last is not None and (likely := causes(signal, last.causes)):
        parts += ["**Likely cause:** " + "; ".join(likely) + ".", ""]
    start, end = _span(signal, now)
    parts += ["**Look yourself** (the log is where `MAINLINE_LOG` says, or name it):", ""]
    parts += ["```", command(signal, start, end, setting.release), "```", "", "**What now?**", ""]
    parts += [f"{number}. {way}" for number, way in enumerate(ways(signal.kind, setting.rules), 1)]
    parts += ["", *([f"{REPORT}<{setting.url}>", ""] if setting.url else [])]
    return fit("\n".join([*head, *parts]), LARGEST)


def compose(ours: str, before: str = "") -> str:
    """Return the whole text: ``ours``, and below the line what a person wrote into the text of ``before``."""
    theirs = before.replace("\r\n", "\n").partition(YOURS)[2]
    room = max(4_000, WHOLE - len(theirs.encode("utf-8")))
    return f"{fit(ours, room).rstrip()}\n\n{INVITATION}{theirs or chr(10)}"


def same(one: str, other: str) -> bool:
    """Return whether two texts say the same: the page of the run is another one each time."""
    return _settled(one) == _settled(other)


def state_line(signal: Signal, now: Standing) -> str:
    """Return the hidden second line: what the next run must know and no window keeps."""
    runs = signal.kind in ("performance", "level")
    kept = [point.to_dict() for point in signal.points[-max(KEPT, now.clean + 1) :]] if runs else []
    state: dict[str, Any] = {"until": now.last.end if now.last else "", "points": kept}
    if signal.members:
        names = sorted({member.column for member in signal.members})
        state["columns"] = names if sum(map(len, names)) < NAMES else [EVERY]
    # Only the letters of this text must not end the comment.
    text = json.dumps(state, sort_keys=True).replace("<", "\\u003c").replace(">", "\\u003e").replace("--", "-\\u002d")
    return f"{STATE}{text} -->"


def read_state(text: str) -> Mapping[str, Any]:
    """Return the state of an issue's text; empty when a person has spoilt it."""
    lines = text.replace("\r\n", "\n").split("\n", 2)
    if len(lines) < 2 or not lines[1].startswith(STATE):
        return {}
    try:
        found = json.loads(lines[1].removeprefix(STATE).removesuffix(" -->"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def read_points(text: str) -> list[Point]:
    """Return the points that the state of an issue's text keeps; none when it is spoilt."""
    try:
        return [Point.from_dict(item) for item in read_state(text).get("points", [])]
    except (TypeError, ValueError, AttributeError):
        return []


def _settled(text: str) -> str:
    lines = (line.rstrip() for line in text.replace("\r\n", "\n").split("\n"))
    return "\n".join(line for line in lines if line and not line.startswith(REPORT))


def _what(signal: Signal, now: Standing) -> list[str]:
    if now.last is None:
        return []
    last = now.last
    severity = f"**{last.severity}** · " if last.severity else ""
    since = f"since window {code(now.since)}, last seen in {code(last.window)}"
    calm = f" · {now.clean} OK since then" if now.clean else ""
    rows = f" (n = {last.rows:,})" if last.rows else ""
    return [f"{severity}{since}{rows}{calm}", "", code(last.words, 1_000), ""]


def _members(signal: Signal, rules: Monitor) -> list[str]:
    if not signal.members:
        return []
    rows = []
    for member in sorted(signal.members, key=lambda item: (item.column, item.kind)):
        now = standing(member.points, rules.clean_windows)
        if now.last is not None:
            figures = (_number(now.last.value), signal_unit(member), f"{now.last.rows:,}")
            cells = (code(member.column, 80), member.kind, code(now.since), code(now.last.window), *figures)
            rows.append(f"| {' | '.join(cells)} | {code(now.last.words)} |")
    more = [f"… and {len(rows) - MEMBERS} more."] if len(rows) > MEMBERS else []
    head = ["| column | kind | since | newest | value | unit | n | what |", "|---|---|---|---|--:|---|--:|---|"]
    return [*head, *rows[:MEMBERS], "", *more]


def _table(signal: Signal) -> list[str]:
    unit = f" ({signal_unit(signal)})" if signal_unit(signal) else ""
    lines = [f"| window | | value{unit} | bound | n | what |", "|---|---|--:|--:|--:|---|"]
    for point in signal.points[-SHOWN:]:
        figures = (_number(point.value), _number(point.bound), f"{point.rows:,}")
        lines.append(f"| {code(point.window)} | {point.state} | {' | '.join(figures)} | {code(point.words)} |")
    return [*lines, ""]


def _chart(signal: Signal) -> list[str]:
    """Return a Mermaid chart of the last windows, or nothing where there are fewer than two values."""
    points = [point for point in signal.points[-SHOWN:] if point.value is not None]
    if len(points) < 2:
        return []
    values = [float(point.value or 0.0) for point in points]
    bounds = [float(point.bound) for point in points if point.bound is not None]
    low, high = min([0.0, *values, *bounds]), max([*values, *bounds]) * 1.1
    names = ", ".join(f'"{_label(point.window)}"' for point in points)
    label = _label(signal_unit(signal)) or "value"
    lines = ["```mermaid", "xychart-beta", f"    x-axis [{names}]"]
    lines += [f'    y-axis "{label}" {low:.4g} --> {high if high > low else low + 1:.4g}']
    lines += [f"    bar [{', '.join(f'{value:.6g}' for value in values)}]"]
    if len(bounds) == len(points):
        lines += [f"    line [{', '.join(f'{value:.6g}' for value in bounds)}]"]
    return [*lines, "```", ""]


def signal_unit(signal: Signal) -> str:
    """Return the unit of a signal's values for a person."""
    return {"share": "share of rows"}.get(signal.unit, signal.unit)


def _span(signal: Signal, now: Standing) -> tuple[str, str]:
    """Return start and end of the newest window in alarm for the commands: it starts as the one before ends."""
    ends: Sequence[str] = [point.end for point in signal.points]
    if now.last is None or now.last.end not in ends or not (place := ends.index(now.last.end)):
        return "", ""
    return _moment(ends[place - 1]), _moment(now.last.end)


def _moment(time: str) -> str:
    found = re.fullmatch(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d):00\+00:00", time)
    if not found:
        return ""
    return found[1] if found[2] == "00:00" else f"{found[1]}T{found[2]}"


def _label(text: str) -> str:
    return re.sub(r"[^\w .:-]", "", text)[:40]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
