"""A reference, and a prediction log as the service writes it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mainline.config import Monitor
from mainline.data.profile import Profile, count, make_bins
from mainline.github import GitHub
from mainline.monitor.tracker import Tracker
from mainline.monitor.tracker_github import GitHubTracker
from mainline.monitor.tracker_local import LocalTracker

TEXTS = {"colour": (["red", "green", "blue"], [0.5, 0.3, 0.2])}
Draw = Callable[[int, int], pd.DataFrame]


def _draw(seed: int, size: int) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": generator.normal(40, 10, size),
            "visits": generator.poisson(2, size).astype(float),
            "colour": generator.choice(TEXTS["colour"][0], size, p=TEXTS["colour"][1]),
            "(score)": generator.beta(2, 5, size),
        }
    )


@pytest.fixture(scope="session")
def draw() -> Draw:
    """``draw(seed, size)``: rows of one process: two numbers, a text, a score."""
    return _draw


@pytest.fixture(scope="session")
def reference() -> Profile:
    """The profile of 20,000 rows."""
    rows = _draw(0, 20_000)
    return count(rows, make_bins(rows, list(rows), 50, 0.25))


@pytest.fixture(scope="session")
def rules() -> Monitor:
    """The defaults."""
    return Monitor()


@pytest.fixture(scope="session")
def record() -> Callable[..., dict[str, Any]]:
    """``record(number, time, **changes)``: one prediction as the log holds it."""

    def make(number: int, time: str, **changes: Any) -> dict[str, Any]:
        made = {
            "kind": "prediction",
            "time": time,
            "request_id": f"r{number}",
            "row": 0,
            "release": "bank-1",
            "track": "stable",
            "features": {"age": 40.0, "visits": 2, "colour": "red"},
            "score": 0.25,
            "decision": True,
            "latency_ms": 1.5,
        }
        return {**made, **changes}

    return make


@pytest.fixture(scope="session")
def write() -> Callable[[Path, list[Mapping[str, Any]]], Path]:
    """``write(path, records)``: JSON Lines."""

    def lines(path: Path, records: list[Mapping[str, Any]]) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(item) + "\n" for item in records), encoding="utf-8")
        return path

    return lines


@pytest.fixture
def github(hub: Any, api: Any) -> GitHubTracker:
    """Issues in the stand-in; nothing is waited for."""
    return GitHubTracker(GitHub("ada/loans", api.TOKEN, hub.url, lambda _: None))


@pytest.fixture
def local(tmp_path: Path) -> LocalTracker:
    """Issues in a folder, on the first of July 2009."""
    return LocalTracker(tmp_path / "issues", lambda: dt.datetime(2009, 7, 1, tzinfo=dt.UTC))


@pytest.fixture(params=["github", "local"])
def tracker(request: pytest.FixtureRequest) -> Tracker:
    """Either."""
    found: Tracker = request.getfixturevalue(request.param)
    return found
