"""A scratch project on small made-up batches that fit the example's schema."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from bank.schema import Row
from mainline.cli import app
from mainline.config import Settings, load_settings

ROOT = Path(__file__).parents[1]
MONTHS = ("2009-01", "2009-02", "2009-03", "2009-04", "2009-05")
ROWS = 240


def make_rows(month: str, rows: int = ROWS, first_id: int = 1, seed: int = 0) -> pd.DataFrame:
    """Return valid rows of one month; the label depends on ``poutcome`` and ``housing``, and all months are alike."""
    generator = np.random.default_rng([seed, first_id])
    marks = {name: (item.metadata or {})["mainline"] for name, item in Row.to_schema().columns.items()}
    chosen = {name: generator.choice(mark.one_of, rows) for name, mark in marks.items() if mark.one_of}
    dates = pd.date_range(f"{month}-01", periods=28)[np.sort(generator.integers(0, 28, rows))]
    logit = 1.5 * (chosen["poutcome"] == "success") - 1.0 * (chosen["housing"] == "yes") - 0.5
    made = chosen | {
        "row_id": np.arange(first_id, first_id + rows),
        "contact_date": dates.strftime("%Y-%m-%d"),
        "age": generator.integers(18, 90, rows),
        "balance": generator.integers(-500, 5000, rows),
        "day": dates.day,
        "month": [name.lower() for name in dates.strftime("%b")],
        "duration": generator.integers(0, 900, rows),
        "campaign": generator.integers(1, 6, rows),
        "pdays": generator.integers(-1, 300, rows),
        "previous": generator.integers(0, 5, rows),
        "y": np.where(generator.random(rows) < 1 / (1 + np.exp(-logit)), "yes", "no"),
    }
    return pd.DataFrame({name: made[name] for name in marks})


@pytest.fixture(scope="session")
def rows_of() -> Callable[..., pd.DataFrame]:
    """Return the function that makes rows of a month."""
    return make_rows


@dataclass
class Scratch:
    """A folder with params.yaml and batches; ``run`` calls a command in it as a person would."""

    folder: Path
    params: dict[str, Any]
    batches: dict[str, pd.DataFrame] = field(default_factory=dict)

    def write(self) -> None:
        """Write params.yaml and every batch."""
        (self.folder / "params.yaml").write_text(yaml.safe_dump(self.params), encoding="utf-8")
        for name, rows in self.batches.items():
            rows.to_csv(self.folder / "data" / name, index=False)

    def file(self, name: str) -> Path:
        """Return the path of a batch."""
        return self.folder / "data" / name

    def run(self, *arguments: str) -> tuple[int, str]:
        """Return exit code and all output of ``mainline`` with ``arguments``; a traceback fails the test."""
        result = CliRunner().invoke(app, arguments)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.output
        return result.exit_code, result.output

    def settings(self) -> Settings:
        """Return the settings in params.yaml."""
        return load_settings(self.folder / "params.yaml")


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scratch:
    """A scratch project of five sound batches, January to May 2009, as of 31 May."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    (tmp_path / "data").mkdir()
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["evaluate"]["resamples"] = 100
    batches = {f"{month}.csv": make_rows(month, first_id=1 + ROWS * i) for i, month in enumerate(MONTHS)}
    made = Scratch(tmp_path, params, batches)
    made.write()
    return made


def set_keys(params: dict[str, Any], **keys: Any) -> dict[str, Any]:
    """Return a copy of ``params`` with keys set that are written as ``data__as_of=…``."""
    changed = copy.deepcopy(params)
    for key, value in keys.items():
        *rooms, last = key.split("__")
        room = changed
        for name in rooms:
            room = room[name]
        room[last] = value
    return changed


@pytest.fixture
def change(scratch: Scratch) -> Callable[..., None]:
    """Return a function that sets keys of params.yaml and writes everything again."""

    def apply(**keys: Any) -> None:
        scratch.params = set_keys(scratch.params, **keys)
        scratch.write()

    return apply


@pytest.fixture(scope="session")
def settings_for() -> Callable[..., Settings]:
    """Return a function that gives the template's settings with keys changed."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    return lambda **keys: Settings.model_validate(set_keys(params, **keys))
