"""monitor.yml, run after run on one repository: a replay with a fault in it, played month by month; then a log."""

from __future__ import annotations

import datetime as dt
import importlib.util
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

pytestmark = pytest.mark.slow

SPEC = importlib.util.spec_from_file_location("workflow_harness", Path(__file__).with_name("conftest.py"))
assert SPEC is not None and SPEC.loader is not None
HARNESS = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = HARNESS
SPEC.loader.exec_module(HARNESS)

MONTHS, ROWS = tuple(f"2009-{month:02d}" for month in range(6, 12)), 600
FAULT = "campaign"
MANY = (FAULT, "age", "balance", "pdays", "previous")
# The columns with ten times as much as there is, by month.
FAULTS: dict[str, tuple[str, ...]] = {"2009-06": (FAULT,), "2009-10": (FAULT,), "2009-11": MANY}


@dataclass
class World:
    """A repository on the stand-in for GitHub, with what branch deploy and the issues say."""

    place: Any

    def git(self, *arguments: str) -> str:
        return str(HARNESS.git(self.place.top / "origin.git", *arguments))

    def kept(self, kind: str) -> list[str]:
        """Return the names of the windows on branch deploy."""
        listed = self.git("ls-tree", "-r", "--name-only", "deploy", f"monitor/{kind}/windows").splitlines()
        return [Path(name).stem for name in listed]

    def beats(self, kind: str) -> bool:
        return bool(self.git("ls-tree", "--name-only", "deploy", f"monitor/{kind}/beat.json"))

    def issues(self, label: str = "drift") -> list[dict[str, Any]]:
        """Return copies of the issues with ``label``: the stand-in goes on changing its own."""
        names = [({item if isinstance(item, str) else item["name"] for item in one["labels"]}, one)
                 for one in self.place.hub.issues]  # fmt: skip
        return [dict(one) for labels, one in names if label in labels]

    def run(self, demo: str = "") -> Any:
        begun = self.place.start("workflow_dispatch", "monitor.yml", inputs={"demo": demo} if demo else {})
        return self.place.finish(begun)


@dataclass
class Run:
    """What a run left behind."""

    outcome: Any
    kept: list[str]
    issues: list[dict[str, Any]]
    blind: list[dict[str, Any]]
    beat: bool


