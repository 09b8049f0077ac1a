"""What the commands do: read the champion's reference, watch, print, and leave JSON for the next step."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainline import console
from mainline.config import Settings, load_settings
from mainline.data.profile import Profile
from mainline.errors import UserError
from mainline.files import read_json, write_json
from mainline.monitor.build import Scan, scan
from mainline.monitor.drift import LATENCY, SCORE
from mainline.monitor.late import Late, again, late
from mainline.monitor.profile import reference_id, watched_bins
from mainline.monitor.show import show, show_performance, summary
from mainline.monitor.source import parts
from mainline.monitor.store import Kept, Store
from mainline.monitor.verdict import GREEN
from mainline.monitor.watch import watch
from mainline.paths import METRICS, PROFILE, TRAINING
from mainline.project import load_project, load_schema

Report = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """What the commands have in common; empty: the default.

    Attributes:
        place: prediction log, CSV or Parquet; a file, a folder or a URI.
        reference: profile of the champion's training rows.
        since, until: ISO dates or times, UTC.
        release: only predictions of this release.
        time, score: columns of a table.
        dask: address of a scheduler.
        again: names of windows to watch again, with commas between them.
    """

    place: str = ""
    reference: str = ""
    since: str = ""
    until: str = ""
    release: str = ""
    time: str = ""
    score: str = ""
    dask: str = ""
    again: str = ""

    @property
    def where(self) -> str:
        """The place, or the log that the service writes."""
        return self.place or os.environ.get("MAINLINE_LOG", "") or load_settings().serve.log.folder


def profile(options: Options, out: Path | None) -> None:
    """Count all rows of a place as one window; write the profile to ``out`` if it is given.

    Raises:
        UserError: there is nothing to read, or no reference.
    """
    settings, reference = load_settings(), _reference(options)
    found = scan(options.where, _scanning(options, settings, reference, whole=True), options.dask)
    if not found.windows:
        raise UserError(f"{options.where}: holds no prediction that was asked for", "check release and times")
    watched = sum(list(found.windows.values())[1:], next(iter(found.windows.values())))
    columns = ("column", "known", "missing", "unseen or out of range")
    console.table(f"{watched.profile.rows:,} rows", columns, summary(watched.profile), right=(1, 2, 3))
    _tell(found.torn, found.untimed)
    if out is not None:
        write_json(out, watched.to_dict())
        console.say(f"profile ({out})", "pass")


def drift(options: Options) -> list[Kept]:
    """Watch the windows that have ended since the last one watched, print and return them."""
    return look_at(options).done


@dataclass(frozen=True)
class Looked:
    """What a run looked at: where windows are kept, those it watched (again), and those that grew since they were."""

    store: Store
    done: list[Kept]
    late: list[Late]


def look_at(options: Options) -> Looked:
    """Watch what ``options`` ask for again, then what is new; print both, and what came late."""
    settings, reference = load_settings(), _reference(options)
    scanning = _scanning(options, settings, reference, whole=False)
    rules = settings.monitor
    scope = (options.release or "all") + ("" if LATENCY in scanning.bins else "-table")
    store = Store(Path(rules.folder), reference_id(reference), rules.window, scope)
    until = scanning.until or dt.datetime.now(dt.UTC)
    names = [name.strip() for name in options.again.split(",") if name.strip()]
    where = options.where
    repeated = again(where, names, reference, store, rules, scanning, until, options.dask) if names else []
    past = store.all()
    found = late(where, past, scanning, options.dask)
    fresh = watch(where, reference, store, rules, scanning, until, options.dask)
    for kept in [*repeated, *fresh]:
        show(kept)
    if not fresh and past:
        console.say(f"nothing new since {past[-1].judged.end[:16]}: no {rules.window} has ended ({store.place})")
    elif not fresh:
        console.say(f"nothing to watch yet: no {rules.window} of this log has ended ({store.place})")
    for item in found:
        if item.counts(rules):
            console.warn(f"{item.words}; watch it again with `{item.command}`")
        else:
            console.say(item.words)
    return Looked(store, [*repeated, *fresh], found)


def drift_code(done: Sequence[Kept]) -> int:
    """Return the exit code that the newest window deserves: 0 OK or WARNING, 1 DRIFT, 3 it cannot be told."""
    if not done or done[-1].judged.verdict in (*GREEN, "WARNING"):
        return 0
    return 1 if done[-1].judged.verdict == "DRIFT" else 3


def performance(options: Options, labels: Path | None, out: Path | None) -> Report:
    """Join outcomes to predictions, print what the model turned out to be worth, and return the report."""
    from mainline.monitor.outcomes import join, read_labels
    from mainline.monitor.performance import performance as measure
    from mainline.monitor.source import records

    settings = load_settings()
    project, training = load_project(settings.project), read_json(TRAINING)
    classes = None if training["classes"] is None else tuple(training["classes"])
    joined = join(
        records(options.where),
        None if labels is None else read_labels(labels),
        known=classes,
        since=moment(options.since, "--since"),
        until=moment(options.until, "--until"),
        now=dt.datetime.now(dt.UTC),
        delay_days=settings.data.label_delay_days or 0,
        release=options.release,
    )
    report = measure(joined, settings, project, classes, read_json(METRICS))
    show_performance(report)
    if out is not None:
        write_json(out, report)
        console.say(f"report ({out})", "pass")
    return report


def performance_code(report: Report) -> int:
    """Return the exit code: 0 OK, 1 WORSE, 3 it cannot be told."""
    return {"OK": 0, "WORSE": 1}.get(report["verdict"], 3)


def report(options: Options, out: Path) -> None:
    """Write monitor.md and monitor.html into ``out``, from the windows that are kept and what the last run found."""
    from mainline.monitor.page import STATES, write_report
    from mainline.monitor.page_view import load_view

    now = moment(options.until, "--until") or dt.datetime.now(dt.UTC)
    view = load_view(_reference(options), load_settings().monitor, options.release, now)
    marks: Mapping[bool | None, console.Mark] = {True: "pass", False: "fail", None: "warn"}
    written = " and ".join(str(path) for path in write_report(view, out))
    console.say(f"{STATES[view.good]}: {written}", marks[view.good])


def _reference(options: Options) -> Profile:
    path = Path(options.reference or PROFILE)
    raw = read_json(path)
    try:
        return Profile.from_dict(raw)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}: is no profile ({error})", "run `dvc repro` or `dvc pull` for the champion's"
        ) from error


def _scanning(options: Options, settings: Settings, reference: Profile, whole: bool) -> Scan:
    _, marks = load_schema(settings.project)
    log = all(part.format == "log" for part in parts(options.where))
    bins = watched_bins(reference)
    if not log:
        # A table has no latency, and a score only if it is named: what is not looked for is not missing.
        bins = {
            name: item for name, item in bins.items() if not name.startswith("(") or (options.score and name == SCORE)
        }
    return Scan(
        bins=bins,
        length=None if whole else settings.monitor.window,
        since=moment(options.since, "--since"),
        until=moment(options.until, "--until"),
        time=options.time or settings.data.time,
        score=options.score or None,
        release=options.release,
        marks=marks,
    )


def moment(text: str, option: str) -> dt.datetime | None:
    """Return an option's date or time in UTC; None when it is empty."""
    if not text:
        return None
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise UserError(
            f"{option}: {text!r} is no date or time", "write it as 2009-06-01 or 2009-06-01T12:00"
        ) from error
    return found.astimezone(dt.UTC) if found.tzinfo else found.replace(tzinfo=dt.UTC)


def _tell(torn: int, untimed: int) -> None:
    if torn:
        console.warn(f"{torn} lines are no whole record; they were left out")
    if untimed:
        console.warn(f"{untimed} rows have no readable time; they were left out")
