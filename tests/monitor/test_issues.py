"""Windows come, people act, and the issues follow: on the stand-in for GitHub and in a folder."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mainline.config import Settings, load_settings
from mainline.errors import UserError
from mainline.files import write_json
from mainline.monitor import tell
from mainline.monitor.blind import blind, clear
from mainline.monitor.drift import Breach, Finding
from mainline.monitor.store import Store
from mainline.monitor.tell import Told, issues
from mainline.monitor.tracker import Issue, Tracker
from mainline.monitor.tracker_local import LocalTracker
from mainline.monitor.verdict import Judged

ROOT = Path(__file__).parents[2]
STORE = {"reference": "abc", "length": "day", "scope": "all"}
START = dt.datetime(2009, 6, 1, tzinfo=dt.UTC)
COLUMNS = ("age", "contact", "job", "pdays", "poutcome")
DAY = dt.timedelta(days=1)


def finding(column: str, state: str, words: str = "") -> Finding:
    """Return a finding: OK, few (rows), warning, drift or breach."""
    breach = (Breach("unseen", words or "new category CELLULAR: 83% of rows", 0.83, 0.0),) if state == "breach" else ()
    exceeded = state in ("warning", "drift")
    verdict: Any = {"OK": "OK", "few": "INSUFFICIENT DATA", "warning": "WARNING"}.get(state, "DRIFT")
    shown = words or (breach[0].words if breach else "moved up by 0.4 sd" if exceeded else "")
    size = 0.4 if exceeded else 0.02
    severity = "high" if breach else "medium" if exceeded else ""
    rows = 30 if state == "few" else 1_000
    return Finding(column, verdict, rows, size, "sd", size, 0.1, 0.001, 0.1, exceeded, breach, severity, shown)


@dataclass
class World:
    """A log that is watched day by day, and the issues about it."""

    tracker: Tracker
    days: list[Judged] = field(default_factory=list)
    performance: str = "OK"
    latency: bool | None = True
    store: dict[str, str] = field(default_factory=lambda: dict(STORE))

    def day(self, verdict: str = "", words: str = "", **states: str) -> World:
        """Add a day on which the columns named have these states, the others are OK; or one with ``verdict``."""
        start = START + len(self.days) * DAY
        silent = verdict in ("STALE", "NO TRAFFIC")
        found = () if silent else tuple(finding(name, states.get(name, "OK"), words) for name in self.columns)
        name, end = f"{start:%Y-%m-%d}", (start + DAY).isoformat()
        rows = 0 if silent else 1_000
        self.days.append(
            Judged(name, start.isoformat(), end, rows, verdict or "OK", "why", found, {})  # type: ignore[arg-type]
        )
        return self

    columns: tuple[str, ...] = (*COLUMNS, "(score)")

    def label(self, name: str, hub: Any, by: str = "ada", at: str = "2009-07-01T00:00:00Z") -> None:
        """Let a person put a label on the first issue; ada may write."""
        hub.permissions.update(ada="write", eve="read")
        if isinstance(self.tracker, LocalTracker):
            self.tracker.update(1, labels=(*self.one().labels, name))  # on 2009-07-01, see the fixture
        else:
            hub.label(1, name, by, at)

    def watch(self) -> None:
        """Write what `mainline monitor run` writes."""
        folder = Path(".mainline", "monitor")
        store = Store(folder, **self.store)  # type: ignore[arg-type]
        for judged in self.days[len(list(store.place.glob("*"))) :]:
            store.keep(judged, None)
        known = self.performance in ("OK", "WORSE")
        realised = {"rows": 300, "metrics": {"log_loss": {"value": 0.3 if self.performance == "OK" else 0.9}}}
        write_json(
            folder / "report.json",
            {
                "store": self.store,
                "performance": {
                    "primary": "log_loss",
                    "verdict": self.performance,
                    "reason": f"log_loss is {self.performance}",
                    "realised": realised if known else None,
                    "expected": {"log_loss": 0.3},
                },
                "levels": [
                    {"name": "latency", "words": "99 % took at most 80 ms", "met": self.latency},
                    {"name": "freshness", "words": "", "met": False},
                ],
            },
        )

    def run(self, now: dt.datetime | None = None, **options: Any) -> list[Told]:
        """Watch, and tell the issues; return what was done besides nothing."""
        self.watch()
        told = issues(self.tracker, now or START + len(self.days) * DAY, **options)
        return [item for item in told if item.action.do != "nothing"]

    def did(self, **options: Any) -> list[str]:
        """Return what a run did, in words."""
        return [f"{item.action.do} {item.action.mark.split(':', 3)[3][:-4]}" for item in self.run(**options)]

    def one(self) -> Issue:
        """Return the only issue."""
        (issue,) = self.tracker.all()
        return issue

    def open_titles(self) -> list[str]:
        return sorted(issue.title for issue in self.tracker.all() if issue.open)


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load_settings(ROOT / "params.yaml")


@pytest.fixture
def world(tracker: Tracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> World:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tell, "load_settings", lambda: settings)
    return World(tracker)


@pytest.fixture
def hubbed(github: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> World:
    """A world whose issues are in the stand-in for GitHub."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tell, "load_settings", lambda: settings)
    return World(github)


