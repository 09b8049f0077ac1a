"""A demonstration: the replay's batches as if the champion had predicted them, in the format of the prediction log."""

from __future__ import annotations

import datetime as dt
import json
import tempfile
from pathlib import Path
from typing import Any

from mainline.compare.scoring import CannotScore, predictions
from mainline.config import load_settings
from mainline.console import say
from mainline.data.batches import combine, find_batches, read_batch
from mainline.data.redact import redact_columns
from mainline.data.split import features_of, write_rows
from mainline.errors import UserError
from mainline.files import read_json, write_atomic
from mainline.monitor.windows import window_at
from mainline.paths import EVALUATION, TRAINING
from mainline.project import load_project
from mainline.release.golden import answer, plain

REPLAY = Path("replay")
RELEASE = "demo"  # where no release serves yet


def until(asked: str, newest: dt.datetime) -> dt.datetime:
    """Return the moment at which the demonstration ends: that of the month ``asked`` for, or of the newest row's.

    Raises:
        UserError: it is neither a month nor ``all``.
    """
    if asked == "all":
        return window_at(newest, "month").end
    try:
        return window_at(dt.datetime.strptime(asked, "%Y-%m"), "month").end
    except ValueError as error:
        raise UserError(f"demo: {asked!r} is no month", "write it as 2009-06, or all") from error


def play(asked: str, folder: Path, release: str = "", root: Path = Path()) -> dt.datetime:
    """Write predictions and, ``data.label_delay_days`` later, outcomes into ``folder``; return the moment it ends at.

    The scores are the champion's, made by a process that holds no key; there is no latency, since nobody asked.

    Raises:
        UserError: there is nothing to play up to then, the rows have no time, or the model cannot score them.
    """
    settings = load_settings()
    project, time = load_project(settings.project), settings.data.time
    if time is None:
        raise UserError("params.yaml, data.time: null: nobody knows when a row happened", "watch a prediction log")
    rows = features_of(combine([read_batch(path) for path in find_batches(root / REPLAY)], project.row.to_schema())[0])
    rows = rows[rows[time].notna()].sort_values(time, kind="stable")
    end = until(asked, rows[time].max().to_pydatetime())
    rows = rows[rows[time] < end.replace(tzinfo=None)].reset_index(drop=True)
    if rows.empty:
        raise UserError(f"{REPLAY}: holds no row before {end:%Y-%m-%d}", "name a later month, or all")
    with tempfile.TemporaryDirectory(prefix="mainline-demo-") as work:
        try:
            scores = predictions(root, write_rows(Path(work, "rows.parquet"), rows)).score.tolist()
        except CannotScore as error:
            raise UserError(f"the champion cannot score {REPLAY}: {error}", "see its message") from error
    training = read_json(root / TRAINING)
    threshold = (read_json(root / EVALUATION).get("threshold") or {}).get("value", 0.5)
    late = dt.timedelta(days=settings.data.label_delay_days or 0)
    names = [name for name in training["columns"] if name in rows]
    features = redact_columns(rows[names], project.marks).to_dict("records")
    lines = []
    for index, (moment, outcome) in enumerate(zip(rows[time], rows[settings.data.label], strict=True)):
        known: dict[str, Any] = {"request_id": f"demo-{index}", "row": 0}
        made = {
            "kind": "prediction", "time": _stamp(moment), **known, "release": release or RELEASE, "track": "stable",
            "features": {str(name): plain(value) for name, value in features[index].items()},
            "score": scores[index], "decision": answer(scores[index], training, threshold).get("decision"),
            "latency_ms": None,
        }  # fmt: skip
        lines.append(json.dumps(made))
        if moment + late < end.replace(tzinfo=None) and plain(outcome) is not None:
            told = {"kind": "feedback", "time": _stamp(moment + late), **known, "outcome": plain(outcome)}
            lines.append(json.dumps(told))
    write_atomic(folder / "demo.jsonl", "\n".join(lines) + "\n")
    say(f"{len(rows):,} rows of {REPLAY} before {end:%Y-%m-%d}, as a prediction log ({folder})", "pass")
    return end


def _stamp(moment: dt.datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.000Z"
