"""The challenger: the model of the work tree, measured anew, and the gates that need no champion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mainline.compare.scoring import CannotScore, Predictions, predictions
from mainline.config import Settings
from mainline.files import read_json
from mainline.paths import METRICS, MODEL, TEST, TRAIN, read_inputs

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from mainline.compare.bound import Bound
    from mainline.project import Project

TRIES = 3  # a busy machine makes one measurement of latency slow; it takes three to reject for it


@dataclass(frozen=True)
class Challenger:
    """Everything that is known of the model of the work tree."""

    settings: Settings
    project: Project
    inputs: dict[str, Any]
    rows: pd.DataFrame
    y: NDArray[Any]
    score: NDArray[np.float64]
    evaluation: dict[str, Any]
    predicted: Predictions | None
    trouble: str = ""


def measure(settings: Settings) -> Challenger:
    """Return the challenger with its evaluation made anew and its predictions as a user would get them.

    Raises:
        UserError: the pipeline has not run, or the model cannot be measured.
    """
    from dataclasses import replace

    from threadpoolctl import threadpool_limits

    from mainline.data.split import read_rows
    from mainline.evaluate.run import evaluate, score_rows
    from mainline.project import load_project
    from mainline.train.artifact import load_model

    project, inputs, rows = load_project(settings.project), read_inputs(), read_rows(TEST)
    model = load_model(MODEL, project.trusted)
    with threadpool_limits(1):
        # Intervals of the metrics of all rows are not asked for here; those of slices decide, and are made in full.
        evaluation = evaluate(rows, model, project, settings, inputs["training"], MODEL.stat().st_size, resamples=100)
        scored = score_rows(rows, model, settings, inputs["training"])
    made = Challenger(settings, project, inputs, rows, scored.y, scored.score, evaluation, None)
    try:
        return replace(made, predicted=_unhurried(settings.gates.latency_ms))
    except CannotScore as error:
        return replace(made, trouble=str(error))


def _unhurried(bound: float | None) -> Predictions:
    """Return the challenger's predictions with the smallest latency of a few tries: other work only ever slows down.

    Raises:
        CannotScore: see :func:`predictions`.
    """
    found = predictions(Path(), TEST)
    for _ in range(TRIES - 1):
        if bound is None or found.latency_ms is None or found.latency_ms <= bound:
            break
        again = predictions(Path(), TEST)
        if again.latency_ms is not None and again.latency_ms < found.latency_ms:
            found = again
    return found


def own_gates(challenger: Challenger, numbers: Mapping[str, Any], same: bool = False) -> list[Bound]:
    """Return the gates on the challenger alone; ``numbers``, if any, tell which of them the champion misses too.

    ``same``: model and evaluation are the champion's, byte for byte.
    """
    from mainline.compare.gates import absolute, data_gate, finding_gate, held_scores, rows_gate
    from mainline.compare.integrity import lock_integrity, remote_integrity
    from mainline.compare.measured import champion_evaluation, same_evaluation, same_metrics
    from mainline.compare.seen import own_split
    from mainline.data.split import read_rows
    from mainline.evaluate.gates import absolute_gates, model_gates

    settings, predicted, inputs = challenger.settings, challenger.predicted, challenger.inputs
    measured = same_evaluation(challenger.evaluation, inputs["evaluation"])
    measured = measured if measured.faults else same_metrics(inputs["evaluation"], read_json(METRICS))
    gates = absolute_gates(challenger.evaluation, settings.gates, predicted.latency_ms if predicted else None)
    theirs = model_gates(champion_evaluation(numbers, settings.model.task), settings.gates) if numbers else []
    return [
        rows_gate(len(challenger.rows), settings.compare.min_rows),
        data_gate(inputs["validation"]),
        finding_gate("split", own_split(challenger.rows, read_rows(TRAIN), settings.data, inputs)),
        finding_gate("lock", lock_integrity()),
        finding_gate("remote", remote_integrity()),
        finding_gate("evaluation", measured),
        held_scores(challenger.score, predicted.score if predicted else None, challenger.trouble),
        *absolute(gates, theirs, numbers, settings.compare, settings.evaluate.primary, same),
    ]
