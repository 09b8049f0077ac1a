"""A reader of PromQL, as far as rules and dashboards need it: metrics, their labels, and what is grouped by."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

TOKEN = re.compile(
    r"""(?P<space>\s+)|(?P<text>"(?:[^"\\]|\\.)*")|(?P<window>\[(?:\d+(?:ms|[smhdwy])|\$__rate_interval)\])
    |(?P<duration>\d+(?:ms|[smhdwy])\b)|(?P<number>\d+(?:\.\d+)?)|(?P<word>[a-zA-Z_:][\w:]*)
    |(?P<match>=~|!~|!=|>=|<=|==|[=<>])|(?P<sign>[-+*/%^,(){}])""",
    re.X,
)
FUNCTIONS = {"abs", "absent", "clamp_min", "histogram_quantile", "increase", "rate", "scalar", "vector"}
AGGREGATIONS = {"sum", "max", "min", "avg"}
GROUPING = {"by", "on", "ignoring", "without", "group_left", "group_right"}
OPERATORS = {"and", "or", "unless", "offset"}
CLOSING = {")": "(", "}": "{"}


@dataclass
class Read:
    """What a query names: labels by metric, labels that it groups by, and what is wrong with it."""

    metrics: dict[str, set[str]] = field(default_factory=dict)
    grouped: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)


def tokens(query: str) -> Iterator[tuple[str, str]]:
    """Yield kind and text of each token; "fault" for what is none."""
    at = 0
    while at < len(query):
        found = TOKEN.match(query, at)
        if not found:
            yield "fault", query[at : at + 12]
            return
        at = found.end()
        if found.lastgroup != "space":
            yield str(found.lastgroup), found[0]


def read(query: str) -> Read:
    """Return what ``query`` names."""
    found, stack = Read(), list[str]()
    listed = list(tokens(query))
    metric, grouping = "", False
    for place, (kind, text) in enumerate(listed):
        following = listed[place + 1][1] if place + 1 < len(listed) else ""
        if kind == "fault":
            found.faults.append(f"cannot be read from {text!r} on")
        elif text in "({" and kind == "sign":
            stack.append(text)
            grouping = grouping or (place > 0 and listed[place - 1][1] in GROUPING)
        elif text in CLOSING:
            if not stack or stack.pop() != CLOSING[text]:
                found.faults.append(f"unequal brackets at {text}")
            grouping = False
        elif kind == "word" and stack[-1:] == ["{"]:
            found.metrics.setdefault(metric, set()).add(text)
        elif kind == "word" and grouping:
            found.grouped.add(text)
        elif kind == "word" and text not in FUNCTIONS | AGGREGATIONS | GROUPING | OPERATORS:
            metric = text
            found.metrics.setdefault(metric, set())
        elif kind == "word" and text in FUNCTIONS and following != "(":
            found.faults.append(f"{text} is not called")
        elif kind == "window" and listed[place - 1][1] != "}" and listed[place - 1][1] not in found.metrics:
            found.faults.append(f"{text} stands behind no metric")
    if stack:
        found.faults.append(f"unequal brackets: {' '.join(stack)} stays open")
    return found
