"""A small trained project whose service is asked in this process, and a month of its future to play."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from mainline.config import Monitor, load_settings
from mainline.data.profile import Profile
from mainline.files import read_json
from mainline.monitor.build import Scan
from mainline.monitor.drift import Finding
from mainline.monitor.outcomes import join
from mainline.monitor.performance import performance
from mainline.monitor.profile import watched_bins
from mainline.monitor.source import records
from mainline.monitor.store import Kept, Store
from mainline.monitor.watch import watch
from mainline.paths import METRICS, PROFILE
from mainline.project import load_project
from mainline.replay.commands import Options, to_play
from mainline.replay.player import Pace, Played, play
from mainline.serve.app import Application
from mainline.serve.clock import SWITCH
from mainline.serve.model import load

ROOT = Path(__file__).parents[2]
ROWS = 600
FIRST, SECOND, THIRD = "2009-06-01", "2009-07-01", "2009-08-01"


@dataclass
class Here:
    """The application, asked without a network."""

    application: Application

    def __call__(
        self, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str], /
    ) -> tuple[int, Mapping[str, str], Any]:
        return asyncio.run(self._ask(path, body, headers))

    async def _ask(self, path: str, body: Any, headers: Mapping[str, str]) -> tuple[int, Mapping[str, str], Any]:
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "http", "path": path, "method": "GET" if body is None else "POST", "headers": raw}
        await self.application(scope, receive, send)
        names = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], names, json.loads(sent[1]["body"])


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, rows_of: Callable[..., pd.DataFrame]) -> Path:
    """A project folder: five months to learn from, two alike ones in ``replay``, and a trained model."""
    from typer.testing import CliRunner

    from mainline.cli import app

    folder = tmp_path_factory.mktemp("replayed")
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["evaluate"]["resamples"] = 100
    params["monitor"] = {"window": "month", "min_rows": 200, "min_labels": 100}
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    for name in ("data", "replay"):
        (folder / name).mkdir()
    for number, month in enumerate(("2009-01", "2009-02", "2009-03", "2009-04", "2009-05", "2009-06", "2009-07")):
        place = folder / ("data" if number < 5 else "replay") / f"{month}.csv"
        rows_of(month, rows=ROWS, first_id=1 + ROWS * number).to_csv(place, index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for stage in ("validate", "split", "train", "evaluate"):
            done = CliRunner().invoke(app, [stage])
            assert done.exit_code == 0, done.output
    return folder


@dataclass
class Replayed:
    """What was played, and what the monitor says of the log."""

    played: Played
    log: Path
    windows: list[Kept]
    performance: dict[str, Any]

    def finding(self, column: str, window: int = 0) -> Finding:
        """Return what was found in a column."""
        return next(item for item in self.windows[window].judged.findings if item.column == column)

    @property
    def verdicts(self) -> list[str]:
        """The verdict of each window."""
        return [kept.judged.verdict for kept in self.windows]

    @property
    def alarms(self) -> set[str]:
        """The columns that fired in any window."""
        found = [item for kept in self.windows for item in kept.judged.findings]
        return {item.column for item in found if item.verdict in ("WARNING", "DRIFT")}


@pytest.fixture
def replay(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Replayed]]:
    """Return a function that plays the future with faults against a fresh service, and watches June and July."""
    made: list[Application] = []

    def run(*faults: str, accept: tuple[str, ...] = (), until: str = THIRD, seed: int = 0) -> Replayed:
        folder = tmp_path / "project"
        shutil.copytree(trained, folder)
        monkeypatch.chdir(folder)
        params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
        params["serve"]["accept"] = list(accept)
        (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        monkeypatch.setattr("mainline.serve.metrics.base", lambda: tmp_path)
        for name, value in (("RELEASE", "bank-0123456789ab"), ("TRACK", "stable"), ("LOG", str(folder / "log"))):
            monkeypatch.setenv(f"MAINLINE_{name}", value)
        monkeypatch.setenv(SWITCH, "1")
        application = Application()
        made.append(application)
        application.loaded = load(folder)
        settings = load_settings()
        found = to_play(Options(faults=faults, until=until, seed=seed), settings)
        played = play(found, Here(application), Pace(1e9))
        application.close()
        return Replayed(played, folder / "log", *_look(folder / "log", until))

    yield run
    for application in made:
        application.close()


def _look(log: Path, until: str) -> tuple[list[Kept], dict[str, Any]]:
    settings = load_settings()
    rules: Monitor = settings.monitor
    reference = Profile.from_dict(read_json(PROFILE))
    begin, end = (dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC) for text in (FIRST, until))
    scanning = Scan(bins=watched_bins(reference), length="month", since=begin, until=end)
    windows = watch(str(log), reference, Store(Path("store"), "r", "month"), rules, scanning, end)
    joined = join(records(str(log)), None, known=("no", "yes"), since=begin, until=end, now=end, delay_days=14)
    return windows, performance(joined, settings, load_project("bank"), ("no", "yes"), read_json(METRICS))
