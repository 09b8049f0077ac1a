"""The model of a batch run: what the service uses to check, score and decide, loaded once a process."""

from __future__ import annotations

import functools
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mainline.config import Task, load_settings
from mainline.errors import UserError
from mainline.files import read_json, sha256
from mainline.paths import EVALUATION, MODEL, SERVING, TRAINING
from mainline.train.onnx_run import FACTS

if TYPE_CHECKING:
    from pandera.api.pandas.model import DataFrameModel

    from mainline.serve.request import Checker
    from mainline.serve.scorer import Scorer


# Pandera's checks that allow all numbers between two that they allow.
INTERVALS = {"greater_than_or_equal_to", "less_than_or_equal_to", "greater_than", "less_than", "in_range"}


@dataclass(frozen=True)
class BatchModel:
    """Check, score and threshold.

    Attributes:
        accepted: columns whose odd values are let through.
        later: columns that are known only after the event.
        intervals: columns of numbers of which all between two allowed ones are allowed.
        classes: names of the columns of a multiclass score.
        id: the id column of the rows, None if they have none.
    """

    scorer: Scorer
    checker: Checker
    accepted: frozenset[str]
    later: frozenset[str]
    intervals: frozenset[str]
    task: Task
    classes: tuple[str, ...]
    threshold: float
    id: str | None


def fingerprint() -> str:
    """Return the SHA-256 of all that decides what a row scores: model, threshold, params and the project's code.

    Raises:
        UserError: the pipeline has not run.
    """
    from mainline.project import load_schema

    settings = load_settings()
    files = [Path("params.yaml"), MODEL, TRAINING, EVALUATION, *sorted(SERVING.glob("*"))]
    for file in (MODEL, TRAINING, EVALUATION, SERVING / FACTS):
        if not file.is_file():
            raise UserError(f"{file}: not there", "run `dvc repro` (or `dvc pull`) first")
    row, _ = load_schema(settings.project)
    found = __import__(row.__module__.split(".")[0]).__file__
    if found is not None:
        files += sorted(Path(found).parent.glob("*.py"))
    digests = [f"{file.name} {sha256(file)}" for file in files]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


@functools.lru_cache(maxsize=1)
def load_batch_model(expected: str) -> BatchModel:
    """Return the model of the working directory, loaded once for each fingerprint ``expected``.

    Raises:
        UserError: the working directory holds another model (a Dask worker that was started elsewhere), or none.
    """
    from mainline.project import load_project, load_schema
    from mainline.serve.request import make_checker
    from mainline.serve.scorer import load_scorer

    if (found := fingerprint()) != expected:
        raise UserError(
            f"{Path.cwd()}: holds another model or code ({found[:12]}) than the run scores with ({expected[:12]})",
            "start every worker at the top of a clone of the same commit, with its artifacts (`dvc pull`)",
        )
    settings = load_settings()
    data, accepted = settings.data, frozenset(settings.serve.accept)
    row, marks = load_schema(settings.project)
    training, threshold = read_json(TRAINING), read_json(EVALUATION)["threshold"]
    exact = read_json(SERVING / FACTS)["path"] != "onnx"
    scorer = load_scorer(SERVING.parent, load_project(settings.project).trusted if exact else ())
    columns = [item["name"] for item in scorer.inputs]
    checker = make_checker(row, marks, columns, data.label, settings.serve.accept, scorer.refused)
    return BatchModel(
        scorer=scorer,
        checker=checker,
        intervals=interval_columns(checker, row),
        accepted=accepted,
        later=frozenset({name for name, mark in marks.items() if mark.known == "after"} | {data.label}),
        task=settings.model.task,
        classes=tuple(training["classes"] or ()),
        threshold=0.5 if threshold is None else float(threshold["value"]),
        id=data.id if data.id in columns or data.id in marks else None,
    )


def interval_columns(checker: Checker, row: type[DataFrameModel]) -> frozenset[str]:
    """Return the columns of numbers of which all between two allowed ones are allowed."""
    columns = row.to_schema().columns
    return frozenset(
        name
        for name, rule in checker.rules.items()
        if rule.kind in ("integer", "number")
        and rule.vocabulary is None
        and not rule.deferred
        and all(check.name in INTERVALS for check in columns[name].checks)
    )


def release() -> str:
    """Return the id of the release that scores."""
    return os.environ.get("MAINLINE_RELEASE", "") or "unreleased"
