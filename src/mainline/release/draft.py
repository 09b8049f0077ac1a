"""What a commit on branch ``deploy`` will hold: new texts by path, worked out before anything is written."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mainline.release.repo import Moved
from mainline.release.state import Entry, State, Transition, dump_entry, dump_state, entry_path, plain, state_path

if TYPE_CHECKING:
    from mainline.release.ledger import Deploy

LARGEST = 2000  # characters of JSON; larger evidence gets a file of its own


def draft_states(deploy: Deploy, states: Sequence[State]) -> dict[str, str]:
    """Return the text of each state's file, with the next revision.

    Raises:
        Moved: a state was read from an older revision.
    """
    files = {}
    for state in states:
        before = deploy.state(state.environment).revision
        if state.revision != before:
            raise Moved(
                f"{state_path(state.environment)}: revision {before} is there, the change was made to "
                f"{state.revision}; nothing was changed",
                "run the same command again: it starts from what is there now",
            )
        files[state_path(state.environment)] = dump_state(replace(state, revision=before + 1))
    return files


def draft_ledger(
    deploy: Deploy, entries: Sequence[Entry], transitions: Sequence[Transition], when: dt.datetime
) -> dict[str, str]:
    """Return the texts of the entries, old transitions first, and of evidence that is too large for them.

    Raises:
        UserError: a transition is of a release that has no entry.
    """
    known = set(deploy.releases())
    changed: dict[str, Entry] = {}
    for entry in entries:
        entry_path(entry.release)
        old = deploy.entry(entry.release).transitions if entry.release in known else ()
        changed[entry.release] = replace(entry, transitions=old)
    files: dict[str, str] = {}
    stamp = when.astimezone(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    for given in transitions:
        entry = changed.get(given.release) or deploy.entry(given.release)
        item = replace(given, time=given.time or stamp, evidence=plain(given.evidence))
        text = json.dumps(item.evidence, indent=2, sort_keys=True, allow_nan=False) + "\n"
        if len(text) > LARGEST:
            path = f"evidence/{item.release}/{len(entry.transitions) + 1}.json"
            files[path] = text
            item = replace(item, evidence={"file": path, "sha256": hashlib.sha256(text.encode()).hexdigest()})
        changed[given.release] = replace(entry, transitions=(*entry.transitions, item))
    return files | {entry_path(name): dump_entry(entry) for name, entry in changed.items()}


def draft_files(files: Mapping[str, str], folder: str) -> dict[str, str]:
    """Return ``files``, all of which are below ``folder``: no caller may write what the ledger itself says."""
    for path in files:
        if not path.startswith(folder) or ".." in path:
            raise ValueError(f"{path} is not below {folder}")
    return dict(files)
