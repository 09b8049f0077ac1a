"""Where the outputs of the pipeline stand, relative to the top of the repository."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mainline.files import read_json

if TYPE_CHECKING:
    import pandas as pd

ROWS = Path("artifacts/rows.parquet")
TRAIN = Path("artifacts/train.parquet")
TEST = Path("artifacts/test.parquet")
MODEL = Path("artifacts/model.skops")
PROFILE = Path("artifacts/profile.json")
TRAINING = Path("artifacts/training.json")
SERVING = Path("artifacts/serving")  # serving.json, and model.onnx if the model converts
CHECK = Path("artifacts/check.json")  # the model's scores of fixed rows of TEST
VALIDATION = Path("reports/validation.json")
SPLIT = Path("reports/split.json")
EVALUATION = Path("reports/evaluation.json")
METRICS = Path("reports/metrics.json")
PLOTS = Path("reports/plots")
CARD = Path("reports/card.md")
CARD_PAGE = Path("reports/card.html")
REPORT = Path("reports/report.md")
REPORT_PAGE = Path("reports/report.html")
VERDICT = Path("reports/verdict.json")  # no output of a stage: it holds a latency and depends on another commit
REPRODUCTION = Path("reports/reproduction.json")  # no output either: it says where the outputs come from

ROW_FILES = (ROWS, TRAIN, TEST)  # they hold rows of the data, so they are kept in storage of one's own alone
# What the repository itself keeps of a run: all that train, evaluate and card make. No file with rows is among them.
KEPT = (MODEL, PROFILE, TRAINING, SERVING, CHECK, EVALUATION, METRICS, PLOTS, CARD, CARD_PAGE)


def read_inputs() -> dict[str, Any]:
    """Return what the stages before the card have written, by the name of its argument."""
    paths = {"validation": VALIDATION, "split": SPLIT, "training": TRAINING, "evaluation": EVALUATION}
    return {name: read_json(path) for name, path in paths.items()}


def read_plots() -> dict[str, pd.DataFrame]:
    """Return the tables of reports/plots by file name."""
    import pandas as pd

    return {path.name: pd.read_csv(path) for path in sorted(PLOTS.glob("*.csv"))}
