"""The sections of the card that say what the model learnt from: data, features, personal data, model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mainline.evaluate.card_words import NONE, Facts, number, plain, plural
from mainline.evaluate.document import Block, Bullets, Code, Heading, Inline, Paragraph, Piece, Table
from mainline.project import Marks

SERVED = {"onnx": "a copy in ONNX", "exact": "the model itself"}


def data(facts: Facts) -> list[Block]:
    """Return batches, windows, the clock and the hashes."""
    split, batches = facts.split, facts.validation.get("batches") or ()
    clock: list[Inline] = []
    if split.get("as_of"):
        clock.append(f"As-of date: {split['as_of']}. Nothing later was visible to training.")
    if split.get("label_delay_days"):
        clock.append(
            f"Label delay: {plural(int(split['label_delay_days']), 'day')}; younger rows have no label yet and were "
            "not used."
        )
    if split.get("kind") == "random":
        clock.append("The project has no time column: the test rows are a seeded random sample.")
    names = {
        "training": "train",
        "test": "test",
        "label not known yet": "unlabelled",
        "after the as-of date": "later",
    }
    windows = tuple(
        (name, f"{int(part['rows']):,}", str(part.get("from") or NONE), str(part.get("to") or NONE))
        for name, key in names.items()
        if (part := split.get(key)) and part.get("rows")
    )
    rows = tuple(
        (
            Code(str(item["file"])),
            f"{int(item['rows']):,}",
            str(item.get("from") or NONE),
            str(item.get("to") or NONE),
            Code(str(item["sha256"])[:12]),
        )
        for item in batches
    )
    total = sum(int(item["rows"]) for item in batches)
    state = "All checks passed." if facts.validation.get("passed") else "Not all checks passed."
    words = f"{plural(len(rows), 'batch').replace('batchs', 'batches')}, {plural(total, 'row')}. {state}"
    head = ("batch", "rows", "from", "to", "sha256 begins")
    return [
        Heading("Data"),
        Paragraph(words),
        *([Bullets(tuple(clock))] if clock else []),
        *([Table(("window", "rows", "from", "to"), windows, (1,))] if windows else []),
        *([Table(head, rows, (1,), "lineage: the batches and their hashes")] if rows else []),
    ]


def features(facts: Facts) -> list[Block]:
    """Return the features, the columns that are left out with the reason, and the marks of personal data."""
    used = [str(name) for name in facts.training.get("columns") or ()]
    blocks: list[Block] = [Heading("Features"), Paragraph((f"{plural(len(used), 'feature')}: ", *_names(used)))]
    left = tuple((Code(name), *_reason(name, facts)) for name in _left_out(used, facts))
    if left:
        blocks += [Heading("Left out", 3), Table(("column", "reason", "separation (AUC)"), left, (2,))]
    marked = {name: marks for name, marks in facts.marks.items() if marks.pii != "keep" or marks.protected}
    if marked:
        rows = tuple(_mark(name, marks, name in used) for name, marks in marked.items())
        head = ("column", "personal data", "protected", "used as a feature")
        blocks += [Heading("Personal and protected data", 3), Table(head, rows)]
    else:
        blocks.append(Paragraph("The schema marks no column as personal or protected."))
    return blocks


def _left_out(used: list[str], facts: Facts) -> list[str]:
    separated = [str(item["column"]) for item in facts.training.get("separation") or () if not item["kept"]]
    return [name for name in dict.fromkeys([*facts.marks, *separated]) if name not in used]


def _reason(name: str, facts: Facts) -> tuple[str, str]:
    """Return why a column is not a feature, and how well it separates the target alone, if that was measured."""
    settings, marks = facts.settings, facts.marks.get(name, Marks())
    measured = next((item for item in facts.training.get("separation") or () if item["column"] == name), None)
    score = number(measured.get("score")) if measured else NONE
    if measured and measured.get("reason") and not measured["kept"]:
        return str(measured["reason"]), score
    for reason, applies in (
        ("the label", name == settings.data.label),
        ("the key of a row", name == settings.data.id),
        ("the time of a row", name == settings.data.time),
        ("known only after the event", marks.known == "after"),
        ("dropped in params.yaml (features.drop)", name in settings.features.drop),
    ):
        if applies:
            return reason, score
    return "not among the project's features", score


def _mark(name: str, marks: Marks, used: bool) -> tuple[Inline, ...]:
    handling = {"keep": NONE, "hash": "hashed in logs and reports", "drop": "dropped from logs and reports"}[marks.pii]
    return Code(name), handling, "yes, gaps are measured" if marks.protected else NONE, "yes" if used else "no"


def _names(names: list[str]) -> tuple[Piece, ...]:
    pieces: list[Piece] = []
    for name in names:
        pieces += [Code(name), ", "]
    return (*pieces[:-1], ".")


def model(facts: Facts) -> list[Block]:
    """Return the estimator, its parameters, calibration, seed and search."""
    training, settings = facts.training, facts.settings
    rows: list[tuple[Inline, ...]] = [("task", settings.model.task)]
    for key, entry in sorted((training.get("estimator") or {}).items()):
        rows.append((_words(key), Code(_flat(entry))))
    fitted = training.get("calibration") or {}
    method = str(fitted.get("method") or settings.model.calibration.method)
    share = (
        f", learnt from the newest {plural(int(fitted['rows']), 'training row')}"
        if plain(fitted.get("rows")) and fitted["rows"]
        else ""
    )
    rows.append(("calibration", "none" if method == "none" else f"{method}{share}"))
    search = training.get("search")
    if search:
        tried = (
            f"{plural(len(search.get('candidates') or ()), 'candidate')}, {number(search.get('folds'))} folds; best: "
        )
        rows.append(("search", (tried, Code(_flat(search.get("best"))))))
    else:
        rows.append(("search", "none"))
    rows.append(("seed", str(training.get("seed"))))
    if served := training.get("serving"):
        compared = f", compared on {plural(int(served['rows']), 'row')}" if served["path"] == "onnx" else ""
        rows.append(("served by", f"{SERVED[served['path']]}: {served['reason']}{compared}"))
    if training.get("rows") is not None:
        rows.append(("training rows", number(training["rows"])))
    if training.get("classes"):
        rows.append(("classes", _names([str(name) for name in training["classes"]])[:-1]))
    return [Heading("Model"), Table(("part", "value"), tuple(rows))]


def _words(key: str) -> str:
    return key.replace("_", " ")


def _flat(entry: Any) -> str:
    """Return a value as ``a=1, b=2`` in sorted order, whatever its nesting."""
    if isinstance(entry, Mapping):
        return ", ".join(f"{key}={_flat(value)}" for key, value in sorted(entry.items())) or NONE
    if isinstance(entry, (list, tuple)):
        return ", ".join(_flat(value) for value in entry) or NONE
    return number(entry) if isinstance(entry, float) else str(entry)