def replayed(train: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return months of rows drawn from the training rows: some with faults, the others as if nothing were."""
    months = {}
    for index, month in enumerate(MONTHS):
        rows = train.sample(ROWS, random_state=index).drop(columns=["_batch", "_line"], errors="ignore")
        days = [f"{month}-{1 + day % 28:02d}" for day in range(ROWS)]
        rows = rows.assign(contact_date=days, row_id=range(10**6 + index * ROWS, 10**6 + (index + 1) * ROWS))
        months[month] = rows.assign(**{name: rows[name] * 10 for name in FAULTS.get(month, ())})
    return months


@pytest.fixture(scope="module")
def world(start: Path, lent: Path, finished: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with HARNESS.make_place(start, tmp_path_factory.mktemp("world") / "place", lent) as place:
        clone = place.clone
        HARNESS.git(clone, "switch", "--quiet", "main")
        (clone / "replay").mkdir(exist_ok=True)
        for file in (clone / "replay").glob("*.csv"):
            file.unlink()
        train = pd.read_parquet(finished.folder / "artifacts" / "train.parquet")
        for month, rows in replayed(train).items():
            rows.to_csv(clone / "replay" / f"{month}.csv", index=False)
        place.dvc("add", "--quiet", "replay")
        shutil.copytree(clone / ".dvc" / "cache", place.top / "cache-of-dvc", dirs_exist_ok=True)
        HARNESS.git(clone, "commit", "--quiet", "--all", "--message=Half a year with faults")
        HARNESS.git(clone, "push", "--quiet", "origin", "main")
        yield World(place)


def snapshot(world: World, outcome: Any, kind: str) -> Run:
    return Run(outcome, world.kept(kind), world.issues(), world.issues("monitoring-blind"), world.beats(kind))


@pytest.fixture(scope="module")
def refused(world: World) -> Run:
    """June, and GitHub takes no issue."""
    world.place.hub.refuse["/issues"] = 403
    outcome = world.run("2009-06")
    world.place.hub.refuse.clear()
    return snapshot(world, outcome, "demo")


@pytest.fixture(scope="module")
def june(world: World, refused: Run) -> Run:
    return snapshot(world, world.run("2009-06"), "demo")


@pytest.fixture(scope="module")
def muted(world: World, june: Run) -> Run:
    """July, while a person wants to hear nothing of it."""
    world.place.hub.permissions["grace"] = "write"
    world.place.hub.label(june.issues[0]["number"], "mute", "grace", "2009-07-15T00:00:00Z")
    return snapshot(world, world.run("2009-07"), "demo")


@pytest.fixture(scope="module")
def autumn(world: World, muted: Run) -> Run:
    return snapshot(world, world.run("2009-09"), "demo")


@pytest.fixture(scope="module")
def again(world: World, autumn: Run) -> Run:
    """October has June's fault."""
    return snapshot(world, world.run("2009-10"), "demo")


@pytest.fixture(scope="module")
def many(world: World, again: Run) -> Run:
    """November has more faults than there should be issues."""
    return snapshot(world, world.run("2009-11"), "demo")


@pytest.fixture(scope="module")
def blind(world: World, many: Run) -> Run:
    """A log is configured, but it is not there."""
    world.place.variables["MAINLINE_LOG"] = str(world.place.top / "log")
    outcome = world.run()
    return Run(outcome, [], world.issues(), world.issues("monitoring-blind"), world.beats("log"))


@pytest.fixture(scope="module")
def seeing(world: World, blind: Run) -> Run:
    """The log is there, with the twenty predictions of the last day of the last month."""
    begin = dt.datetime.now(dt.UTC).replace(day=1, hour=0, minute=0) - dt.timedelta(hours=12)
    rows = pd.read_csv(world.place.clone / "replay" / f"{MONTHS[1]}.csv").head(20)
    features = rows.drop(columns=["y", "row_id", "contact_date"]).to_dict("records")
    lines = [
        {"kind": "prediction", "time": f"{begin:%Y-%m-%dT%H:%M:%S}.000Z", "request_id": f"r{index}", "row": 0,
         "release": "bank-1", "track": "stable", "features": row, "score": 0.1, "decision": True, "latency_ms": 1.0}
        for index, row in enumerate(features)
    ]  # fmt: skip
    (world.place.top / "log").mkdir()
    (world.place.top / "log" / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return snapshot(world, world.run(), "log")


def test_when_github_takes_no_issue_the_run_is_red_and_the_window_is_kept(refused: Run) -> None:
    assert refused.outcome.code != 0 and "the token may not do this" in refused.outcome.log
    assert refused.kept == ["2009-06"] and refused.issues == []
    # What was found has not been said: that run did not come to its end, whatever it knows.
    assert not refused.beat and "mainline ci monitor conclude" not in refused.outcome.log


def test_the_next_run_says_it_though_it_watches_nothing_new(world: World, june: Run) -> None:
    assert "nothing new since 2009-07-01" in june.outcome.log
    assert june.kept == ["2009-06"] and june.beat
    (issue,) = june.issues
    assert issue["state"] == "open" and FAULT in issue["title"] + issue["body"] and "2009-06" in issue["body"]
    assert june.outcome.code != 0 and "an alarm stands" in june.outcome.log  # red, but not blind
    assert june.blind == []
    assert (world.place.top / "artifacts" / "monitor-1" / "monitor.html").is_file()


def test_later_months_are_told_in_the_same_issue_and_close_it(autumn: Run, june: Run) -> None:
    assert autumn.kept == list(MONTHS[:4])
    (issue,) = autumn.issues
    assert issue["number"] == june.issues[0]["number"]
    assert issue["state"] == "closed" and issue["body"] != june.issues[0]["body"]
    assert autumn.blind == []


def test_a_muted_issue_is_left_alone_though_its_window_is_watched(muted: Run, june: Run) -> None:
    assert muted.kept == list(MONTHS[:2])
    (issue,) = muted.issues
    assert issue["state"] == "open" and issue["body"] == june.issues[0]["body"]


def test_the_same_fault_opens_the_same_issue_again(again: Run, autumn: Run) -> None:
    (issue,) = again.issues
    assert issue["number"] == autumn.issues[0]["number"] and issue["state"] == "open" and "2009-10" in issue["body"]


def test_many_faults_at_once_are_one_issue(many: Run, again: Run) -> None:
    # The scores move, too, which is an issue of another kind; no column has one of its own.
    said = {issue["title"]: issue for issue in many.issues if issue["state"] == "open"}
    (summary,) = [issue for title, issue in said.items() if "Many columns" in title]
    assert summary["number"] != again.issues[0]["number"] and all(f"`{name}`" in summary["body"] for name in MANY)
    assert not [title for title in said if any(name in title for name in MANY)]
    assert many.kept == list(MONTHS)


def test_a_window_is_committed_once_and_a_demonstration_is_no_beat(world: World, many: Run) -> None:
    assert many.beat
    history = world.git("log", "--format=", "--name-status", "deploy", "--", "monitor/demo/windows").splitlines()
    assert [line.split("\t")[0] for line in history] == ["A"] * len(MONTHS)


def test_a_monitor_that_cannot_see_says_so_in_an_issue_of_its_own(blind: Run) -> None:
    assert blind.outcome.code != 0 and not blind.beat  # those of the demonstration do not count
    (issue,) = blind.blind
    assert issue["state"] == "open" and "watch failure" in issue["body"] and "/actions/runs/" in issue["body"]


def test_a_run_that_sees_closes_it_and_is_green_only_if_all_is_well(seeing: Run) -> None:
    (issue,) = seeing.blind
    assert issue["state"] == "closed" and seeing.beat and len(seeing.kept) == 1
    # Nothing has come since, and no outcome is known: that is not well.
    assert seeing.outcome.code != 0 and ("it cannot be told" in seeing.outcome.log or "stands" in seeing.outcome.log)
