"""What came of a retraining, in words for a terminal."""

from __future__ import annotations

from mainline.console import Mark, error, say
from mainline.retrain.run import Outcome


def show(found: Outcome) -> int:
    """Print what came of it; return the exit code."""
    for item in found.batches:
        say(f"{item.name}: {item.rows:,} rows, {item.first} to {item.last}")
    if found.code == 1:
        error(found.reason)
        return 1
    mark: Mark = "pass" if found.code == 0 else "warn"
    say(found.reason, mark)
    if found.commit:
        say(
            f"{found.branch} at {found.commit[:12]}" + (f", first comparison: {found.verdict}" if found.verdict else "")
        )
    if found.pull_request:
        say(f"pull request: {found.pull_request}")
    return found.code
