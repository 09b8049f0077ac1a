"""The commands, on a stage of stand-ins."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mainline.cli import app
from mainline.errors import UserError
from mainline.rollout import here, rehearsal
from mainline.rollout.plane import Busy

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, arguments)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


@pytest.fixture
def top(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_a_plan_is_told(top) -> None:
    code, said = run("rollout", "plan")
    assert code == 0
    assert "1 % of the users: at least 300 candidate requests and 300 s" in said
    assert "outcomes of stable and" in run("rollout", "plan", "--mode", "ab")[1]
    assert run("rollout", "plan", "--mode", "x")[0] == 1


def test_an_environment_that_nobody_knows() -> None:
    with pytest.raises(UserError, match="--environment moon: there is no such environment"):
        here.environment_of("moon")


def test_a_rehearsal_takes_any_free_port_and_nothing_else_changes(settings_for) -> None:
    rules = settings_for(rollout__proxy__port=10000).rollout
    free = here.with_free_port(rules)
    assert (free.proxy.port, rules.proxy.port) == (0, 10000)
    assert free.model_dump() | {"proxy": rules.proxy.model_dump()} == rules.model_dump()


def test_a_second_rehearsal_in_the_same_folder_is_refused_and_one_in_another_is_not(tmp_path: Path) -> None:
    with rehearsal.alone(tmp_path / "a"):
        second = rehearsal.alone(tmp_path / "a")
        with pytest.raises(Busy, match="another `make run` or `mainline rollout rehearse` is rehearsing"):
            second.__enter__()
        with rehearsal.alone(tmp_path / "b"):
            pass
    with rehearsal.alone(tmp_path / "a"):
        pass


def test_slices_come_from_logged_rows_and_what_is_not_logged_is_left_out() -> None:
    from mainline.project import load_project

    labels = here.slicer_of(load_project("bank"))([{"job": "x", "housing": "no"}, {"job": "y", "housing": "yes"}])
    assert labels == {"job": ["x", "y"], "housing": ["no", "yes"]}


@pytest.mark.slow
def test_from_start_to_rollback(top, stage_for, monkeypatch) -> None:
    stage = stage_for()
    stage.serve("first", "second")
    stage.add("third", never_ready=True)
    monkeypatch.setattr(here, "controller", lambda environment="production", **more: stage.controller)
    monkeypatch.setattr(here, "restore", lambda name, deploy: None)
    assert run("rollout", "start", "third", "--why", "worth a try")[0] == 0
    assert "worth a try" in stage.deploy.repo.git("log", "-1", "--format=%B", "deploy")
    code, said = run("rollout", "start", "third")
    assert (code, "third is being tried already" in said) == (1, True)
    code, said = run("rollout", "tick")
    assert (code, "third is starting" in said) == (3, True)
    code, said = run("rollout", "status")
    assert (code, "live is what git says" in said) == (0, True)
    code, said = run("rollout", "promote", "--why", "now")
    assert (code, "has not had any users yet" in said) == (1, True)
    code, said = run("rollback", "--why", "complaints")
    assert (code, "first is stable again instead of second: it serves" in said) == (0, True)
    assert "third was being tried and is dropped" in said
    code, said = run("rollback")
    assert (code, "there is no release before first" in said) == (1, True)
    code, said = run("rollout", "abort")
    assert (code, "nothing is being tried" in said) == (1, True)
    assert run("rollout", "run")[0] == 0
    code, said = run("rollout", "stop")
    assert (code, "envoy" in said) == (0, True)
    assert "nothing is live here" in run("rollout", "status")[1]


@pytest.mark.slow
def test_who_looks_after_stable_waits_for_a_command_that_is_at_work(calm, monkeypatch) -> None:
    monkeypatch.chdir(calm.folder)
    with ThreadPoolExecutor(1) as pool:
        with calm.plane.held():
            looking = pool.submit(here.run, calm.controller, 0.05)
            with pytest.raises(TimeoutError):
                looking.result(0.5)
        assert looking.result(10).outcome == "none"
