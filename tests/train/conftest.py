"""Settings for the data room, with any key changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from mainline.config import Settings

ROOT = Path(__file__).parents[2]


@pytest.fixture
def settings_for() -> Callable[..., Settings]:
    """Return a function that gives the template's settings with keys changed, written as ``data__as_of=…``."""

    def build(**keys: Any) -> Settings:
        params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        for key, value in keys.items():
            *rooms, last = key.split("__")
            room = params
            for name in rooms:
                room = room[name]
            room[last] = value
        return Settings.model_validate(params)

    return build
