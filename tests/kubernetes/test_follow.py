"""The whole way without a cluster: the runner's clone, the follower's, their bare origin, and a stand-in for Argo."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from mainline.ci import host, production
from mainline.cli import app
from mainline.config import Rollout, Settings, load_settings
from mainline.config_rooms import Host as HostRules
from mainline.errors import UserError
from mainline.release import beat
from mainline.release.ledger import Deploy, Entry, State
from mainline.release.repo import Repo
from mainline.rollout import here
from mainline.rollout.controller import Controller
from mainline.rollout.kubernetes import folder
from mainline.rollout.kubernetes.follow import Ear
from mainline.rollout.kubernetes.plan import Image
from mainline.rollout.kubernetes.seen import read
from mainline.rollout.plan import Plan

ROOT = Path(__file__).parents[2]
PARAMS = (ROOT / "params.yaml").read_text(encoding="utf-8").replace("target: rehearsal", "target: kubernetes")
PARAMS = PARAMS.replace("silence_seconds: 600", "silence_seconds: 100")
NAMES = ("bank-older", "bank-old", "bank-new")
IMAGE = {
    name: Image(f"shop.example/bank@sha256:{letter * 64}", name) for name, letter in zip(NAMES, "abc", strict=True)
}
RULES = Rollout(target="kubernetes", max_seconds=3000, host=HostRules(poll_seconds=40, silence_seconds=100))
PLAN = Plan("canary", (5, 50, 100), 10, 60.0, 10, 1.0, 3000.0, 60.0)
CONTROLLER = here.controller
NO_PLANE: Any = type("NoPlane", (), {"find": staticmethod(Path)})()


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone and its bare origin, twice: "old" is stable and in the folder; and "new" is tried and in the folder.

    "older" was stable before; all have images. The schemas are left out here and below: other tests hold the same files
    against them.
    """
    place = tmp_path_factory.mktemp("begun")
    made = Deploy.open(place / "serving/clone")
    entries = [Entry(name, "c" * 40, digests={"image": IMAGE[name].reference}) for name in NAMES]
    began = made.clock().isoformat()
    serving = State("production", stable="bank-old", previous=("bank-older",))
    tried = replace(serving, candidate="bank-new", plan=replace(PLAN, began=began).asdict(), started=began, revision=1)
    for name, state, image in (("serving", serving, "bank-old"), ("trying", tried, "bank-new")):
        if name == "trying":
            shutil.copytree(place / "serving/clone", place / "trying/clone")
            made = Deploy.open(place / "trying/clone")
        made.commit("begin", expect=made.head(), states=[state], entries=entries)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("mainline.rollout.kubernetes.check.schema_faults", lambda _: [])
            files = folder.files_of(made, IMAGE[image], lambda _: load_settings(ROOT / "params.yaml"))
        made.commit(f"name {image}", expect=made.head(), files=files)
        subprocess.run(["git", "init", "--quiet", "--bare", place / name / "origin.git"], check=True)
        made.repo.git("push", "--quiet", str(place / name / "origin.git"), "deploy")
    return place


@dataclass
class World:
    """``cpu`` is what params.yaml of any release asks for; ``argo`` follows the origin's folder at each pause."""

    runner: Deploy
    ear: Ear
    argo: Any
    cpu: str = "500m"
    time: float = 0.0
    acts: Any = ()

    def settings(self, entry: Entry) -> Settings:
        settings = load_settings(ROOT / "params.yaml")
        return settings.model_copy(update={"kubernetes": settings.kubernetes.model_copy(update={"cpu": self.cpu})})

    def sync(self) -> None:
        """Do what Argo CD does, with the folder as the last look has left it."""
        self.argo.sync(folder.named(self.ear.of.deploy))

    def settle(self, looks: int = 6) -> None:
        for _ in range(looks):
            self.ear.look()
            self.sync()
        self.ear.look()

    def pause(self, seconds: float) -> None:
        self.time += seconds
        for act in self.acts[:1]:
            act()
        self.acts = self.acts[1:]
        self.settle(1)

    @property
    def watch(self) -> host.Watch:
        return host.Watch(self.runner, RULES, lambda: self.time, self.pause)

    def start(self, name: str = "bank-new") -> None:
        of = host.controller("production")
        of.state()
        of.start(name, PLAN)

    def events(self, name: str = "bank-new") -> list[Any]:
        self.runner.refresh()
        return list(self.runner.entry(name).transitions)

    def named(self) -> str | None:
        self.runner.refresh()
        found = folder.named(self.runner)
        return found.release if found else None

    def text(self, path: str = "base/deployment.yaml") -> str:
        self.runner.refresh()
        return self.runner.repo.read(f"{folder.FOLDER}/{path}") or ""

    def heard(self) -> beat.Beat:
        found = beat.get(self.runner, "production")
        assert found is not None
        return found


