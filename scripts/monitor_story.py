"""The real story: June 2009 to November 2010, played against the champion of May 2009, and what the monitor says.

`python scripts/monitor_story.py` scores the replay, writes it as a prediction log with outcomes 14 days late, watches
it month by month with the rules of params.yaml, and prints the table of docs/monitoring.md (`--write`: puts it there).
Then the same for a model that was fitted again on everything known by the end of August 2009.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mainline.config import Settings, load_settings
from mainline.console import any_terminal
from mainline.data.batches import combine, find_batches, read_batch
from mainline.data.profile import Profile
from mainline.data.target import classes, encode
from mainline.files import read_json, write_atomic
from mainline.monitor.build import Scan
from mainline.monitor.drift import Finding
from mainline.monitor.outcomes import join
from mainline.monitor.performance import performance
from mainline.monitor.profile import reference_id, watched_bins
from mainline.monitor.source import records
from mainline.monitor.store import Store
from mainline.monitor.watch import watch
from mainline.paths import METRICS, MODEL, PROFILE
from mainline.project import Project, load_project, scores
from mainline.train.artifact import load_model
from mainline.train.fit import feature_columns, fit
from mainline.train.reference import reference_profile

QUANTILES = 50
PAGE = Path("docs/monitoring.md")
LATE = dt.timedelta(days=14)


def rows_of(folder: str, project: Project) -> pd.DataFrame:
    """Return all rows of a folder of batches, typed."""
    return combine([read_batch(path) for path in find_batches(Path(folder))], project.row.to_schema())[0]


def write_log(folder: Path, rows: pd.DataFrame, score: Any, settings: Settings, columns: list[str]) -> None:
    """Write predictions and their outcomes as the service does."""
    folder.mkdir(parents=True, exist_ok=True)
    features = json.loads(rows[columns].to_json(orient="records"))
    with (folder / "log.jsonl").open("w", encoding="utf-8") as stream:
        for index, (time, outcome) in enumerate(zip(rows[settings.data.time], rows[settings.data.label], strict=True)):
            name = f"r{index}"
            prediction = {
                "kind": "prediction", "time": f"{time:%Y-%m-%dT%H:%M:%S.000Z}", "request_id": name, "row": 0,
                "release": "champion", "track": "stable", "features": features[index],
                "score": round(float(score[index]), 6), "decision": bool(score[index] >= 0.1), "latency_ms": 1.0,
            }  # fmt: skip
            known = {
                "kind": "feedback", "time": f"{time + LATE:%Y-%m-%dT%H:%M:%S.000Z}", "request_id": name, "row": 0,
                "outcome": outcome,
            }  # fmt: skip
            stream.write(json.dumps(prediction) + "\n" + json.dumps(known) + "\n")


def story(
    rows: pd.DataFrame, model: Any, reference: Profile, expected: dict[str, Any], settings: Settings, project: Project
) -> list[tuple[str, ...]]:
    """Return a line a month: rows, verdict, alarms, positives and log loss (estimated and realised), AUC, value."""
    names = classes(project.marks, settings, rows)
    columns = feature_columns(project, settings)
    lines: list[tuple[str, ...]] = []
    with tempfile.TemporaryDirectory() as scratch:
        log = str(Path(scratch) / "log")
        write_log(Path(log), rows, scores(model, rows), settings, columns)
        store = Store(Path(scratch) / "store", reference_id(reference), "month")
        scanning = Scan(bins=watched_bins(reference), length="month")
        until = dt.datetime(2010, 12, 1, tzinfo=dt.UTC)
        found = list(records(log))
        changed = settings.monitor.model_copy(update={"reference": "rolling", "rolling_windows": 3})
        apart = Store(Path(scratch) / "rolling", reference_id(reference), "month")
        rolling = {
            kept.judged.window: alarms(kept.judged.findings)
            for kept in watch(log, reference, apart, changed, scanning, until)
        }
        for kept in watch(log, reference, store, settings.monitor, scanning, until):
            judged = kept.judged
            report = performance(
                join(found, None, known=names, since=dt.datetime.fromisoformat(judged.start), until=kept.end, now=until,
                     delay_days=14),
                settings, project, names, expected,
            )  # fmt: skip
            real = report["realised"]
            loss, guess = real["metrics"]["log_loss"], report["estimate"]["metrics"]
            against = rolling.get(judged.window, [])
            lines.append((
                judged.window, str(judged.rows), judged.verdict, told(judged.findings), str(len(against)),
                f"{guess['mean_label']:.0%} / {real['mean_label']:.0%}",
                f"{guess['log_loss']:.2f} / {loss['value']:.2f} ({loss['low']:.2f}–{loss['high']:.2f})",
                f"{real['metrics']['roc_auc']['value']:.2f}", str(report["verdict"]),
                f"{real['value']['per_row']:.1f}",
            ))  # fmt: skip
    return lines


def alarms(findings: Sequence[Finding]) -> list[Finding]:
    """Return the columns that fired, the score first, then by size."""
    fired = [item for item in findings if item.verdict in ("WARNING", "DRIFT")]
    return sorted(fired, key=lambda item: (item.column != "(score)", -item.effect))


def told(findings: Sequence[Finding]) -> str:
    """Return the first three alarms in words, and how many more there are."""
    fired = alarms(findings)
    more = f"; {len(fired) - 3} more" if len(fired) > 3 else ""
    return "; ".join(f"{item.column}: {item.words.split('; ')[-1]}" for item in fired[:3]) + more


def table(lines: list[tuple[str, ...]]) -> str:
    """Return the lines as a Markdown table."""
    head = (
        "month", "rows", "drift verdict", "what fired", "against the last 3 months", "positives: estimated / realised",
        "log loss: estimated / realised", "AUC", "performance", "EUR a row",
    )  # fmt: skip
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, tuple("---" for _ in head), *lines])


def main() -> None:
    """Print both tables, or write them into the page."""
    any_terminal()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"into {PAGE}")
    options = parser.parse_args()
    settings = load_settings()
    project = load_project(settings.project)
    future, past = rows_of("replay", project), rows_of("data", project)
    model = load_model(MODEL, project.trusted)
    first = table(story(future, model, Profile.from_dict(read_json(PROFILE)), read_json(METRICS), settings, project))

    # Once more, fitted on everything whose outcome was known at the end of August 2009.
    time = settings.data.time or ""
    everything = pd.concat([past, future], ignore_index=True).sort_values(time, kind="stable")
    known = everything[everything[time] <= pd.Timestamp("2009-08-31") - LATE]
    names = classes(project.marks, settings, known)
    again = fit(known, encode(known, settings, names), project, settings).model
    columns = feature_columns(project, settings)
    reference = reference_profile(known, again, columns, project.marks, QUANTILES)
    later = future[future[time] >= pd.Timestamp("2009-09-01")].reset_index(drop=True)
    second = table(story(later, again, reference, read_json(METRICS), settings, project))
    text = f"{first}\n\nRetrained at the end of August 2009 on everything known by then:\n\n{second}\n"
    if options.write:
        before, rest = PAGE.read_text(encoding="utf-8").split("<!-- story -->\n", 1)
        _, after = rest.split("<!-- end story -->", 1)
        write_atomic(PAGE, f"{before}<!-- story -->\n{text}<!-- end story -->{after}")
    else:
        print(text)


if __name__ == "__main__":
    main()
