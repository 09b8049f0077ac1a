from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from mainline.ci.release_plan import SOURCES, Plan, Start, decide, make_plan, moved_on, sources, working_on
from mainline.errors import UserError
from mainline.github import GitHub
from mainline.release.identity import covered, of
from mainline.release.ledger import Deploy
from mainline.release.state import Entry, Event, State, Transition

DIGESTS = {name: name[0] * 64 for name in (*SOURCES, "data", "model", "serving", "manifest")}
OURS = {name: DIGESTS[name] for name in SOURCES}
OTHER = DIGESTS | {"code": "f" * 64}


@pytest.fixture
def deploy(tmp_path: Path) -> Deploy:
    """A ledger in which "old" serves, made of other code."""
    made = Deploy.open(tmp_path / "deploy")
    add(made, "old", OTHER, "promote")
    made.commit("old serves", expect=made.head(), states=[State("production", stable="old")])
    return made


def add(deploy: Deploy, release: str, digests: dict[str, str], *events: Event) -> None:
    happened = [Transition(release, "production", event, "t", f"{event} it was") for event in events]
    entry = Entry(release, "c" * 40, digests=digests)
    deploy.commit(f"{release}", expect=deploy.head(), entries=[entry], transitions=happened)


def trying(deploy: Deploy, release: str) -> None:
    state = replace(
        deploy.state("production"), candidate=release, phase="canary", weight=5, started="2026-01-01T00:00:00+00:00"
    )
    deploy.commit("try", expect=deploy.head(), states=[state])


def test_the_first_release_needs_no_ledger() -> None:
    assert make_plan(None, OURS) == (plan := make_plan(None, OURS)) and (plan.go, plan.release) == (True, "")
    with pytest.raises(UserError, match="no branch deploy yet"):
        make_plan(None, OURS, "bank-1")


def test_what_is_new_is_built_and_what_is_stable_is_left_alone(deploy: Deploy) -> None:
    assert (make_plan(deploy, OURS).go, make_plan(deploy, OURS).release) == (True, "")
    assert not make_plan(deploy, OTHER).go
    assert not make_plan(deploy, OURS, "old").go


@pytest.mark.parametrize("name", SOURCES)
def test_each_part_of_what_is_served_counts(deploy: Deploy, name: str) -> None:
    found = {key: OTHER[key] for key in SOURCES}
    assert not make_plan(deploy, found).go
    assert make_plan(deploy, found | {name: "0" * 64}).go


@pytest.mark.parametrize("event", ["abort", "rollback"])
def test_what_had_its_try_is_not_tried_again_until_a_person_asks(deploy: Deploy, event: Event) -> None:
    add(deploy, "new", DIGESTS, "approved", event)
    plan = make_plan(deploy, OURS)
    assert not plan.go and f"{event} it was" in plan.why
    assert make_plan(deploy, OURS, resume=True) == plan
    assert (make_plan(deploy, OURS, "new").go, make_plan(deploy, OURS, "new").release) == (True, "new")


def test_what_is_built_already_is_not_built_again(deploy: Deploy) -> None:
    add(deploy, "new", DIGESTS, "approved")
    assert (make_plan(deploy, OURS).go, make_plan(deploy, OURS).release) == (True, "new")


def test_an_interrupted_rollout_goes_on_and_no_other_begins(deploy: Deploy) -> None:
    add(deploy, "new", DIGESTS, "approved")
    add(deploy, "third", DIGESTS | {"code": "e" * 64}, "approved")
    trying(deploy, "new")
    for plan in (make_plan(deploy, OURS), make_plan(deploy, OURS, "new"), make_plan(deploy, OTHER, resume=True)):
        assert (plan.go, plan.release) == (True, "new") and "canary, 5 %" in plan.why
    for found, asked in ((OTHER, ""), (OTHER, "third"), (OURS, "third"), (OTHER, "old")):
        with pytest.raises(UserError, match="new is being tried already"):
            make_plan(deploy, found, asked)
    with pytest.raises(UserError, match="new is being tried already"):
        make_plan(deploy, OURS, "third", resume=True)


def test_an_id_that_the_ledger_does_not_know_is_refused(deploy: Deploy) -> None:
    for asked in ("bank-404", "../production"):
        with pytest.raises(UserError):
            make_plan(deploy, OURS, asked)


