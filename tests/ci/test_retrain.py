from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path
from typing import Any

import pytest

from mainline.ci import retrain as room
from mainline.ci.retrain import asked, run
from mainline.errors import UserError
from mainline.retrain.batches import Fresh
from mainline.retrain.pulls import Desk
from mainline.retrain.run import Ask, Outcome

LABELLED = {"action": "labeled", "label": {"name": "retrain-approved"}, "issue": {"number": 1}}


@pytest.fixture
def given(event: Any, hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that puts an event of some kind in place and gives back the environment."""
    hub.permissions = {"grace": "write", "mallory": "read"}
    alarm = {"number": 1, "title": "Drift", "body": "", "labels": ["monitoring"]}
    hub.issues.append({"state": "open", "user": {"type": "Bot"}, **alarm})
    event()

    def put(name: str, content: dict[str, Any]) -> dict[str, str]:
        (tmp_path / "event.json").write_text(json.dumps(content), encoding="utf-8")
        monkeypatch.setenv("GITHUB_EVENT_NAME", name)
        monkeypatch.setenv("GITHUB_ACTOR", "grace")
        return dict(os.environ)

    return put


def test_each_event_asks_for_its_own(given: Any) -> None:
    assert asked(given("issues", LABELLED)) == Ask(1, push=True)
    inputs = {"issue": "#4", "as_of": "2009-08-31", "source": "log"}
    wanted = Ask(4, by="grace", source="log", as_of=dt.date(2009, 8, 31), push=True)
    assert asked(given("workflow_dispatch", {"inputs": inputs})) == wanted
    assert asked(given("workflow_dispatch", {"inputs": None})) == Ask(by="grace", push=True)
    assert asked(given("schedule", {})).by == room.SCHEDULE


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("issues", LABELLED | {"label": {"name": "drift"}}),
        ("issues", LABELLED | {"action": "unlabeled"}),
        ("issues", {"action": "labeled"}),
        ("push", {}),
        ("workflow_dispatch", {"inputs": {"as_of": "tomorrow"}}),
        ("workflow_dispatch", {"inputs": {"issue": "$(id)"}}),
    ],
)
def test_anything_else_is_refused(given: Any, name: str, content: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        asked(given(name, content))


def test_a_label_that_does_not_count_is_taken_off_and_nothing_runs(
    given: Any, hub: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.label(1, "retrain-approved", "mallory", "2026-11-21T10:00:00Z")
    assert run(given("issues", LABELLED)) == 0
    assert hub.issues[0]["labels"] == ["monitoring"] and "taken off" in hub.comments[0]["body"]
    assert "Nothing was done" in (tmp_path / "GITHUB_STEP_SUMMARY").read_text()
    assert "mallory" in capsys.readouterr().out


def test_what_stops_a_retraining_is_told_on_the_issue(given: Any, hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any, **__: Any) -> Outcome:
        raise UserError("git push: refused", "check the rules")

    monkeypatch.setattr(room, "retrain", stop)
    with pytest.raises(UserError, match="refused"):
        run(given("issues", LABELLED) | {"RUN_URL": "https://example.org/run/1"})
    assert "git push: refused" in hub.comments[0]["body"] and "run/1" in hub.comments[0]["body"]


def test_what_came_of_it_is_the_exit_code_and_stands_on_the_page(
    given: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = Fresh("2009-06.csv", 642, 241, "2009-06-01", "2009-06-30", "0" * 64)
    found = Outcome("no new rows", "retrain/1", None, (fresh,), None, "no new rows")
    monkeypatch.setattr(room, "retrain", lambda *_, **__: found)
    assert run(given("issues", LABELLED)) == 3
    assert "`2009-06.csv`: 642 rows" in (tmp_path / "GITHUB_STEP_SUMMARY").read_text()


def test_one_branch_has_one_open_pull_request(hub: Any, server: Any, git: Any, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message=x")
    git(tmp_path, "branch", "retrain/1")
    hub.origin, desk = tmp_path, Desk(server)
    assert desk.find("retrain/1") is None
    first = desk.show("retrain/1", "One", "a")
    assert desk.show("retrain/1", "Two", "b").number == first.number and hub.pulls[7]["title"] == "Two"
    head = git(tmp_path, "rev-parse", "retrain/1")
    # The run that GitHub has made for the push waits for somebody's approval: it judges nothing.
    assert [(item["head_sha"], item["conclusion"]) for item in hub.parked] == [(head, "action_required")]
    assert not desk.judged(head)
    desk.judge(first, "retrain/1")
    assert desk.judged(head) and hub.dispatches[0]["inputs"] == {"number": "7"}
    hub.pulls[7]["state"] = "closed"
    assert desk.show("retrain/1", "Three", "c").number == 8
