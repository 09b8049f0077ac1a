"""What one worker needs to answer: scorer, check, threshold, classes, limits, log and counters, loaded once."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mainline.config import Serve, Settings, load_settings
from mainline.files import read_json
from mainline.paths import EVALUATION, MODEL, PROFILE, TRAINING
from mainline.project import load_project, load_schema
from mainline.serve.clock import believed
from mainline.serve.identity import Identity, api_key, identity
from mainline.serve.log import PredictionLog, log_columns
from mainline.serve.log_ship import open_log
from mainline.serve.metrics import Metrics, metrics_folder
from mainline.serve.request import Checker, make_checker
from mainline.serve.rules import Rule, compile_rule
from mainline.serve.scorer import Scorer, load_scorer

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Loaded:
    """A worker's model with all that surrounds it.

    Attributes:
        threshold: the probability from which the decision is to act (binary).
        names: the classes in the order of the model's columns; None for a regression.
        outcome: the rule of the label, for feedback.
        example: a request body: for every column the most usual value of the training rows.
        key: the API key, None if none is asked for.
        replayed: whether requests may say what time it is (MAINLINE_REPLAY_CLOCK=1, for `mainline replay` alone).
    """

    identity: Identity
    settings: Serve
    task: str
    scorer: Scorer
    checker: Checker
    threshold: float
    names: tuple[str, ...] | None
    outcome: Rule
    example: Mapping[str, Any]
    key: bytes | None
    metrics: Metrics
    log: PredictionLog
    replayed: bool = False

    def answers(self, score: NDArray[np.float64]) -> list[dict[str, Any]]:
        """Return one prediction a row, as the response carries it."""
        if self.task == "regression":
            return [{"value": value} for value in score.tolist()]
        if self.task == "binary":
            return [{"probability": value, "decision": value >= self.threshold} for value in score.tolist()]
        names = self.names or ()
        parts = score if score.ndim == 2 else np.column_stack([1 - score, score])
        return [
            {"probabilities": dict(zip(names, row, strict=True)), "decision": names[int(np.argmax(row))]}
            for row in parts.tolist()
        ]


def load(root: Path) -> Loaded:
    """Return what serves the pipeline's outputs below ``root``.

    Raises:
        UserError: an output is absent or damaged, or params.yaml asks for what the model cannot do.
    """
    settings = load_settings(root / "params.yaml")
    training = read_json(root / TRAINING)
    scorer = load_scorer((root / MODEL).parent, _trusted(root, settings))
    row, marks = load_schema(settings.project)
    columns = [item["name"] for item in scorer.inputs]
    checker = make_checker(row, marks, columns, settings.data.label, settings.serve.accept, scorer.refused)
    label = row.to_schema().columns[settings.data.label]
    who = identity(os.environ)
    names = training["classes"]
    metrics = Metrics(who.release, who.track, list(checker.rules), metrics_folder(os.getppid()))
    return Loaded(
        identity=who,
        settings=settings.serve,
        task=settings.model.task,
        scorer=scorer,
        checker=checker,
        threshold=_threshold(root),
        names=None if names is None else tuple(names),
        outcome=compile_rule(settings.data.label, label, marks[settings.data.label]),
        example=example(read_json(root / PROFILE), checker),
        key=api_key(settings.serve.api_key_env, os.environ),
        metrics=metrics,
        log=open_log(
            settings.serve.log,
            log_columns(tuple(columns), settings.data, marks),
            release=who.release,
            track=who.track,
            place=os.environ.get("MAINLINE_LOG", ""),
        ),
        replayed=believed(os.environ),
    )


def example(profile: Mapping[str, Any], checker: Checker) -> dict[str, Any]:
    """Return a valid row made of each column's most usual value in training: real, and nobody's."""
    made: dict[str, Any] = {}
    for name in checker.required:
        rule, bins = checker.rules[name], profile["columns"].get(name)
        value: Any = (rule.vocabulary or (None,))[0]
        if bins is not None and bins["values"]:
            counts = bins["counts"][: len(bins["values"])]
            value = bins["values"][int(np.argmax(counts))]
        elif bins is not None and bins["edges"]:
            median = np.searchsorted(np.cumsum(bins["counts"][:-1]), sum(bins["counts"][:-1]) / 2)
            value = bins["edges"][min(int(median), len(bins["edges"]) - 1)]
        if rule.kind == "flag":
            value = str(value) == "True"  # profiles count flags by their text
        made[name] = int(value) if rule.kind == "integer" and value is not None else value
    return made


def _trusted(root: Path, settings: Settings) -> Sequence[str]:
    """Return the project's own model types; only the exact path needs them, and with them the project's features."""
    from mainline.paths import SERVING
    from mainline.train.onnx_run import FACTS

    exact = read_json(root / SERVING / FACTS).get("path") != "onnx"
    return load_project(settings.project).trusted if exact else ()


def _threshold(root: Path) -> float:
    found = read_json(root / EVALUATION).get("threshold")
    return 0.5 if found is None else float(found["value"])
