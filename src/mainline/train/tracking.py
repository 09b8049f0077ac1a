"""One MLflow run for each training: found again by its identity, completed if it was cut short, never a second one."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mainline.address import shown
from mainline.config import Settings
from mainline.files import sha256
from mainline.train import lineage
from mainline.train.tracking_facts import flatten, measurements
from mainline.train.tracking_store import address, open_experiment, quiet

if TYPE_CHECKING:
    import pandas as pd

IDENTITY = "mainline.training"
SHAPING = ("project", "data", "features", "model")
BATCH = 90  # MLflow takes at most 100 params or tags at once


@dataclass(frozen=True)
class Places:
    """Where the files of a run are, seen from the root of the repository. Absent ones are left out of the run."""

    model: Path = Path("artifacts/model.skops")
    plots: Path = Path("reports/plots")
    card: Path = Path("reports/card.md")
    page: Path = Path("reports/card.html")
    lock: Path = Path("requirements.lock")


@dataclass(frozen=True)
class _Training:
    """The arguments of :func:`record`."""

    settings: Settings
    validation: Mapping[str, Any]
    split: Mapping[str, Any]
    training: Mapping[str, Any]
    evaluation: Mapping[str, Any]
    model: Any
    example: pd.DataFrame
    trusted: Sequence[str]
    places: Places


@dataclass(frozen=True)
class Recorded:
    """The run that was written.

    Attributes:
        run_id: its id.
        uri: the tracking address, without user name and password.
        model_uri: where the model can be loaded from, ``models:/m-…``.
        updated: the run was there already.
    """

    run_id: str
    uri: str
    model_uri: str
    updated: bool


def record(
    *,
    settings: Settings,
    validation: Mapping[str, Any],
    split: Mapping[str, Any],
    training: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    model: Any,
    example: pd.DataFrame,
    warn: Callable[[str], None],
    trusted: Sequence[str] = (),
    places: Places | None = None,
) -> Recorded | None:
    """Write one run to MLflow; return None, after one call of ``warn``, if that is not possible.

    The working directory must be the root of the repository: the local store is ``mlflow.db`` and ``mlartifacts/``
    in it.

    Args:
        settings: params.yaml.
        validation: content of reports/validation.json.
        split: content of reports/split.json.
        training: content of artifacts/training.json.
        evaluation: content of reports/evaluation.json.
        model: the fitted pipeline.
        example: a few rows of features, personal values redacted; they are stored with the model.
        warn: takes the reason why nothing, or not all, was recorded.
        trusted: types that the project lets skops load, beyond ``mainline.train.artifact.TRUSTED``.
        places: where the files are.
    """
    run = _Training(settings, validation, split, training, evaluation, model, example, trusted, places or Places())
    uri = shown(address())
    try:
        with quiet():
            return _record(run, uri)
    except Exception as error:  # whatever MLflow, its server, its database or the disk may raise: the training is done
        reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        if "Max retries exceeded" in reason:
            reason = "the server does not answer"
        warn(
            f"MLflow ({uri}): this training is not recorded: {shown(reason)[:300]}\n"
            "  model and reports are complete; run `mainline card` again to record it"
        )
        return None


def identity(run: _Training, commit: lineage.Commit) -> str:
    """Return the SHA-256 that makes two trainings the same: model bytes, shaping params, data and commit."""
    parts = {
        "model": sha256(run.places.model),
        "params": _shaping(run.settings),
        "data": lineage.data_hash(run.validation.get("batches") or ()),
        "commit": commit.sha,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _shaping(settings: Settings) -> dict[str, str]:
    return flatten({key: value for key, value in settings.model_dump(mode="json").items() if key in SHAPING})


def _record(run: _Training, uri: str) -> Recorded:
    import mlflow

    commit = lineage.commit()
    name = identity(run, commit)
    client, experiment = open_experiment(run.settings.project)
    found = client.search_runs(
        [experiment], f"tags.\"{IDENTITY}\" = '{name}'", max_results=1, order_by=["start_time ASC"]
    )
    if found:
        run_id, old = found[0].info.run_id, dict(found[0].data.metrics)
    else:
        title = f"{run.settings.project} {(commit.sha or name)[:8]}"
        run_id, old = client.create_run(experiment, tags={IDENTITY: name}, run_name=title).info.run_id, {}
    with mlflow.start_run(run_id=run_id):
        _log_facts(client, run_id, run, commit, old)
        _log_files(client, run_id, run)
        model_uri = _log_model(client, experiment, run_id, run)
    return Recorded(run_id, uri, model_uri, bool(found))


def _log_facts(client: Any, run_id: str, run: _Training, commit: lineage.Commit, old: Mapping[str, float]) -> None:
    import math
    import time

    from mlflow.entities import Metric, Param, RunTag

    now, new = int(time.time() * 1000), measurements(run.evaluation)
    # A number that is no longer measured (a slice that is gone) becomes NaN, for MLflow cannot delete it.
    new |= {name: math.nan for name, value in old.items() if name not in new and not math.isnan(value)}
    metrics = [Metric(name, value, now, 0) for name, value in new.items() if old.get(name) != value]
    params = [Param(name, value[:6000]) for name, value in _shaping(run.settings).items()]
    tags = [RunTag(name, value[:5000]) for name, value in _tags(run, commit).items()]
    steps = max(len(metrics) / (9 * BATCH), len(params) / BATCH, len(tags) / BATCH)
    for step in range(math.ceil(steps)):
        part, most = slice(step * BATCH, (step + 1) * BATCH), slice(step * 9 * BATCH, (step + 1) * 9 * BATCH)
        client.log_batch(run_id, metrics=metrics[most], params=params[part], tags=tags[part])


def _tags(run: _Training, commit: lineage.Commit) -> dict[str, str]:
    """Return what may change while the training stays the same, and the lineage; unknown values are left out."""
    import platform

    settings = run.settings.model_dump(mode="json")
    known = {
        "mlflow.source.name": "mainline",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": commit.sha,
        "mlflow.source.git.branch": commit.branch,
        "mainline.git.dirty": None if commit.dirty is None else str(commit.dirty).lower(),
        "mainline.data.sha256": lineage.data_hash(run.validation.get("batches") or ()),
        "mainline.data.dvc_md5": lineage.dvc_md5(Path(f"{run.settings.data.batches}.dvc")),
        "mainline.model.sha256": sha256(run.places.model),
        "mainline.lock.sha256": lineage.lock_hash(run.places.lock),
        "mainline.seed": str(run.settings.model.seed),
        "mainline.python": platform.python_version(),
        "mainline.platform": f"{platform.system()} {platform.machine()}",
        "mainline.requirements": " ".join(lineage.model_requirements()),
        "mainline.gates": "passed" if all(gate["passed"] for gate in run.evaluation.get("gates") or ()) else "failed",
    }
    rest = {key: value for key, value in settings.items() if key not in SHAPING}
    return {key: value for key, value in known.items() if value is not None} | {
        f"mainline.params.{key}": value for key, value in flatten(rest).items()
    }


def _log_files(client: Any, run_id: str, run: _Training) -> None:
    """Gather all files in one folder, so that they go in one call."""
    reports = {
        "reports/validation.json": run.validation,
        "reports/split.json": run.split,
        "reports/training.json": run.training,
        "reports/evaluation.json": run.evaluation,
        "environment.json": lineage.environment(),
    }
    with tempfile.TemporaryDirectory(prefix="mainline-") as folder:
        for name, content in reports.items():
            target = Path(folder, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False), encoding="utf-8")
        for source in (run.places.card, run.places.page):
            if source.is_file():
                shutil.copyfile(source, Path(folder, source.name))
        if run.places.plots.is_dir():
            shutil.copytree(run.places.plots, Path(folder, "plots"))
        client.log_artifacts(run_id, folder)


def _log_model(client: Any, experiment: str, run_id: str, run: _Training) -> str:
    """Return the address of the run's model; it is logged unless it is there already, whole."""
    import mlflow.sklearn
    from mlflow.models import infer_signature

    from mainline.train.artifact import TRUSTED

    ready = []
    for logged in client.search_logged_models([experiment], filter_string=f"source_run_id = '{run_id}'"):
        if str(logged.status).endswith("READY"):
            ready.append(f"models:/{logged.model_id}")
        else:
            client.delete_logged_model(logged.model_id)
    if ready:
        return str(ready[0])
    rows = run.example[[name for name in run.training["columns"] if name in run.example]]
    function = "predict_proba" if hasattr(run.model, "predict_proba") else "predict"
    try:
        predicted = getattr(run.model, function)(rows)
    except Exception:  # redacted columns are no longer what the model takes: no example then, and half a signature
        predicted = None
    info = mlflow.sklearn.log_model(
        run.model,
        name="model",
        signature=infer_signature(rows, predicted),
        input_example=None if predicted is None else rows,
        serialization_format="skops",
        skops_trusted_types=[*TRUSTED, *run.trusted],
        pip_requirements=lineage.model_requirements(),
        pyfunc_predict_fn=function,
    )
    # MLflow puts the login name and the path of the script here.
    client.set_logged_model_tags(info.model_id, {"mlflow.user": "mainline", "mlflow.source.name": "mainline"})
    return str(info.model_uri)