def test_the_digests_are_those_of_a_release(tmp_path: Path, git: Callable[..., str]) -> None:
    served = ("params.yaml", "dvc.lock", "requirements.lock", "bentofile.yaml", "service.py", "src/a.py")
    for name in (*served, "README.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{name}\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message=x")
    before = sources(tmp_path)
    listed = (line.split(maxsplit=3) for line in git(tmp_path, "ls-tree", "HEAD").splitlines())
    assert before["code"] == of({name: hashed for _, _, hashed, name in listed if covered(name)})
    (tmp_path / "README.md").write_text("other words\n")
    git(tmp_path, "commit", "--quiet", "--all", "--message=words")
    assert sources(tmp_path) == before
    for name in served:
        (tmp_path / name).write_text("changed\n")
        git(tmp_path, "commit", "--quiet", "--all", f"--message={name}")
        assert (after := sources(tmp_path)) != before, name
        before = after


PUSH = Start(by_hand=False, who="ada", run=12)
BY_HAND = replace(PUSH, by_hand=True)


@pytest.fixture
def copy(tmp_path: Path, git: Callable[..., str]) -> Path:
    """A clone with one commit, whose origin has the same."""
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    git(tmp_path, "init", "--quiet", "--initial-branch=trunk", "origin")
    for name in ("dvc.lock", "requirements.lock", "service.py"):
        (origin / name).write_text(name)
    (origin / "params.yaml").write_text((Path(__file__).parents[2] / "params.yaml").read_text())
    git(origin, "add", "--all")
    git(origin, "commit", "--quiet", "--message=Initial commit")
    git(tmp_path, "clone", "--quiet", "origin", "clone")
    return clone


@pytest.fixture
def ledger(copy: Path, tmp_path: Path, git: Callable[..., str]) -> Deploy:
    """A ledger whose stable release is of the clone's commit, followed by a commit that changes what is served."""
    made = Deploy.open(tmp_path / "deploy")
    entry = Entry("old", git(copy, "rev-parse", "HEAD"), digests={"manifest": "m" * 64, **sources(copy)})
    made.commit("old", expect=made.head(), entries=[entry], states=[State("production", stable="old")])
    push(copy, git, "service.py")
    return made


def push(copy: Path, git: Callable[..., str], name: str) -> str:
    with (copy / name).open("a") as stream:
        stream.write("more\n")
    git(copy, "add", "--all")
    git(copy, "commit", "--quiet", "--message=x")
    git(copy, "push", "--quiet", "origin", "HEAD:refs/heads/next")
    commit = git(copy, "rev-parse", "HEAD")
    git(copy.parent / "origin", "reset", "--quiet", "--hard", commit)
    return commit


def test_the_first_push_of_a_copy_releases_nothing(copy: Path, server: GitHub, hub: Any, tmp_path: Path) -> None:
    plan = decide(None, server, PUSH, copy)
    assert not plan.go and "MAINLINE_RELEASES" in plan.why and "by hand" in plan.why and hub.calls == []
    # Nor does a branch deploy that holds no release yet, such as the monitor begins it.
    assert not decide(Deploy.open(tmp_path / "deploy"), server, PUSH, copy).go
    allowed = decide(None, server, replace(PUSH, allowed=True), copy)
    assert allowed == Plan(True, "", "the first release", "the first commit of the repository")
    by_hand = decide(None, server, BY_HAND, copy)
    assert by_hand.go and by_hand.waived == "released by hand by ada, run 12"


def test_a_run_of_an_old_commit_does_nothing(
    copy: Path, ledger: Deploy, server: GitHub, git: Callable[..., str]
) -> None:
    assert moved_on(copy) == ""
    tip = git(copy, "rev-parse", "HEAD")
    git(copy, "switch", "--quiet", "--detach", "HEAD~1")
    for start in (PUSH, BY_HAND, replace(BY_HAND, without_verdict=True)):
        plan = decide(ledger, server, start, copy)
        assert not plan.go and f"trunk has moved on to {tip[:12]}" in plan.why


def test_without_a_verdict_nothing_is_released_by_itself(
    copy: Path, ledger: Deploy, server: GitHub, hub: Any, git: Callable[..., str]
) -> None:
    for start in (PUSH, BY_HAND):
        with pytest.raises(UserError, match="no verdict that says promote: .* GitHub knows of no pull request") as told:
            decide(ledger, server, start, copy)
        assert "without_verdict" in told.value.fix and "release.require_verdict" in told.value.fix
    plan = decide(ledger, server, replace(BY_HAND, without_verdict=True), copy)
    assert plan.go and plan.waived == "released by hand by ada, run 12"
    head = git(copy, "rev-parse", "HEAD")
    hub.pulls[7] = {"number": 7, "merged": True, "merge_commit_sha": head, "head": {"sha": head}, "brought": [head]}
    hub.statuses.append({"sha": head, "state": "success", "description": "promote: x", "context": "mainline/verdict",
                         "creator": {"login": "ada"}})  # fmt: skip
    with pytest.raises(UserError, match="set by ada, not by a workflow"):
        decide(ledger, server, PUSH, copy)


