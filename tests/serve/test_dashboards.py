"""Rules and dashboard name what the service exposes, and the alerts fire for what they are there for, and else not."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from .promql import read

ROOT = Path(__file__).parents[2]
RULES = yaml.safe_load((ROOT / "deploy" / "prometheus" / "rules.yml").read_text(encoding="utf-8"))
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "dashboard.json").read_text(encoding="utf-8"))
ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]}
PANELS = DASHBOARD["panels"]
QUERIES = {name: rule["expr"] for name, rule in ALERTS.items()} | {
    f"{panel['title']} {target['refId']}": target["expr"].replace("$release", ".*")
    for panel in PANELS
    for target in panel["targets"]
}
DURATION = r"\d+[smhd]"


def faults(query: str, served: dict[str, set[str]]) -> list[str]:
    """Return what is wrong with a query: what the service does not expose, and what is no PromQL."""
    found = read(query)
    wrong = [*found.faults]
    for metric, labels in found.metrics.items():
        if metric not in served:
            wrong.append(f"metric {metric}")
        else:
            wrong += [f"label {label} of {metric}" for label in labels - served[metric]]
    known = set().union(*(served.get(metric, set()) for metric in found.metrics))
    return wrong + [f"grouped by {label}" for label in found.grouped - known]


@pytest.fixture
def served(serve, row) -> dict[str, set[str]]:
    """Labels by metric of the service's own /metrics, after a prediction."""
    made = serve()
    assert made.ask("/predict", {"rows": [row]})[0] == 200
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(made.ask("/metrics")[2]):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def test_every_query_reads_what_the_service_exposes(served) -> None:
    assert {name: wrong for name, query in QUERIES.items() if (wrong := faults(query, served))} == {}
    assert len(QUERIES) >= 25 and {name for query in QUERIES.values() for name in read(query).metrics} >= {
        "mainline_requests_total", "mainline_request_seconds_bucket", "mainline_score_bucket", "mainline_unseen_total",
        "mainline_missing_total", "mainline_log_dropped_total", "mainline_feedback_total", "mainline_predictions_total",
    }  # fmt: skip
    planted = {
        "sum(mainline_request_total)": ["metric mainline_request_total"],
        'mainline_requests_total{code="500"}': ["label code of mainline_requests_total"],
        "sum by (colum) (rate(mainline_unseen_total[5m]))": ["grouped by colum"],
        "sum(rate(mainline_unseen_total[5m])": ["unequal brackets: ( stays open"],
        "rte(mainline_unseen_total[5m])": ["metric rte"],
        "rate(mainline_unseen_total[5 minutes])": [
            "cannot be read from '[5 minutes])' on",
            "unequal brackets: ( stays open",
        ],
        "sum(mainline_requests_total{} [5m] ; 1)": ["cannot be read from '; 1)' on", "unequal brackets: ( stays open"],
    }
    assert {query: faults(query, served) for query in planted} == planted


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_it_is_and_what_to_do(name: str) -> None:
    rule = ALERTS[name]
    assert set(rule) == {"alert", "expr", "for", "labels", "annotations"} and re.fullmatch(DURATION, rule["for"])
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert set(rule["annotations"]) == {"summary", "description"} and all(rule["annotations"].values())
    used = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
    assert used <= read(rule["expr"]).grouped, "a label that the result does not have"
    assert f"| `{name}` |" in (ROOT / "docs" / "dashboards.md").read_text(encoding="utf-8")


def test_the_bound_on_latency_is_that_of_the_settings() -> None:
    bound = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["monitor"]["latency_p99_ms"]
    shown = [float(found) for found in re.findall(r"\)\s*> (0\.\d+)\s", ALERTS["MainlineSlow"]["expr"])]
    panel = next(panel for panel in PANELS if panel["title"] == "99 % within")
    steps = [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
    assert bound is None or shown == [bound / 1000] == steps[1:], "change rules.yml and dashboard.json with params.yaml"


def test_the_dashboard_is_whole() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        place = panel["gridPos"]
        x, y, wide, tall = (place[key] for key in "xywh")
        cells = {(x + right, y + down) for right in range(wide) for down in range(tall)}
        assert x + wide <= 24 and not cells & taken, f"{panel['title']} lies on another panel"
        taken |= cells
        assert panel["type"] in ("stat", "timeseries", "heatmap") and panel["title"] and panel["description"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)
    declared = {item["name"] for item in DASHBOARD["templating"]["list"]} | {"__rate_interval", "__all"}
    assert set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD))) == declared
    assert "://" not in json.dumps(DASHBOARD) and "id" not in DASHBOARD, "nothing of the place where it was made"


Series = dict[str, str]
STABLE, CANARY = {"release": "r1", "track": "stable"}, {"release": "r2", "track": "canary"}


def counter(metric: str, *steps: tuple[float, int], **labels: str) -> Series:
    """Return a counter that grows by so much a sample, for so many samples, step after step."""
    inside = ",".join(f'{key}="{value}"' for key, value in {**STABLE, **labels}.items())
    value, parts = 0.0, []
    for step, minutes in steps:
        parts.append(f"{value:g}{step:+g}x{minutes - 1}")
        value += step * minutes
    return {f"{metric}{{{inside}}}": " ".join(parts)}


