"""The model card: what the model is for, how good it is and where it is not, written from the pipeline's outputs alone.

The sections are those of Mitchell and others, "Model Cards for Model Reporting" (2019), plus gates and business value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from mainline.config import Settings
from mainline.evaluate import card_checks, card_data, card_results, card_value
from mainline.evaluate.card_words import METRICS, Facts, coded, cut, metric, number, percent, plural
from mainline.evaluate.document import (
    Block,
    Bullets,
    Code,
    Heading,
    Inline,
    Listing,
    Paragraph,
    Tile,
    Tiles,
    to_html,
    to_markdown,
)
from mainline.project import Marks

Report = Mapping[str, Any]


def render(
    validation: Report,
    split: Report,
    training: Report,
    evaluation: Report,
    settings: Settings,
    project_marks: Mapping[str, Marks],
    plots: Mapping[str, pd.DataFrame] | None = None,
    about: str = "",
) -> tuple[str, str]:
    """Return the card as (Markdown, HTML); equal inputs give equal bytes.

    Args:
        validation: content of reports/validation.json.
        split: content of reports/split.json.
        training: content of artifacts/training.json.
        evaluation: content of reports/evaluation.json.
        settings: params.yaml.
        project_marks: the marks of each schema column, in schema order.
        plots: the tables of reports/plots by file name, with or without ``.csv``; absent ones are left out.
        about: the docstring of the project's package: what the model is for.
    """
    tables = {name.removesuffix(".csv"): table for name, table in (plots or {}).items()}
    facts = Facts(validation, split, training, evaluation, settings, project_marks, tables)
    title = f"Model card: {settings.project}"
    blocks: list[Block] = [
        Heading(title, 1),
        Paragraph(_summary(facts)),
        Tiles(_tiles(facts)),
        *_purpose(facts, about),
        *card_checks.gates(facts),
        *card_results.quality(facts),
        *card_results.calibration(facts),
        *card_results.months(facts),
        *card_results.slices(facts),
        *card_value.value(facts),
        *card_checks.behaviours(facts),
        *card_checks.fairness(facts),
        *card_data.data(facts),
        *card_data.features(facts),
        *card_data.model(facts),
        *_limits(facts),
        *_reproduce(),
    ]
    return to_markdown(blocks), to_html(title, blocks)


def _subject(facts: Facts) -> tuple[Code | str, ...]:
    data, task = facts.settings.data, facts.settings.model.task
    if task == "binary":
        return ("the probability that ", Code(data.label), " is ", Code(str(data.positive)))
    if task == "multiclass":
        return (f"the probability of each of {len(facts.training.get('classes') or ())} classes of ", Code(data.label))
    return ("the value of ", Code(data.label))


def _summary(facts: Facts) -> Inline:
    name, entry = facts.primary, facts.primary_entry
    test = facts.split.get("test") or {}
    rows = plural(int(facts.evaluation["rows"]), "row")
    when = f" from {test['from']} to {test['to']}" if test.get("from") and test.get("to") else ""
    base = facts.baseline.get(name)
    against = f", against {metric(name, base)} for a constant prediction" if base is not None else ""
    return (
        "Predicts ",
        *_subject(facts),
        f". On {rows}{when} that training never saw, its {METRICS.get(name, name)} is ",
        f"{metric(name, entry.get('value'))}{facts.interval(entry)}{against}. ",
        _verdict(facts),
    )


def _verdict(facts: Facts) -> str:
    judged, failed = facts.gates_judged, facts.gates_failed
    if not judged:
        return "No gate is switched on."
    return f"{len(judged) - len(failed)} of {len(judged)} gates pass."


def _tiles(facts: Facts) -> tuple[Tile, ...]:
    judged, failed = facts.gates_judged, facts.gates_failed
    tiles = []
    others = [name for name in facts.metrics if name != facts.primary][:2]
    for name in (facts.primary, *others):
        entry, base = facts.metrics.get(name, {}), facts.baseline.get(name)
        note = f"constant: {metric(name, base)}" if base is not None else ""
        tiles.append(Tile(METRICS.get(name, name), metric(name, entry.get("value")), note))
    threshold = facts.evaluation.get("threshold")
    if threshold:
        tiles.append(
            Tile(f"value, {threshold['unit']}", number(threshold["total"], 0), f"act from {cut(threshold['value'])} up")
        )
    if judged:
        note = "all pass" if not failed else f"{len(failed)} failed"
        tiles.append(Tile("gates", f"{len(judged) - len(failed)} of {len(judged)}", note, not failed))
    return tuple(tiles)


def _purpose(facts: Facts, about: str) -> list[Block]:
    data = facts.settings.data
    words = [paragraph for part in about.strip().split("\n\n") if (paragraph := " ".join(part.split()))]
    allowed = "probabilities" if facts.settings.model.task != "regression" else "predictions"
    items: tuple[Inline, ...] = (
        (
            "Meant for: rows that the schema of ",
            Code(facts.settings.project),
            " accepts, as they are known before ",
            Code(data.label),
            " is; the ",
            allowed,
            " support a decision, they do not explain one.",
        ),
        "Not meant for: rows that the schema refuses, populations that the batches do not hold, or reading a "
        "cause into a difference between predictions.",
        "Owner: the code owners of this repository. Questions and complaints: its issues.",
    )
    return [Heading("Intended use and owner"), *(Paragraph(paragraph) for paragraph in words), Bullets(items)]


def _limits(facts: Facts) -> list[Block]:
    cautions: list[Inline] = [*_cautions(facts)]
    lost = list(dict.fromkeys(str(text) for report in facts.reports for text in report.get("lost") or ()))
    blocks: list[Block] = [Heading("Limits")]
    if cautions:
        blocks += [Heading("What the numbers warn of", 3), Bullets(tuple(cautions))]
    if lost:
        blocks += [Heading("What is not known", 3), Bullets(tuple(coded(text) for text in lost))]
    if not cautions and not lost:
        blocks.append(
            Paragraph("Nothing in the reports stands out. That covers the test window only, not what comes after it.")
        )
    return blocks


def _cautions(facts: Facts) -> list[Inline]:
    found: list[Inline] = []
    for gate in facts.gates_failed:
        found.append(("The gate ", Code(str(gate["gate"])), " fails: this model must not be promoted."))
    entry, base = facts.primary_entry, facts.baseline.get(facts.primary)
    edge = entry.get("high") if entry.get("better") == "lower" else entry.get("low")
    if base is not None and edge is not None and (edge >= base if entry.get("better") == "lower" else edge <= base):
        found.append(
            f"The interval of the {METRICS.get(facts.primary, facts.primary)} includes a constant prediction, or is "
            "worse than one."
        )
    if entry.get("value") is None:
        found.append(f"The {METRICS.get(facts.primary, facts.primary)} could not be computed on the test window.")
    off = facts.drifted_months
    if off:
        worst = max(off, key=lambda item: abs(item["mean_score"] - item["mean_label"]))
        found.append(
            f"Calibration moves with time: in {', '.join(str(item['month']) for item in off)} the mean prediction "
            f"and the observed rate differ by more than {number(facts.calibration_bound)} (worst {worst['month']}: "
            f"predicted {percent(worst['mean_score'])}, observed {percent(worst['mean_label'])}). Do not read a score "
            "as an exact probability."
        )
    small = [item for item in facts.evaluation.get("slices") or () if not item["judged"]]
    if small:
        found.append(
            f"{plural(len(small), 'slice')} with fewer than {facts.settings.evaluate.min_rows} rows: shown, not judged."
        )
    moved = [
        str(item["column"]) for item in facts.validation.get("distribution") or () if item.get("verdict") == "moved"
    ]
    if moved:
        codes = [piece for name in moved for piece in (Code(name), ", ")][:-1]
        found.append(("The newest batch differs from the earlier ones in ", *codes, "."))
    if facts.split.get("kind") == "random":
        found.append("The test rows were drawn at random: the numbers say nothing about how the model ages.")
    return found


def _reproduce() -> list[Block]:
    lines = (
        "git checkout <commit>   # the one whose dvc.lock holds this card",
        "make setup              # the locked dependencies",
        "make run                # validate, split, train, evaluate, card: the same bytes again",
    )
    words = "Seeds, thread counts and dependencies are pinned, and no step needs an account."
    return [Heading("How to reproduce"), Paragraph(words), Listing("\n".join(lines))]
