"""What the monitor knows between two runs: windows watched so far, its report and its last beat, on branch ``deploy``.

A runner forgets everything. A window gets there once, in a commit that comes before anything is said about it; so a run
that dies anywhere neither loses one nor counts one twice.
"""

from __future__ import annotations

import datetime as dt
import json
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mainline.console import warn
from mainline.errors import UserError
from mainline.files import write_atomic
from mainline.release.ledger import Deploy, Moved

Kind = Literal["log", "demo"]
WINDOWS, REPORT, BEAT = "windows", "report.json", "beat.json"
TRIES = 8


@dataclass(frozen=True)
class Beat:
    """When a run came to its end (UTC), where its page is, and what it found: 0 fine, 1 alarm, 3 it cannot be told."""

    time: dt.datetime
    run: str
    code: int


def place(kind: Kind) -> str:
    """Return the folder of the branch; what a demonstration watched is no history of production."""
    return f"monitor/{kind}"


def restore(deploy: Deploy, kind: Kind, folder: Path) -> int:
    """Put windows and report into ``folder``; return how many windows there are now.

    Raises:
        UserError: the branch has lost something, or the disk is full.
    """
    if deploy.repo.names(place(kind)):
        with tempfile.TemporaryDirectory(prefix="mainline-monitor-") as work:
            packed = Path(work, "kept.tar")
            deploy.repo.git("archive", "--format=tar", f"--output={packed}", deploy.head(), place(kind))
            with tarfile.open(packed) as archive:
                archive.extractall(work, filter="data")
            top = Path(work, place(kind))
            for file in sorted(path for path in top.rglob("*") if path.is_file() and path.name != BEAT):
                write_atomic(folder / file.relative_to(top), file.read_bytes())
    return len(list((folder / WINDOWS).rglob("*.json")))


def save(deploy: Deploy, kind: Kind, folder: Path) -> int:
    """Commit the windows that the branch does not have, and the report; return how many windows are new there.

    A window that the branch has already stays as it is, and replaces the one in ``folder``; unless that was watched
    again more often.

    Raises:
        UserError: there is no report, or the remote refuses.
    """
    from mainline.monitor.store import times_again  # loads NumPy, which the heartbeat does without

    for left in reversed(range(TRIES)):
        head = deploy.refresh()
        known = set(deploy.repo.names(place(kind)))
        files: dict[str, str] = {}
        repeated = 0
        for file in sorted((folder / WINDOWS).rglob("*.json")):
            path = f"{place(kind)}/{file.relative_to(folder).as_posix()}"
            ours = file.read_text(encoding="utf-8")
            if path not in known:
                files[path] = ours
            elif (theirs := deploy.repo.read(path)) == ours:
                continue
            elif times_again(json.loads(ours)) > times_again(json.loads(theirs or "{}")):
                files[path] = ours
                repeated += 1
            else:
                warn(f"{path}: another run has watched this window meanwhile; what it found counts")
                write_atomic(file, theirs or "")
        new = len(files) - repeated
        report = _read(folder / REPORT)
        if report != deploy.repo.read(f"{place(kind)}/{REPORT}"):
            files[f"{place(kind)}/{REPORT}"] = report
        if not files:
            return 0
        try:
            words = f"{new} window{'' if new == 1 else 's'} watched" + (f", {repeated} again" if repeated else "")
            deploy.keep(f"monitor: {words} ({kind})", files, expect=head)
            return new
        except Moved:
            if not left:
                raise
    raise AssertionError("the last try returns or raises")


def put_beat(deploy: Deploy, kind: Kind, beat: Beat) -> None:
    """Record that a run came to its end: all was watched, kept and said."""
    stamp = beat.time.astimezone(dt.UTC).isoformat(timespec="seconds")
    text = json.dumps({"time": stamp, "run": beat.run, "code": beat.code}, indent=2, sort_keys=True) + "\n"
    for left in reversed(range(TRIES)):
        try:
            deploy.keep(f"monitor: beat ({kind})", {f"{place(kind)}/{BEAT}": text}, expect=deploy.refresh())
            return
        except Moved:
            if not left:
                raise


def last_beat(deploy: Deploy | None) -> Beat | None:
    """Return the newest beat of production's monitor, None if there never was one.

    Raises:
        UserError: it cannot be read.
    """
    path = f"{place('log')}/{BEAT}"
    text = deploy.repo.read(path) if deploy else None
    if text is None:
        return None
    try:
        raw = json.loads(text)
        time = dt.datetime.fromisoformat(raw["time"])
        return Beat(time if time.tzinfo else time.replace(tzinfo=dt.UTC), str(raw["run"]), int(raw["code"]))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} on branch deploy: is no beat ({error})", "start the workflow monitor: it writes a new one"
        ) from error


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{file}: not there", "`mainline ci monitor watch` makes it") from error
