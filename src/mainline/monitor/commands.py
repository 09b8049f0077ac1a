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
from mainline.monitor.profile import quantile, reference_id, watched_bins
from mainline.monitor.source import parts
from mainline.monitor.store import Kept, Store
from mainline.monitor.verdict import GREEN
from mainline.monitor.watch import watch
from mainline.paths import METRICS, PROFILE, TRAINING
from mainline.project import load_project, load_schema

MARKS: Mapping[str, console.Mark] = {"OK": "pass", "WARNING": "warn", "DRIFT": "fail", "WORSE": "fail"}
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
    """

    place: str = ""
    reference: str = ""
    since: str = ""
    until: str = ""
    release: str = ""
    time: str = ""
    score: str = ""
    dask: str = ""

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
    console.table(f"{watched.profile.rows:,} rows", columns, _summary(watched.profile), right=(1, 2, 3))
    _tell(found.torn, found.untimed)
    if out is not None:
        write_json(out, watched.to_dict())
        console.say(f"profile ({out})", "pass")


def drift(options: Options) -> list[Kept]:
    """Watch the windows that have ended since the last one watched, print and return them."""
    return _watched(options)[1]


def _watched(options: Options) -> tuple[Store, list[Kept]]:
    """Return where windows are kept as well."""
    settings, reference = load_settings(), _reference(options)
    scanning = _scanning(options, settings, reference, whole=False)
    rules = settings.monitor
    scope = (options.release or "all") + ("" if LATENCY in scanning.bins else "-table")
    store = Store(Path(rules.folder), reference_id(reference), rules.window, scope)
    until = scanning.until or dt.datetime.now(dt.UTC)
    done = watch(options.where, reference, store, rules, scanning, until, options.dask)
    for kept in done:
        _show(kept)
    if not done:
        console.say(f"no {rules.window} has ended since the last one watched ({store.place})")
    return store, done


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
    _show_performance(report)
    if out is not None:
        write_json(out, report)
        console.say(f"report ({out})", "pass")
    return report


def performance_code(report: Report) -> int:
    """Return the exit code: 0 OK, 1 WORSE, 3 it cannot be told."""
    return {"OK": 0, "WORSE": 1}.get(report["verdict"], 3)


def run(options: Options, labels: Path | None) -> int:
    """Watch drift, performance and service levels; write report.json to ``monitor.folder``; return the worst code."""
    from mainline.monitor.levels import levels

    settings = load_settings()
    store, done = _watched(options)
    report = performance(options, labels, None)
    watched = [kept.watched for kept in done if kept.watched is not None]
    met = levels(watched, settings.monitor, moment(options.until, "--until") or dt.datetime.now(dt.UTC))
    for level in met:
        console.say(f"{level.name}: {level.words}", "pass" if level.met else "none" if level.met is None else "fail")
    path = Path(settings.monitor.folder) / "report.json"
    windows = [kept.judged.to_dict() for kept in done]
    place = {"reference": store.reference, "length": store.length, "scope": store.scope}
    told = [level.__dict__ for level in met]
    write_json(path, {"windows": windows, "performance": report, "levels": told, "store": place})
    console.say(f"report ({path})", "none")
    codes = [drift_code(done), performance_code(report), 1 if any(level.met is False for level in met) else 0]
    return 1 if 1 in codes else max(codes)


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


def _summary(found: Profile) -> list[tuple[str, ...]]:
    lines: list[tuple[str, ...]] = []
    for name, bins in found.bins.items():
        counts = found.counts[name]
        beyond = counts[-2] if bins.values is not None else counts[0] + counts[-2]
        lines.append((name, f"{counts[:-1].sum():,}", f"{counts[-1]:,}", "" if name == LATENCY else f"{beyond:,}"))
    return lines


def _tell(torn: int, untimed: int) -> None:
    if torn:
        console.warn(f"{torn} lines are no whole record; they were left out")
    if untimed:
        console.warn(f"{untimed} rows have no readable time; they were left out")


def _show(kept: Kept) -> None:
    judged = kept.judged
    timed = kept.watched is not None and LATENCY in kept.watched.profile.bins
    latency = None if not timed or kept.watched is None else quantile(kept.watched.profile, LATENCY, 0.99)
    slow = f", 99 % within {latency:g} ms" if latency is not None else ""
    words = f"{judged.window}: {judged.verdict}, {judged.rows:,} rows{slow}"
    console.say(words + (f": {judged.reason}" if judged.reason else ""), MARKS.get(judged.verdict, "none"))
    if judged.verdict == "DRIFT":
        console.annotate("warning", words)
    for verdict in dict.fromkeys(judged.other.values()):
        names = [name for name, other in judged.other.items() if other == verdict]
        console.say(f"  against the other reference {verdict}: {', '.join(names)}")


def _show_performance(report: Report) -> None:
    labels, found, expected = report["labels"], report["realised"], report["expected"]
    lag = labels["lag_days"]["median"]
    console.say(
        f"{report['rows']:,} predictions, outcomes of {report['coverage']:.0%}"
        + (f", {lag:g} days late in the median" if lag is not None else "")
    )
    odd = [f"{labels[name]:,} {name}" for name in ("duplicates", "repeated", "corrected", "orphans", "unreadable")]
    console.say(", ".join(odd))
    guess, shown = report["estimate"]["metrics"] or {}, []
    for name, value in expected.items():
        real = (found or {"metrics": {}})["metrics"].get(name)
        cell = "" if real is None or real["value"] is None else f"{real['value']:.4g}"
        bounds = "" if real is None or real["low"] is None else f"{real['low']:.4g} to {real['high']:.4g}"
        shown.append((name, _number(value), _number(guess.get(name)), cell, bounds))
    if found and found.get("value"):
        shown.append(("value per row", "", _number(guess.get("value_per_row")), _number(found["value"]["per_row"]), ""))
    if guess.get("mean_label") is not None:
        real_mean = _number(found["mean_label"]) if found else ""
        shown.append(("share of positives", "", _number(guess["mean_label"]), real_mean, ""))
    console.table("Performance", ("", "test window", "estimate", "realised", "interval"), shown, right=(1, 2, 3, 4))
    console.say(report["estimate"]["cannot_see"])
    console.say(f"{report['verdict']}: {report['reason']}", MARKS.get(report["verdict"], "none"))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
