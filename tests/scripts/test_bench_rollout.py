"""What the benches of the rollout make of answers and records: a fault that is planted is found."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return {name: importlib.import_module(name) for name in ("bench_place", "bench_envoy", "bench_soak_report")}


def test_a_request_that_goes_where_its_user_does_not_belong_is_astray(scripts) -> None:
    answer, envoy = scripts["bench_place"].Answer, scripts["bench_envoy"]
    # Given a change at second 100, at which users 0 to 9 move to the candidate, and user 3's first request does not
    got = [answer(n, 100 + at, 2.0, 200, "new" if n < 10 else "old") for at in (1.0, 6.0) for n in range(40)]
    got[3] = answer(3, 100.02, 2.0, 200, "old")
    got[20] = answer(20, 101.0, 2.0, 503, "")
    (seen,) = envoy.notice([envoy.Changed(25, 100.0, 0.03)], got, "new", 110.0)
    assert (seen.requests, seen.failed, seen.share, seen.stragglers) == (80, 1, 0.25, 1)
    assert seen.settled_ms == pytest.approx(20)


def test_an_answer_without_a_record_is_lost(scripts, tmp_path: Path) -> None:
    answer, report = scripts["bench_place"].Answer, scripts["bench_soak_report"]
    # Given four requests: one answered and logged, one answered twice, one not logged but by shadow, one not answered
    logged = [(0, "stable"), (1, "canary"), (1, "stable"), (2, "shadow"), (3, "stable")]
    lines = [{"kind": "prediction", "request_id": f"bench-{n}", "track": track} for n, track in logged]
    lines.append({"kind": "prediction", "request_id": "somebody-else", "track": "stable"})
    text = "".join(json.dumps(line) + "\n" for line in lines) + '{"kind":"pred'
    (tmp_path / "20260101T000000-1-a.jsonl").write_text(text)
    got = [answer(n, 0.0, 1.0, 0 if n == 3 else 200, "r") for n in range(4)]
    assert report.held(tmp_path, got) == {
        "answers": 3, "records": 4, "lost": 1, "answered twice": 1, "records without an answer": 1,
        "records of shadow": 1, "torn lines": 1,
    }  # fmt: skip


def test_memory_is_compared_from_its_early_sample_on(scripts) -> None:
    report = scripts["bench_soak_report"]
    sizes = [(0, 50.0), (120, 100.0), (1920, 110.0)]
    samples = [report.Sample(1000.0 + at, "stable", 7, size, 10) for at, size in sizes]
    (line,) = report.growth(samples, 120.0)
    assert (line["early_mb"], line["end_mb"], line["growth_mb"]) == (100, 110, 10)
    assert line["growth_percent_per_hour"] == pytest.approx(20)
    assert report.growth(samples[:2], 120.0)[0]["growth_percent_per_hour"] is None, "a moment says nothing of an hour"
