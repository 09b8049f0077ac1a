"""The real command in a clone whose pipeline has run, with the real DVC (a stale lock: tests/ci/test_plan.py)."""

from __future__ import annotations

import json
from typing import Any

import pytest


@pytest.mark.slow
def test_a_fresh_copy_is_at_level_one_after_its_pipeline_has_run(finished: Any) -> None:
    printed = finished.run(*finished.program("mainline"), "doctor", "--offline", "--json")
    whole = json.loads(printed)
    found = {item["check"]: item for item in whole["checks"]}
    assert whole["level"] == 1
    for name in ("params", "git", "lock", "champion", "objects", "tracking"):
        assert found[name]["status"] == "ok", found[name]
    assert found["storage"]["status"] == "optional" and "embedded" in found["storage"]["found"]
    assert found["origin"]["status"] == "optional" and found["GitHub"]["status"] == "unknown"
    assert whole["counts"]["gap"] == whole["counts"]["broken"] == 0, "a copy on one machine lacks nothing"
