"""The queries on Prometheus' own engine: ``promtool test rules`` with made-up series (apt package ``prometheus``)."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from mainline.rollout.kubernetes import queries
from mainline.rollout.kubernetes.queries import CANARY, SHADOW, Arm

pytestmark = pytest.mark.skipif(
    not shutil.which("promtool"), reason="promtool is not installed: queries are only read, not run"
)
ARGS = {"namespace": "bank-production", "release": "new", "window": "10m", "requests": "300"}
EDGES = [round(0.05 * step, 2) for step in range(1, 21)]
Series = dict[str, float]


def series(metric: str, per_scrape: float, **labels: str) -> Series:
    """Return a counter that grows by so much every 15 seconds."""
    full = {"namespace": "bank-production", "track": "stable", **labels}
    inside = ",".join(f'{key}="{value}"' for key, value in full.items())
    return {f"{metric}{{{inside}}}": per_scrape}


def traffic(release: str, good: float, bad: float = 0, refused: float = 0, **labels: str) -> Series:
    """Return the answers of one release by status."""
    counts = {"200": good, "500": bad, "422": refused}
    found: Series = {}
    for status, count in counts.items():
        # As the service does it: no series before the first such answer.
        if count:
            found |= series("mainline_requests_total", count, release=release, status=status, **labels)
    return found


def latency(release: str, requests: float, slowest: float) -> Series:
    """Return a latency histogram: 98 % below 10 ms, the rest up to ``slowest`` seconds."""
    found: Series = {}
    for edge in (0.01, slowest, math.inf):
        share = 0.98 if edge == 0.01 else 1.0
        text = "+Inf" if math.isinf(edge) else str(edge)
        found |= series("mainline_request_seconds_bucket", requests * share, release=release, le=text)
    return found


def scores(release: str, n: float, shift: float, **labels: str) -> Series:
    """Return a score histogram: uniform on [shift, 1]."""
    found = series("mainline_score_count", n, release=release, **labels)
    for edge in EDGES:
        share = max(0.0, (edge - shift) / (1 - shift))
        found |= series("mainline_score_bucket", n * share, release=release, le=str(edge), **labels)
    return found


def ask(query: str, given: Series, folder: Path) -> float | None:
    """Return what Prometheus answers after ten minutes; None for nothing."""
    for name, value in ARGS.items():
        query = query.replace("{{args." + name + "}}", value)
    expected = {"expr": query, "eval_time": "10m", "exp_samples": [{"labels": "{}", "value": -1e9}]}
    test = {
        "interval": "15s",
        "input_series": [{"series": name, "values": f"0+{step}x40"} for name, step in given.items()],
        "promql_expr_test": [expected],
    }
    path = folder / "test.yaml"
    path.write_text(yaml.safe_dump({"rule_files": [], "evaluation_interval": "15s", "tests": [test]}), encoding="utf-8")
    done = subprocess.run(
        ["promtool", "test", "rules", str(path)], capture_output=True, text=True, check=False, timeout=60
    )
    answer = re.search(r"got: (nil|\{\} (\S+))", done.stdout + done.stderr)
    assert answer, done.stdout + done.stderr
    return None if answer[1] == "nil" else float(answer[2])


OLD = traffic("old", 1000)
SLOW = {**traffic("new", 10), **latency("new", 10, 0.31), **latency("old", 1000, 0.11)}


@pytest.mark.parametrize(
    ("query", "given", "value"),
    [
        (queries.traffic(CANARY), {**OLD, **traffic("new", 10)}, 400 / 300),
        # Staging, shadow and stable are none of the canary's traffic.
        (queries.traffic(CANARY), {**OLD, **traffic("new", 10, namespace="bank-staging"),
                                   **traffic("new", 10, track="shadow")}, None),
        (queries.traffic(SHADOW), {**OLD, **traffic("new", 10, track="shadow")}, 400 / 300),
        (queries.more_often("5..", CANARY), {**OLD, **traffic("new", 10)},
         2 * (0.375**0.5 - (0.01 * 0.375) ** 0.5) / 1.01**0.5),
        (queries.more_often("5..", CANARY), {**OLD, **traffic("new", 9, bad=1)},
         2 * (40.375**0.5 - (0.01 * 0.375) ** 0.5) / 1.01**0.5),
        (queries.more_often("4..", CANARY), {**traffic("old", 900, refused=100), **traffic("new", 9, refused=1)},
         2 * (40.375**0.5 - (0.01 * 4000.375) ** 0.5) / 1.01**0.5),
        (queries.more_often("5..", CANARY), OLD, None),
        (queries.more_often("5..", CANARY), traffic("new", 10), None),
        (queries.more_often("5..", CANARY), {**OLD, **traffic("new", 0.0)}, None),
        (queries.latency_ratio(CANARY, 300), SLOW,
         (0.01 + 0.5 * 0.3) / (0.01 + 0.5 * 0.1)),
        (queries.latency_ratio(CANARY, 300, floor_ms=100), SLOW, (0.01 + 0.5 * 0.3) / 0.1),
        (queries.latency_ratio(CANARY, 300, floor_ms=200), SLOW, 1.0),
        (queries.latency_ratio(CANARY, 1000), SLOW, None),
        (queries.score_distance(CANARY), {**scores("old", 1000, 0), **scores("new", 10, 0)},
         -1.95 * (1 / 400 + 1 / 40000) ** 0.5),
        (queries.score_distance(CANARY), {**scores("old", 1000, 0), **scores("new", 10, 0.5)},
         0.5 - 1.95 * (1 / 400 + 1 / 40000) ** 0.5),
        (queries.score_distance(CANARY), scores("new", 10, 0.5), None),
        (queries.score_distance(CANARY), {**scores("old", 1000, 0), **scores("new", 0.0, 0)}, None),
        (queries.breach(CANARY, 20), {**OLD, **traffic("new", 9, bad=1)}, 0.1),
        (queries.breach(CANARY, 50), {**OLD, **traffic("new", 9, bad=1)}, 0.0),
        (queries.breach(CANARY, 20), {**OLD, **traffic("new", 10)}, 0.0),
        (queries.breach(CANARY, 20), OLD, None),
    ],
)  # fmt: skip
def test_what_prometheus_answers(query: str, given: Series, value: float | None, tmp_path: Path) -> None:
    answer = ask(query, given, tmp_path)
    assert answer == (None if value is None else pytest.approx(value, rel=1e-6, abs=1e-9))


def test_several_pods_of_a_release_are_one_side(tmp_path: Path) -> None:
    pods: Series = {}
    for pod in ("a", "b"):
        pods |= traffic("new", 5, pod=pod)
    assert ask(queries.traffic(CANARY), {**OLD, **pods}, tmp_path) == pytest.approx(400 / 300)
    assert isinstance(CANARY, Arm)