def comments(world: World, number: int) -> list[str]:
    from mainline.monitor.tracker_github import GitHubTracker

    tracker: Any = world.tracker
    if isinstance(tracker, GitHubTracker):
        return [entry["body"] for entry in tracker.server.call("GET", f"issues/{number}/comments?per_page=100")]
    found: list[str] = tracker.comments(number)
    return found


def test_an_issue_is_opened_once_updated_closed_and_opened_again(world: World) -> None:
    assert world.day().did() == []
    assert world.day(age="warning").did() == []  # one such window is not yet drift
    assert world.day(age="drift").did() == ["open drift:age"]
    issue = world.one()
    assert issue.title == "Drift: `age` (bank)" and issue.labels == ("monitoring", "drift")
    assert "since window `2009-06-03`" in issue.body and "moved up by 0.4 sd" in issue.body
    assert world.day(age="drift").did() == ["update drift:age"]
    assert "since window `2009-06-03`, last seen in `2009-06-04`" in world.one().body
    assert world.day().did() == ["update drift:age"] and world.day().did() == ["update drift:age"]
    assert world.one().open and "2 OK since then" in world.one().body
    assert world.day().did() == ["close drift:age"]
    assert not world.one().open and comments(world, issue.number)[0].startswith("3 windows in a row are OK")
    assert world.day().did() == [] and world.day(age="warning").did() == []
    assert world.day(age="drift").did() == ["reopen drift:age"]
    assert world.one().open and "It is back, in window `2009-06-10`." in comments(world, issue.number)
    assert "since window `2009-06-10`" in world.one().body


def test_ten_runs_write_nothing_more(hub: Any, hubbed: World) -> None:
    world = hubbed.day(age="drift", contact="breach")
    world.performance, world.latency = "WORSE", False
    assert len(world.did(url="https://example.org/runs/0")) == 4
    before = [dict(issue) for issue in hub.issues]
    hub.calls.clear()
    for number in range(1, 11):
        assert world.did(url=f"https://example.org/runs/{number}", now=START + number * DAY) == []
    assert hub.issues == before and {call.split()[0] for call in hub.calls} == {"GET"}
    # A web form sends its own line ends.
    hub.issues[0]["body"] = hub.issues[0]["body"].replace("\n", "\r\n")
    assert world.did() == []


@pytest.mark.parametrize("state", ["few", "warning"])
def test_only_ok_windows_close(world: World, state: str) -> None:
    world.day(age="drift").run()
    for _ in range(5):
        world.day(age=state).run()
    for _ in range(3):
        world.day("STALE").day("NO TRAFFIC").run()
    assert "Drift: `age` (bank)" in world.open_titles()
    # Silence between does not start the count again; a warning does.
    world.day().day("STALE").day().run()
    assert "Drift: `age` (bank)" in world.open_titles()
    world.day(age="warning").day().day().run()
    assert "Drift: `age` (bank)" in world.open_titles()
    world.day().run()
    assert "Drift: `age` (bank)" not in world.open_titles()


def test_it_makes_no_difference_whether_the_monitor_ran_in_between(world: World) -> None:
    world.day(age="drift").day().day(contact="breach").day().day().day()
    assert world.did() == []  # both were over before anyone looked
    world.day(job="drift").day().day()
    assert world.did() == ["open drift:job"]
    world.day().day()
    assert world.did() == ["close drift:job"]


