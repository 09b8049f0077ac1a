"""The sections of the report that hold champion against challenger: metrics, gates, slices, months, value, cost."""

from __future__ import annotations

from mainline.compare import report_plots
from mainline.compare.report_words import (
    Part,
    Section,
    View,
    difference,
    finite,
    mark,
    part,
    parts,
    signed,
    text,
    value_of,
)
from mainline.evaluate.blocks import Badge, Block, Code, Heading, Inline, Paragraph, Table
from mainline.evaluate.card_words import METRICS, NONE, cut, number, percent, plural

Rows = list[tuple[Inline, ...]]


def metrics(view: View) -> list[Section]:
    """Return every metric of both models with the interval of the difference, and the curves."""
    rows: Rows = []
    for item in view.metrics:
        name = str(item.get("metric"))
        new, old = item.get("challenger"), item.get("champion")
        label = METRICS.get(name, name) + (" (decides)" if name == view.primary else "")
        way = text(item.get("better"), 20)
        if view.compared:
            gap, interval = difference(item.get("difference"))
            word = mark(view.change(name, item, old, new))
            rows.append((label, value_of(name, old), value_of(name, new), gap, interval, word))
        else:
            rows.append((label, value_of(name, new), way))
    rows += _no_interval(view)
    if not rows:
        return []
    level = finite(view.verdict.get("level"))
    shown = f"{percent(level, 0)} interval" if level is not None else "interval"
    head: tuple[str, ...] = ("metric", "challenger", "better is")
    words, title = "No champion was scored, so there is nothing to hold these numbers against.", "The challenger"
    if view.verdict.get("case") == "identical model":
        words = "They are the champion's too."
    if view.compared:
        head = ("metric", "champion", "challenger", "difference", shown, "challenger is")
        words, title = (
            "Both models scored the same rows. The difference is challenger minus champion, and "
            "unclear where its interval holds 0.",
            "Both models",
        )
    blocks: list[Block] = [
        Heading(title),
        Paragraph(words),
        view.table(head, rows, (1, 2, 3, 4) if view.compared else (1,)),
    ]
    return [Section(title, 2, (*blocks, *report_plots.curves(view)))]


def _no_interval(view: View) -> Rows:
    """Return the calibration error and the fairness gap: compared, but without an interval."""
    calibration, fairness = part(view.verdict, "calibration"), part(view.verdict, "fairness")
    pairs = (
        ("calibration error", part(calibration, "champion").get("error"), part(calibration, "challenger").get("error")),
        ("fairness gap", fairness.get("champion"), fairness.get("challenger")),
    )
    rows: Rows = []
    for name, old, new in pairs:
        one, two = finite(old), finite(new)
        if one is None and two is None:
            continue
        gap = signed(round(two - one, 9)) if one is not None and two is not None else NONE
        if view.compared:
            rows.append((name, value_of("", one), value_of("", two), gap, NONE, NONE))
        else:
            rows.append((name, value_of("", two), "lower"))
    return rows


def gates(view: View) -> list[Section]:
    """Return the gates that fail or are passed over, then the others folded."""
    found, over = parts(view.verdict, "gates"), len(view.passed_over)
    failed = [item for item in found if item.get("passed") is not True]
    passed = [item for item in found if item.get("passed") is True]
    if not found:
        return []
    head = ("gate", "number", "bound", "verdict", "note")
    body: list[Block] = [Paragraph(f"All {plural(len(found), 'gate')} hold.")]
    if failed:
        fail, missed = len(failed) - over, "is missed" if over == 1 else "are missed"
        said = [f"{fail} of {plural(len(found), 'gate')} {'fails' if fail == 1 else 'fail'}."] if fail else []
        said += [f"{over} of {plural(len(found), 'gate')} {missed} by the champion as well, and passed over."] * bool(
            over
        )
        body = [
            Paragraph(" ".join(said)),
            view.table(head, [_gate(item) for item in failed], (1, 2)),
        ]
    sections = [Section("Gates", 3, (Heading("Gates"), *body))]
    if passed:
        fold = f"{plural(len(passed), 'gate')} that {'holds' if len(passed) == 1 else 'hold'}"
        folded = view.table(head, [_gate(item) for item in passed], (1, 2), fold)
        sections.append(Section("gates that hold", 9, (folded,)))
    return sections


def _gate(item: Part) -> tuple[Inline, ...]:
    bound, passed = finite(item.get("bound")), item.get("passed") is True
    sign = {"<=": "≤ ", ">=": "≥ "}.get(str(item.get("direction")), "")
    badge = Badge("off", None) if passed and bound is None else Badge("pass", True)
    if not passed and item.get("level") == "note":
        badge = Badge("passed over", None)
    elif not passed:
        badge = Badge(text(item.get("level") or "fail", 20), False)
    shown = NONE if bound is None else f"{sign}{number(bound)}"
    value = finite(item.get("value"))
    lost = "not computed" if value is None and not passed else number(value)
    return text(item.get("gate")), lost, shown, badge, text(item.get("note") or "")


def slices(view: View) -> list[Section]:
    """Return the slices that moved, the worst first, then the others folded."""
    return _groups(view, "slices", "slice", ("slice", "group"), 5)


def months(view: View) -> list[Section]:
    """Return the months that moved, in order, then the others folded."""
    return _groups(view, "months", "month", ("month",), 6)


