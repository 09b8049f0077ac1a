from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mainline.ci import production
from mainline.ci.production import begin_again, drop, roll_out
from mainline.ci.release_issue import BUILD, LABEL, any_open, mark, report, tell
from mainline.errors import UserError
from mainline.github import GitHub
from mainline.release.ledger import Deploy
from mainline.release.state import Entry, State, Transition

CHECKS = [{"name": "errors", "outcome": "abort", "text": "9 | 9 failed @all", "value": 0.5, "bound": 0.05, "n": 18}]


@pytest.fixture
def deploy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deploy:
    """The ledger of the working folder, in which "old" serves and "new" is known."""
    monkeypatch.chdir(tmp_path)
    made = Deploy.open()
    entries = [Entry("old", "c" * 40), Entry("new", "d" * 40, pull_request=7)]
    made.commit("two", expect=made.head(), entries=entries, states=[State("production", stable="old")])
    return made


def test_a_second_rollout_is_refused_and_a_finished_one_is_not_repeated(deploy: Deploy) -> None:
    deploy.commit("x", expect=deploy.head(), states=[replace(deploy.state("production"), candidate="third")])
    with pytest.raises(UserError, match="third is being tried already"):
        roll_out("new", deploy, None)
    assert roll_out("old", deploy, None)


def test_only_a_rollout_whose_records_are_gone_begins_again(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch, make_controller: Any
) -> None:
    state = replace(deploy.state("production"), candidate="new", phase="canary", weight=50, step=1, plan={"x": 1})
    deploy.commit("try", expect=deploy.head(), states=[state])
    of = make_controller(deploy)
    monkeypatch.setattr(production, "controller", lambda *_, **__: of)
    assert not begin_again("old")
    assert begin_again("new")
    now = deploy.state("production")
    assert (now.candidate, now.phase, now.weight, now.step, now.plan) == ("new", None, 0, 0, {"x": 1})
    assert deploy.entry("new").transitions[-1].event == "hold"
    assert not begin_again("new")
    deploy.commit("on", expect=deploy.head(), states=[replace(now, phase="shadow")])
    of.journal("new").write({"time": of.now(), "kind": "hold", "text": "seen"})
    assert not begin_again("new")


def test_a_candidate_is_dropped_and_stable_stays(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch, make_controller: Any
) -> None:
    monkeypatch.setattr(production, "controller", lambda *_, **__: make_controller(deploy))
    with pytest.raises(UserError, match="nothing is being tried"):
        drop("")
    state = replace(deploy.state("production"), candidate="new", phase="canary", weight=50)
    deploy.commit("try", expect=deploy.head(), states=[state])
    assert drop("too slow") == "new"
    now = deploy.state("production")
    assert (now.stable, now.candidate, now.weight) == ("old", None, 0)
    assert (deploy.entry("new").transitions[-1].event, deploy.entry("new").transitions[-1].why) == ("abort", "too slow")


@pytest.fixture
def make_controller() -> Any:
    """Return a function that makes a controller without a data plane."""
    from mainline.config import Rollout
    from mainline.rollout.controller import Controller

    def make(deploy: Deploy) -> Controller:
        nothing: Any = None
        return Controller(deploy, nothing, Rollout(), lambda _: {}, nothing)

    return make


def test_there_is_one_issue_a_release_with_the_evidence(deploy: Deploy, hub: Any, server: GitHub) -> None:
    abort = Transition("new", "production", "abort", "t", "too many errors", 0, {"checks": CHECKS})
    deploy.commit("aborted", expect=deploy.head(), transitions=[abort])
    assert report("new", deploy, server, "https://example.org/run") == 1
    (issue,) = hub.issues
    assert issue["labels"] == [LABEL] and issue["title"] == "Release new was aborted"
    body = issue["body"]
    assert body.startswith(mark("new")) and "| `errors` | `abort` | 0.5 | 0.05 |" in body
    assert "`9 ¦ 9 failed @all`" in body and "https://example.org/run" in body and "from #7" in body
    back = Transition("new", "production", "rollback", "t", "asked for", 0)
    deploy.commit("back", expect=deploy.head(), transitions=[back])
    assert report("new", deploy, server) == 1 and len(hub.issues) == 1
    assert hub.issues[0]["title"] == "Release new was rolled back"
    hub.issues[0]["state"] = "closed"
    assert report("new", deploy, server) == 2
    assert report("old", deploy, server) == 3 and "did not come to an end" in hub.issues[2]["title"]


def test_a_retry_that_is_promoted_closes_the_issue_of_the_try_before(deploy: Deploy, hub: Any, server: GitHub) -> None:
    def tried(event: Any, why: str) -> None:
        deploy.commit(why, expect=deploy.head(), transitions=[Transition("new", "production", event, "t", why, 0)])

    tried("promote", "all well at once")
    assert report("new", deploy, server) is None and hub.issues == [] and hub.comments == []
    tried("abort", "too many errors")
    others = {"number": 2, "state": "open", "user": {"type": "Bot"}, "body": mark("old"), "labels": [LABEL]}
    assert report("new", deploy, server) == 1
    hub.issues.append(others)
    tried("promote", "all checks passed")
    assert report("new", deploy, server, "https://example.org/run") == 1
    assert [issue["state"] for issue in hub.issues] == ["closed", "open"]
    (comment,) = hub.comments
    assert comment["issue"] == 1 and "all checks passed" in comment["body"] and "org/run" in comment["body"]
    assert report("new", deploy, server) is None and len(hub.comments) == 1
    tried("rollback", "asked for")
    assert report("new", deploy, server) == 3, "a new issue: the one that is closed was about something else"


def test_a_person_who_writes_the_mark_keeps_the_issue(deploy: Deploy, hub: Any, server: GitHub) -> None:
    hub.issues.append({"number": 1, "state": "open", "user": {"type": "User"}, "body": mark("new") + "\nmine"})
    assert report("new", deploy, server) == 2 and hub.issues[0]["body"].endswith("mine")


def test_a_run_that_made_no_release_has_one_issue_until_one_comes_through(
    deploy: Deploy, hub: Any, server: GitHub
) -> None:
    assert not any_open(server)
    for why in ("no verdict", "another <b>reason</b>"):
        tell("", lambda: deploy, server, url="https://example.org/run", build="failure", commit="c" * 40, why=why)
    (issue,) = hub.issues
    assert issue["body"].startswith(BUILD) and "<b>" not in issue["body"] and "c" * 40 in issue["body"]
    assert "https://example.org/run" in issue["body"] and issue["labels"] == [LABEL] and any_open(server)
    tell("", lambda: deploy, server)  # a rollback says nothing of it
    assert issue["state"] == "open"
    tell("", lambda: deploy, server, build="success")
    assert issue["state"] == "closed" and not any_open(server)


def test_where_issues_are_switched_off_that_is_said_and_nothing_fails(
    deploy: Deploy, hub: Any, server: GitHub, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.refuse["/issues"] = 410
    assert not any_open(server)
    for build in ("failure", "success"):
        tell("new", lambda: deploy, server, build=build)
        assert "Settings, General, Features, Issues" in capsys.readouterr().out
    hub.refuse["/issues"] = 403
    with pytest.raises(UserError, match="403"):
        tell("new", lambda: deploy, server, build="success")
    with pytest.raises(UserError, match="403"):
        any_open(server)
