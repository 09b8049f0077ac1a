"""The sections of the report that say what else the pull request changes: data, gates, settings, features, packages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mainline.compare.report_words import Section, View, finite, part, parts, setting, signed, text, things
from mainline.evaluate.blocks import Badge, Block, Bullets, Code, Fold, Heading, Inline, Paragraph, Piece, Strong, Warn
from mainline.evaluate.card_words import NONE, coded, number, plural

Rows = list[tuple[Inline, ...]]


def loud(view: View) -> list[Block]:
    """Return the warnings of bounds that are missed and of gates made looser; they stand at the top of the report."""
    return [*_passed_over(view), *_looser(view)]


def _passed_over(view: View) -> list[Block]:
    found = view.passed_over
    if not found:
        return []
    lines: list[Inline] = [
        (
            Strong(f"The model is below {plural(len(found), 'bound')} of params.yaml, and so is the champion."),
            " So that is no ground to keep the champion; but better than a bad model is not yet good. ",
            "A person has to look: mend the model, or move the bound in a pull request of its own.",
        )
    ]
    lines += [(Code(text(item.get("gate"), 120)), ": ", *_missed(item)) for item in found[:10]]
    if len(found) > 10:
        lines.append(f"and {len(found) - 10} more, under Gates")
    return [Warn(tuple(lines))]


def _missed(item: Mapping[str, Any]) -> tuple[str, str]:
    sign = {"<=": "≤ ", ">=": "≥ "}.get(str(item.get("direction")), "")
    held = f"{number(finite(item.get('value')))}, must be {sign}{number(finite(item.get('bound')))}"
    note = text(item.get("note") or "")
    return held, f" ({note})" if note else ""


def _looser(view: View) -> list[Block]:
    found = view.looser
    if not found:
        return []
    lines: list[Inline] = [
        (
            f"This pull request makes {plural(len(found), 'gate')} looser. ",
            "A gate that is lowered to let a model through protects nobody: a code owner must agree to each.",
        )
    ]
    lines += [
        (Code(text(item.get("key"), 120)), ": ", setting(item.get("before")), " → ", setting(item.get("after")))
        for item in found[:10]
    ]
    if len(found) > 10:
        lines.append(f"and {len(found) - 10} more, under Changed gates")
    return [Warn(tuple(lines))]


def data(view: View) -> list[Section]:
    """Return rows, batches, and the drift of the newest batch."""
    found = part(view.verdict, "changes").get("data")
    if not isinstance(found, Mapping):
        return []
    before, after = finite(found.get("rows_before")), finite(found.get("rows_after"))
    blocks: list[Block] = [Heading("Data")]
    if after is not None:
        gap = f", {signed(after - before)}" if before is not None and after != before else ""
        was = f" (before: {number(before)}{gap})" if before is not None else ""
        blocks.append(Paragraph(f"{number(after)} rows{was}."))
    items: list[Inline] = []
    for kind in ("added", "removed", "changed"):
        names = [_batch(item) for item in things(found, f"batches_{kind}")]
        if names:
            more = f" and {len(names) - 20} more" if len(names) > 20 else ""
            shown: tuple[Piece, ...] = tuple(piece for name in names[:20] for piece in (Code(name), ", "))[:-1]
            # An old batch that changes rewrites what the champion was trained on.
            sign: tuple[Piece, ...] = (Badge("check", False), " ") if kind != "added" else ()
            items.append((*sign, f"{plural(len(names), 'batch').replace('batchs', 'batches')} {kind}: ", *shown, more))
    blocks.append(Bullets(tuple(items)) if items else Paragraph("The batches are the same."))
    drift = parts(found, "drift")
    moved = [item for item in drift if item.get("verdict") == "moved"]
    head = ("column", "effect", "bound", "verdict", "most grown")
    if moved:
        words = f"The newest batch differs from the earlier ones in {plural(len(moved), 'column')}:"
        blocks += [Paragraph(words), view.table(head, [_drift(item) for item in moved], (1, 2))]
    elif drift:
        same = sum(item.get("verdict") == "same" for item in drift)
        rest = f"; {plural(len(drift) - same, 'column')} cannot be judged" if same < len(drift) else ""
        columns = plural(same, "column")
        blocks.append(Paragraph(f"No drift: the newest batch is like the earlier ones in {columns}{rest}."))
    sections = [Section("Data", 7, tuple(blocks))]
    still = [item for item in drift if item.get("verdict") != "moved"]
    if still:
        folded = view.table(
            head, [_drift(item) for item in still], (1, 2), f"{plural(len(still), 'column')} that did not move"
        )
        sections.append(Section("columns that did not drift", 16, (folded,)))
    return sections


def _batch(item: Any) -> str:
    if isinstance(item, Mapping):
        name = text(item.get("file") or item.get("name"), 80)
        rows = finite(item.get("rows"))
        return name if rows is None else f"{name} ({plural(int(rows), 'row')})"
    return text(item, 80)


def _drift(item: Mapping[str, Any]) -> tuple[Inline, ...]:
    verdict = text(item.get("verdict"), 30)
    badge = Badge(verdict, False) if verdict == "moved" else verdict
    effect, bound = finite(item.get("effect")), finite(item.get("bound"))
    return Code(text(item.get("column"), 80)), number(effect), number(bound), badge, text(item.get("gained") or "", 160)


def settings(view: View) -> list[Section]:
    """Return changed gates (the looser ones first), params, features, dependencies, schema and code."""
    changes = part(view.verdict, "changes")
    gates = sorted(parts(changes, "gates"), key=lambda item: item.get("looser") is False)
    sections: list[Section] = []
    if gates:
        rows: Rows = []
        for item in gates:
            looser = item.get("looser")
            badge = (
                Badge("not looser", True) if looser is False else Badge("LOOSER" if looser else "cannot tell", False)
            )
            key, before, after = (
                Code(text(item.get("key"), 120)),
                setting(item.get("before")),
                setting(item.get("after")),
            )
            rows.append((key, before, after, badge))
        table = view.table(("gate", "before", "after", "it is now"), rows)
        sections.append(Section("Changed gates", 4, (Heading("Changed gates"), table)))
    shown = {text(item.get("key")) for item in gates}
    params: Rows = [
        (Code(text(item.get("key"), 120)), setting(item.get("before")), setting(item.get("after")))
        for item in parts(changes, "params")
        if text(item.get("key")) not in shown
    ]
    if params:
        table = view.table(("key", "before", "after"), params)
        sections.append(Section("Changed params", 8, (Heading("Changed params"), table)))
    features = _features(changes)
    if features:
        sections.append(Section("Features and schema", 7, (Heading("Features and schema"), Bullets(features))))
    packages: Rows = [
        (Code(text(i.get("package"), 80)), text(i.get("before") or "new", 60), text(i.get("after") or "removed", 60))
        for i in parts(changes, "dependencies")
    ]
    if packages:
        table = view.table(("package", "before", "after"), packages)
        sections.append(Section("Changed dependencies", 10, (Heading("Changed dependencies"), table)))
    code = [text(item, 160) for item in things(changes, "code")]
    if code:
        names: tuple[Inline, ...] = tuple(Code(item) for item in code[: view.most])
        if len(code) > len(names):
            names = (*names, f"and {len(code) - len(names)} more")
        fold = Fold(f"{plural(len(code), 'changed source file')}", (Bullets(names),))
        sections.append(Section("Changed code", 12, (Heading("Changed code"), fold)))
    return sections


def _features(changes: Mapping[str, Any]) -> tuple[Inline, ...]:
    found = part(changes, "features")
    items: list[Inline] = []
    for kind in ("added", "removed"):
        names = [text(item, 80) for item in things(found, kind)]
        if names:
            more = f" and {len(names) - 40} more" if len(names) > 40 else ""
            shown = tuple(piece for name in names[:40] for piece in (Code(name), ", "))[:-1]
            items.append((f"{plural(len(names), 'feature')} {kind}: ", *shown, more))
    if changes.get("schema") is True:
        items.append("The schema changed: each model was scored through the code of its own commit.")
    return tuple(items)


def lost(view: View) -> list[Section]:
    """Return what this comparison could not know."""
    found = list(dict.fromkeys(text(item) for item in things(view.verdict, "lost") if item is not None))
    if not found:
        return []
    items: tuple[Inline, ...] = tuple(coded(item) or NONE for item in found[: view.most])
    return [Section("What is not known", 4, (Heading("What is not known"), Bullets(items)))]
