"""The commands that a person would type, run in the work tree of the retraining: by that tree's own code."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainline import child, dvc
from mainline.compare.champion import data_read
from mainline.compare.scoring import environment
from mainline.console import warn
from mainline.embedded import keep
from mainline.errors import UserError
from mainline.objects import data_outputs
from mainline.paths import SPLIT, VALIDATION, VERDICT
from mainline.remote import is_embedded
from mainline.retrain.batches import Unfit

SECONDS = 6 * 3600.0
SHOWN = 20


@dataclass(frozen=True)
class Trained:
    """What came of it: verdict.json as ``mainline compare`` wrote it (None: no comparison), and split.json."""

    verdict: Mapping[str, Any] | None
    split: Mapping[str, Any]


def pull(tree: Path, place: str) -> Path | str:
    """Fetch the data that ``tree`` learns from, and ``place`` if DVC keeps it; return where ``place`` is read from.

    Raises:
        UserError: the remote does not have them.
    """
    kept = {output.path.rstrip("/"): output.source for output in data_outputs(tree)}
    source = kept.get(place.rstrip("/"))
    _dvc(["pull", "--quiet", *dict.fromkeys([*data_read(tree), *([source] if source else [])])], tree, "the batches")
    return tree / place if source else place


def validate(tree: Path) -> None:
    """Check every batch as the pipeline will.

    Raises:
        Unfit: there are violations; the message has each with file, line, column, values and fix.
    """
    (tree / VALIDATION).unlink(missing_ok=True)
    done = _mainline(tree, "validate")
    if done.returncode == 0:
        return
    try:
        found = json.loads((tree / VALIDATION).read_text(encoding="utf-8"))["violations"]
    except (OSError, ValueError, KeyError):
        raise Unfit(f"the data cannot be checked: {_reason(done)}", "`mainline validate` shows the same") from None
    errors = [item for item in found if item.get("level") == "error"]
    lines = [_violation(item) for item in errors[:SHOWN]]
    more = [f"… and {len(errors) - SHOWN} more"] if len(errors) > SHOWN else []
    raise Unfit("\n".join(["the new data are not fit to train on:", *lines, *more]), "mend them where they come from")


def train(tree: Path, folder: str, *, remote: bool) -> None:
    """Add the data, run the pipeline, and push what the branch needs.

    The remote inside the repository gets the data and the model's outputs in any case, since its objects are committed
    with the branch. Another remote is written only with ``remote``.

    Raises:
        UserError: a stage stopped, or storage refused.
    """
    _dvc(["add", "--quiet", folder], tree, folder)
    done = child.run(
        [sys.executable, "-m", "dvc", "repro"], tree, seconds=SECONDS, environment=environment(tree)
    )  # fmt: skip
    print(done.stdout, end="", flush=True)
    if done.returncode != 0:
        raise Unfit(f"the pipeline stopped: {_reason(done)}", "`make run` on the branch's data shows the same")
    pointers = data_read(tree)
    if is_embedded(tree):
        _dvc(["push", "--quiet", *pointers], tree, "the data")
        warning = keep(tree).warning()
        if warning:
            warn(warning)
    elif remote:
        # Not the outputs: the pull request's own run makes them, and they go to storage after its verdict.
        _dvc(["push", "--quiet", *pointers], tree, "the data")


def measure(tree: Path, base: str) -> Trained:
    """Hold the new model against that of ``base`` on the same rows, in the words of ``mainline compare``."""
    done = _mainline(tree, "compare", "--against", base)
    try:
        verdict = json.loads((tree / VERDICT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        print(_reason(done), flush=True)
        verdict = None
    return Trained(verdict, json.loads((tree / SPLIT).read_text(encoding="utf-8")))


def _violation(item: Mapping[str, Any]) -> str:
    values = ", ".join(dict.fromkeys(str(example.get("value")) for example in item.get("examples") or ()))
    words = f"{item['batch']}:{item['line']}: {item['column']}: {item['check']} ({item['count']:,} rows)"
    return words + (f"; values: {values}" if values else "") + (f"; {item['hint']}" if item.get("hint") else "")


def _mainline(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mainline.cli", *arguments]
    return child.run(command, tree, seconds=SECONDS, environment=environment(tree))


def _dvc(arguments: list[str], tree: Path, what: str) -> None:
    done = dvc.run(arguments, tree, SECONDS)
    if done.returncode != 0:
        raise UserError(
            f"dvc {arguments[0]}: {what}: {dvc.said(done.stderr)}",
            "check the key of the remote and `mainline remote --verify`; the same command goes on where it stopped",
        )


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    """Return the errors that a command printed, else its last line."""
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return " / ".join([line for line in lines if line.startswith(("✗", "ERROR"))] or lines[-1:])[:1500]
