"""What is printed, and the exit code."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from mainline.cli import app
from mainline.doctor.found import Finding
from mainline.doctor.show import facts, show


@pytest.fixture
def called(place: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The sound place, with the command called in it; its clock is ours, so the beat in it is old."""
    for name, value in place.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(place.repo)

    def call(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["doctor", *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.output
        return result.exit_code, result.output

    return call


def test_text_and_json_say_the_same(called: Any) -> None:
    code, text = called()
    same, raw = called("--json")
    found = json.loads(raw)
    assert code == same == 1 and found["counts"]["broken"] == 1  # the beat is of 2010
    assert (found["level"], found["next"]) == (
        3,
        {"level": 4, "name": "watched, with retraining", "needs": ["heartbeat"]},
    )
    assert "level 3 of 4: releases through canary" in text
    assert "level 4, watched, with retraining, needs: heartbeat" in text
    for item in found["checks"]:
        assert item["check"] in text and " ".join(item["found"].split())[:60] in text
        assert not item["fix"] or f"→ {item['fix']}"[:60] in text


def test_gaps_and_what_could_not_be_looked_at_are_no_error(called: Any, place: Any) -> None:
    code, text = called("--offline")
    assert code == 1 and "1 broken" in text
    from mainline.ci.monitor_state import Beat, dt, put_beat

    put_beat(place.ledger(), "log", Beat(dt.datetime.now(dt.UTC), "", 0))
    code, text = called("--offline")
    assert code == 0 and "0 broken" in text and "level 1 of 4" in text
    assert "checks" in text and "not checked: offline: GitHub, plan" in text


def test_what_is_missing_or_broken_is_annotated_in_ci_and_ends_with_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    found = [
        Finding("lock", "a", "broken", "no\nlock", "run it", "hashes", 3),
        Finding("b", "a", "gap", "x", "y"),
        Finding("c", "a", "optional", "z", "w", "a list"),
        Finding("d", "a", "unknown", "not checked: v", ""),
    ]
    assert show(found, as_json=False) == 1 and show(found[1:], as_json=False) == 1
    printed = capsys.readouterr().out
    assert "::error::lock: no%0Alock" in printed and "::error::b: x" in printed and printed.count("::error") == 3
    assert "for: hashes" in printed and "→ run it" in printed and "next: step 3, lock → run it" in printed
    assert show(found[2:], as_json=False) == 0 and "nothing required is missing" in capsys.readouterr().out
    assert show(found[2:], as_json=True) == 0
    assert json.loads(capsys.readouterr().out) == facts(found[2:])


def test_the_facts_keep_the_keys_that_scripts_read() -> None:
    whole = facts([Finding("lock", "a", "ok", "fits", "", "hashes", 3)])
    assert {"level", "name", "next", "counts", "checks"} == set(whole)
    assert {"ok", "gap", "broken", "unknown"} <= set(whole["counts"])
    assert {"check", "area", "status", "found", "fix"} <= set(whole["checks"][0])
