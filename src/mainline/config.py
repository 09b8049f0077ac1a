"""params.yaml as frozen, strict settings: an unknown key or a wrong type is an error that names the key."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from mainline.config_rooms import (
    Kubernetes as Kubernetes,
)
from mainline.config_rooms import (
    Monitor as Monitor,
)
from mainline.config_rooms import (
    Proxy as Proxy,
)
from mainline.config_rooms import (
    Rehearsal as Rehearsal,
)
from mainline.config_rooms import (
    Release as Release,
)
from mainline.config_rooms import (
    Retrain as Retrain,
)
from mainline.config_rooms import (
    Rollout as Rollout,
)
from mainline.config_rooms import (
    RolloutAnalysis as RolloutAnalysis,
)
from mainline.config_rooms import (
    Room as Room,
)
from mainline.config_rooms import (
    Score as Score,
)
from mainline.config_rooms import (
    Serve as Serve,
)
from mainline.config_rooms import (
    ServeLog as ServeLog,
)
from mainline.config_rooms import (
    Shadow as Shadow,
)
from mainline.config_rooms import (
    Share as Share,
)
from mainline.config_rooms import (
    SplitTest as SplitTest,
)
from mainline.errors import UserError

Task = Literal["binary", "multiclass", "regression"]
# mainline.evaluate.metrics has them; to read it takes NumPy.
METRICS: dict[Task, tuple[str, ...]] = {
    "binary": ("log_loss", "brier", "roc_auc", "average_precision"),
    "multiclass": ("log_loss", "brier", "accuracy", "macro_f1"),
    "regression": ("mae", "rmse", "r2", "bias"),
}


def _date(value: object) -> object:
    """Return the date in an ISO text; DVC cannot read a bare YAML date, so that is refused with the reason."""
    if isinstance(value, dt.date):
        raise ValueError(f'dates stand in quotes, because DVC reads no others: "{value}"')
    if not isinstance(value, str):
        return value
    try:
        return dt.date.fromisoformat(value)
    except ValueError as error:
        raise ValueError(f"{value!r} is not a date like 2009-05-31") from error


Date = Annotated[dt.date, BeforeValidator(_date)]


class Checks(Room):
    """Bounds of the data checks (see ``mainline.data.validate`` and ``mainline.data.leakage``)."""

    min_rows: int = Field(ge=1)
    max_age_days: int | None = Field(ge=0)
    late_rows: Literal["refuse", "accept"]
    distribution: Literal["stop", "warn", "off"]
    effect: Share
    alpha: Share
    separation: float = Field(gt=0.5, le=1)


class Data(Room):
    """Where the batches are, what their columns mean, and where the clock stands."""

    batches: str
    id: str | None
    time: str | None
    label: str
    positive: str | None
    as_of: Date | None
    label_delay_days: int | None = Field(ge=0)
    test_window_days: int = Field(ge=1)
    test_share: Share
    checks: Checks

    @model_validator(mode="after")
    def _clock_needs_time(self) -> Data:
        if self.time is None and self.as_of is not None:
            raise ValueError("as_of needs a time column: name one in data.time, or set as_of to null")
        return self


class Features(Room):
    drop: list[str]


class Calibration(Room):
    method: Literal["sigmoid", "isotonic", "none"]
    share: Share


class Search(Room):
    enabled: bool
    folds: int = Field(ge=2)
    factor: int = Field(ge=2)


class Model(Room):
    task: Task
    seed: int = Field(ge=0)
    estimator: dict[str, Any]
    calibration: Calibration
    search: Search


class Evaluate(Room):
    primary: str
    resamples: int = Field(ge=100)
    level: Share
    min_rows: int = Field(ge=1)


class Gates(Room):
    """Absolute bounds; null switches a bound off, and the report says so."""

    floors: dict[str, float]
    calibration_error: float | None
    slice_floors: dict[str, float]
    fairness_gap: float | None
    latency_ms: float | None
    size_mb: float | None


class Compare(Room):
    """Bounds on the challenger against the champion (see ``mainline.compare.gates``); null switches one off.

    Every margin is how much worse the challenger may be, in the units of what is compared.
    """

    rule: Literal["non_inferior", "superior"] = "non_inferior"
    margin: float = Field(default=0.01, ge=0)
    min_rows: int = Field(default=500, ge=1)
    slice_margin: float | None = Field(default=0.05, ge=0)
    calibration_margin: float | None = Field(default=0.02, ge=0)
    fairness_margin: float | None = Field(default=0.1, ge=0)
    value_margin: float | None = Field(default=0.1, ge=0)
    latency_ratio: float | None = Field(default=3.0, gt=0)
    size_ratio: float | None = Field(default=3.0, gt=0)


class Settings(Room):
    """The whole of params.yaml."""

    project: str
    data: Data
    features: Features
    model: Model
    evaluate: Evaluate
    gates: Gates
    compare: Compare = Compare()
    serve: Serve = Serve()
    score: Score = Score()
    kubernetes: Kubernetes = Kubernetes()
    release: Release = Release()
    rollout: Rollout = Rollout()
    monitor: Monitor = Monitor()
    retrain: Retrain = Retrain()

    @model_validator(mode="after")
    def _positive_fits_task(self) -> Settings:
        if (self.model.task == "binary") != (self.data.positive is not None):
            raise ValueError("data.positive names the positive class of a binary task, and is null for any other task")
        return self


def load_settings(path: Path = Path("params.yaml")) -> Settings:
    """Return the settings in ``path``.

    Raises:
        UserError: the file is absent, is not YAML, or holds an unknown key, a missing key or a wrong type;
            every such key is named at once.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(f"{path}: not there", "run the command from the top of the repository") from error
    return parse_settings(text, str(path))


def parse_settings(text: str, path: str) -> Settings:
    """Return the settings in ``text``; ``path`` is named in errors, which are those of :func:`load_settings`."""
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{path}: is not valid YAML: {error}", "mend the line that it names") from error
    try:
        settings = Settings.model_validate(raw)
    except ValidationError as error:
        lines = [f"{path}: {_key(item['loc'])}: {_say(item)}" for item in error.errors()]
        raise UserError("\n".join(lines), "docs/make-it-yours.md lists every key with its type") from error
    if strange := _other_tasks(settings):
        known = ", ".join(METRICS[settings.model.task])
        raise UserError("\n".join(f"{path}: {line}" for line in strange), f"use {known}")
    return settings


def _other_tasks(settings: Settings) -> list[str]:
    """Return, of every key that names a metric, what is none of the task; said before hours of training."""
    task, gates = settings.model.task, settings.gates
    named = [("evaluate.primary", settings.evaluate.primary)]
    named += [("gates.floors", name) for name in gates.floors]
    named += [("gates.slice_floors", name) for name in gates.slice_floors]
    return [f"{key}: {name!r} is not a metric of a {task} task" for key, name in named if name not in METRICS[task]]


def _key(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "(top level)"


def _say(item: Any) -> str:
    if item["type"] == "extra_forbidden":
        return f"unknown key (value {item['input']!r})"
    if item["type"] == "missing":
        return "key is missing"
    return f"{item['msg']} (got {item['input']!r})" if item["type"] != "value_error" else str(item["ctx"]["error"])