def _groups(view: View, key: str, noun: str, names: tuple[str, ...], rank: int) -> list[Section]:
    found = parts(view.verdict, key)
    if not found:
        return []
    moved = [item for item in found if group_change(view, item) in ("better", "worse")]
    rest = [item for item in found if group_change(view, item) not in ("better", "worse")]
    if key == "slices":
        moved.sort(key=lambda item: (group_change(view, item) != "worse", -_size(item)))
    judged = sum(item.get("judged") is True for item in found)
    title = f"{noun.capitalize()}s that moved"
    words = (
        f"{len(moved)} of {plural(judged, f'judged {noun}')} moved: the interval of the difference in the "
        f"{view.primary_words} leaves out 0."
        if view.compared
        else f"No champion was scored: the table has the {view.primary_words} of the challenger alone."
    )
    if view.compared and not judged:
        words = f"No {noun} has enough rows to be judged."
    by_chance = (1 - (finite(view.verdict.get("level")) or 0.95)) * judged
    if view.compared and judged >= 10:
        words += f" About {by_chance:.0f} would by chance alone."
    blocks: list[Block] = [Heading(title if view.compared else f"{noun.capitalize()}s"), Paragraph(words)]
    if moved:
        blocks.append(_group_table(view, moved, names, ""))
    blocks += report_plots.groups(view, key, found)
    sections = [Section(title, rank, tuple(blocks))]
    if rest:
        fold = plural(len(rest), noun) + (" that did not move or cannot be judged" if view.compared else "")
        sections.append(Section(f"{noun}s that did not move", rank + 8, (_group_table(view, rest, names, fold),)))
    return sections


def _size(item: Part) -> float:
    return abs(finite(part(item, "difference").get("value")) or 0.0)


def group_change(view: View, item: Part) -> str:
    """Return how the primary metric of a slice or month changed; "" if it is not judged."""
    if item.get("judged") is not True:
        return ""
    old, new = part(item, "champion").get(view.primary), part(item, "challenger").get(view.primary)
    return view.change(view.primary, item, old, new)


def _group_table(view: View, found: list[Part], names: tuple[str, ...], folded: str) -> Table:
    rows: Rows = []
    for item in found:
        old, new = part(item, "champion").get(view.primary), part(item, "challenger").get(view.primary)
        gap, interval = difference(item.get("difference"))
        word = mark(group_change(view, item)) if item.get("judged") is True else Badge("not judged", None)
        labels = tuple(Code(text(item.get(name), 80)) for name in names)
        compared: tuple[Inline, ...] = (value_of("", old), value_of("", new), gap, interval)
        values = compared if view.compared else (value_of("", new),)
        rows.append((*labels, number(finite(item.get("rows"))), *values, word))
    both = ("champion", "challenger", "difference", "interval") if view.compared else ("challenger",)
    head = (*names, "rows", *both, "challenger is" if view.compared else "")
    return view.table(head, rows, tuple(range(len(names), len(head) - 1)), folded)


def value(view: View) -> list[Section]:
    """Return what acting on each model was worth; nothing without a declared value."""
    both = part(view.verdict, "value")
    old, new = part(both, "champion"), part(both, "challenger")
    if not new and not old:
        return []
    unit = text(new.get("unit") or old.get("unit") or "", 20)
    lines: tuple[tuple[str, str, int | None], ...] = (
        (f"value in all, {unit}", "total", 0),
        (f"value a row, {unit}", "per_row", 2),
        ("acts", "acted", 0),
        ("of the acts, hits", "precision", None),
        ("of all positives, found", "recall", None),
        (f"acting on every row, {unit}", "act_on_all", 0),
        (f"best threshold in hindsight, {unit}", "best_total", 0),
    )
    rows: Rows = []
    for label, key, digits in lines:
        one, two = finite(old.get(key)), finite(new.get(key))
        if one is None and two is None:
            continue
        shown = [percent(item) if digits is None else number(item, digits) for item in (one, two)]
        gap = NONE
        if one is not None and two is not None:
            gap = f"{100 * (two - one):+.1f} points" if digits is None else f"{two - one:+,.{digits}f}"
        if key == "per_row" and part(both, "difference"):
            found = part(both, "difference")
            low, high = (number(finite(found.get(end)), digits) for end in ("low", "high"))
            gap = f"{gap} ({low} to {high})"
        rows.append((label, *shown, gap) if old else (label, shown[1]))
    head = ("", "champion", "challenger", "difference") if old else ("", "challenger")
    words = (
        f"Act when the probability is at least {cut(finite(new.get('value')))}: a hit is worth {unit} "
        f"{number(finite(new.get('gain')))}, every act costs {unit} {number(finite(new.get('cost')))}."
    )
    table = view.table(head, rows, tuple(range(1, len(head))))
    return [
        Section("Business value", 8, (Heading("Business value"), Paragraph(words), table, *report_plots.value(view)))
    ]


def cost(view: View) -> list[Section]:
    """Return latency and size of both models."""
    latency, size = part(view.verdict, "latency"), part(view.verdict, "size")
    rows: Rows = []
    for name, old, new in (
        ("one row, median ms", latency.get("champion_ms"), latency.get("challenger_ms")),
        ("model file, MB", size.get("champion_mb"), size.get("challenger_mb")),
    ):
        one, two = finite(old), finite(new)
        if one is None and two is None:
            continue
        times = f"× {two / one:.2f}" if one and two is not None else NONE
        rows.append((name, number(one), number(two), times) if view.compared else (name, number(two)))
    if not rows:
        return []
    head = ("", "champion", "challenger", "challenger / champion") if view.compared else ("", "challenger")
    table = view.table(head, rows, tuple(range(1, len(head))))
    return [Section("Latency and size", 9, (Heading("Latency and size"), table))]