@pytest.fixture
def made(begun: Path, empty: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], World]:
    """Return a world by its name, with an empty cluster."""
    monkeypatch.setattr("mainline.rollout.kubernetes.check.schema_faults", lambda _: [])
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(PARAMS, encoding="utf-8")

    def make(which: str) -> World:
        shutil.copytree(begun / which / "origin.git", "origin.git")
        world = World.__new__(World)
        acting = []
        for name in ("runner", "follower"):
            shutil.copytree(begun / which / "clone", name)
            deploy = Deploy.open(tmp_path / name, str(tmp_path / "origin.git"))
            of = Controller(deploy, NO_PLANE, RULES, lambda _: {}, NO_PLANE, journals=tmp_path / "rollouts", by=name)
            of.also = folder.with_stable(deploy, lambda entry: world.settings(entry))
            acting.append(of)
        ear = Ear(acting[1], lambda: read(empty.answer(), "bank"), lambda entry: world.settings(entry), 0.0)
        world.__init__(acting[0].deploy, ear, empty)  # type: ignore[misc]
        monkeypatch.setattr(host, "plan_of", lambda *_: PLAN)
        for module in (host, production, here):
            monkeypatch.setattr(module, "controller", lambda *_, **__: acting[0])
        return world

    return make


@pytest.fixture
def serving(made: Callable[[str], World]) -> World:
    """The cluster serves what git calls stable."""
    world = made("serving")
    world.argo.sync(IMAGE["bank-old"])
    return world


@pytest.fixture
def trying(made: Callable[[str], World]) -> World:
    """The cluster has begun with the candidate."""
    world = made("trying")
    world.argo.sync(IMAGE["bank-old"])
    world.argo.sync(IMAGE["bank-new"])
    return world


def test_a_release_gets_its_users_from_argo_and_the_workflow_hears_of_it(
    serving: World, capsys: pytest.CaptureFixture[str]
) -> None:
    def as_on_a_host() -> None:
        serving.runner.refresh()
        state = serving.runner.state("production")
        assert (state.phase, state.weight, state.step) == ("canary", 50, 1)
        assert (serving.heard().candidate, serving.heard().weight) == ("bank-new", 50)
        serving.argo.weigh(100, 7)

    serving.acts = [
        lambda: None,
        lambda: serving.argo.weigh(5, 1),
        lambda: serving.argo.weigh(50, 4),
        as_on_a_host,
        lambda: serving.argo.promote(),
    ]
    assert host.roll_out("bank-new", serving.runner, serving.watch)
    events = serving.events()
    assert [(item.event, item.weight) for item in events] == [
        ("step", 5), ("step", 50), ("step", 100), ("promote", 100)]  # fmt: skip
    assert events[0].evidence["current"] == "bank-new" and events[0].by == "follower"
    state = serving.runner.state("production")
    assert (state.stable, state.previous, state.candidate, state.phase) == (
        "bank-new", ("bank-old", "bank-older"), None, None)  # fmt: skip
    assert serving.named() == "bank-new", "and it stays in the folder"
    assert serving.heard().stable == "bank-new"
    assert "Argo Rollouts gives it 50 %" in capsys.readouterr().out
    head = serving.runner.head()
    serving.settle(1)
    assert serving.heard().revision == state.revision
    assert serving.runner.refresh() == head, "nothing changes, nothing is written"


