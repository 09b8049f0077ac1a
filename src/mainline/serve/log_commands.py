"""What ``mainline log`` does."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

from mainline import console
from mainline.config import load_settings
from mainline.errors import UserError
from mainline.serve.log_read import Record, newest, read_between


def show(place: str, last: int, release: str, track: str) -> None:
    """Print the newest ``last`` predictions."""
    where = _place(place)
    found = newest(where, last, release, track)
    if not found:
        console.say(f"no prediction of that kind in {where}", "warn")
        return
    columns = ("time", "request", "row", "release", "track", "score", "decision", "ms")
    console.table(f"Newest predictions in {where}", columns, [_cells(record) for record in found], right=(2, 5, 7))


def _cells(record: Record) -> tuple[str, ...]:
    score = record.get("score")
    shown = " ".join(f"{value:.4f}" for value in (score if isinstance(score, list) else [score]) if value is not None)
    keys = ("time", "request_id", "row", "release", "track")
    latency = record.get("latency_ms")
    return (
        *(str(record.get(key, "")) for key in keys),
        shown,
        str(record.get("decision", "")),
        "" if latency is None else f"{latency:.2f}",
    )


def export(place: str, out: Path, since: str, until: str) -> None:
    """Write the records between two times to ``out``."""
    from mainline.serve.log_export import write_table

    where = _place(place)
    first, last = _time(since, "--from"), _time(until, "--to")
    rows, torn = write_table(lambda: read_between(where, first, last), out)
    console.say(f"{rows:,} records ({out})", "pass" if rows else "warn")
    if torn:
        console.warn(f"{torn:,} torn line(s) left out: a process was killed while it wrote, or still writes")


def expire(place: str, dry_run: bool) -> None:
    """Delete the files past ``serve.log.keep_days``, or say which these are."""
    from mainline.serve.retention import expired

    days = load_settings().serve.log.keep_days
    if days is None:
        console.say("serve.log.keep_days is null: nothing is ever deleted", "warn")
        return
    where = _place(place)
    files = expired(where, dt.datetime.now(dt.UTC) - dt.timedelta(days=days))
    for file, newest_one in files:
        if not dry_run:
            file.fs.rm_file(file.path)
        console.say(f"{'would delete' if dry_run else 'deleted'} {file.name}: newest prediction {newest_one}")
    verb = "to delete" if dry_run else "deleted"
    console.say(f"{len(files)} file(s) {verb} in {where}: no prediction younger than {days} days", "pass")


def ship(place: str, uri: str) -> None:
    """Move the closed files to ``uri``."""
    from mainline.serve.log_ship import ship as move

    folder = place or load_settings().serve.log.folder
    if "://" in folder:
        raise UserError(f"{folder}: files are shipped from a folder", "name the folder with --log")
    count = 0
    for name, size in move(Path(folder), uri):
        console.say(f"{name} ({size / 1e6:.1f} MB)", "pass")
        count += 1
    console.say(f"{count} file(s) moved from {folder} to {uri}", "pass")


def _place(place: str) -> str:
    return place or os.environ.get("MAINLINE_LOG", "") or load_settings().serve.log.folder


def _time(text: str, option: str) -> str:
    """Return ``text`` as the log writes times; empty stays empty."""
    if not text:
        return ""
    try:
        time = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise UserError(f"{option} {text}: is no time", "write 2009-06-01 or 2009-06-01T12:00 (UTC)") from error
    time = time.replace(tzinfo=dt.UTC) if time.tzinfo is None else time.astimezone(dt.UTC)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
