"""retrain.yml and the run of pull-request.yml that it starts: real steps, real DVC, real git."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

SPEC = importlib.util.spec_from_file_location("workflow_harness", Path(__file__).with_name("conftest.py"))
assert SPEC is not None and SPEC.loader is not None
HARNESS = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = HARNESS
SPEC.loader.exec_module(HARNESS)


@dataclass
class World:
    """A repository with two alarms, one approved by Grace, who may write, one by Mallory, who may not."""

    place: Any

    def branches(self) -> dict[str, str]:
        listed = HARNESS.git(self.place.top / "origin.git", "for-each-ref", "--format=%(refname:short) %(objectname)")
        return dict(line.split() for line in listed.splitlines())

    def labelled(self, number: int, label: str = "retrain-approved") -> Any:
        issue = {"number": number, "title": "$(id)", "body": "`id`"}
        begun = self.place.start("issues", "retrain.yml", action="labeled", label={"name": label}, issue=issue)
        return self.place.finish(begun)


@pytest.fixture(scope="module")
def world(start: Path, lent: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with HARNESS.make_place(start, tmp_path_factory.mktemp("world") / "place", lent) as place:
        hub = place.hub
        hub.origin = place.top / "origin.git"
        hub.permissions = {"grace": "write", "mallory": "read"}
        for column in ("contact", "poutcome"):
            labels = ["monitoring", "drift"]
            alarm = {"number": len(hub.issues) + 1, "title": f"Drift of {column}", "body": "", "labels": labels}
            hub.issues.append({"state": "open", "user": {"type": "Bot"}, **alarm})
        hub.label(1, "retrain-approved", "grace", "2026-11-21T10:00:00Z")
        hub.label(2, "retrain-approved", "mallory", "2026-11-21T10:00:00Z")
        yield World(place)


def test_a_label_by_somebody_who_may_not_write_does_nothing_and_is_taken_off(world: World) -> None:
    before, hub = world.branches(), world.place.hub
    outcome = world.labelled(2)
    assert outcome.code == 0 and "mallory put the label" in outcome.log and "::warning" in outcome.log
    assert world.branches() == before and hub.pulls == {} and hub.dispatches == []
    assert hub.issues[1]["labels"] == ["monitoring", "drift"]
    assert [item["issue"] for item in hub.comments] == [2] and "may not write" in hub.comments[0]["body"]


def test_another_label_starts_no_job(world: World) -> None:
    outcome = world.labelled(1, "drift")
    assert outcome.code == 0 and "mainline ci retrain" not in outcome.log


@pytest.fixture(scope="module")
def approved(world: World) -> Any:
    return world.labelled(1)


def test_an_approved_issue_becomes_a_pull_request_and_its_run_is_started(world: World, approved: Any) -> None:
    hub, branches = world.place.hub, world.branches()
    assert approved.code == 0
    (pull,) = hub.pulls.values()
    assert (pull["head"]["ref"], pull["base"]["ref"]) == ("retrain/1", "main")
    assert "For #1. Approved by `grace`" in pull["body"] and "| `2009-08.csv` | 772 | 264 (34.2%) |" in pull["body"]
    assert "| log_loss | 0.7443 | 0.6875 |" in pull["body"]
    asked = {
        "workflow": "pull-request.yml",
        "sha": branches["retrain/1"],
        "ref": "retrain/1",
        "inputs": {"number": "7"},
    }
    assert hub.dispatches == [asked]
    assert [item["body"] for item in hub.comments if item["issue"] == 1][0].startswith("A retraining is proposed in #7")
    changed = HARNESS.git(hub.origin, "diff", "--name-only", "main", "retrain/1").splitlines()
    assert [name for name in changed if not name.startswith(".dvc/embedded/")] == [
        "data.dvc",
        "dvc.lock",
        "params.yaml",
    ]


def test_the_dispatched_run_judges_as_any_other(world: World, approved: Any) -> None:
    head, hub = world.branches()["retrain/1"], world.place.hub
    hub.artifacts, calls = world.place.top / "artifacts", len(hub.calls)
    begun = world.place.start("workflow_dispatch", "pull-request.yml", "retrain/1", inputs={"number": "7"})
    outcome = world.place.finish(begun)
    assert outcome.code == 0 and len(hub.calls) == calls, "a run of a pull request's code has asked GitHub"
    assert "dvc.lock fits code, data and params" in outcome.log
    told = world.place.report(outcome, head, event="workflow_dispatch", head_branch="retrain/1")
    assert told.code == 0 and world.branches()["retrain/1"] == head and hub.refused == []
    assert [(item["sha"], item["state"]) for item in hub.statuses] == [(head, "success")]
    assert hub.statuses[0]["description"].startswith("promote: better than the champion")
    assert [item for item in hub.comments if item["issue"] == 7]


def test_a_second_approval_finds_nothing_to_do(world: World, approved: Any) -> None:
    before, hub = world.branches(), world.place.hub
    outcome = world.labelled(1)
    assert outcome.code == 0 and "nothing to do" in outcome.log
    assert world.branches() == before and len(hub.pulls) == len(hub.dispatches) == 1
