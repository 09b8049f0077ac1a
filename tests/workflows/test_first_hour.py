"""The first hour of a new copy, as docs/first-hour.md tells it, on four kinds of repositories.

The workflows run under act once, in an organisation that allows GitHub's own actions only; what they leave behind is
taken up by the other cases, in which plans, people and tokens differ.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

from mainline.ci.release_plan import Start, decide
from mainline.cli import app
from mainline.doctor.found import Finding
from mainline.doctor.run import examine
from mainline.doctor.sight import sight
from mainline.errors import UserError
from mainline.github import GitHub

pytestmark = pytest.mark.slow
FORK = "eve/loans"
SHORT = {"rate": 100, "users": 100, "pairs": 60, "shadow_seconds": 30, "requests": 10, "seconds": 0.5}


def load(name: str) -> ModuleType:
    """Return a module that stands beside this one."""
    spec = importlib.util.spec_from_file_location(f"first_hour_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


HARNESS, SETTINGS = load("conftest"), load("settings")


@dataclass
class Hour:
    """One new copy: its clone and origin, GitHub's settings, and what a person at a terminal does."""

    place: Any
    settings: Any
    environment: dict[str, str] = field(default_factory=dict)

    def git(self, *arguments: str) -> str:
        """Run git in the clone."""
        return str(HARNESS.git(self.place.clone, *arguments))

    def command(self, *arguments: str) -> tuple[int, str]:
        """Run a command of `mainline` at the top of the clone, with the person's token."""
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.place.clone)
            for name in ("GITHUB_ACTIONS", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_EVENT_PATH"):
                patch.delenv(name, raising=False)
            for name, value in self.known().items():
                patch.setenv(name, value)
            done = CliRunner().invoke(app, [*arguments])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.output

    def known(self) -> dict[str, str]:
        """Return the environment of that person."""
        ours = {"GITHUB_REPOSITORY": HARNESS.REPOSITORY, "GITHUB_TOKEN": self.place.token}
        return ours | {"GITHUB_API_URL": self.place.hub.url} | self.environment

    def steps(self) -> dict[str, Finding]:
        """Return the steps as `mainline doctor` finds them."""
        self.git("fetch", "--quiet", "--prune", "origin")
        self.git("switch", "--quiet", "main")
        self.git("reset", "--quiet", "--hard", "origin/main")
        with sight(self.place.clone, self.known()) as seen:
            return {item.check: item for item in examine(seen)}

    def to_do(self) -> list[str]:
        """Return the names of the steps that are required and not done."""
        return [name for name, item in self.steps().items() if item.status in ("gap", "broken")]

    def protect(self) -> None:
        """Make both environments, for main alone, as a person clicks them."""
        policy = {"protected_branches": True, "custom_branch_policies": False}
        self.settings.environments += [
            {"name": name, "protection_rules": [], "deployment_branch_policy": policy}
            for name in ("staging", "production")
        ]

    def plan(self, event: str) -> Any:
        """Return what a run of `release` would do, started by this event."""
        self.steps()
        start = Start(event == "workflow_dispatch", "ada", allowed="MAINLINE_RELEASES" in self.settings.variables)
        server = GitHub(HARNESS.REPOSITORY, self.place.token, self.place.hub.url)
        there = HARNESS.git(self.place.top / "origin.git", "for-each-ref", "refs/heads/deploy")
        assert not there, "the ledger is another test's business"
        return decide(None, server, start, self.place.clone)

    def branch(self, name: str, change: Callable[[str], str]) -> str:
        """Put a change on the branch topic, made from main, and push it; return its head."""
        self.git("fetch", "--quiet", "origin")
        self.git("switch", "--quiet", "--force-create", "topic", "origin/main")
        return str(self.place.edit(name, change))

    def state(self, commit: str) -> str:
        """Return the newest status mainline/verdict of a commit."""
        states = [item["state"] for item in self.place.hub.statuses if item["sha"] == commit]
        return str(states[-1]) if states else ""


@dataclass
class Kept:
    """A pull request that changes the model, whose run under act is taken up by several cases."""

    begun: str  # main as the copy begins
    owned: str  # main with its owners named
    head: str = ""
    outcome: Any = None

    def again(self, place: Any) -> str:
        """Put the pull request's head on the branch topic, and what its run has uploaded in place; return the head."""
        HARNESS.git(place.clone, "switch", "--quiet", "--force-create", "topic", self.head)
        HARNESS.git(place.clone, "push", "--quiet", "--force", "origin", "topic")
        shutil.rmtree(place.hub.artifacts, ignore_errors=True)
        shutil.copytree(place.top / "kept", place.hub.artifacts)
        place.opened()
        return self.head


@pytest.fixture(scope="module")
def place(start: Path, lent: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The copy that all cases begin with; a busy machine is not too slow for its gates."""
    with HARNESS.make_place(start, tmp_path_factory.mktemp("hour") / "place", lent) as made:
        made.hub.origin, made.hub.artifacts = made.top / "origin.git", made.top / "artifacts"
        HARNESS.git(made.clone, "switch", "--quiet", "main")
        for name in ("params.yaml", "dvc.lock"):
            file = made.clone / name
            text = file.read_text(encoding="utf-8")
            assert "latency_ms: 50" in text
            file.write_text(text.replace("latency_ms: 50", "latency_ms: 5000"), encoding="utf-8")
        # One commit, as *Use this template* makes it.
        HARNESS.git(made.clone, "add", "--all")
        only = HARNESS.git(made.clone, "commit-tree", HARNESS.git(made.clone, "write-tree"), "-m", "Initial commit")
        HARNESS.git(made.clone, "reset", "--quiet", "--hard", only)
        HARNESS.git(made.clone, "push", "--quiet", "--force", "origin", "main")
        yield made


@pytest.fixture(scope="module")
def kept(place: Any) -> Kept:
    """The two commits that main begins with, and the run of a pull request on the second."""
    begun = HARNESS.git(place.clone, "rev-parse", "main")
    file = place.clone / ".github" / "CODEOWNERS"
    file.write_text(file.read_text(encoding="utf-8").replace("@your-org/ml-owners", "@ada"), encoding="utf-8")
    HARNESS.git(place.clone, "commit", "--quiet", "--all", "--message=Name the owners")
    HARNESS.git(place.clone, "push", "--quiet", "origin", "main")
    found = Kept(begun, HARNESS.git(place.clone, "rev-parse", "main"))
    HARNESS.git(place.clone, "switch", "--quiet", "--force-create", "topic", "main")
    found.head = place.edit("params.yaml", lambda text: text.replace("C: 1.0", "C: 0.5"))
    found.outcome = place.run()
    assert found.outcome.code == 0 and place.hub.calls == [], "a run of a pull request's code has asked GitHub"
    shutil.copytree(place.hub.artifacts, place.top / "kept")
    return found


def made(place: Any, main: str, **settings: Any) -> Hour:
    """Return a copy of these settings whose main is at this commit, and of which GitHub knows nothing yet."""
    hub = place.hub
    for held in (hub.statuses, hub.checks, hub.comments, hub.rulesets, hub.parked, hub.calls, hub.refused):
        held.clear()
    hub.pulls.clear()
    hub.__dict__.pop("answer", None)
    hour = Hour(place, SETTINGS.Settings(hub, hub.origin, **settings).install())
    hour.settings.git("update-ref", "refs/heads/main", main)
    return hour


def test_a_copy_of_one_maintainer_in_an_organisation_with_an_allow_list(place: Any, kept: Kept) -> None:
    hour = made(place, kept.begun, allowed=["actions/*"])
    hub, settings = place.hub, hour.settings
    # The list of a copy on which nothing was clicked yet.
    found = hour.steps()
    assert found["GitHub"].status == found["plan"].status == found["lock"].status == "ok"
    assert found["actions"].status == "optional" and "comment.yml" in found["actions"].text
    assert hour.to_do() == ["code owners", "rules of main", "rules of deploy", "environments"]
    # GitHub would start every workflow but the one that nothing waits for.
    workflows = place.clone / ".github" / "workflows"
    for workflow in sorted(workflows.iterdir()):
        if workflow.name != "comment.yml":
            settings.start(workflow)
    with pytest.raises(SETTINGS.Refusal, match="setup-cml.* is not allowed"):
        settings.start(workflows / "comment.yml")
    # What the list says is done, in its order.
    settings.git("update-ref", "refs/heads/main", kept.owned)
    assert hour.to_do() == ["rules of main", "rules of deploy", "environments"]
    code, said = hour.command("github", "ruleset", "--reviews", "1")
    assert code == 0 and hour.steps()["rules of main"].status == "broken", said
    code, said = hour.command("github", "ruleset", "--reviews", "0")
    assert code == 0 and [item["name"] for item in hub.rulesets] == ["mainline", "mainline deploy"], said
    assert hour.to_do() == ["environments"]
    hour.protect()
    assert hour.to_do() == []
    assert hour.command("github", "labels")[0] == 0 and settings.labels == ["bug", "retrain-approved", "mute"]
    # Words: judged by git alone.
    words = hour.branch("README.md", lambda text: text + "One more word.\n")
    assert place.begin().code == 0 and hour.state(words) == "success"
    # A model: trained by the pull request's run, judged by main's code, locked on the branch.
    head = kept.again(place)
    assert place.begin().code == 0 and hour.state(head) == "pending"
    with pytest.raises(SETTINGS.Refusal, match="is pending"):
        settings.merge(7)
    assert place.report(kept.outcome).code == 0
    locked = place.origin
    assert locked != head and hour.state(locked) == "success" and hub.refused == []
    assert [item["head_sha"] for item in hub.parked] == [locked], "the run that GitHub holds for approval"
    merged = settings.merge(7)
    assert settings.git("show", f"{merged}:dvc.lock") == settings.git("show", f"{locked}:dvc.lock")
    # The merge releases nothing, since nobody has started a release; a start by hand would.
    pushed = place.finish(place.start("push", "release.yml"))
    assert pushed.code == 0 and "nothing is released by itself" in pushed.log
    assert not settings.git("for-each-ref", "refs/heads/deploy")
    assert hour.to_do() == [] and hour.steps()["first release"].status == "optional"
    settings.variables["MAINLINE_RELEASES"] = "true"
    assert hour.steps()["first release"].status == "ok"
    assert hour.plan("push").go and not hour.plan("push").waived
    assert hour.plan("workflow_dispatch").go


def test_a_push_of_a_new_copy_releases_nothing_and_says_what_to_do(place: Any, kept: Kept) -> None:
    hour = made(place, kept.begun)
    found = hour.plan("push")
    assert not found.go and "by hand" in found.why


def test_a_private_copy_on_github_free(place: Any, kept: Kept) -> None:
    hour = made(place, kept.begun, visibility="private")
    assert hour.to_do() == []
    found = hour.steps()
    assert {
        found[name].status for name in ("plan", "code owners", "rules of main", "rules of deploy", "environments")
    } == {"optional"}
    code, said = hour.command("github", "ruleset", "--reviews", "0")
    assert code == 1 and "plan" in said and "Upgrade" in said
    # Nothing blocks a merge without a verdict; the release is what refuses it.
    hour.branch("params.yaml", lambda text: text.replace("C: 1.0", "C: 0.25"))
    place.opened()
    hour.settings.merge(7)
    hour.settings.variables["MAINLINE_RELEASES"] = "true"
    with pytest.raises(UserError, match="no verdict that says promote"):
        hour.plan("push")
    assert hour.plan("workflow_dispatch").waived.startswith("released by hand by ada")
    assert hour.to_do() == ["lock"], "what was merged without its run"


def test_a_team_is_asked_for_a_review_and_may_give_it(place: Any, kept: Kept) -> None:
    hour = made(place, kept.owned, people=["ada", "grace"])
    assert hour.command("github", "ruleset")[0] == 0
    assert hour.steps()["rules of main"].status == "ok"
    head = hour.branch("docs/tutorial.md", lambda text: text + "One more word.\n")
    place.opened()
    place.hub.statuses.append({"sha": head, "state": "success", "context": "mainline/verdict"})
    for person in ("ada", "grace"):
        with pytest.raises(SETTINGS.Refusal, match="approving review is required"):
            hour.settings.merge(7)
        if person == "ada":
            with pytest.raises(SETTINGS.Refusal, match="own pull request"):
                hour.settings.approve(7, person)
    hour.settings.approve(7, "grace")
    hour.settings.merge(7)


def test_a_pull_request_of_a_fork(place: Any, kept: Kept) -> None:
    """Its token can only read and its run gets no secret; main's code tells what it may be told."""
    hour = made(place, kept.owned)
    assert hour.command("github", "ruleset")[0] == 0
    words = hour.branch("README.md", lambda text: text + "A word from outside.\n")
    assert place.begin(home=FORK).code == 0 and hour.state(words) == "success"
    # The run of a model asks GitHub nothing, so a token that can only read is enough; what it uploads is a claim.
    head = kept.again(place)
    assert place.begin(home=FORK).code == 0 and hour.state(head) == "pending"
    place.hub.calls.clear()
    assert place.report(kept.outcome, home=FORK).code == 0
    assert hour.state(head) != "success" and place.origin == head
    assert "POST /graphql" not in place.hub.calls and "a claim, not a verdict" in place.hub.comments[-1]["body"]
    with pytest.raises(SETTINGS.Refusal, match="mainline/verdict"):
        hour.settings.merge(7)
