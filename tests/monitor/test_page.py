"""The report says what was found, never green for what is unknown, and holds no markup from the data."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from mainline.config import Monitor
from mainline.files import write_json
from mainline.monitor import page
from mainline.monitor.build import Scan
from mainline.monitor.drift import Finding
from mainline.monitor.page_map import cell_of, fields, heat_map
from mainline.monitor.page_tables import alarm_rows
from mainline.monitor.page_view import View, load_view
from mainline.monitor.profile import reference_id, watched_bins
from mainline.monitor.store import Kept, Store
from mainline.monitor.verdict import Judged
from mainline.monitor.watch import watch

RULES = Monitor(min_rows=50, min_labels=20)
EVIL = "<script>alert(1)</script> | @someone #1 ![](http://x)"
NOW = dt.datetime(2026, 1, 8, tzinfo=dt.UTC)
OUTCOMES = {
    "verdict": "OK", "reason": "log_loss 0.5 (0.4 to 0.6), 0.5 in test", "rows": 600, "coverage": 0.5,
    "primary": "log_loss", "expected": {"log_loss": 0.5},
    "estimate": {"metrics": {"log_loss": 0.45}, "cannot_see": "It cannot see."},
    "realised": {"metrics": {"log_loss": {"value": 0.5, "low": 0.4, "high": 0.6}}},
    "windows": [
        {"window": f"2026-01-0{day}", "rows": 100, "known": 50, "lag_days": 2.0, "lags": [10, 40, 0, 0, 0, 0, 0, 0],
         "estimate": 0.45, "realised": 0.5, "low": 0.4, "high": 0.6, "mean_score": 0.3, "mean_label": 0.4,
         "by_score": None}
        for day in (1, 2, 3)
    ],
}  # fmt: skip


def finding(column: str = "age", verdict: str = "OK", **changes) -> Finding:
    made = Finding(column, verdict, 100, 0.05, "sd", 0.0, 0.0, 1.0, 0.1, False, (), "", "")  # type: ignore[arg-type]
    return replace(made, **changes)


def window(day: int = 1, verdict: str = "OK", *findings: Finding, rows: int = 100, reason: str = "") -> Kept:
    start = dt.datetime(2026, 1, day, tzinfo=dt.UTC)
    end = start + dt.timedelta(days=1)
    judged = Judged(f"2026-01-{day:02d}", start.isoformat(), end.isoformat(), rows, verdict, reason, findings, {})  # type: ignore[arg-type]
    return Kept(judged, None)


def view(reference, windows=(), performance=None, now=NOW, rules=RULES, levels=()) -> View:
    return View(list(windows), reference, performance or {}, levels, now, rules)


@pytest.fixture(scope="module")
def watched(tmp_path_factory, reference, draw, record, write) -> View:
    """A week: calm, a day without rows, then red becomes RED and the scores rise; the log goes on to the 7th."""
    folder = tmp_path_factory.mktemp("page")
    lines = []
    for day in (1, 2, 4, 5, 6, 7):
        for index, row in enumerate(draw(day, 100).to_dict("records")):
            row["colour"] = EVIL if day >= 5 and row["colour"] == "red" else row["colour"]
            score = row["(score)"] + 0.2 * (day >= 5)
            features = {name: row[name] for name in ("age", "visits", "colour")}
            time = f"2026-01-{day:02d}T{index % 24:02d}:00:00.000Z"
            lines.append(record(100 * day + index, time, features=features, score=score))
    place = write(folder / "log" / "a.jsonl", lines).parent
    rules = RULES.model_copy(update={"folder": str(folder / "kept")})
    store = Store(folder / "kept", reference_id(reference), "day")
    watch(str(place), reference, store, rules, Scan(bins=watched_bins(reference), length="day"), NOW)
    write_json(folder / "kept" / "report.json", {"performance": OUTCOMES, "windows": [], "levels": []})
    return load_view(reference, rules, "", NOW)


class Page(HTMLParser):
    """What a browser would fetch or run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.outside: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes) -> None:
        self.tags.append(tag)
        self.outside += [value or "" for name, value in attributes if name in ("src", "href", "xlink:href", "srcset")]
        self.outside += [name for name, _ in attributes if name.startswith("on")]


def test_the_report_of_a_week(watched) -> None:
    text, html = page.render(watched)
    assert [kept.judged.verdict for kept in watched.windows] == ["OK", "OK", "NO TRAFFIC", "OK", *["DRIFT"] * 3]
    assert text.startswith("# ❌ Alarm") and len(text.encode()) <= page.LIMIT
    for words in ("2026-01-07: DRIFT", "new category", "`colour`", "`(score)`", "known after", "log loss by window"):
        assert words in text, words
    for words in ("Trend of each alarm", "colour: contract broken (unseen)", "(score): how far it moved", "Scores of",
                  "log loss (dotted: 0.5 in test)", "Mean score and what came of it", "Latency: 99 % within",
                  "Predictions whose outcome is known", "Feedback lag, median", "scheme: dark"):  # fmt: skip
        assert words in html, words
    assert page.render(watched) == (text, html)


def test_the_page_fetches_nothing_and_data_is_no_markup(watched) -> None:
    text, html = page.render(watched)
    found = Page(html)
    assert "script" not in found.tags and all(item.startswith("#") for item in found.outside), found.outside
    assert "url(" not in html and "@import" not in html
    assert "&lt;script&gt;" in html and not re.search(r"(?<!\\)<script|(?<!\\)!\[", text) and "\\<script" in text
    assert not re.search(r"(?<!\u200b)@(?!\u200b)someone", text), "a mention would write to a stranger"