def test_an_abort_by_argo_stands_in_the_ledger_and_the_folder_has_the_very_files_of_stable_again(
    serving: World, run_of: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    path = f"{folder.FOLDER}/base/deployment.yaml"
    by_hand = {path: serving.text().replace("500m", "600m")}
    serving.runner.commit("more, at once", expect=serving.runner.head(), files=by_hand)
    before = serving.text()
    assert "600m" in before
    serving.cpu = "900m"
    new = serving.argo.digest(IMAGE["bank-new"])

    def fails() -> None:
        serving.argo.runs = [run_of(new, 2, "Failed", errors=("Failed", "[7.25]"))]
        serving.argo.abort('Metric "errors" assessed Failed due to failed (1) > failureLimit (0)')

    serving.acts = [lambda: None, lambda: serving.argo.weigh(5, 1), lambda: serving.text() != before or 1 / 0, fails]
    assert not host.roll_out("bank-new", serving.runner, serving.watch)
    last = serving.events()[-1]
    assert last.event == "abort" and "after 5 %: RolloutAborted" in last.why and "errors: Failed ([7.25])" in last.why
    assert serving.runner.evidence(last)["analysis"][0]["metrics"][0]["value"] == "[7.25]"
    assert serving.named() == "bank-old" and serving.text() == before, "not rendered anew: equal pods"
    files = serving.runner.repo.git("show", "--name-only", "--format=", ":/abort bank-new").split()
    assert {"production.yaml", "ledger/bank-new.yaml", folder.OVERLAY} <= set(files), "all of it in one commit"
    assert "was not promoted: abort; bank-old is stable" in capsys.readouterr().out
    serving.settle(1)
    assert serving.argo.status["phase"] == "Healthy" and serving.heard().stable == "bank-old"
    serving.argo.runs = []
    serving.start()
    serving.settle(1)
    assert serving.named() == "bank-new" and "900m" in serving.text(), "asked for again, it is tried again"


def test_a_rollback_is_git_alone_and_brings_back_the_files_of_then(serving: World) -> None:
    before = serving.text()
    serving.cpu = "900m"
    serving.start()
    serving.settle(2)
    serving.argo.promote()
    serving.settle(1)
    assert "900m" in serving.text() and serving.runner.state("production").stable == "bank-new"
    serving.ear.ask = lambda: 1 / 0  # type: ignore[assignment,return-value]
    done = production.go_back("", "complaints", serving.runner, None)
    assert (done.state.stable, done.left, done.live) == ("bank-old", "bank-new", False)
    assert serving.named() == "bank-old" and serving.text() == before, "nobody had to hear of it"
    assert [item.event for item in serving.events()][-1] == "rollback"
    serving.ear.ask = lambda: read(serving.argo.answer(), "bank")
    serving.acts = []
    assert host.followed(serving.runner, serving.watch), "green once the cluster serves it"
    assert serving.argo.status["stableRS"] == serving.argo.digest(IMAGE["bank-old"])


def test_it_is_red_while_the_cluster_gives_users_to_what_was_dropped(
    trying: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    production.drop("odd")
    with monkeypatch.context() as patch:
        patch.setattr(trying.argo, "sync", lambda _: None)
        assert not host.followed(trying.runner, trying.watch), "stable is the right one, but not alone"
    assert "Is `mainline kubernetes follow` running there" in capsys.readouterr().out
    assert (trying.heard().stable, trying.heard().candidate) == ("bank-old", "bank-new")
    assert host.followed(trying.runner, trying.watch)


def test_a_rollback_to_what_has_no_image_is_refused_and_a_drop_is_not(serving: World) -> None:
    known = serving.runner.entry("bank-older")
    serving.runner.commit("lose", expect=serving.runner.head(), entries=[replace(known, digests={})])
    with pytest.raises(UserError, match="bank-older: the ledger has no image"):
        production.go_back("", "complaints", serving.runner, None)
    assert serving.runner.state("production").stable == "bank-old"
    serving.start()
    serving.settle(2)
    assert serving.named() == "bank-new"
    assert production.drop("odd") == "bank-new" and serving.named() == "bank-old"
    assert serving.runner.state("production").candidate is None


def test_the_one_who_has_no_image_is_aborted_with_the_reason(serving: World) -> None:
    known = serving.runner.entry("bank-new")
    serving.runner.commit("lose", expect=serving.runner.head(), entries=[replace(known, digests={})])
    assert not host.roll_out("bank-new", serving.runner, serving.watch)
    assert "no image of it (`mainline release image bank-new" in serving.events()[-1].why
    assert serving.named() == "bank-old"


def test_the_one_whose_files_would_be_wrong_is_aborted_with_the_reason(
    serving: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "check", lambda _: {"production": ["Rollout bank: no pods"]})
    serving.start()
    serving.settle(1)
    assert serving.events()[-1].event == "abort" and "Rollout bank: no pods" in serving.events()[-1].why
    assert serving.named() == "bank-old"


def test_in_an_empty_cluster_stable_comes_first_and_a_candidate_only_when_it_serves(
    made: Callable[[str], World],
) -> None:
    world = made("trying")
    world.ear.look()
    assert world.named() == "bank-old", "Argo makes no steps for the first of a cluster"
    world.ear.look()
    assert world.named() == "bank-old"
    world.sync()
    world.argo.status["phase"] = "Progressing"
    world.ear.look()
    assert world.named() == "bank-old"
    world.argo.status["phase"] = "Healthy"
    world.ear.look()
    assert world.named() == "bank-new" and world.events() == []


def test_a_cluster_that_cannot_be_asked_is_no_news_and_the_workflow_hears_why(
    trying: World, capsys: pytest.CaptureFixture[str]
) -> None:
    honest, head = trying.ear.ask, trying.runner.refresh()

    def away() -> Any:
        raise UserError("kubectl: You must be logged in", "log in")

    trying.ear.ask = away
    trying.argo.promote()
    assert trying.ear.look().kind == "refuse"
    assert trying.ear.look().kind == "refuse"
    assert trying.runner.refresh() == head, "nothing was decided"
    said = trying.heard()
    assert (said.trouble, said.stable, said.revision) == ("kubectl: You must be logged in", None, None)
    assert capsys.readouterr().out.count("You must be logged in") == 1, "said once, not at each look"
    trying.ear.ask = honest
    trying.ear.look()
    assert trying.events()[-1].event == "promote"
    trying.ear.look()
    assert trying.heard().trouble == ""


def test_what_waits_for_a_person_is_told_once(trying: World) -> None:
    trying.argo.weigh(5, 2)
    trying.ear.look()
    trying.argo.status["pauseConditions"] = [{"reason": "InconclusiveAnalysisRun", "startTime": "2026-01-01T01:00:00Z"}]
    for _ in range(3):
        trying.ear.look()
    assert [item.event for item in trying.events()] == ["step", "hold"]
    assert "waits for a person at 5 %: InconclusiveAnalysisRun since 2026-01-01T01" in trying.events()[-1].why
    trying.argo.weigh(50, 4)
    trying.ear.look()
    assert trying.events()[-1].event == "step", "and it goes on"


@pytest.mark.parametrize("where", ["before the commit", "after the push"])
def test_killed_between_the_files_and_the_commit_it_goes_on(
    serving: World, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving.start()
    place = (Deploy, "commit") if where == "before the commit" else (Repo, "move")
    honest = getattr(*place)

    def killed(self: Any, *given: Any, **more: Any) -> Any:
        if Path("follower") == Path((self.repo if place[0] is Deploy else self).folder).relative_to(Path.cwd()):
            raise KeyboardInterrupt
        return honest(self, *given, **more)

    with monkeypatch.context() as patch:
        # The look's own refresh moves the reference, too: it must have happened.
        serving.ear.of.state()
        patch.setattr(*place, killed)
        with pytest.raises(KeyboardInterrupt):
            serving.ear.look()
    assert serving.named() == ("bank-old" if where == "before the commit" else "bank-new")
    opened = Deploy.open(Path("follower").resolve())
    serving.ear.of.deploy = opened
    serving.settle(2)
    serving.argo.weigh(5, 1)
    serving.ear.look()
    assert serving.named() == "bank-new" and [item.event for item in serving.events()] == ["step"]


def test_a_branch_that_moves_meanwhile_costs_a_look(trying: World) -> None:
    trying.argo.promote()
    honest = trying.ear.ask

    def late() -> Any:
        trying.ear.ask = honest
        production.drop("somebody was faster")
        return honest()

    trying.ear.ask = late
    assert trying.ear.look().kind == "wait"
    assert [item.event for item in trying.events()] == ["abort"], "what somebody else has decided stands"
    trying.settle(2)
    assert trying.argo.status["stableRS"] == trying.argo.digest(IMAGE["bank-old"])


def test_two_of_them_write_everything_once(trying: World, tmp_path: Path) -> None:
    deploy = Deploy.open(tmp_path / "second", str(tmp_path / "origin.git"))
    of = Controller(deploy, NO_PLANE, RULES, lambda _: {}, NO_PLANE, by="second")
    second = Ear(of, trying.ear.ask, trying.settings, 0.0)
    for act in (lambda: trying.argo.weigh(5, 1), lambda: trying.argo.promote()):
        act()
        for ear in (trying.ear, second, trying.ear):
            ear.look()
    assert [item.event for item in trying.events()] == ["step", "promote"]


def test_a_cluster_that_runs_something_else_is_refused_and_said(trying: World) -> None:
    head = trying.runner.refresh()
    trying.argo.images[1] = Image("shop.example/bank@sha256:" + "d" * 64, "bank-new")
    trying.argo.status["currentPodHash"] = trying.argo.digest(trying.argo.images[1])
    trying.argo.promote()
    assert trying.ear.look().kind == "refuse"
    assert trying.runner.refresh() == head and "the ledger has shop.example" in trying.heard().trouble


def test_a_folder_that_was_broken_by_hand_is_written_anew(serving: World) -> None:
    before, head = serving.text("overlays/production/kustomization.yaml"), serving.runner.refresh()
    serving.runner.commit("oops", expect=head, files={folder.OVERLAY: "patches: [\n"})
    assert serving.named() is None
    serving.ear.look()
    assert serving.text("overlays/production/kustomization.yaml") == before


def test_only_the_clusters_folder_can_be_written_beside_the_ledger(serving: World) -> None:
    for path in ("production.yaml", "monitor/x", "kubernetes/../production.yaml"):
        with pytest.raises(ValueError, match="not below kubernetes/"):
            serving.runner.commit("no", expect=serving.runner.head(), files={path: ""})


def test_only_commits_to_a_remote_bring_the_folder_along(
    serving: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(here, "load_project", lambda _: SimpleNamespace(slices={}, value=None))
    state = replace(serving.runner.state("production"), stable="bank-older")
    assert CONTROLLER("production").also(state) == {}, "a rehearsal on a laptop needs no image"
    monkeypatch.setenv("MAINLINE_DEPLOY_REMOTE", str(tmp_path / "origin.git"))
    shutil.rmtree(tmp_path / ".mainline")
    assert CONTROLLER("staging").also(state) == {}
    of = CONTROLLER("production")
    assert of.also(replace(state, stable="bank-old")) == {}, "it is named already"
    with pytest.raises(UserError, match="bank-older: its commit cccccccccccc is not here"):
        of.also(state)
    Path("params.yaml").write_text(PARAMS.replace("target: kubernetes", "target: host"), encoding="utf-8")
    assert CONTROLLER("production").also(state) == {}


def test_params_are_the_releases_own_whatever_is_checked_out(tmp_path: Path) -> None:
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@localhost"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    (tmp_path / "params.yaml").write_text(PARAMS.replace("cpu: 500m", "cpu: 900m"), encoding="utf-8")
    subprocess.run([*git, "add", "params.yaml"], check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", "x"], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    (tmp_path / "params.yaml").write_text(PARAMS, encoding="utf-8")
    own = folder.released_settings(tmp_path)
    assert own(Entry("bank-new", commit)).kubernetes.cpu == "900m"
    with pytest.raises(UserError, match="its commit cccccccccccc is not here, nor at origin"):
        own(Entry("bank-new", "c" * 40))


def test_what_argo_has_to_do_is_refused_here(serving: World) -> None:
    head = serving.runner.refresh()
    for words in (["run"], ["run", "--forever"], ["tick"], ["start", "bank-new"], ["promote", "--why", "now"]):
        done = CliRunner().invoke(app, ["rollout", *words])
        assert done.exit_code == 1 and "is for Argo Rollouts to do there" in done.output, words
    assert serving.runner.refresh() == head


def test_abort_and_rollback_by_hand_are_git_alone(trying: World) -> None:
    done = CliRunner().invoke(app, ["rollout", "abort", "--why", "odd"])
    assert done.exit_code == 0 and "aborted: bank-new" in done.output
    assert trying.named() == "bank-old" and trying.events()[-1].why == "odd"
    done = CliRunner().invoke(app, ["rollback", "--why", "complaints"])
    assert done.exit_code == 0 and "bank-older is stable again instead of bank-old" in done.output
    assert trying.named() == "bank-older"
    assert CliRunner().invoke(app, ["rollout", "abort"]).exit_code == 1, "nothing is being tried"


def test_the_command_looks_through_kubectl(serving: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "answer.json").write_text(json.dumps(serving.argo.answer()), encoding="utf-8")
    program = tmp_path / "kubectl"
    program.write_text(f"#!/bin/sh\ncat {tmp_path}/answer.json\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    done = CliRunner().invoke(app, ["kubernetes", "follow", "--once"])
    assert done.exit_code == 0 and "stable bank-old answers everybody" in done.output, done.output
    (tmp_path / "answer.json").unlink()
    done = CliRunner().invoke(app, ["kubernetes", "follow", "--once"])
    assert done.exit_code == 1 and "answer.json" in done.output
    of = here.controller()
    monkeypatch.setattr(of, "deploy", replace(of.deploy, remote=None))
    done = CliRunner().invoke(app, ["kubernetes", "follow"])
    assert done.exit_code == 1 and "follows no remote" in done.output
    monkeypatch.setattr(of, "rules", Rollout(target="host"))
    done = CliRunner().invoke(app, ["kubernetes", "follow"])
    assert done.exit_code == 1 and "rollout.target is host" in done.output
