"""The commands from end to end: a log is watched, outcomes are joined, and exit codes say what it means."""

from __future__ import annotations

import datetime as dt
import json

import numpy as np
import pandas as pd
import pytest


@pytest.fixture
def watched(ready):
    """The scratch project, trained, with its own test window as a prediction log of five days, labels included."""
    from mainline.data.split import read_rows
    from mainline.project import load_project, scores
    from mainline.train.artifact import load_model

    ready.params["monitor"] = {"window": "day", "min_rows": 20, "min_labels": 50, "latency_p99_ms": 50.0}
    ready.write()
    project = load_project("bank")
    rows = read_rows(ready.folder / "artifacts" / "train.parquet").sample(frac=1, random_state=1)
    found = scores(load_model(ready.folder / "artifacts" / "model.skops"), rows)
    features = json.loads(rows[list(project.columns)].to_json(orient="records"))
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    lines = []
    for index, (feature, score, outcome) in enumerate(zip(features, found, rows["y"], strict=True)):
        time = start + dt.timedelta(days=index % 5, minutes=index)
        key = {"request_id": f"r{index}", "row": 0}
        lines += [
            {"kind": "prediction", "time": f"{time:%Y-%m-%dT%H:%M:%S.000Z}", **key, "release": "bank-1",
             "track": "stable", "features": feature, "score": round(float(score), 6), "latency_ms": 2.0},
            {"kind": "feedback", "time": f"{time:%Y-%m-%dT%H:%M:%S.000Z}", **key, "outcome": outcome},
        ]  # fmt: skip
    (ready.folder / "log").mkdir()
    ready.lines = lines
    ready.log = ready.folder / "log" / "a.jsonl"
    write(ready.log, lines)
    return ready


def write(path, lines) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def test_a_calm_log_a_broken_one_and_what_comes_of_it(watched, monkeypatch) -> None:
    monkeypatch.setenv("MAINLINE_LOG", str(watched.log.parent))
    code, output = watched.run("monitor", "run", "--until", "2026-01-05")
    assert code == 0, output
    assert output.count(": OK, ") == 4 and "99 % of the predictions of the slowest window" in output
    report = json.loads((watched.folder / ".mainline" / "monitor" / "report.json").read_text())
    assert [item["verdict"] for item in report["windows"]] == ["OK"] * 4
    assert report["performance"]["verdict"] == "OK" and report["performance"]["coverage"] == 1.0
    assert "The estimate comes from the scores alone" in output
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    assert watched.run("monitor", "issues")[0] == 0 and not (watched.folder / ".mainline" / "issues").exists()

    # When the fifth day comes with an upstream release that writes CELLULAR
    for line in watched.lines:
        if line["time"] >= "2026-01-05" and line["kind"] == "prediction":
            line["features"]["contact"] = line["features"]["contact"].replace("cellular", "CELLULAR")
    write(watched.log, watched.lines)
    code, output = watched.run("monitor", "drift", "--until", "2026-01-06")
    assert code == 1 and "2026-01-05: DRIFT" in output and "looks like cellular renamed" in output
    # One issue for it, and one more if the monitor cannot be run
    code, output = watched.run("monitor", "issues", "--dry-run")
    assert code == 0 and "would open Broken contract: `contact` (bank)" in output
    code, output = watched.run("monitor", "issues", "--url", "https://example.org/runs/1")
    issue = watched.folder / ".mainline" / "issues" / "1.md"
    assert code == 0 and "open #1" in output and "looks like cellular renamed" in issue.read_text()
    assert watched.run("monitor", "issues")[1].strip().endswith("no issue changed")
    assert watched.run("monitor", "blind", "--why", "no log")[0] == 0 and issue.with_name("2.md").exists()
    code, output = watched.run("monitor", "blind", "--clear")
    assert code == 0 and "#2 Monitoring is blind: closed" in output
    # Between two windows the last one stands, also one that another command has watched
    code, output = watched.run("monitor", "run", "--until", "2026-01-06")
    assert code == 1 and "what was watched last stands: 2026-01-05: DRIFT" in output, output
    # Then it is told once, silence is no green, and nothing is watched twice
    assert watched.run("monitor", "drift", "--until", "2026-01-06")[0] == 0
    code, output = watched.run("monitor", "drift", "--until", "2026-01-08")
    assert code == 3 and "STALE" in output

    # And flipped outcomes from a file are worse
    flipped = [line for line in watched.lines if line["kind"] == "feedback"]
    table = pd.DataFrame(flipped)
    table["outcome"] = np.where(table["outcome"] == "yes", "no", "yes")
    table.assign(time="2026-02-01T00:00:00Z").to_csv("labels.csv", index=False)
    code, output = watched.run("monitor", "performance", "--labels", "labels.csv", "--out", "p.json")
    assert code == 1 and "WORSE: log_loss" in output and f"{len(table):,} corrected" in output
    code, output = watched.run("monitor", "performance", "--since", "2027-01-01")
    assert code == 3 and "NO LABELS" in output

    code, output = watched.run("monitor", "profile", "--out", "profile.json", "--release", "bank-1")
    assert code == 0 and json.loads((watched.folder / "profile.json").read_text())["profile"]["rows"] == len(table)


