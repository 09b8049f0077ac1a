"""Who let a release into production, who refused it, and when nobody was asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from mainline.ci.release_approval import approve, refused
from mainline.ci.release_plan import make_plan
from mainline.errors import UserError
from mainline.github import GitHub
from mainline.release.ledger import Deploy
from mainline.release.state import Entry, State, Transition

ROOT = Path(__file__).parents[2]
RUN = {"GITHUB_RUN_ID": "12", "GITHUB_WORKFLOW": "release", "GITHUB_ACTOR": "ada", "GITHUB_EVENT_NAME": "push"}
BY_HAND = RUN | {"GITHUB_EVENT_NAME": "workflow_dispatch", "GITHUB_TRIGGERING_ACTOR": "grace"}
SOURCES = {name: name[0] * 64 for name in ("code", "params", "lock", "environment")}


@pytest.fixture
def deploy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, git: Callable[..., str]) -> Deploy:
    """The ledger of a repository whose three commits are the releases older, old (stable) and new."""
    monkeypatch.chdir(tmp_path)
    settings("none")
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    commits = []
    for name in ("older", "old", "new"):
        git(tmp_path, "commit", "--quiet", "--allow-empty", f"--message={name}")
        commits.append(git(tmp_path, "rev-parse", "HEAD"))
    made = Deploy.open()
    entries = [Entry("older", commits[0]), Entry("old", commits[1]), Entry("new", commits[2], digests=SOURCES)]
    made.commit("three", expect=made.head(), entries=entries, states=[State("production", stable="old")])
    return made


def settings(approval: str) -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["rollout"]["approval"] = approval
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")


def review(user: str, state: str = "approved", environment: str = "production") -> dict[str, Any]:
    return {"user": {"login": user}, "state": state, "environments": [{"name": environment}], "comment": "ok"}


def last(deploy: Deploy, release: str = "new") -> Transition:
    return deploy.entry(release).transitions[-1]


def test_the_ledger_names_who_approved(deploy: Deploy, hub: Any, server: GitHub) -> None:
    hub.approvals = [review("grace"), review("eve", environment="staging")]
    assert approve("new", deploy, server, RUN) == "grace"
    assert (deploy.entry("new").approver, last(deploy).event) == ("grace", "approved")
    assert hub.calls == ["GET /actions/runs/12/approvals"]


def test_an_environment_that_asks_nobody_is_told_of(
    deploy: Deploy, hub: Any, server: GitHub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert approve("new", deploy, server, RUN) == "nobody"
    assert "no reviewers" in last(deploy).why and "Required reviewers" in capsys.readouterr().out


def test_silence_of_github_stops_it(deploy: Deploy, hub: Any, server: GitHub) -> None:
    before = deploy.head()
    hub.refuse["/approvals"] = 403
    with pytest.raises(UserError, match="403"):
        approve("new", deploy, server, RUN)
    with pytest.raises(UserError, match="403"):
        refused("new", deploy, server, RUN)
    assert deploy.head() == before


@pytest.mark.parametrize("environment", [RUN, BY_HAND, RUN | {"asked": "new"}], ids=["push", "by hand", "push with id"])
def test_where_approval_is_required_a_run_without_a_reviewer_ends_before_the_rollout(
    deploy: Deploy, hub: Any, server: GitHub, environment: dict[str, str]
) -> None:
    settings("required")
    assert approve("new", deploy, server, environment, asked=environment.get("asked", "")) == ""
    assert last(deploy).event == "hold" and "with the id new" in last(deploy).why
    assert deploy.entry("new").approver is None
    # The next merge does not ask again; a start with the id does.
    plan = make_plan(deploy, SOURCES)
    assert not plan.go and "waits for a person's approval" in plan.why
    assert make_plan(deploy, SOURCES, "new").go


def test_a_start_with_its_id_is_the_approval_and_names_the_person(deploy: Deploy, hub: Any, server: GitHub) -> None:
    settings("required")
    assert approve("new", deploy, server, BY_HAND, asked="new") == "grace"
    assert "grace, who started the workflow with this id" in last(deploy).why
    settings("required")
    hub.approvals = [review("alan")]
    assert approve("new", deploy, server, RUN) == "alan", "a reviewer is one, however the run was started"


def test_a_run_that_is_started_again_is_no_silent_way_back(deploy: Deploy, hub: Any, server: GitHub) -> None:
    """An approval that was given late, or `Re-run` of an old run: a newer release serves by then."""
    before = deploy.head()
    again = BY_HAND | {"GITHUB_RUN_ATTEMPT": "2"}
    for environment, asked in ((RUN, ""), (BY_HAND, ""), (again, "older"), (RUN | {"GITHUB_RUN_ATTEMPT": "2"}, "")):
        with pytest.raises(UserError, match="older is of commit .*old, which is stable, of the later"):
            approve("older", deploy, server, environment, asked=asked)
    assert deploy.head() == before
    assert approve("older", deploy, server, BY_HAND, asked="older") == "nobody", "asked for by its id"


def test_a_refusal_is_the_end_of_this_try(deploy: Deploy, hub: Any, server: GitHub) -> None:
    hub.approvals = [review("alan", "rejected")]
    assert make_plan(deploy, SOURCES).go
    assert refused("new", deploy, server, RUN) == "alan"
    assert last(deploy).event == "abort" and last(deploy).why == "refused by alan: ok"
    assert deploy.state("production") == replace(deploy.state("production"), stable="old", candidate=None)
    plan = make_plan(deploy, SOURCES)
    assert not plan.go and "refused by alan" in plan.why, "the next merge does not ask again"
    assert make_plan(deploy, SOURCES, "new").go
    before = deploy.head()
    assert refused("new", deploy, server, RUN) == "" and deploy.head() == before


def test_a_rollout_that_was_let_in_and_failed_is_no_refusal(deploy: Deploy, hub: Any, server: GitHub) -> None:
    hub.approvals = [review("alan", "rejected"), review("grace")]  # refused first, let in when it was started again
    approve("new", deploy, server, RUN | {"GITHUB_RUN_ATTEMPT": "2"})
    before = deploy.head()
    assert refused("new", deploy, server, RUN | {"GITHUB_RUN_ATTEMPT": "2"}) == "" and deploy.head() == before
    hub.approvals = []
    assert refused("new", deploy, server, RUN | {"GITHUB_RUN_ATTEMPT": "3"}) == "", "it failed before it was asked"


def test_a_refused_resumption_drops_the_candidate(deploy: Deploy, hub: Any, server: GitHub) -> None:
    state = replace(deploy.state("production"), candidate="new", phase="canary", weight=50, plan={"x": 1})
    deploy.commit("try", expect=deploy.head(), states=[state])
    hub.approvals = [review("alan", "rejected")]
    assert refused("new", deploy, server, RUN) == "alan"
    now = deploy.state("production")
    assert (now.stable, now.candidate, now.phase, now.weight) == ("old", None, None, 0)