def test_who_closes_is_left_alone_until_a_new_window_alarms(world: World) -> None:
    world.day(age="drift").run()
    world.tracker.update(1, open=False)
    assert world.did() == [] and world.did() == []
    assert world.day(age="few").did() == []
    assert world.day(age="drift").did() == ["reopen drift:age"]


def test_what_a_person_wrote_stays(world: World) -> None:
    world.day(age="drift").run()
    issue = world.one()
    mine = "The campaign began on Monday.\n\n<!-- mainline:yours --> @ada\n- [ ] ask upstream\n"
    world.tracker.update(1, title="Campaign", body=issue.body + mine, labels=(*issue.labels, "seen"))
    assert world.did() == []
    for _ in range(4):
        world.day(age="drift").run()
    for _ in range(3):
        world.day().run()
    world.day(age="drift").run()
    found = world.one()
    assert found.body.rstrip().endswith(mine.rstrip()) and found.body.count("ask upstream") == 1
    assert (found.title, found.labels, found.open) == ("Campaign", ("monitoring", "drift", "seen"), True)


def test_an_approval_is_for_what_was_known_then(world: World) -> None:
    world.day(age="drift").run()
    world.tracker.update(1, labels=(*world.one().labels, "retrain-approved"))
    world.day(age="drift").run()
    assert "retrain-approved" in world.one().labels
    world.day().day().day().run()
    world.day(age="drift").run()
    assert world.one().labels == ("monitoring", "drift") and "is taken off" in comments(world, 1)[-1]


