"""The real command in a clone whose pipeline has run, with the real DVC."""

from __future__ import annotations

import json
from typing import Any


def look(clone: Any, **how: Any) -> dict[str, Any]:
    """Return what the doctor finds there, by check."""
    printed = clone.run(*clone.program("mainline"), "doctor", "--offline", "--json", check=False, **how)
    found = json.loads(printed)
    return {item["check"]: item for item in found["checks"]} | {"level": found["level"]}


def test_a_clone_after_make_run_is_at_level_one_and_one_changed_parameter_takes_it_away(finished_copy: Any) -> None:
    found = look(finished_copy)
    assert found["level"] == 1
    for name in ("params", "git", "lock", "champion", "objects", "tracking"):
        assert found[name]["status"] == "ok", found[name]
    assert found["storage"]["status"] == "gap" and "embedded" in found["storage"]["found"]
    params = finished_copy.folder / "params.yaml"
    params.write_text(params.read_text(encoding="utf-8").replace("C: 1.0", "C: 0.5"), encoding="utf-8")
    found = look(finished_copy)
    assert found["level"] == 0 and found["lock"]["status"] == "gap"
    assert found["lock"]["found"].startswith("dvc.lock does not fit: train")
    assert found["work tree"]["found"] == "not committed: params.yaml"