def test_whoever_wants_no_verdict_says_so_in_params(copy: Path, ledger: Deploy, server: GitHub, hub: Any) -> None:
    params = yaml.safe_load((copy / "params.yaml").read_text())
    params["release"]["require_verdict"] = False
    (copy / "params.yaml").write_text(yaml.safe_dump(params))
    assert decide(ledger, server, PUSH, copy).go and hub.calls == []


def test_a_release_that_is_asked_for_by_its_id_is_the_persons(
    copy: Path, ledger: Deploy, server: GitHub, git: Callable[..., str]
) -> None:
    add(ledger, "new", DIGESTS, "approved", "abort")
    git(copy, "switch", "--quiet", "--detach", "HEAD~1")  # an id needs no tip of the branch
    plan = decide(ledger, server, replace(BY_HAND, asked="new"), copy)
    assert (plan.go, plan.release, plan.waived) == (True, "new", "released by hand by ada, run 12")


def test_a_ledger_of_another_repository_is_refused_by_name(
    copy: Path, ledger: Deploy, server: GitHub, git: Callable[..., str]
) -> None:
    """`Include all branches` copies the template's branch deploy, whose commits are not in the copy."""
    ledger.commit("x", expect=ledger.head(), entries=[replace(ledger.entry("old"), commit="c" * 40)])
    with pytest.raises(
        UserError, match="branch deploy: old is stable there, and its commit cccccccccccc is not in"
    ) as told:
        decide(ledger, server, PUSH, copy)
    assert "git push origin --delete deploy" in told.value.fix


def test_a_release_that_a_run_is_at_work_on_is_left_to_it(deploy: Deploy) -> None:
    add(deploy, "new", DIGESTS, "approved")
    assert make_plan(deploy, OURS, running=lambda _: 0).go
    plan = make_plan(deploy, OURS, running=lambda _: 9)
    assert not plan.go and "run 9 is at work on new, or waits for its approval" in plan.why
    trying(deploy, "new")
    for resume in (True, False):  # no second run beside the first
        plan = make_plan(deploy, OURS, resume=resume, running=lambda _: 9)
        assert not plan.go and "run 9 is at work on new" in plan.why
    third = {name: "e" * 64 for name in SOURCES}
    plan = make_plan(deploy, third, running=lambda _: 9)
    assert (plan.go, plan.release) == (True, "") and "its rollout waits for run 9" in plan.why
    with pytest.raises(UserError, match="new is being tried already"):
        make_plan(deploy, third)


@pytest.mark.parametrize(
    ("status", "own", "expected"), [("waiting", 12, 9), ("in_progress", 12, 9), ("completed", 12, 0), ("waiting", 9, 0)]
)
def test_whether_a_run_is_at_work_is_asked_of_github(
    deploy: Deploy, server: GitHub, hub: Any, status: str, own: int, expected: int
) -> None:
    happened = [Transition("new", "staging", "staged", "release, run 9, started by ada", "ok")]
    deploy.commit("new", expect=deploy.head(), entries=[Entry("new", "c" * 40)], transitions=happened)
    hub.runs[9] = {"id": 9, "status": status}
    assert working_on(deploy.entry("new"), server, own) == expected
    hub.refuse["/actions/runs"] = 403
    assert working_on(deploy.entry("new"), server, own) == 0 and working_on(deploy.entry("old"), server, own) == 0


def test_what_started_the_run_is_read_from_its_environment() -> None:
    known = {"GITHUB_EVENT_NAME": "workflow_dispatch", "GITHUB_ACTOR": "ada", "GITHUB_TRIGGERING_ACTOR": "grace",
             "GITHUB_RUN_ID": "12", "WITHOUT_VERDICT": "true", "MAINLINE_RELEASES": "TRUE"}  # fmt: skip
    assert Start.read(" bank-1 ", known) == Start(True, "grace", "bank-1", True, True, 12)
    assert Start.read("", {"GITHUB_EVENT_NAME": "push", "MAINLINE_RELEASES": "false"}) == Start(False, "somebody")
