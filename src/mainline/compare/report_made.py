"""What the report says of where the two models' files come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mainline.compare.report_words import View, finite, part
from mainline.evaluate.card_words import NONE, number

MADE = {
    "by hash": "The outputs were taken by their hashes from main's lock; nothing was trained.",
    "byte for byte": "The outputs were made again by this run: reproduced, byte for byte.",
    "other bytes": "The outputs were made again by this run: reproduced, with other bytes",
    "not compared": "The outputs were made again by this run, with other bytes than `dvc.lock` named; there were no "
    "check rows to compare the predictions on.",
    "trained": "`dvc.lock` did not fit: this run trained, and the lock names what it made.",
}


def made(view: View) -> str:
    """Return one line on where the challenger's outputs come from; empty when no run has recorded it."""
    found = part(view.verdict, "reproduction")
    line = MADE.get(str(found.get("case")), "")
    return f"{line} ({_apart(part(found, 'proof'))})." if found.get("case") == "other bytes" else line


def rebuilt(champion: Mapping[str, Any]) -> str:
    """Return what building the champion again gave; a dash when it was not built again."""
    reproduced, proof = champion.get("reproduced"), part(champion, "proof")
    if reproduced is None:
        return NONE
    if not reproduced:
        return f"NOT the lock's model ({_apart(proof)})" if proof else "NOT the lock's model"
    return f"reproduced, with other bytes ({_apart(proof)})" if proof else "reproduced: the lock's hash"


def _apart(proof: Mapping[str, Any]) -> str:
    """Return how far scores of check rows are from the reference, in words."""
    largest, rows = finite(proof.get("largest")), finite(proof.get("rows"))
    return f"largest difference {'unknown' if largest is None else f'{largest:.2g}'} on {number(rows)} check rows"
