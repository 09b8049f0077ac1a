"""The pipeline: the lock, the champion that main pins, where runs are recorded."""

from __future__ import annotations

import sqlite3
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path

from mainline.address import shown
from mainline.ci.plan import stale_stages
from mainline.compare.champion import pinned
from mainline.compare.git import resolve
from mainline.doctor.found import Check, Found, NotSeen, broken, gap, ok, optional
from mainline.doctor.hub import PATIENCE, within
from mainline.doctor.repository import AREA, needs_git
from mainline.doctor.sight import Sight
from mainline.errors import UserError
from mainline.train.tracking_store import DATABASE


def lock(sight: Sight) -> Found:
    """dvc.lock fits code, data pointers and params; no data are needed to know that."""
    if not (sight.root / "dvc.lock").is_file():
        return gap("no dvc.lock: the pipeline has never run", "make run, then commit dvc.lock")
    try:
        stale = stale_stages(sight.root)
    except UserError as error:
        return broken(error.problem, error.fix)
    if stale:
        return gap(f"dvc.lock does not fit: {', '.join(stale)}", "make run, then commit dvc.lock")
    return ok("dvc.lock fits code, data and params")


def champion(sight: Sight) -> Found:
    """The commit of main pins a model."""
    needs_git(sight)
    try:
        name, commit = resolve("", sight.root)
        found = pinned(commit, sight.root)
    except UserError as error:
        if "no such commit" in error.problem:
            return gap("there is no branch main", "git branch main, or git fetch origin main")
        return broken(error.problem, error.fix)
    if found is None:
        return gap(f"{name} ({commit[:12]}): its dvc.lock pins no model", "make run, then commit dvc.lock to main")
    return ok(f"{name} ({commit[:12]}) pins the model {found.model[:12]}")


def tracking(sight: Sight) -> Found:
    """The MLflow store answers, and has runs if it is a file."""
    address = sight.environment.get("MLFLOW_TRACKING_URI") or f"sqlite:///{sight.root / DATABASE}"
    scheme, _, rest = address.partition(":///" if address.startswith("sqlite:") else "://")
    if scheme == "sqlite":
        return _database(sight.root / rest)
    if scheme not in ("http", "https"):
        raise NotSeen(f"{shown(address)}: not checked: neither a server nor an SQLite file")
    if sight.online is False:
        raise NotSeen(f"{shown(address)}: not checked: offline")
    try:
        code = within(PATIENCE, lambda: _status(f"{shown(address).rstrip('/')}/health"), shown(address))
    except (NotSeen, OSError, ValueError) as error:
        if sight.online:
            fix = "start the server, or mend MLFLOW_TRACKING_URI; `mainline card` records the run later"
            return broken(f"{shown(address)}: no answer ({error})", fix)
        raise NotSeen(f"{shown(address)}: no answer; whether there is a network is not known") from error
    if code >= 400 and code not in (401, 403):
        return broken(f"{shown(address)}: answers {code}", "is it an MLflow server? mend MLFLOW_TRACKING_URI")
    return ok(f"{shown(address)} answers" + ("; it asks for a key" if code >= 400 else ""))


def _database(file: Path) -> Found:
    if not file.is_file():
        return optional(f"{file.name}: no run was recorded yet", "mainline card")
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=2)) as database:
            runs = database.execute("SELECT count(*) FROM runs").fetchone()[0]
    except sqlite3.Error as error:
        return broken(f"{file.name}: is no MLflow store ({error})", f"move {file.name} away, then mainline card")
    if not runs:
        return optional(f"{file.name}: no run in it", "mainline card")
    return ok(f"{runs} runs in {file.name}")


def _status(address: str) -> int:
    try:
        with urllib.request.urlopen(address, timeout=PATIENCE) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


CHECKS = (
    Check("lock", AREA, lock, "the hashes of the last run, from which every machine makes the same model"),
    Check("champion", AREA, champion, "what a pull request's model is compared with"),
    Check("tracking", AREA, tracking, "a list of your runs to look through; nothing is decided from it"),
)
