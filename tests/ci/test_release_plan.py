from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mainline.ci.release_plan import SOURCES, make_plan, sources
from mainline.errors import UserError
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
