"""``mainline trace``: from one logged prediction back to everything that it came from."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from mainline import console
from mainline.compare.git import git, text_at
from mainline.config import load_settings
from mainline.errors import UserError
from mainline.release.ledger import Deploy
from mainline.release.store import STORE, find

Record = dict[str, Any]
Reader = Callable[[str], Iterable[Record]]
SHOWN = ("project", "features", "model", "data")
ROWS_SHOWN = 5


@dataclass(frozen=True)
class Trace:
    """The way from a prediction back.

    Attributes:
        request_id: what was asked for.
        predictions: its records in the log, in the log's order: several rows, or stable's and shadow's answer.
        feedback: its known outcomes.
        releases: of each release that answered: ledger entry, commit, data batches and params; ``gaps`` says what is
            not to be had any more.
    """

    request_id: str
    predictions: tuple[Record, ...]
    feedback: tuple[Record, ...]
    releases: tuple[dict[str, Any], ...]


def run_trace(request_id: str, log: str = "", *, as_json: bool = False) -> None:
    """Print the way back from a request.

    Raises:
        UserError: see :func:`trace`.
    """
    from mainline.serve.log_read import read

    settings = load_settings().serve.log
    place = log or os.environ.get("MAINLINE_LOG") or settings.folder
    found = trace(request_id, read, place, Deploy.open(), sample=settings.sample)
    if as_json:
        print(json.dumps(asdict(found), indent=2, sort_keys=True, ensure_ascii=False))
    else:
        show(found)


def trace(
    request_id: str,
    read: Reader,
    log: str,
    deploy: Deploy,
    *,
    sample: float = 1.0,
    root: Path = Path(),
    store: Path = STORE,
) -> Trace:
    """Return the way back from the request.

    Args:
        request_id: as the service answered it.
        read: gives the records of the log in ``log``.
        log: folder or address.
        deploy: the ledger.
        sample: share of requests that the service logs.
        root: the repository.
        store: the releases.

    Raises:
        UserError: the log holds no such request; says how much was looked at, and whether it may have been left out by
            sampling.
    """
    predictions: list[Record] = []
    feedback: list[Record] = []
    looked = 0
    for record in read(log):
        looked += 1
        if record.get("request_id") == request_id:
            (feedback if record.get("kind") == "feedback" else predictions).append(record)
    if not predictions:
        reasons = "check the id; records past the log's time to live are deleted"
        if sample < 1:
            reasons += f"; the log is a sample (serve.log.sample: {sample:g}), so it may have been left out"
        known = f", but {len(feedback)} outcomes of it" if feedback else ""
        raise UserError(
            f"request {request_id!r}: no prediction among the {looked:,} records in {log}{known}",
            f"{reasons}; another log: --log FOLDER",
        )
    names = list(dict.fromkeys(str(record.get("release")) for record in predictions))
    releases = tuple(_release(name, deploy, root, store) for name in names)
    return Trace(request_id, tuple(predictions), tuple(feedback), releases)


def _release(name: str, deploy: Deploy, root: Path, store: Path) -> dict[str, Any]:
    """Return what is known of a release; a thing that is gone is named, and keeps nothing else from being shown."""
    found: dict[str, Any] = {"release": name, "entry": None, "commit": None, "data": None, "params": None, "gaps": []}
    gaps: list[str] = found["gaps"]
    try:
        found["entry"] = asdict(deploy.entry(name))
    except UserError as error:
        gaps.append(f"ledger: {error.problem}")
    manifest: dict[str, Any] = {}
    try:
        manifest = dict(find(name, store).manifest)
        found["data"] = manifest["data"]
        found["bento"] = manifest["bento"]
    except UserError as error:
        gaps.append(f"store: {error.problem}")
    commit = (found["entry"] or {}).get("commit") or manifest.get("commit")
    if not commit:
        return found
    found["commit"] = {"hash": commit}
    said = git("show", "--no-patch", "--format=%an%n%aI%n%s", commit, root=root, check=False).splitlines()
    if len(said) < 3:
        gaps.append(f"git: commit {commit[:12]} is not here; git fetch origin {commit}")
    else:
        found["commit"] |= {"author": said[0], "time": said[1], "subject": said[2]}
    try:
        text = (store / name / "params.yaml").read_text("utf-8") if manifest else text_at(commit, "params.yaml", root)
    except (OSError, UserError) as error:
        gaps.append(f"params: {error.problem if isinstance(error, UserError) else error}")
        return found
    params = yaml.safe_load(text or "") or {}
    found["params"] = {key: params[key] for key in SHOWN if key in params}
    return found


def show(found: Trace) -> None:
    """Print a trace for a person."""
    for record in found.predictions[:ROWS_SHOWN]:
        row = f", row {record['row']}" if record.get("row") else ""
        console.say(f"request {found.request_id}{row}, {record.get('time')}, track {record.get('track')}")
        console.say(f"  answered   score {record.get('score')}, decision {record.get('decision')}")
        console.say(f"  features   {json.dumps(record.get('features'), ensure_ascii=False)}")
    if len(found.predictions) > ROWS_SHOWN:
        console.say(f"… and {len(found.predictions) - ROWS_SHOWN} more predictions of this request: --json shows them")
    for record in found.feedback[:ROWS_SHOWN]:
        console.say(f"  outcome    {record.get('outcome')}, {record.get('time')}")
    for release in found.releases:
        _show_release(release)


def _show_release(release: dict[str, Any]) -> None:
    entry, commit = release["entry"] or {}, release["commit"] or {}
    console.say(f"release {release['release']}")
    if commit:
        console.say(f"  commit     {commit['hash'][:12]} {commit.get('subject', '')} ({commit.get('author', '?')})")
    if entry:
        console.say(
            f"  pull req.  {entry['pull_request'] or 'none known'}, verdict {entry['verdict'] or 'none known'}, "
            f"approver {entry['approver'] or 'none'}"
        )
        console.say(f"  model      sha256 {entry['digests'].get('model', '?')}")
        for item in entry["transitions"]:
            weight = "" if item["weight"] is None else f" {item['weight']} %"
            console.say(f"  {item['time']}  {item['environment']}: {item['event']}{weight}, by {item['by']}")
    for batch in release["data"] or ():
        console.say(f"  data       {batch['file']}, {batch['rows']:,} rows, sha256 {batch['sha256'][:16]}")
    for key, value in (release["params"] or {}).items():
        console.say(f"  params     {key}: {json.dumps(value, ensure_ascii=False)}")
    for gap in release["gaps"]:
        console.say(f"  {gap}", "warn")
