"""The report of the monitor for people: the state first, then what moved, and what came of it; Markdown and HTML.

Names of columns and categories come from the data and may hold anything: the renderers escape them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mainline.evaluate.blocks import (
    Badge,
    Banner,
    Block,
    Bullets,
    Code,
    Heading,
    Inline,
    Listing,
    Paragraph,
    Plots,
    Strong,
    Table,
    Tile,
    Tiles,
)
from mainline.evaluate.document import to_html, to_markdown
from mainline.files import write_atomic
from mainline.monitor import page_plots, page_tables
from mainline.monitor.page_map import STYLE, heat_map
from mainline.monitor.page_view import View

LIMIT = 60_000
STATES = {True: "All is well", False: "Alarm", None: "It cannot be told"}


@dataclass(frozen=True)
class Section:
    """Blocks that stay together; the Markdown drops those of the highest ``rank`` first when it grows too long."""

    name: str
    rank: int
    blocks: tuple[Block, ...]


def write_report(view: View, out: Path) -> tuple[Path, Path]:
    """Write monitor.md and monitor.html into ``out``, and return them."""
    text, page = render(view)
    return write_atomic(out / "monitor.md", text), write_atomic(out / "monitor.html", page)


def render(view: View) -> tuple[str, str]:
    """Return the report as (Markdown of at most ``LIMIT`` bytes, HTML page); equal inputs give equal bytes."""
    found = sections(view)
    page = to_html(f"Monitor: {STATES[view.good].lower()}", [block for item in found for block in item.blocks])
    return _fit(found), page.replace("</style>", f"{STYLE}</style>", 1)


def sections(view: View) -> list[Section]:
    """Return all sections, in the order in which they are read."""
    made = [
        Section("state", 0, (_banner(view), Tiles(_tiles(view)))),
        Section("alarms", 1, _alarms(view)),
        Section("heat map", 3, _map(view)),
        Section("trends", 6, _trends(view)),
        Section("scores", 6, _scores(view)),
        Section("performance", 2, _performance(view)),
        Section("calibration", 5, _calibration(view)),
        Section("levels", 1, _levels(view)),
        Section("feedback", 4, _feedback(view)),
        Section("commands", 5, _commands()),
    ]
    return [item for item in made if item.blocks]


def _banner(view: View) -> Banner:
    newest, verdict = view.newest, view.performance.get("verdict")
    why: list[str] = []
    if newest is None:
        why.append("no window has been watched against this champion yet (`mainline monitor run`)")
    else:
        judged = newest.judged
        why.append(f"{judged.window}: {judged.verdict}" + (f" ({judged.reason[:400]})" if judged.reason else ""))
        if view.overdue:
            why.append(f"nothing has been watched since {judged.end[:16]}: this is the state of then, not of today")
    why.append(f"performance: {verdict} ({view.performance.get('reason', '')})" if verdict else "performance: unknown")
    why += [f"{level.name}: {level.words}" for level in view.levels if level.met is False]
    why += [f"{item.words}: `{item.command}`" for item in view.late if item.counts(view.rules)]
    return Banner(STATES[view.good], "; ".join(why) + ".", view.good)


def _tiles(view: View) -> tuple[Tile, ...]:
    counts = {verdict: 0 for verdict in ("OK", "WARNING", "DRIFT")}
    for kept in view.windows:
        counts[kept.judged.verdict] = counts.get(kept.judged.verdict, 0) + 1
    unknown = len(view.windows) - counts["OK"] - counts["WARNING"] - counts["DRIFT"]
    note = f"{counts['OK']} OK, {counts['WARNING']} WARNING, {counts['DRIFT']} DRIFT, {unknown} unknown"
    tiles = [Tile(f"{view.rules.window}s watched", f"{len(view.windows):,}", note)]
    if view.newest is not None:
        findings = view.newest.judged.findings
        fired = sum(item.verdict in ("WARNING", "DRIFT") for item in findings)
        good = False if fired else True if view.newest.judged.verdict == "OK" and not view.overdue else None
        value = f"{fired} of {len(findings)}" if findings else "unknown"
        tiles.append(Tile("columns with an alarm", value, f"in {view.newest.judged.window}", good))
    if view.performance:
        coverage = view.performance.get("coverage") or 0.0
        tiles.append(Tile("outcomes known", f"{coverage:.0%}", f"of {view.performance.get('rows', 0):,} predictions"))
        tiles += page_tables.primary_tile(view)
    return tuple(tiles)


def _alarms(view: View) -> tuple[Block, ...]:
    rows = page_tables.alarm_rows(view)
    if not rows:
        return ()
    head = ("column", "what happened", "verdict", "severity", "effect", "since")
    table = Table(head, tuple(rows[: page_tables.MOST_ROWS]), numeric=(4,))
    more = len(rows) - page_tables.MOST_ROWS
    extra = (Paragraph(f"and {more} more columns"),) if more > 0 else ()
    return (Heading(f"Alarms of {view.newest.judged.window if view.newest else ''}"), table, *extra)


def _map(view: View) -> tuple[Block, ...]:
    if not view.windows:
        return ()
    words = (
        "The colour is the verdict, its depth the effect. Hatched is what cannot be told, and it is never green. "
        "In Markdown: ✓ OK, ! WARNING, ✗ DRIFT, ? INSUFFICIENT DATA, ∅ NO TRAFFIC, … STALE."
    )
    return (
        Heading("Columns and windows"),
        Paragraph(words),
        Plots((heat_map(view.windows),)),
        page_tables.map_table(view),
    )


def _trends(view: View) -> tuple[Block, ...]:
    found = page_plots.trends(view)
    more = len(found) - page_plots.MOST_TRENDS
    note = (Paragraph(f"{more} more plots are left out; the map has their columns."),) if more > 0 else ()
    return (*_plots("Trend of each alarm", found[: page_plots.MOST_TRENDS]), *note)


def _scores(view: View) -> tuple[Block, ...]:
    blocks = _plots("Scores", page_plots.score_plots(view))
    share = page_plots.beyond(view)
    if blocks and share:
        blocks += (Paragraph(f"{share:.1%} of the newest scores lie outside the range of these plots."),)
    return blocks


def _performance(view: View) -> tuple[Block, ...]:
    found = view.performance
    if not found:
        return (Heading("Performance"), Paragraph("Not measured yet: `mainline monitor run` measures it."))
    good = {"OK": True, "WORSE": False}.get(str(found.get("verdict")))
    said: Inline = (Badge(str(found.get("verdict")), good), f" {found.get('reason', '')}")
    blocks: list[Block] = [Heading("Performance, realised and estimated"), Paragraph(said)]
    blocks += _grid(page_plots.performance(view))
    blocks += page_tables.performance_tables(view)
    blocks.append(Paragraph(str((found.get("estimate") or {}).get("cannot_see", ""))))
    return tuple(blocks)


def _calibration(view: View) -> tuple[Block, ...]:
    return _plots("Calibration over time", page_plots.calibration(view))


def _levels(view: View) -> tuple[Block, ...]:
    words = {True: ("met", True), False: ("missed", False), None: ("not judged", None)}
    rows = tuple(
        (level.name, Badge(*words[level.met]), level.words) for level in view.levels
    )  # fmt: skip
    table = [Table(("level", "", "in the newest window"), rows)] if rows else []
    plots = _grid(page_plots.levels(view))
    return (Heading("Service levels"), *table, *plots) if table or plots else ()


def _feedback(view: View) -> tuple[Block, ...]:
    table = page_tables.lag_table(view)
    plots = _grid(page_plots.lag(view))
    return (Heading("Feedback lag"), *table, *plots) if table or plots else ()


def _commands() -> tuple[Block, ...]:
    lines = (
        "mainline monitor run        # watch what has ended since, measure what came of it",
        "mainline monitor report     # this page again",
    )
    return (
        Heading("What now"),
        Bullets((
            (Strong("Wrong data?"), " A renamed category, a unit, a gap: mend it upstream; the next window shows it."),
            (Strong("Another world?"), " Confirmed by the outcomes: train again on what is known now."),
            (Strong("Noise?"), " Raise ", Code("monitor.effect"), " in params.yaml, and say why in the pull request."),
        )),
        Listing("\n".join(lines)),
    )  # fmt: skip


def _plots(title: str, svg: Sequence[str]) -> tuple[Block, ...]:
    return (Heading(title), Plots(tuple(svg))) if svg else ()


def _grid(svg: Sequence[str]) -> list[Block]:
    return [Plots(tuple(svg))] if svg else []


def _fit(found: Sequence[Section]) -> str:
    """Return the Markdown; sections that hold plots alone are left out, and the least important ones if need be."""
    kept = [item for item in found if any(not isinstance(block, Heading | Plots) for block in item.blocks)]
    dropped: list[str] = []
    while True:
        blocks: list[Block] = [block for item in kept for block in item.blocks]
        if dropped:
            words = f"Cut to stay below {LIMIT:,} bytes: {', '.join(dropped)}. All of it is in monitor.html."
            blocks.append(Paragraph(Strong(words)))
        text = to_markdown(blocks)
        if len(text.encode()) <= LIMIT:
            return text
        worst = max(range(len(kept)), key=lambda index: (kept[index].rank, index))
        dropped.append(kept.pop(worst).name)