def requests(status: str, *steps: tuple[float, int], **labels: str) -> Series:
    return counter("mainline_requests_total", *steps, status=status, **labels)


def seconds(slow: float) -> Series:
    """Return 200 requests a sample, this share of them slower than 50 ms."""
    made = counter("mainline_request_seconds_count", (200, 60))
    for edge, share in (("0.025", 1 - slow), ("0.05", 1 - slow), ("0.1", 1.0), ("+Inf", 1.0)):
        made |= counter("mainline_request_seconds_bucket", (200 * share, 60), le=edge)
    return made


def score(low: tuple[float, float]) -> Series:
    """Return scores of eight days, a sample each half hour, that share below 0.5: before, and in the last six hours."""
    made = counter("mainline_score_count", (60, 8 * 48))
    for edge, shares in (("0.5", low), ("1.0", (1.0, 1.0))):
        made |= counter("mainline_score_bucket", (60 * shares[0], 8 * 48 - 12), (60 * shares[1], 12), le=edge)
    return made


SOUND, BROKEN = requests("200", (900, 60)), requests("500", (100, 60))
SICK = requests("200", (9, 60), **CANARY) | requests("500", (1, 60), **CANARY)
DAY = requests("200", (1000, 160))
ASKED = counter("mainline_predictions_total", (10, 700))


def column(metric: str, *steps: tuple[float, int]) -> Series:
    return counter(metric, *steps, column="job")


CASES: list[tuple[str, Series, str, bool]] = [
    ("MainlineNoMetrics", {}, "10m", True),
    ("MainlineNoMetrics", SOUND, "10m", False),
    ("MainlineNoTraffic", requests("200", (0, 90)), "80m", True),
    ("MainlineNoTraffic", requests("200", (0, 90)) | requests("200", (9, 90), track="shadow"), "80m", True),
    ("MainlineNoTraffic", requests("200", (1, 90)), "80m", False),
    ("MainlineErrors", SOUND | BROKEN, "40m", True),
    ("MainlineErrors", requests("200", (999, 60)) | requests("500", (1, 60)), "40m", False),
    ("MainlineErrors", requests("200", (1, 60)) | requests("500", (0.1, 60)), "40m", False),
    ("MainlineErrors", SOUND | requests("500", (50, 60), track="shadow"), "40m", False),
    ("MainlineCanaryErrors", SOUND | SICK, "40m", True),
    ("MainlineCanaryErrors", SOUND | BROKEN | SICK, "40m", False),
    ("MainlineCanaryErrors", SICK, "40m", True),
    ("MainlineCanaryErrors", SOUND | BROKEN, "40m", False),
    ("MainlineRefused", requests("200", (9, 60)) | requests("422", (1, 60)), "50m", True),
    ("MainlineRefused", requests("200", (99, 60)) | requests("422", (1, 60)), "50m", False),
    ("MainlineSlow", seconds(0.05), "40m", True),
    ("MainlineSlow", seconds(0.005), "40m", False),
    ("MainlineUnseen", DAY | column("mainline_unseen_total", (20, 120)), "90m", True),
    ("MainlineUnseen", DAY | column("mainline_unseen_total", (5, 120)), "90m", False),
    ("MainlineMissing", DAY | column("mainline_missing_total", (10, 150), (200, 10)), "1590m", True),
    ("MainlineMissing", DAY | column("mainline_missing_total", (200, 160)), "1590m", False),
    ("MainlineScoreShift", score((0.8, 0.5)), "11490m", True),
    ("MainlineScoreShift", score((0.8, 0.75)), "11490m", False),
    ("MainlineLogDropped", counter("mainline_log_dropped_total", (0, 30), (1, 30)), "50m", True),
    ("MainlineLogDropped", counter("mainline_log_dropped_total", (5, 30), (0, 30)), "50m", False),
    ("MainlineNoFeedback", counter("mainline_feedback_total", (0, 700)) | ASKED, "690h", True),
    ("MainlineNoFeedback", counter("mainline_feedback_total", (1, 700)) | ASKED, "690h", False),
]


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed: rules are only read, not run")
def test_each_alert_fires_for_its_fault_and_not_without(tmp_path: Path) -> None:
    for number, (name, given, when, fires) in enumerate(CASES):
        interval = {"690h": "1h", "11490m": "30m", "1590m": "10m"}.get(when, "1m")
        # Whatever else fires is no matter here: only this alert is loaded.
        (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "one", "rules": [ALERTS[name]]}]}))
        test: dict[str, Any] = {
            "interval": interval,
            "input_series": [{"series": key, "values": values} for key, values in given.items()],
            "alert_rule_test": [{"eval_time": when, "alertname": name, "exp_alerts": []}],
        }
        content = {"rule_files": ["rules.yml"], "evaluation_interval": interval, "tests": [test]}
        (tmp_path / "test.yml").write_text(yaml.safe_dump(content))
        command = ["promtool", "test", "rules", "test.yml"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
        said = f"{number} {name}: {done.stdout}{done.stderr}"
        assert (f'alertname="{name}"' in said) is fires and (done.returncode == 0) is not fires, said
    fired, calm = ({case[0] for case in CASES if case[3] is kind} for kind in (True, False))
    assert fired == calm == set(ALERTS)
