"""The sections of the card that pass or fail: gates, behaviour, robustness, fairness."""

from __future__ import annotations

from mainline.evaluate.card_words import METRICS, NONE, Facts, coded, metric, number, percent, plain
from mainline.evaluate.document import Badge, Block, Code, Heading, Inline, Paragraph, Table


def gates(facts: Facts) -> list[Block]:
    """Return every gate with its number, direction, bound and verdict, and the latency budget."""
    rows: list[tuple[Inline, ...]] = []
    for gate in facts.evaluation.get("gates") or ():
        if gate.get("bound") is None and gate["passed"]:
            badge = Badge("off", None)
        else:
            badge = Badge("pass", True) if gate["passed"] else Badge("fail", False)
        sign = {"<=": "≤", ">=": "≥"}[gate["direction"]]
        bound = NONE if gate.get("bound") is None else f"{sign} {number(gate['bound'])}"
        rows.append((str(gate["gate"]), number(gate.get("value")), bound, badge, str(gate.get("note") or "")))
    budget = facts.settings.gates.latency_ms
    latency = (
        f"Latency is measured live by `mainline latency`; its budget is {number(budget)} ms for one row (median)."
        if budget is not None
        else "There is no latency budget."
    )
    size = f"The model file has {number(facts.evaluation.get('size_mb'))} MB."
    table: list[Block] = [Table(("gate", "number", "bound", "verdict", "note"), tuple(rows), (1, 2))] if rows else []
    return [Heading("Gates"), *table, Paragraph(coded(f"{size} {latency}"))]


def behaviours(facts: Facts) -> list[Block]:
    """Return the behavioural tests, and apart from them the robustness to damage."""
    found = facts.evaluation.get("behaviours") or ()
    blocks: list[Block] = []
    for title, chosen, words in (
        (
            "Behaviour",
            [item for item in found if item["kind"] != "robustness"],
            "What must happen to the predictions when the rows are changed.",
        ),
        (
            "Robustness",
            [item for item in found if item["kind"] == "robustness"],
            f"How much of the {METRICS.get(facts.primary, facts.primary)} is lost when the rows are damaged.",
        ),
    ):
        rows: list[tuple[Inline, ...]] = []
        for item in chosen:
            sign = {"<=": "≤", ">=": "≥"}[item["direction"]]
            badge = Badge("pass", True) if item["passed"] else Badge("fail", False)
            rows.append(
                (
                    str(item["name"]),
                    str(item["kind"]),
                    number(item["value"]),
                    f"{sign} {number(item['bound'])}",
                    badge,
                    str(item.get("detail") or ""),
                )
            )
        if rows:
            blocks += [
                Heading(title),
                Paragraph(words),
                Table(("test", "kind", "number", "bound", "verdict", "detail"), tuple(rows), (2, 3)),
            ]
    return blocks


def fairness(facts: Facts) -> list[Block]:
    """Return the gap and the groups of each declared grouping."""
    blocks: list[Block] = []
    for entry in facts.evaluation.get("fairness") or ():
        binary = any(plain(group.get("positives")) for group in entry["groups"])
        head = (
            "group",
            "rows",
            *(("positives",) if binary else ()),
            str(entry["metric"]),
            *(("selected",) if binary else ()),
            "",
        )
        rows = tuple(
            (
                Code(str(group["group"])),
                f"{group['rows']:,}",
                *((number(group["positives"]),) if binary else ()),
                metric("", group["value"]),
                *((percent(group["selected"]),) if binary else ()),
                "" if group["judged"] else Badge("not judged", None),
            )
            for group in entry["groups"]
        )
        gap = (
            f"largest gap {number(entry['gap'])}"
            if plain(entry["gap"])
            else "no gap: fewer than two groups can be judged"
        )
        blocks += [
            Heading(f"By {entry['column']}", 3),
            Paragraph(f"{entry['metric']}: {gap}."),
            Table(head, rows, tuple(range(1, len(head) - 1))),
        ]
    return [Heading("Fairness"), *blocks] if blocks else []
