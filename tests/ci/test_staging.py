from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from mainline.ci import staging
from mainline.ci.staging import _held, _judged, _number, _numbers, enter
from mainline.errors import UserError
from mainline.release.ledger import Deploy
from mainline.release.state import Entry


@pytest.fixture
def deploy(tmp_path: Path) -> Deploy:
    made = Deploy.open(tmp_path / "deploy")
    made.commit("two", expect=made.head(), entries=[Entry("a", "c" * 40), Entry("b", "d" * 40)])
    return made


def found(release: str, *failed: str) -> dict[str, Any]:
    checks = [{"check": name, "passed": name not in failed, "text": f"{name} it is"} for name in ("ready", "latency")]
    return {"release": release, "passed": not failed, "checks": checks}


def test_what_passed_stands_in_staging_and_what_failed_does_not(deploy: Deploy) -> None:
    assert enter("a", found("a"), deploy) and enter("b", found("b"), deploy)
    assert (deploy.state("staging").stable, deploy.state("staging").previous) == ("b", ("a",))
    assert not enter("a", found("a", "latency"), deploy)
    assert deploy.state("staging").stable == "b"
    (staged, aborted) = deploy.entry("a").transitions
    assert (staged.event, aborted.event, aborted.environment) == ("staged", "abort", "staging")
    assert "latency it is" in aborted.why and "ready" not in aborted.why
    with pytest.raises(UserError, match="looked at a, not at b"):
        enter("b", found("a"), deploy)


def test_answers_are_held_to_the_tolerance() -> None:
    wanted = [{"probability": 0.5}, {"probability": 0.25}]
    assert "1 answers" in _held([{"value": 36.867105204}], [{"value": 36.867107389}], 1e-6)
    assert "2 answers" in _held(wanted, [{"probability": 0.5}, {"probability": 0.25 + 9e-7}], 1e-6)
    for off in (0.25 + 2e-6, math.nan):
        with pytest.raises(UserError, match="row 2: probability"):
            _held(wanted, [{"probability": 0.5}, {"probability": off}], 1e-6)


def test_every_kind_of_answer_has_its_columns() -> None:
    assert _numbers({"probability": 0.5, "decision": True}) == {"probability": 0.5}
    assert _numbers({"value": 2.0}) == {"value": 2.0}
    assert _numbers({"probabilities": {"a": 0.5}, "decision": "a"}) == {"probability_a": 0.5}
    assert _number("1e-3") == 0.001 and math.isnan(_number("")) and math.isnan(_number("x"))


def test_whatever_goes_wrong_in_a_check_is_its_finding() -> None:
    def broken() -> str:
        raise KeyError("probability")

    assert _judged("x", broken) == {"check": "x", "passed": False, "text": "KeyError: 'probability'"}


@pytest.mark.parametrize(("status", "limit", "passed"), [(200, 1000.0, True), (500, 1000.0, False), (200, 1e-9, False),
                                                         (200, None, True)])  # fmt: skip
def test_latency_is_held_to_the_budget_and_every_answer_counts(
    monkeypatch: pytest.MonkeyPatch, status: int, limit: float | None, passed: bool
) -> None:
    settings = type("S", (), {"gates": type("G", (), {"latency_ms": limit})})
    monkeypatch.setattr(staging, "load_settings", lambda: settings)
    monkeypatch.setattr(staging, "ask", lambda *_: (status, {}))
    check = staging._latency(1, {"rows": [{"request": {}}]}, 5)
    assert check["passed"] is passed and math.isfinite(check["p99_ms"])
