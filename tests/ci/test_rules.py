from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mainline.cli import app

RULES = Path(__file__).parents[2] / ".github" / "ruleset.json"


def test_the_rules_are_applied_and_applied_again(event: Callable[..., Any], hub: Any) -> None:
    for word in ("created", "updated"):
        done = CliRunner().invoke(app, ["github", "ruleset", "--file", str(RULES)])
        assert done.exit_code == 0 and word in done.output
    (rules,) = hub.rulesets
    assert rules["enforcement"] == "active" and len(rules["rules"]) == 4


def test_without_a_token_or_rights_the_fix_is_named(
    event: Callable[..., Any], hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.refuse["/rulesets"] = 403
    done = CliRunner().invoke(app, ["github", "ruleset", "--file", str(RULES)])
    assert done.exit_code == 1 and "permission" in done.output
    monkeypatch.delenv("GITHUB_TOKEN")
    done = CliRunner().invoke(app, ["github", "ruleset", "--file", str(RULES)])
    assert done.exit_code == 1 and "export GITHUB_TOKEN" in done.output
