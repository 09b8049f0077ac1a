"""The report of a comparison: the verdict first, then why, then everything a reviewer may ask, as Markdown and HTML.

The Markdown is a comment on a pull request, which GitHub limits; sections that do not fit are left out, the least
important first, and the report says which. Names of branches, columns, groups and files may be anyone's: the renderers
escape them, and commands hold only what looks like a commit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from mainline.compare import report_changes, report_plots, report_results
from mainline.compare.report_made import made, rebuilt
from mainline.compare.report_words import Section, View, commit, finite, part, parts, text, value_of
from mainline.evaluate.blocks import (
    Badge,
    Banner,
    Block,
    Bullets,
    Code,
    Heading,
    Inline,
    Link,
    Listing,
    Paragraph,
    Piece,
    Strong,
    Table,
    Tile,
    Tiles,
)
from mainline.evaluate.card_words import METRICS, NONE, coded, number, percent, plural
from mainline.evaluate.document import to_html, to_markdown

LIMIT = 60_000
MOST_ROWS = 40
MOST_REASONS = 30
MOST_LINKS = 5
WORDS = {"promote": ("Promote", True), "hold": ("Hold", None), "reject": ("Reject", False)}
SOURCES = {"cache": "from the cache", "remote": "from the remote", "rebuilt": "rebuilt from its commit"}
CASES = {
    "first model": "There is no champion to compare with: this model is held against the bounds in params.yaml alone.",
    "identical model": "Champion and challenger are the same file, byte for byte: merging this changes no prediction.",
    "champion not reproducible": "The champion is in no cache or remote, and building it again gave another model than "
    "its lock names. There is nothing to compare the challenger with.",
    "champion saw test rows": "The champion was trained on rows of this test window. Its numbers would flatter it, "
    "so no comparison is made.",
    "champion cannot score": "The champion gives no predictions for these rows, so no comparison is made.",
    "too few rows": "The test window holds too few rows to tell the two models apart.",
}


def render(
    verdict: Mapping[str, Any],
    plots: Mapping[str, pd.DataFrame] | None = None,
    links: Mapping[str, str] | None = None,
) -> tuple[str, str]:
    """Return the report as (Markdown of at most :data:`LIMIT` bytes, HTML page); equal inputs give equal bytes.

    Args:
        verdict: content of reports/verdict.json; what is missing is left out.
        plots: tables of reports/plots by name, with or without ``.csv``: ``challenger/roc``, ``champion/roc`` and so
            on; a name without a model is the challenger's.
        links: where the whole report and its artifact are, by label; only http(s) addresses become links.
    """
    tables = {name.removesuffix(".csv"): table for name, table in (plots or {}).items()}
    comment = _sections(View(verdict, tables, links or {}, MOST_ROWS))
    page = _sections(View(verdict, tables, links or {}, None))
    title = f"Verdict: {_word(verdict)[0].lower()}"
    return _fit(comment, links or {}), to_html(title, [block for item in page for block in item.blocks])


def _word(verdict: Mapping[str, Any]) -> tuple[str, bool | None]:
    """Return the verdict in words; one that nobody knows is no promotion."""
    return WORDS.get(str(verdict.get("verdict")), ("No verdict", False))


def _sections(view: View) -> list[Section]:
    return [
        Section("verdict", 0, (_banner(view), *report_changes.loud(view))),
        *_reasons(view),
        *_context(view),
        *report_results.metrics(view),
        *report_results.gates(view),
        *report_results.slices(view),
        *report_results.months(view),
        *report_changes.data(view),
        *report_changes.settings(view),
        *report_plots.calibration(view),
        *report_results.value(view),
        *report_results.cost(view),
        *report_changes.lost(view),
        *_reproduce(view),
    ]


def _banner(view: View) -> Banner:
    word, good = _word(view.verdict)
    reason = text(view.verdict.get("reason") or "", 600).strip() or "The verdict gives no reason."
    first = reason.split(maxsplit=1)[0]
    return Banner(word, coded(reason[:1].upper() + reason[1:] if first.isalpha() else reason) or NONE, good)


def _reasons(view: View) -> list[Section]:
    order = ("reject", "hold", "note")
    above = {str(item.get("gate")) for item in view.passed_over}  # at the top already, with their numbers
    found = [
        item
        for item in parts(view.verdict, "reasons")
        if (item.get("text") or item.get("gate"))
        and not (item.get("level") == "note" and str(item.get("gate")) in above)
    ]
    found.sort(key=lambda item: order.index(item["level"]) if item.get("level") in order else -1)
    if not found:
        return []
    items: list[Inline] = []
    for item in found[:MOST_REASONS]:
        level = text(item.get("level"), 20)
        gate: tuple[Inline, ...] = (Code(text(item["gate"], 120)), ": ") if item.get("gate") else ()
        badge: Piece = Badge(level, False) if level == "reject" else Badge(level, None)
        if view.most is not None and level == "hold":
            badge = Strong("⏸️ hold")
        # Most sentences of a gate begin with its name, which stands here already.
        said = text(item.get("text") or "").removeprefix(f"{item.get('gate')}: ")
        items.append((badge, " ", *gate, *coded(said)))  # type: ignore[arg-type]
    if len(found) > MOST_REASONS:
        items.append(f"and {len(found) - MOST_REASONS} more")
    return [Section("Reasons", 1, (Heading("Why"), Bullets(tuple(items))))]


def _context(view: View) -> list[Section]:
    case = CASES.get(str(view.verdict.get("case")))
    blocks: list[Block] = [Heading("What was compared")]
    if case:
        blocks.append(Paragraph(Strong(case)))
    blocks.append(Paragraph(_sentence(view)))
    line = made(view)
    if line:
        blocks.append(Paragraph(coded(line)))
    tiles = _tiles(view)
    if tiles:
        blocks.append(Tiles(tiles))
    links = _links(view.links)
    if links:
        blocks.append(Paragraph(links))
    return [Section("What was compared", 1, tuple(blocks)), Section("the two models", 10, (_models(view),))]


def _sentence(view: View) -> Inline:
    whole = view.verdict
    head, against, window = part(whole, "head"), part(whole, "against"), part(whole, "window")
    dirty = " with uncommitted changes" if head.get("dirty") is True else ""
    ref = text(against.get("ref"), 80)
    where: tuple[Any, ...] = ("Commit ", commit(head.get("commit")), f"{dirty} against ", Code(ref))
    if against.get("commit"):
        where = (*where, " (", commit(against["commit"]), ")")
    rows = finite(whole.get("rows"))
    days = f" from {text(window['from'], 30)} to {text(window.get('to'), 30)}" if window.get("from") else ""
    scored = f", on {plural(int(rows), 'test row')}{days}." if rows is not None else "."
    if not view.primary or not view.compared:
        return (*where, scored)
    margin, level, resamples = (finite(whole.get(key)) for key in ("margin", "level", "resamples"))
    sure = f"the {percent(level, 0)} interval" if level is not None else "the interval"
    drawn = f" ({number(resamples)} paired resamples)" if resamples is not None else ""
    if whole.get("rule") == "superior":
        rule = f"Rule: {sure} of the difference must show a better {view.primary_words}{drawn}."
    elif whole.get("rule") == "non_inferior" and margin is not None:
        worse = f"a {view.primary_words} that is worse by {number(margin)} or more"
        rule = f"Rule: {sure} of the difference must rule out {worse}{drawn}."
    else:
        rule = f"The {view.primary_words} decides."
    return (*where, scored, f" {rule}")


def _tiles(view: View) -> tuple[Tile, ...]:
    tiles: list[Tile] = []
    alone = "the champion's, too" if view.verdict.get("case") == "identical model" else "no champion"
    for item in view.metrics[:2]:
        name = str(item.get("metric"))
        old, new = finite(item.get("champion")), finite(item.get("challenger"))
        if new is None:
            continue
        change = view.change(name, item, old, new)
        note = f"champion {value_of(name, old)}" if old is not None else alone
        good = {"better": True, "worse": False}.get(change)
        tiles.append(Tile(METRICS.get(name, name), value_of(name, new), f"{note}, {change}" if change else note, good))
    value = part(view.verdict, "value")
    new, old = (finite(part(value, model).get("total")) for model in ("challenger", "champion"))
    if new is not None:
        unit = text(part(value, "challenger").get("unit") or "", 20)
        note = f"champion {number(old, 0)}" if old is not None else ""
        tiles.append(Tile(f"value, {unit}", number(new, 0), note))
    gates = parts(view.verdict, "gates")
    if gates:
        passed = sum(item.get("passed") is True for item in gates)
        over = len(view.passed_over)
        failed = len(gates) - passed - over
        parted = ((failed, "failed"), (over, "missed, as by the champion"))
        note = ", ".join(f"{count} {word}" for count, word in parted if count) or "all hold"
        tiles.append(Tile("gates", f"{passed} of {len(gates)}", note, None if over and not failed else not failed))
    return tuple(tiles)


def _links(links: Mapping[str, str]) -> tuple[Piece, ...]:
    short = [(label, address) for label, address in sorted(links.items()) if len(address) <= 500][:MOST_LINKS]
    pairs = [(Link(text(label, 80), address), " · ") for label, address in short]
    return tuple(piece for pair in pairs for piece in pair)[:-1]


def _models(view: View) -> Table:
    old, new = part(view.verdict, "champion"), part(view.verdict, "challenger")
    head = part(view.verdict, "head")
    source = SOURCES.get(str(old.get("source")), text(old.get("source"), 40))
    rows: list[tuple[Inline, ...]] = [
        ("commit", commit(old.get("commit")), commit(head.get("commit"))),
        ("model sha256", commit(old.get("model_sha256")), commit(new.get("model_sha256"))),
        ("trained to", text(old.get("trained_to"), 30), text(new.get("trained_to"), 30)),
        ("training rows", number(finite(old.get("rows"))), number(finite(new.get("rows")))),
        ("taken", source, "from this commit"),
        ("rebuilt gives", rebuilt(old), NONE),
    ]
    if not old:
        return Table(("", "challenger"), tuple((row[0], row[2]) for row in rows[:4]), folded="the model")
    return Table(("", "champion", "challenger"), tuple(rows), folded="the two models")


def _reproduce(view: View) -> list[Section]:
    # Only what looks like a commit goes into a command: a branch name may hold shell.
    head, against = (
        found if re.fullmatch(r"[0-9a-f]{7,64}", found) else f"<commit of {name}>"
        for name, found in ((key, str(part(view.verdict, key).get("commit") or "")) for key in ("head", "against"))
    )
    lines = (
        f"git fetch origin {head} {against}",
        f"git checkout {head}",
        "make setup data                                # the locked dependencies, the batches",
        'export PATH="$PWD/.venv/bin:$PATH"',
        "dvc repro                                      # the challenger, byte for byte",
        f"mainline compare --against {against}",
    )
    words = "The two commits give this verdict again, to the last digit; only the latency depends on the machine."
    if part(view.verdict, "head").get("dirty") is True:
        words = "The work tree had uncommitted changes: the commits alone do not give this verdict again."
    return [Section("How to reproduce", 3, (Heading("How to reproduce"), Paragraph(words), Listing("\n".join(lines))))]


def _fit(sections: Sequence[Section], links: Mapping[str, str]) -> str:
    """Return the sections as Markdown of at most :data:`LIMIT` bytes, the important ones first to get a place; the
    verdict itself always has one.
    """
    written = [to_markdown(item.blocks).rstrip("\n") for item in sections]
    whole = "\n\n".join(body for body in written if body) + "\n"
    if len(whole.encode()) <= LIMIT:
        return whole

    def note(dropped: Sequence[int]) -> str:
        names = ", ".join(sections[index].name for index in dropped)
        start = Strong(f"Cut to stay below {LIMIT:,} bytes:")
        return to_markdown([Paragraph((start, f" {names}. All of it is in ", *_where(links), "."))]).rstrip("\n")

    room = LIMIT - len(note(range(len(sections))).encode()) - 3
    kept = set()
    for index in sorted(range(len(sections)), key=lambda index: sections[index].rank):
        size = len(written[index].encode()) + 2
        if size <= room or index == 0:
            kept.add(index)
            room -= size
    told = note([index for index in range(len(sections)) if index not in kept])
    return "\n\n".join([written[0], told, *(written[index] for index in sorted(kept - {0}) if written[index])]) + "\n"


def _where(links: Mapping[str, str]) -> tuple[Piece, ...]:
    return _links(links) or (Code("reports/report.html"), ", which the run keeps as an artifact")
