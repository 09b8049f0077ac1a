"""A small project whose pipeline has run, and the service on it, asked in this process."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from bank.schema import Row
from mainline.cli import app as cli
from mainline.serve.app import Application
from mainline.serve.model import load
from mainline.serve.start import NEEDED, digest

ROOT = Path(__file__).parents[2]


def write_lock(folder: Path) -> None:
    """Pin every output that the service reads, as DVC would."""
    outs = [{"path": path.as_posix(), "md5": digest(folder / path)} for path in NEEDED]
    (folder / "dvc.lock").write_text(yaml.safe_dump({"stages": {"all": {"outs": outs}}}), encoding="utf-8")


def made_rows(first_id: int) -> pd.DataFrame:
    """Return 240 valid rows of one month, each value of each vocabulary among them."""
    import numpy as np

    generator = np.random.default_rng(first_id)
    marks = {name: (item.metadata or {})["mainline"] for name, item in Row.to_schema().columns.items()}
    made: dict[str, Any] = {name: generator.choice(mark.one_of, 240) for name, mark in marks.items() if mark.one_of}
    made |= {name: generator.integers(1, 28, 240) for name in marks if name not in made}
    made |= {"row_id": np.arange(first_id, first_id + 240), "age": generator.integers(18, 90, 240),
             "pdays": generator.integers(-1, 300, 240)}  # fmt: skip
    chance = 0.3 + 0.4 * (made["poutcome"] == "success")
    return pd.DataFrame(made | {"y": np.where(generator.random(240) < chance, "yes", "no")})[list(marks)]


@pytest.fixture(scope="session")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder with the outputs of validate, split, train and evaluate, all pinned."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "data").mkdir()
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["evaluate"]["resamples"] = 100
    params["data"]["checks"]["distribution"] = "off"
    params["serve"]["drain_seconds"] = 60  # a test that waits for it fails
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    for number, month in enumerate(("2009-01", "2009-02", "2009-03", "2009-04", "2009-05")):
        rows = made_rows(1 + 240 * number)
        dates = sorted(f"{month}-{day:02d}" for day in rows["day"])
        rows.assign(contact_date=dates).to_csv(folder / "data" / f"{month}.csv", index=False)
    here = Path.cwd()
    os.chdir(folder)
    try:
        for stage in ("validate", "split", "train", "evaluate"):
            done = CliRunner().invoke(cli, [stage])
            assert done.exit_code == 0, done.output
    finally:
        os.chdir(here)
    write_lock(folder)
    return folder


@dataclass
class Served:
    """The application on ``outputs``, and a client that asks it without a network."""

    application: Application
    log: Path

    def ask(
        self, path: str, body: Any = None, method: str = "", headers: dict[str, str] | None = None, **scope: Any
    ) -> tuple[int, dict[str, str], Any]:
        """Return status, headers and the parsed answer (text if it is not JSON)."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return asyncio.run(self._ask(path, content, method or ("GET" if body is None else "POST"), headers or {}))

    async def _ask(
        self, path: str, body: bytes, method: str, headers: dict[str, str]
    ) -> tuple[int, dict[str, str], Any]:
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        scope = {"type": "http", "path": path, "method": method, "headers": raw}
        await self.application(scope, receive, send)
        start, end = sent
        text = end["body"].decode()
        names = {name.decode(): value.decode() for name, value in start["headers"]}
        return start["status"], names, json.loads(text) if names["content-type"] == "application/json" else text

    def records(self) -> list[dict[str, Any]]:
        """Close the log and return its records in order."""
        from mainline.serve.log import read

        assert self.application.loaded is not None
        self.application.loaded.log.close()
        return list(read(self.log))

    def metric(self, name: str, **labels: str) -> float:
        """Return one figure of /metrics."""
        from prometheus_client.parser import text_string_to_metric_families

        for family in text_string_to_metric_families(self.ask("/metrics")[2]):
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    return sample.value
        raise AssertionError(f"{name} {labels} is not in /metrics")


@pytest.fixture
def serve(outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Served]]:
    """Return a function that loads the service on a copy of the outputs; keywords change keys of params' ``serve``."""
    import shutil

    made: list[Served] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mainline.serve.metrics.base", lambda: tmp_path)

    def build(track: str = "stable", scorer: Any = None, **keys: Any) -> Served:
        folder = tmp_path / f"copy{len(list(tmp_path.iterdir()))}"
        shutil.copytree(outputs, folder)
        params = yaml.safe_load((folder / "params.yaml").read_text())
        params["serve"] |= keys
        (folder / "params.yaml").write_text(yaml.safe_dump(params))
        monkeypatch.setenv("MAINLINE_RELEASE", "bank-0123456789ab")
        monkeypatch.setenv("MAINLINE_TRACK", track)
        monkeypatch.setenv("MAINLINE_LOG", str(folder / "log"))
        application = Application()
        application.loaded = load(folder)
        if scorer is not None:
            from dataclasses import replace

            application.loaded = replace(application.loaded, scorer=scorer)
        made.append(Served(application, folder / "log"))
        return made[-1]

    yield build
    for served in made:
        served.application.close()


@pytest.fixture
def row() -> dict[str, Any]:
    """A valid row."""
    return {
        "age": 30, "job": "admin.", "marital": "single", "education": "tertiary", "default": "no", "balance": 100,
        "housing": "no", "loan": "no", "contact": "cellular", "campaign": 1, "pdays": -1, "previous": 0,
        "poutcome": "unknown",
    }  # fmt: skip
