"""release.yml and rollback.yml, run after run on one repository: real steps, real Bentos, real Envoy, real git."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
import yaml

pytestmark = pytest.mark.slow

SPEC = importlib.util.spec_from_file_location("workflow_harness", Path(__file__).with_name("conftest.py"))
assert SPEC is not None and SPEC.loader is not None
HARNESS = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = HARNESS
SPEC.loader.exec_module(HARNESS)

FAULT = """
        if os.environ.get("MAINLINE_TRACK") == "canary":
            CALLS.append(1)
            if len(CALLS) > 530 and len(CALLS) % 2:
                raise RuntimeError("planted")
"""
SHORT = {
    "rate": 100,
    "users": 100,
    "pairs": 60,
    "shadow_seconds": 30,
    "requests": 10,
    "seconds": 0.5,
    "max_seconds": 240,
}


@dataclass
class World:
    """A repository on the stand-in for GitHub, with what branch deploy says."""

    place: Any

    def git(self, *arguments: str) -> str:
        return str(HARNESS.git(self.place.top / "origin.git", *arguments))

    def deploy(self, path: str) -> dict[str, Any]:
        return dict(yaml.safe_load(self.git("show", f"deploy:{path}")))

    def state(self) -> dict[str, Any]:
        return self.deploy("production.yaml")

    def head(self) -> str:
        return self.git("rev-parse", "deploy")

    def releases(self) -> list[str]:
        return [Path(name).stem for name in self.git("ls-tree", "--name-only", "deploy", "ledger/").splitlines()]

    def events(self, release: str) -> list[str]:
        listed = self.deploy(f"ledger/{release}.yaml")["transitions"]
        return [f"{item['environment']} {item['event']}" for item in listed]

    def merge(self, name: str, change: Callable[[str], str], said: str = "promote: better") -> str:
        """Change a file on main by a pull request with that verdict; return the commit."""
        clone = self.place.clone
        HARNESS.git(clone, "switch", "--quiet", "main")
        path = clone / name
        text = change(path.read_text(encoding="utf-8"))
        assert text != path.read_text(encoding="utf-8")
        path.write_text(text, encoding="utf-8")
        HARNESS.git(clone, "commit", "--quiet", "--all", "--message=Merge pull request #8 from ada/topic")
        HARNESS.git(clone, "push", "--quiet", "origin", "main")
        commit = str(HARNESS.git(clone, "rev-parse", "HEAD"))
        hub, number = self.place.hub, max(self.place.hub.pulls, default=7) + 1
        hub.pulls[number] = {"number": number, "merged": True, "merge_commit_sha": commit, "commits": 1,
                             "head": {"sha": commit}, "brought": (commit,)}  # fmt: skip
        hub.statuses.append({"sha": commit, "context": "mainline/verdict", "description": said, "creator": BOT,
                             "state": "success" if said.startswith(("promote", "doc")) else "failure"})  # fmt: skip
        return commit

    def push(self) -> Any:
        return self.place.finish(self.place.start("push", "release.yml"))

    def dispatch(self, workflow: str = "release.yml", **inputs: str) -> Any:
        return self.place.finish(self.place.start("workflow_dispatch", workflow, inputs=inputs))


BOT = {"login": "github-actions[bot]", "type": "Bot"}
WORDS = "documentation only: nothing to train, nothing to compare"


@dataclass
class Run:
    """What a scenario left behind."""

    outcome: Any
    release: str
    state: dict[str, Any]


@pytest.fixture(scope="module")
def world(start: Path, lent: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with HARNESS.make_place(start, tmp_path_factory.mktemp("world") / "place", lent) as place:
        clone = place.clone
        git = HARNESS.git
        git(clone, "switch", "--quiet", "main")
        params = yaml.safe_load((clone / "params.yaml").read_text(encoding="utf-8"))
        params["rollout"] |= {"weights": [50, 100], "tick_seconds": 1, "ready_seconds": 300, "rehearsal": SHORT}
        params["rollout"]["proxy"]["port"] = 0
        (clone / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        git(clone, "commit", "--quiet", "--all", "--message=A short rehearsal (#3)")
        git(clone, "push", "--quiet", "origin", "main")
        place.hub.artifacts = place.top / "artifacts"
        place.hub.artifacts.mkdir()
        place.hub.approvals = [
            {"state": "approved", "user": {"login": "grace"}, "environments": [{"name": "production"}], "comment": "go"}
        ]
        yield World(place)


@pytest.fixture(scope="module")
def copied(world: World) -> Any:
    """GitHub starts the workflow by itself when a copy of the template is made."""
    return world.push()


@pytest.fixture(scope="module")
def first(world: World, copied: Any) -> Run:
    outcome = world.dispatch()
    return Run(outcome, world.state()["stable"], world.state())


@pytest.fixture(scope="module")
def unjudged(world: World, first: Run) -> Any:
    """A merge against its verdict, and the next one that takes it back."""
    world.merge("src/mainline/serve/retention.py", lambda text: text + "\n# Worse.\n", "reject: worse")
    outcome = world.push()
    issues = [dict(issue) for issue in world.place.hub.issues]
    HARNESS.git(world.place.clone, "revert", "--no-edit", "HEAD")
    HARNESS.git(world.place.clone, "push", "--quiet", "origin", "main")
    return outcome, issues, world.push()


@pytest.fixture(scope="module")
def aborted(world: World, first: Run, unjudged: Any) -> Run:
    def plant(text: str) -> str:
        text = text.replace("import numpy as np\n", "import os\n\nimport numpy as np\n\nCALLS: list[int] = []\n", 1)
        at = "        fed: dict[str, NDArray[Any]] = {}\n"
        assert at in text
        return text.replace(at, FAULT + at)

    world.merge("src/mainline/serve/scorer.py", plant)
    outcome = world.push()
    (fresh,) = set(world.releases()) - {first.release}
    return Run(outcome, fresh, world.state())


@pytest.fixture(scope="module")
def killed(world: World, aborted: Run) -> Run:
    HARNESS.git(world.place.clone, "revert", "--no-edit", "HEAD")
    world.merge("src/mainline/serve/retention.py", lambda text: text + "\n# Another release.\n")
    before = set(world.releases())
    begun = world.place.start("push", "release.yml")
    end = time.monotonic() + 300
    while world.state()["phase"] != "canary" and time.monotonic() < end and begun.poll() is None:
        time.sleep(0.2)
    if begun.poll() is None:
        for process in [*psutil.Process(begun.pid).children(recursive=True), begun]:
            process.kill()
    outcome = world.place.finish(begun)
    (fresh,) = set(world.releases()) - before
    return Run(outcome, fresh, world.state())


@pytest.fixture(scope="module")
def refused(world: World, killed: Run, aborted: Run) -> Run:
    before = world.head()
    outcome = world.dispatch(release=aborted.release)
    assert world.head() == before
    return Run(outcome, aborted.release, world.state())


@pytest.fixture(scope="module")
def resumed(world: World, killed: Run, refused: Run) -> Run:
    return Run(world.dispatch(), killed.release, world.state())


@pytest.fixture(scope="module")
def back(world: World, resumed: Run) -> Run:
    return Run(world.dispatch("rollback.yml", why="too many calls"), resumed.release, world.state())


def test_the_first_push_of_a_copy_releases_nothing(world: World, copied: Any) -> None:
    assert copied.code == 0 and "MAINLINE_RELEASES" in copied.log
    assert "mainline ci release build" not in copied.log and "mainline ci release issue" not in copied.log


def test_the_first_release_is_built_staged_approved_and_promoted(world: World, first: Run) -> None:
    assert first.outcome.code == 0
    assert first.state["stable"] == first.release and first.state["candidate"] is None
    assert world.events(first.release) == [
        "staging built",
        "staging staged",
        "production approved",
        "production promote",
    ]
    entry = world.deploy(f"ledger/{first.release}.yaml")
    assert (entry["approver"], entry["pull_request"]) == ("grace", 3)
    assert entry["commit"] == HARNESS.git(world.place.clone, "rev-parse", f"{entry['commit']}^{{commit}}")
    assert f"{first.release}.tar" in (world.place.top / "attested").read_text()
    assert "released by hand by" in entry["verdict"]
    assert {"archive", "archive_bytes"} <= set(entry["digests"])


def test_a_merge_against_its_verdict_is_not_released_and_has_an_issue_until_it_is_taken_back(
    world: World, unjudged: Any, first: Run
) -> None:
    refused, issues, back = unjudged
    assert refused.code != 0 and "is reject: worse" in refused.log and "mainline ci release build" not in refused.log
    (issue,) = issues
    assert issue["title"] == "No release was made of main" and "reject: worse" in issue["body"]
    assert back.code == 0 and "nothing that is served has changed" in back.log
    assert world.place.hub.issues[0]["state"] == "closed"


def test_a_merge_that_changes_nothing_servable_releases_nothing(world: World, first: Run) -> None:
    before = world.head()
    world.merge("README.md", lambda text: text + "\nMore.\n", WORDS)
    outcome = world.push()
    assert outcome.code == 0 and "nothing that is served has changed" in outcome.log
    assert "mainline ci release build" not in outcome.log and world.head() == before


def test_a_release_that_fails_under_users_is_aborted_with_an_issue(world: World, aborted: Run, first: Run) -> None:
    assert aborted.outcome.code != 0
    assert aborted.state["stable"] == first.release and aborted.state["candidate"] is None
    events = world.events(aborted.release)
    assert events[-1] == "production abort" and "production shadow" in events
    assert " 0 failed" in aborted.outcome.log  # no user saw it
    (issue,) = world.place.hub.issues[1:2]
    assert f"{aborted.release}: no reviewer has refused it" in aborted.outcome.log
    assert aborted.release in issue["title"] and "errors" in issue["body"] and "| abort |" in issue["body"]


def test_a_killed_run_leaves_the_proven_release_and_says_how_far_it_came(killed: Run, first: Run) -> None:
    assert killed.outcome.code != 0
    assert (killed.state["stable"], killed.state["candidate"]) == (first.release, killed.release)
    assert killed.state["phase"] == "canary" and killed.state["weight"] in (50, 100)


def test_another_release_is_refused_while_one_is_being_tried(refused: Run, killed: Run) -> None:
    assert refused.outcome.code != 0 and f"{killed.release} is being tried already" in refused.outcome.log
    assert refused.state["candidate"] == killed.release and "mainline ci release build" not in refused.outcome.log


def test_the_next_run_takes_an_interrupted_release_to_its_end_without_a_build(world: World, resumed: Run) -> None:
    assert resumed.outcome.code == 0 and " 0 failed" in resumed.outcome.log
    assert resumed.state["stable"] == resumed.release and resumed.state["candidate"] is None
    assert "taken from artifact" in resumed.outcome.log and "built again" not in resumed.outcome.log
    events = world.events(resumed.release)
    assert events.count("staging built") == 1 and events.count("production shadow") == 2
    assert events[-1] == "production promote"


def test_rollback_takes_the_one_before_and_says_so(world: World, back: Run, first: Run) -> None:
    assert back.outcome.code == 0 and "taken from artifact" in back.outcome.log
    assert (back.state["stable"], back.state["candidate"]) == (first.release, None)
    assert world.events(back.release)[-1] == "production rollback"
    issue = world.place.hub.issues[-1]
    assert "was rolled back" in issue["title"] and back.release in issue["title"] and "too many calls" in issue["body"]


def test_what_was_taken_back_stays_away_until_a_person_asks(world: World, back: Run) -> None:
    before = world.head()
    world.merge("README.md", lambda text: text + "\nStill more.\n", WORDS)
    idle = world.push()
    assert idle.code == 0 and "had its try" in idle.log and back.release in idle.log
    assert world.head() == before and "mainline ci release build" not in idle.log
