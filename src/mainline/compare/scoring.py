"""Predictions of a commit's model, made by that commit's own code in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mainline import child
from mainline.errors import UserError
from mainline.files import read_json, replace_atomic, write_json
from mainline.github import KEYS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SECONDS = 900.0


class CannotScore(Exception):
    """A model's own code gave no usable predictions; the text says why."""


@dataclass(frozen=True)
class Predictions:
    """Scores of every row, ``(n,)`` or ``(n, k)``, and the median milliseconds for one row (None: not measured)."""

    score: NDArray[np.float64]
    latency_ms: float | None


def predict_rows(rows: Path, out: Path, latency: Path | None = None) -> None:
    """Score the Parquet file ``rows`` with model, code and params of the working directory; write float64 to ``out``.

    The label and the columns that are known only afterwards are taken out first: a prediction may not need them.

    Raises:
        UserError: a file is absent, or the model cannot be loaded.
    """
    import numpy as np
    from threadpoolctl import threadpool_limits

    from mainline.config import load_settings
    from mainline.data.split import read_rows
    from mainline.evaluate.check_rows import as_asked
    from mainline.evaluate.latency import measure
    from mainline.paths import MODEL
    from mainline.project import load_project, scores
    from mainline.train.artifact import load_model

    settings = load_settings()
    project = load_project(settings.project)
    frame = as_asked(read_rows(rows), project, settings)
    model = load_model(MODEL, project.trusted)
    with threadpool_limits(1):
        found = np.asarray(scores(model, frame), dtype=np.float64)
        if latency is not None:
            write_json(latency, {"single_ms": measure(model, frame).single_ms})

    def write(temporary: Path) -> None:
        with temporary.open("wb") as stream:
            np.save(stream, found, allow_pickle=False)

    replace_atomic(out, write)


def environment(root: Path) -> dict[str, str]:
    """Return the environment in which ``mainline`` runs the code below ``root`` and no other."""
    from mainline.numerics import pinned

    own = {
        "PATH": child.search_path(),
        "PYTHONPATH": str(root.resolve() / "src"),
        "DVC_NO_ANALYTICS": "1",
    }
    # An annotation of the champion's run would stand in the challenger's pull request.
    left_out = ("GITHUB_ACTIONS", "PYTHONSAFEPATH", *KEYS)
    kept = {key: value for key, value in os.environ.items() if key not in left_out}
    return pinned(kept) | own


def predictions(root: Path, rows: Path, seconds: float = SECONDS) -> Predictions:
    """Return what the model below ``root`` predicts for the Parquet file ``rows``, by the code below ``root``.

    Raises:
        CannotScore: the code there knows no such command, fails, takes longer than ``seconds``, or predicts nonsense.
    """
    import numpy as np

    with tempfile.TemporaryDirectory(prefix="mainline-") as folder:
        out, latency = Path(folder, "scores.npy"), Path(folder, "latency.json")
        options = [str(rows.resolve()), str(out), "--latency", str(latency)]
        command = [sys.executable, "-m", "mainline.cli", "predict", *options]
        try:
            done = child.run(command, root, seconds=seconds, environment=environment(root))
        except subprocess.TimeoutExpired as error:
            raise CannotScore(f"no predictions after {seconds:.0f} seconds") from error
        if done.returncode != 0:
            raise CannotScore(_reason(done.stderr))
        try:
            score = np.load(out, allow_pickle=False)
            single: Any = read_json(latency)["single_ms"]
        except (OSError, ValueError, KeyError, UserError) as error:
            raise CannotScore(f"its predictions cannot be read ({error})") from error
    if score.dtype != np.float64 or score.ndim not in (1, 2):
        raise CannotScore(f"its predictions are {score.dtype} of {score.ndim} dimensions")
    return Predictions(score, float(single))


def _reason(stderr: str) -> str:
    if "No such command" in stderr:
        return "its version of mainline has no `mainline predict`"
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    problem = next((line.removeprefix("✗ ") for line in lines if line.startswith("✗ ")), lines[-1] if lines else "")
    return problem[:300] or "it failed without a word"
