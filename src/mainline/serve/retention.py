"""How long predictions are kept: whole files go when their newest record is too old; none is rewritten."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from mainline.serve.log_files import seal_orphans
from mainline.serve.log_read import Stored, find


def expired(place: Path | str, before: dt.datetime) -> list[tuple[Stored, str]]:
    """Return the closed files without a prediction from ``before`` on, each with the time of its newest one.

    That time stands in the file, so that a copy that got a new date on disk still goes. A file without a prediction
    counts by the time in its name: that of an outcome says nothing of when it came. Files that killed processes have
    left open are closed first.
    """
    if "://" not in str(place):
        seal_orphans(Path(place))
    limit = before.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    dated = [(file, file.predicted()) for file in find(place) if file.closed]
    return [(file, time) for file, time in dated if time < limit]