@pytest.mark.parametrize("verdict", ["INSUFFICIENT DATA", "NO TRAFFIC", "STALE"])
def test_what_cannot_be_told_is_never_green(verdict: str, reference) -> None:
    kept = window(1, verdict, finding(verdict="OK"), finding("job", "WARNING", words="moved"))
    unknown, alarm = (cell_of(kept, item) for item in kept.judged.findings)
    assert unknown.kind == "blank" and alarm.kind == "hold", "an alarm stays one"
    assert cell_of(kept, None).kind == "blank"
    assert [cells[0].kind for _, cells in fields([window(1, verdict)])] == ["blank"]
    found = view(reference, [window(7, verdict)], OUTCOMES)
    assert found.good is None
    text, html = page.render(found)
    assert (
        text.startswith("# ⏸️ It cannot be told")
        and 'class="good"' not in heat_map([window(7, verdict)]).split("key")[0]
    )
    assert "banner hold" in html


def test_green_takes_the_newest_window_the_outcomes_and_the_levels(reference) -> None:
    from mainline.monitor.levels import Level

    calm, missed = window(7, "OK", finding()), Level("latency", "slow", False)
    assert view(reference, [calm], OUTCOMES).good is True
    assert page.render(view(reference, [calm], OUTCOMES))[0].startswith("# ✅ All is well")
    assert view(reference, [calm]).good is None, "nothing is known of the outcomes"
    assert view(reference, [calm], {**OUTCOMES, "verdict": "NO LABELS"}).good is None
    assert view(reference, [calm], {**OUTCOMES, "verdict": "WORSE"}).good is False
    assert view(reference, [calm], OUTCOMES, levels=[missed]).good is False
    assert view(reference, [window(7, "WARNING", finding(verdict="WARNING"))], OUTCOMES).good is None
    assert view(reference, [window(6, "OK", finding()), window(7, "DRIFT")], OUTCOMES).good is False
    assert view(reference).good is None


def test_an_old_window_says_nothing_of_today(reference) -> None:
    calm = window(1, "OK", finding())
    ended = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    due = ended + dt.timedelta(days=1, hours=48)
    assert view(reference, [calm], OUTCOMES, now=due).good is True
    late = view(reference, [calm], OUTCOMES, now=due + dt.timedelta(seconds=1))
    assert late.good is None and "nothing has been watched since 2026-01-02" in page.render(late)[0]


def test_since_when_a_column_alarms(reference) -> None:
    alarm = finding(verdict="DRIFT", words="moved")
    windows = [window(1, "DRIFT", alarm), window(2, "OK", finding()), window(3, "DRIFT", alarm),
               window(4, "NO TRAFFIC", rows=0), window(5, "DRIFT", alarm)]  # fmt: skip
    assert alarm_rows(view(reference, windows))[0][-1] == "2026-01-03"


def test_nothing_watched_is_said(reference, tmp_path) -> None:
    rules = RULES.model_copy(update={"folder": str(tmp_path)})
    text, html = page.render(load_view(reference, rules, "", NOW))
    assert "no window has been watched" in text and "Not measured yet" in html


def test_a_table_is_found_when_no_log_was_watched(reference, tmp_path) -> None:
    rules = RULES.model_copy(update={"folder": str(tmp_path)})
    Store(tmp_path, reference_id(reference), "day", "all-table").keep(window(1).judged, None)
    assert len(load_view(reference, rules, "", NOW).windows) == 1
    Store(tmp_path, reference_id(reference), "day", "all").keep(window(2).judged, None)
    assert load_view(reference, rules, "", NOW).windows[0].judged.window == "2026-01-02"
    assert load_view(reference, rules, "bank-1", NOW).windows == []


def test_many_columns_are_cut_to_what_github_shows(reference, monkeypatch) -> None:
    findings = [finding(f"column {index} {'x' * 200}", "DRIFT", words="w" * 5000) for index in range(400)]
    found = view(reference, [window(day, "DRIFT", *findings, reason="r" * 5000) for day in range(1, 8)])
    text, _ = page.render(found)
    assert len(text.encode()) <= page.LIMIT and "Cut" not in text and "verdict and effect of each column" in text
    monkeypatch.setattr(page, "LIMIT", 30_000)
    text, _ = page.render(found)
    assert len(text.encode()) <= 30_000 and "Cut to stay below 30,000 bytes: commands, heat map" in text
    assert "Alarms of 2026-01-07" in text and "and 360 more columns" in text


def test_figures_that_are_all_zero_are_drawn(reference) -> None:
    late = [{**item, "lag_days": 0.0, "mean_score": 0.0, "mean_label": 0.0} for item in OUTCOMES["windows"]]
    _, html = page.render(view(reference, [window(7, "OK", finding(), rows=0)], {**OUTCOMES, "windows": late}))
    assert "Feedback lag, median" in html and "nan" not in html


def test_thousand_windows_show_the_newest(reference) -> None:
    start = dt.datetime(2023, 1, 1, tzinfo=dt.UTC)
    kept = []
    for index in range(1000):
        day = start + dt.timedelta(days=index)
        judged = replace(window(1, "OK", finding()).judged, window=f"{day:%Y-%m-%d}")
        kept.append(Kept(judged, None))
    html = heat_map(kept)
    assert html.count("<i class") == 2 * 36 + 6 and "2025-09-26" in html + kept[-1].judged.window


def test_the_map_escapes_names_and_words(reference) -> None:
    evil = '"><script>alert(1)</script>'
    kept = window(1, "DRIFT", finding(evil, "DRIFT", words=evil), reason=evil)
    assert set(Page(heat_map([kept])).tags) == {"div", "span", "i"}
