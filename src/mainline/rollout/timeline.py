"""The story of a rollout for people: what happened, when, and on what grounds, as Markdown and one HTML page."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mainline.evaluate.blocks import (
    Badge,
    Banner,
    Block,
    Code,
    Heading,
    Inline,
    Listing,
    Paragraph,
    Plots,
    Table,
    Tile,
    Tiles,
)
from mainline.evaluate.charts import Series, line_chart
from mainline.evaluate.document import to_html, to_markdown
from mainline.files import write_atomic
from mainline.rollout.journal import Journal

Event = Mapping[str, Any]
GOOD = {"promote": True, "abort": False, "rollback": False}


def write_timeline(journal: Journal) -> tuple[Path, Path] | None:
    """Write timeline.md and timeline.html into the journal's folder and return them; None when nothing happened yet."""
    events = journal.events()
    if not events:
        return None
    blocks = story(journal.folder.name, events)
    page = to_html(f"Rollout of {journal.folder.name}", blocks)
    return (
        write_atomic(journal.folder / "timeline.md", to_markdown(blocks)),
        write_atomic(journal.folder / "timeline.html", page),
    )


def story(release: str, events: Sequence[Event]) -> list[Block]:
    """Return the timeline of a release's rollout."""
    begin, end = seconds(events[0]), seconds(events[-1])
    turns = [event for event in events if event["kind"] != "hold"]
    last = turns[-1] if turns else events[-1]
    looked = [event for event in events if event.get("figures", {}).get("candidate")]
    blocks: list[Block] = [_banner(release, last), Tiles(tuple(_tiles(events, looked, end - begin)))]
    blocks += [Heading("What happened"), Table(
        ("after", "phase", "users", "what", "why"),
        tuple(_row(event, begin) for event in _turning_points(events)),
        numeric=(0, 2),
    )]  # fmt: skip
    if len(looked) > 1:
        blocks.append(Plots(tuple(_plots(looked, begin))))
    judged = [event for event in events if event.get("checks")]
    if judged:
        blocks += [
            Heading("The last decision"),
            Paragraph(f"Every check of the look after {_after(seconds(judged[-1]) - begin)}, with its bound."),
            Table(
                ("check", "outcome", "value", "bound", "n", "in words"),
                tuple(_check(check) for check in judged[-1]["checks"]),
                numeric=(2, 3, 4),
            ),
        ]
    blocks += [
        Heading("Where it is written"),
        Paragraph("Every transition is a commit on branch deploy with its evidence; this page only tells of it."),
        Listing(f"git -C .mainline/deploy log -p -- ledger/{release}.yaml"),
    ]
    return blocks


def seconds(event: Event) -> float:
    """Return when an event was, in seconds since 1970."""
    return dt.datetime.fromisoformat(event["time"]).timestamp()


def _banner(release: str, last: Event) -> Banner:
    kind = str(last["kind"])
    titles = {"promote": "Promoted" if str(last["text"]).startswith("stable now") else "On its way",
              "abort": "Aborted", "rollback": "Rolled back"}  # fmt: skip
    return Banner(titles.get(kind, "Under way"), (Code(release), ": ", str(last["text"])[:600]), GOOD.get(kind))


def _tiles(events: Sequence[Event], looked: Sequence[Event], took: float) -> list[Tile]:
    tiles = [Tile("took", _after(took)), Tile("looks", f"{len(events):,}")]
    if looked:
        figures = looked[-1]["figures"]
        tiles.append(Tile("pairs in shadow", f"{max(event['figures'].get('pairs', 0) for event in looked):,}"))
        for side in ("candidate", "stable"):
            arm = figures[side]
            note = f"of {arm['requests']:,} requests"
            tiles.append(
                Tile(f"errors of {side}", f"{arm['errors']:,}", note, None if side == "stable" else not arm["errors"])
            )
    return tiles


def _turning_points(events: Sequence[Event]) -> list[Event]:
    """Return what changed something, and the last of the holds that say the same of one step."""
    names = ("kind", "phase", "step")
    following = [*events[1:], None]
    return [
        event
        for event, after in zip(events, following, strict=True)
        if event["kind"] != "hold" or after is None or any(event.get(name) != after.get(name) for name in names)
    ]


def _row(event: Event, begin: float) -> tuple[Inline, ...]:
    kind = str(event["kind"])
    return (
        _after(seconds(event) - begin),
        str(event.get("phase") or "start"),
        f"{event.get('weight', 0)} %",
        Badge(kind, GOOD.get(kind)),
        str(event["text"])[:400],
    )


def _check(check: Mapping[str, Any]) -> tuple[Inline, ...]:
    good = {"promote": True, "abort": False}.get(check["outcome"])
    bound = f"{check['direction']} {check['bound']:.4g}" if check["bound"] is not None else ""
    value = f"{check['value']:.4g}" if check["value"] is not None else ""
    shown = {"none": "not judged", "promote": "passed"}.get(check["outcome"], check["outcome"])
    return (
        str(check["name"]),
        Badge(shown, good),
        value,
        bound,
        f"{check['n']:,}" if check["n"] else "",
        str(check["text"]),
    )


def _plots(looked: Sequence[Event], begin: float) -> list[str]:
    times = [seconds(event) - begin for event in looked]

    def series(name: str) -> list[Series]:
        return [
            Series(side, times, [event["figures"][side].get(name) for event in looked])
            for side in ("candidate", "stable")
        ]

    label = "seconds since it began"
    plots = [
        line_chart("Users who see the candidate", [Series("users", times, [event["weight"] for event in looked])],
                   x_label=label, y_label="per cent", y_range=(0, 100)),
        line_chart("Failed attempts since the phase began", series("errors"), x_label=label, y_label="attempts"),
        line_chart("99th percentile of the latency", series("p99_ms"), x_label=label, y_label="ms"),
        line_chart("Mean score since the phase began", series("mean_score"), x_label=label, y_label="score"),
    ]  # fmt: skip
    if any(event["figures"]["candidate"].get("memory_mb") for event in looked):
        memory = [event["figures"]["candidate"].get("memory_mb") for event in looked]
        plots.append(
            line_chart("Memory of the candidate", [Series("memory", times, memory)], x_label=label, y_label="MB")
        )
    return plots


def _after(took: float) -> str:
    return f"{took:.0f} s" if took < 600 else f"{took / 60:.0f} min" if took < 36_000 else f"{took / 3600:.1f} h"