def test_nothing_new_is_neither_well_nor_ill_and_silence_misses_the_volume(watched, monkeypatch) -> None:
    monkeypatch.setenv("MAINLINE_LOG", str(watched.log.parent))
    report = watched.folder / ".mainline" / "monitor" / "report.json"

    def run(until: str, volume: int) -> tuple[int, str, dict]:
        watched.params["monitor"]["min_volume"] = volume
        watched.write()
        code, output = watched.run("monitor", "run", "--until", until)
        return code, output, json.loads(report.read_text())

    def volume(found: dict) -> bool:
        return next(level["met"] for level in found["levels"] if level["name"] == "volume")

    code, output, found = run("2026-01-01T23:59", 20)
    assert found["performance"]["verdict"] == "OK", output
    assert code == 3 and "nothing to watch yet" in output and found["windows"] == found["levels"] == []
    code, output, first = run("2026-01-05", 20)
    assert code == 0 and len(first["windows"]) == 4 and volume(first) is True
    code, output, found = run("2026-01-05T12:00", 20)
    assert code == 0 and "nothing new since 2026-01-05T00:00" in output and "2026-01-04: OK" in output, output
    del found["performance"], first["performance"]
    assert found == first, "what was watched stands"
    report.unlink()
    assert [item["window"] for item in run("2026-01-05T12:00", 20)[2]["windows"]] == ["2026-01-04"]

    # An alarm goes on standing on days on which no window ends
    code, output, found = run("2026-01-05T12:00", 5000)
    assert code == 1 and volume(found) is False
    # And a window without a row has fewer than any bound
    code, output, found = run("2026-01-07", 1)
    assert code == 1 and volume(found) is False and [item["rows"] for item in found["windows"]][-1] == 0, output


def test_rows_that_come_late_are_told_and_their_window_is_watched_again(watched, monkeypatch) -> None:
    monkeypatch.setenv("MAINLINE_LOG", str(watched.log.parent))
    late = [line for line in watched.lines if line["time"] < "2026-01-02" and line["kind"] == "prediction"][::3]
    write(watched.log, [line for line in watched.lines if line not in late])
    assert watched.run("monitor", "run", "--until", "2026-01-06")[0] == 0
    write(watched.log.with_name("b.jsonl"), late)
    code, output = watched.run("monitor", "run", "--until", "2026-01-06")
    assert code == 0 and "window 2026-01-01 grew by 51% after it was watched" in output, output
    assert "watch it again with `mainline monitor run --again 2026-01-01`" in output
    code, output = watched.run("monitor", "report", "--until", "2026-01-06", "--out", "made")
    assert "It cannot be told" in output and "grew by 51%" in (watched.folder / "made" / "monitor.md").read_text()
    code, output = watched.run("monitor", "run", "--until", "2026-01-06", "--again", "2026-01-01")
    assert code == 0 and "grew" not in output and "2026-01-01: OK" in output, output
    assert "All is well" in watched.run("monitor", "report", "--until", "2026-01-06", "--out", "made")[1]
    code, output = watched.run("monitor", "run", "--until", "2026-01-06", "--again", "2025-01-01")
    assert code == 1 and "'2025-01-01' is no window that was watched" in output and "2026-01-05" in output


def test_a_table_has_no_score_that_could_be_missing(watched) -> None:
    code, output = watched.run("monitor", "drift", "data", "--since", "2009-03-01", "--until", "2009-03-05")
    assert code == 3 and output.count("INSUFFICIENT DATA") == 4, output


def test_mistakes_are_said(scratch) -> None:
    scratch.write()
    code, output = scratch.run("monitor", "drift")
    assert code == 1 and "artifacts/profile.json: not there" in output


def test_the_report_is_written_from_what_was_kept(watched, monkeypatch) -> None:
    monkeypatch.setenv("MAINLINE_LOG", str(watched.log.parent))
    code, output = watched.run("monitor", "run", "--until", "2026-01-05")
    assert code == 0, output
    code, output = watched.run("monitor", "report", "--until", "2026-01-05", "--out", "made")
    assert code == 0 and "All is well: made/monitor.md and made/monitor.html" in output, output
    text = (watched.folder / "made" / "monitor.md").read_text()
    assert text.startswith("# ✅ All is well") and "2026-01-04" in text and "outcomes known" in text
    assert '<div class="map"' in (watched.folder / "made" / "monitor.html").read_text()
    code, output = watched.run("monitor", "report")
    assert code == 0 and "It cannot be told" in output, "what was well then may be ill now"
    assert "nothing has been watched since 2026-01-05" in (watched.folder / "reports" / "monitor.md").read_text()