@pytest.mark.parametrize("label", ["mute-until-2009-06-10", "mute"])
def test_a_muted_issue_is_left_alone_until_then(
    world: World, hub: Any, label: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.day(age="drift").run()
    hub.permissions["ada"] = "write"
    monkeypatch.setattr(type(world.tracker), "labelled_by", lambda *_: ("ada", "2009-05-12T00:00:00Z"))  # 30 days
    world.tracker.update(1, labels=(*world.one().labels, label))
    text = world.one().body
    for _ in range(8):
        assert world.day(age="drift").did() == []
    assert world.one().body == text
    assert world.did(now=dt.datetime(2009, 6, 10, 23, 59, tzinfo=dt.UTC)) == []
    assert world.did(now=dt.datetime(2009, 6, 11, tzinfo=dt.UTC)) == ["update drift:age"]


def test_a_muted_and_closed_issue_comes_back(world: World, hub: Any) -> None:
    world.day(age="drift").run()
    world.label("mute-until-2009-06-03", hub)
    world.tracker.update(1, open=False)
    assert world.day(age="drift").did(now=START + 2 * DAY) == []
    assert world.did(now=START + 4 * DAY) == ["reopen drift:age"]


def test_when_mute_was_put_on_is_asked_of_the_api(world: World, hub: Any) -> None:
    world.day(age="drift").run()
    world.label("mute", hub)
    world.day(age="drift")
    assert world.did(now=dt.datetime(2009, 7, 30, tzinfo=dt.UTC)) == []
    assert world.did(now=dt.datetime(2009, 7, 31, 1, tzinfo=dt.UTC)) == ["update drift:age"]


@pytest.mark.parametrize("tracker", ["github"], indirect=True)  # who can write to a folder may
@pytest.mark.parametrize("label", ["mute", "mute-until-2010-01-01"])
def test_who_may_not_write_silences_no_alarm(
    world: World, hub: Any, capsys: pytest.CaptureFixture[str], label: str
) -> None:
    world.day(age="drift").run()
    world.label(label, hub, by="eve")
    assert world.day(age="drift").did() == ["update drift:age"]
    assert f"label '{label}' does not count: eve may not write here" in capsys.readouterr().out
    world.label("mute-until-2010-01-02", hub)
    assert world.day(age="drift").did() == [], "another label, of somebody who may"


def test_a_label_that_names_no_date_is_said_and_mutes_nothing(world: World, hub: Any, capsys: Any) -> None:
    world.day(age="drift").run()
    world.label("mute-until-2009-13-45", hub)
    assert world.day(age="drift").did() == ["update drift:age"]
    assert "names no date" in capsys.readouterr().out


def test_many_columns_at_once_are_one_issue(world: World) -> None:
    world.day(age="drift", contact="breach", job="drift").run()
    assert len(world.tracker.all()) == 3  # as many as summary_columns
    done = world.day(age="drift", contact="breach", job="drift", pdays="breach").did()
    assert done[0] == "open columns:" and sorted(done[1:]) == [
        "close contract:contact",
        "close drift:age",
        "close drift:job",
    ]
    assert world.open_titles() == ["Many columns changed at once (bank)"]
    summary = world.tracker.all()[0]
    assert all(f"`{name}`" in summary.body for name in ("age", "contact", "job", "pdays"))
    assert f"#{summary.number}" in comments(world, 1)[-1]
    # It lasts until all is calm, in one issue, and then ends.
    assert world.day(age="drift").did() == ["update columns:"] and world.did() == []
    assert world.day().day().did() == ["update columns:"]
    assert world.day().did() == ["close columns:"] and world.open_titles() == []
    assert world.day(age="drift").did() == ["reopen drift:age"]


def test_a_summary_that_a_person_closed_does_not_fall_apart_into_columns(world: World) -> None:
    world.day(age="drift", contact="breach", job="drift", pdays="breach").run()
    world.tracker.update(1, open=False)
    assert world.did() == []
    assert world.day(age="few", contact="few", job="few", pdays="few", poutcome="few").did() == []
    assert world.day(age="drift").did() == ["reopen columns:"]


def test_a_column_that_was_never_calm_again_is_not_told_twice(world: World) -> None:
    world.day(age="drift", contact="breach", job="drift", pdays="breach").run()
    for _ in range(4):
        world.day(age="few").run()
    assert world.open_titles() == [] and len(world.tracker.all()) == 1
    assert world.day(age="drift").did() == ["open drift:age"]


def test_muted_columns_count_for_no_summary(world: World, hub: Any) -> None:
    world.day(age="drift").run()
    world.label("mute-until-2010-01-01", hub)
    world.day(age="drift", contact="drift", job="drift", pdays="drift")
    assert sorted(world.did()) == ["open drift:contact", "open drift:job", "open drift:pdays"]
    assert world.tracker.all()[-1].open


def test_a_breach_that_also_moves_the_column_is_one_issue(world: World) -> None:
    world.day(contact="breach").run()
    assert world.open_titles() == ["Broken contract: `contact` (bank)"]
    assert "renamed a value" in world.one().body and "retrain-approved" in world.one().body


def test_scores_performance_latency_and_silence_have_issues_of_their_own(world: World) -> None:
    world.performance, world.latency = "WORSE", False
    world.day(**{"(score)": "drift"}).day("STALE").run()
    assert world.open_titles() == [
        "Drift of the predictions: `(score)` (bank)",
        "No predictions arrive (bank)",
        "Service level missed: `latency` (bank)",
        "The model has become worse: `log_loss` (bank)",
    ]
    assert {issue.labels for issue in world.tracker.all()} == {
        ("monitoring",), ("monitoring", "drift"), ("monitoring", "performance")}  # fmt: skip


def test_performance_is_followed_over_runs(world: World) -> None:
    world.performance = "WORSE"
    assert world.day().did() == ["open performance:log_loss"]
    world.performance = "NO LABELS"
    assert world.did() == []  # the same window: what was known is not taken back
    for _ in range(4):
        world.day().run()
    assert world.one().open  # what cannot be told is never green
    world.performance = "OK"
    for _ in range(2):
        world.day().run()
        world.run()  # a window counts once
    assert world.one().open
    assert world.day().did() == ["close performance:log_loss"]
    assert world.day().did() == []
    world.performance = "WORSE"
    assert world.day().did() == ["reopen performance:log_loss"]
    assert world.one().body.count("xychart-beta") == 1


def test_a_new_champion_must_earn_the_closing(world: World) -> None:
    world.day(age="drift").run()
    world.store["reference"] = "def"
    world.days = []
    world.day().day()
    for _ in range(2):
        assert world.did() == []
    assert world.day().did() == ["close drift:age"]
    assert "moved up by 0.4 sd" in world.one().body


def test_a_column_that_is_gone_is_closed(world: World) -> None:
    world.day(age="drift").run()
    world.store["reference"], world.days = "def", []
    world.columns = ("contact", "(score)")
    assert world.day().day().did() == [] and world.one().open
    assert world.day().did() == ["close drift:age"] and "no longer have this column" in comments(world, 1)[-1]


def test_a_spoilt_state_costs_nothing_but_the_memory(world: World) -> None:
    world.day(age="drift").run()
    lines = world.one().body.split("\n")
    world.tracker.update(1, body="\n".join([lines[0], "<!-- mainline:state {oops -->", *lines[2:]]))
    assert world.did() == ["update drift:age"] and world.did() == []


class Dies(Exception):
    """The process ends here."""


@pytest.mark.parametrize("stop", range(9))
def test_a_run_that_dies_anywhere_is_run_again(world: World, stop: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state after a death before or after any write, and another run, is that of one run."""
    world.day(age="drift", contact="breach", job="drift", poutcome="drift").run()  # a summary
    world.day().day().day().run()
    world.day(age="drift", contact="breach", job="drift").run()  # three
    world.performance = "WORSE"
    world.day(age="drift", contact="breach", job="drift", pdays="breach")
    calls = 0
    kind = type(world.tracker)
    for name in ("create", "update", "comment"):
        whole = getattr(kind, name)

        def dying(self: Any, *args: Any, whole: Callable[..., Any] = whole, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == stop + 1 and stop % 2:
                raise Dies
            done = whole(self, *args, **kwargs)
            if calls == stop + 1:
                raise Dies
            return done

        monkeypatch.setattr(kind, name, dying)
    with pytest.raises(Dies):
        world.run()
    calls = 100
    world.run()
    assert world.did() == []
    assert world.open_titles() == [
        "Many columns changed at once (bank)",
        "The model has become worse: `log_loss` (bank)",
    ]
    assert len(world.tracker.all()) == 5
    for issue in world.tracker.all():
        said = comments(world, issue.number)
        assert len(said) == len(set(said))
        assert sum("this goes on in #" in text for text in said) == (1 if "`" in issue.title and not issue.open else 0)


def test_what_the_api_does_to_us_loses_nothing(hub: Any, hubbed: World) -> None:
    world = hubbed.day(age="drift", contact="breach")
    for code, headers in ((429, {"Retry-After": "1"}), (502, {}), (0, {})):
        hub.once.append(("POST /issues", code, headers))
    assert len(world.did()) == 2 and len(hub.issues) == 2
    world.day(age="drift")
    hub.refuse["/issues"] = 503
    with pytest.raises(UserError, match="503"):
        world.run()
    hub.refuse["/issues"] = 403
    with pytest.raises(UserError, match="403"):
        world.run()
    hub.refuse.clear()
    hub.once[:] = [("PATCH /issues/", 429, {"Retry-After": "3600"})]
    with pytest.raises(UserError, match="rate limit") as told:
        world.run()
    assert "nothing is lost" in told.value.fix
    assert sorted(world.did()) == ["update contract:contact", "update drift:age"]


def test_a_dry_run_writes_nothing(world: World, capsys: Any) -> None:
    world.day(age="drift", contact="breach", job="drift", pdays="breach")
    assert [item.action.do for item in world.run(dry_run=True)] == ["open"]
    assert "would open Many columns changed at once" in capsys.readouterr().out
    assert world.tracker.all() == []


def test_before_anything_was_watched(world: World) -> None:
    with pytest.raises(UserError, match="nothing was watched yet"):
        issues(world.tracker, START)
    world.watch()
    with pytest.raises(UserError, match="no address"):
        issues(world.tracker, START, url="javascript:alert(1)")
    world.performance = "WORSE"
    assert world.did() == ["open performance:log_loss"]  # no window has ended, and yet labels are in
    assert world.did() == []


def test_blindness_has_an_issue_of_its_own(world: World) -> None:
    assert clear(world.tracker) is None
    blind(world.tracker, "the log `s3://x` | <b>cannot</b> be read @ada", "https://example.org/1")
    issue = world.one()
    assert (
        issue.labels == ("monitoring", "monitoring-blind")
        and "`the log ʼs3://xʼ ¦ ‹b›cannot‹/b› be read @ada`" in issue.body
    )  # noqa: RUF001
    text = issue.body
    blind(world.tracker, "the log `s3://x` | <b>cannot</b> be read @ada", "https://example.org/2")
    assert world.one().body == text
    assert world.day().did() == [] and world.one().open  # a run about windows does not touch it
    found = clear(world.tracker)
    assert found is not None and not found.open and clear(world.tracker) is None
    blind(world.tracker, "again")
    assert world.one().open and "again" in world.one().body
    with pytest.raises(UserError, match="no reason"):
        blind(world.tracker, " ")
