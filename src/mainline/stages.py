"""The five stages of dvc.yaml: files in, one pure function, files out. What they compute stands in the rooms."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mainline import console
from mainline.config import Settings, load_settings
from mainline.files import read_json, write_atomic, write_json
from mainline.paths import (
    CARD,
    CARD_PAGE,
    CHECK,
    EVALUATION,
    METRICS,
    MODEL,
    PLOTS,
    PROFILE,
    ROWS,
    SERVING,
    SPLIT,
    TEST,
    TRAIN,
    TRAINING,
    VALIDATION,
    read_inputs,
    read_plots,
)

if TYPE_CHECKING:
    import pandas as pd

    from mainline.data.validate import Validation

PROFILE_QUANTILES = 50


def run_validate() -> bool:
    """Return whether the batches pass; write reports/validation.json, and artifacts/rows.parquet only if they do."""
    from dataclasses import replace

    from mainline.data.redact import redact_shift, redact_violation
    from mainline.data.split import write_rows
    from mainline.data.validate import validate
    from mainline.project import load_schema

    settings = load_settings()
    row, marks = load_schema(settings.project)
    ROWS.unlink(missing_ok=True)  # rows of an earlier run are not to be split if this one fails
    with console.working("checking the batches"):
        found = validate(Path(settings.data.batches), row.to_schema(), settings.data, settings.model.task)
        found = replace(
            found,
            violations=[redact_violation(item, marks) for item in found.violations],
            distribution=[redact_shift(item, marks) for item in found.distribution],
        )
    write_json(VALIDATION, found.to_dict())
    _print_violations(found, settings.data.batches)
    if found.passed:
        write_rows(ROWS, found.rows)
    return found.passed


def _print_violations(found: Validation, folder: str) -> None:
    places = [f"{folder}/{item.batch}:{item.line}" for item in found.violations]
    if found.violations and console.out().is_terminal:
        lines = [
            (place, item.column, item.check, f"{item.count:,}", f"{item.share:.1%}", item.shown(), item.hint)
            for place, item in zip(places, found.violations, strict=True)
        ]
        columns = ("first seen", "column", "check", "rows", "share", "examples", "likely cause or fix")
        console.table("Violations", columns, lines, right=(3, 4))
    else:
        for place, item in zip(places, found.violations, strict=True):
            console.say(f"{place}: {item.sentence()}", "fail" if item.level == "error" else "warn")
    for item in found.violations:
        console.annotate(item.level, item.sentence(), f"{folder}/{item.batch}", item.line)
    verdict = "fit to train on" if found.passed else "not fit to train on"
    what = f"{len(found.rows):,} rows in {len(found.batches)} batches: {verdict} ({VALIDATION})"
    console.say(what, "pass" if found.passed else "fail")


def run_split() -> None:
    """Write artifacts/train.parquet, artifacts/test.parquet and reports/split.json."""
    from mainline.data.split import read_rows, split, write_rows

    settings = load_settings()
    parts = split(read_rows(ROWS), settings.data, settings.model.seed)
    write_rows(TRAIN, parts.train)
    write_rows(TEST, parts.test)
    write_json(SPLIT, parts.summary)
    console.say(f"{len(parts.train):,} rows to train on, {len(parts.test):,} to test on ({SPLIT})", "pass")


def _warn_of_other_kernels() -> None:
    """Warn if the numeric kernels are not the pinned ones: the outputs then have other bytes than elsewhere."""
    from mainline.kernels import deviations

    for deviation in deviations():
        console.warn(
            f"numeric kernels: {deviation}; the outputs can differ from dvc.lock in the last digits; fix: run the "
            "stage by the command `mainline` in the environment that `make setup` makes"
        )


def run_train() -> None:
    """Write artifacts/model.skops, artifacts/profile.json, artifacts/training.json and artifacts/serving."""
    from threadpoolctl import threadpool_limits

    from mainline.data.leakage import check_leakage
    from mainline.data.split import read_rows
    from mainline.data.target import classes, encode
    from mainline.project import load_project
    from mainline.train.artifact import save_model
    from mainline.train.export import export, save_export
    from mainline.train.fit import feature_columns, fit
    from mainline.train.reference import prior, reference_profile

    settings = load_settings()
    project = load_project(settings.project)
    _warn_of_other_kernels()
    rows = read_rows(TRAIN)
    names = classes(project.marks, settings, rows)
    target = encode(rows, settings, names)
    columns = feature_columns(project, settings)
    separations = check_leakage(rows, target, project.marks, columns, settings)
    with console.working(f"fitting {len(columns)} features on {len(rows):,} rows"), threadpool_limits(1):
        fitted = fit(rows, target, project, settings)
    profile = reference_profile(rows, fitted.model, columns, project.marks, PROFILE_QUANTILES)
    save_model(MODEL, fitted.model, project.trusted)
    write_json(PROFILE, profile.to_dict())
    facts = {
        "task": settings.model.task,
        "project": settings.project,
        "rows": len(rows),
        "classes": None if names is None else list(names),
        "separation": separations,
        "seed": settings.model.seed,
        "prior": prior(target, names),
    }
    with console.working("holding the fast path against the exact model"), threadpool_limits(1):
        exported = export(fitted.model, rows, columns, settings.model.seed)
    save_export(SERVING, exported)
    served = {key: exported.facts[key] for key in ("path", "reason", "parity", "rows")}
    write_json(TRAINING, fitted.facts | facts | {"serving": served})
    console.say(f"service: {exported.facts['path']}: {exported.facts['reason']} ({SERVING})", "pass")
    console.say(f"model of {MODEL.stat().st_size / 1000:,.0f} kB ({MODEL})", "pass")


def run_evaluate() -> None:
    """Write reports/evaluation.json, reports/metrics.json, reports/plots and artifacts/check.json."""
    from threadpoolctl import threadpool_limits

    from mainline.data.split import read_rows
    from mainline.evaluate.check_rows import check_rows
    from mainline.evaluate.plots import plots
    from mainline.evaluate.run import evaluate, flat_metrics
    from mainline.project import load_project
    from mainline.train.artifact import load_model

    settings = load_settings()
    project = load_project(settings.project)
    _warn_of_other_kernels()
    rows, training, model = read_rows(TEST), read_json(TRAINING), load_model(MODEL, project.trusted)
    with console.working(f"measuring on {len(rows):,} rows"), threadpool_limits(1):
        found = evaluate(rows, model, project, settings, training, MODEL.stat().st_size)
        tables = plots(rows, model, project, settings, training)
        checked = check_rows(rows, model, project, settings, training)
    write_json(CHECK, checked.document())
    write_json(EVALUATION, found)
    write_json(METRICS, flat_metrics(found))
    for name, table in tables.items():
        write_atomic(PLOTS / name, table.to_csv(index=False, lineterminator="\n"))
    failed = [gate["gate"] for gate in found["gates"] if not gate["passed"]]
    words = f"gates not passed: {', '.join(failed)}" if failed else f"{len(found['gates'])} gates passed"
    console.say(f"{words} ({EVALUATION})", "fail" if failed else "pass")


def run_card() -> None:
    """Write reports/card.md and reports/card.html, and record the run in MLflow if its server answers."""
    from mainline.evaluate.card import render
    from mainline.project import about, load_project
    from mainline.train.artifact import load_model
    from mainline.train.tracking import record

    settings = load_settings()
    project = load_project(settings.project)
    inputs = read_inputs()
    tables = read_plots()
    markdown, page = render(
        **inputs, settings=settings, project_marks=project.marks, plots=tables, about=about(settings.project)
    )
    write_atomic(CARD, markdown)
    write_atomic(CARD_PAGE, page)
    console.say(f"model card ({CARD_PAGE})", "pass")
    with console.working("recording the run"):
        recorded = record(
            settings=settings,
            **inputs,
            model=load_model(MODEL, project.trusted),
            example=_example(settings, inputs["training"]["columns"]),
            warn=console.warn,
            trusted=project.trusted,
        )
    if recorded is not None:
        console.say(f"run {recorded.run_id} {'updated' if recorded.updated else 'recorded'} in {recorded.uri}", "pass")


def _example(settings: Settings, columns: list[str]) -> pd.DataFrame:
    """Return five rows of features for the model's signature, personal values redacted."""
    from mainline.data.redact import redact_columns
    from mainline.data.split import read_rows
    from mainline.project import load_schema

    _, marks = load_schema(settings.project)
    return redact_columns(read_rows(TEST)[columns].head(5), marks)
