"""The labels by which a person answers an issue; the monitor's own come with its first issue."""

from __future__ import annotations

from mainline.github import PAGES, GitHub
from mainline.github_call import Refused
from mainline.monitor.issue_words import APPROVED
from mainline.monitor.lifecycle import MUTE

LABELS = {
    APPROVED: ("0e8a16", "A person with write access approves a retraining; the workflow retrain answers."),
    MUTE: ("cfd3d7", "Nothing is written to this issue for monitor.mute_days."),
}


def make(server: GitHub) -> list[str]:
    """Make the labels that are missing; return their names.

    Raises:
        UserError: GitHub refuses, or does not answer.
    """
    known = _known(server)
    made = [name for name in LABELS if name.lower() not in known]
    for name in made:
        color, description = LABELS[name]
        try:
            server.call("POST", "labels", {"name": name, "color": color, "description": description})
        except Refused as refusal:
            if refusal.code != 422:  # somebody else has made it meanwhile
                raise
    return made


def _known(server: GitHub) -> set[str]:
    """Return the names of the repository's labels, in small letters: GitHub does not tell large from small."""
    names: set[str] = set()
    for page in range(1, PAGES + 1):
        found = server.call("GET", f"labels?per_page=100&page={page}")
        entries = found if isinstance(found, list) else []
        names |= {str(entry.get("name", "")).lower() for entry in entries}
        if len(entries) < 100:
            break
    return names
