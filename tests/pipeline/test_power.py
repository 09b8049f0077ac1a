"""A small run of scripts/power.py on the example: equal models pass, clearly worse ones do not."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[2] / "scripts" / "power.py"


@pytest.fixture(scope="module")
def power() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("power", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["power"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["power"]


@pytest.fixture(scope="module")
def window(power: ModuleType, finished: Any) -> Any:
    """The example with few resamples, so that this is quick."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(finished.folder)
        found = power.example()
    rules = found.settings.evaluate.model_copy(update={"resamples": 100})
    return replace(found, settings=found.settings.model_copy(update={"evaluate": rules}))


def test_the_same_model_is_promoted_and_a_refitted_one_is_not_worse(power: ModuleType, window: Any) -> None:
    (same,) = [power.judge(window, model) for model in power.refits(window, 1, False)]
    assert (same.verdict, same.reasons) == ("promote", ())
    # Rows drawn anew make another model, which may break an expectation, but not the primary metric
    found = [power.judge(window, model) for model in power.refits(window, 1, True)]
    gates = {reason.gate.split(": ")[0] for item in found for reason in item.reasons}
    assert not gates & {"primary", "slices", "floor", "slice floor"}


@pytest.mark.parametrize("fault", ["shaken", "lowered", "stretched"])
def test_a_model_that_is_worse_by_twice_the_margin_is_rejected(power: ModuleType, window: Any, fault: str) -> None:
    spoiled = power.worse_by(window, getattr(power, fault), 2 * window.settings.compare.margin)
    found = Counter(power.power(window, spoiled, len(window.y), 5))
    assert found["promote"] == 0 and found["reject"] >= 4


def test_a_model_that_is_worse_by_a_tenth_of_the_margin_is_not(power: ModuleType, window: Any) -> None:
    spoiled = power.worse_by(window, power.shaken, 0.1 * window.settings.compare.margin)
    found = Counter(power.power(window, spoiled, len(window.y), 5))
    assert found["reject"] == 0
