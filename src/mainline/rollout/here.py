"""The rollout of this working tree: settings, project, ledger and store put together."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mainline import console
from mainline.config import Rollout, Settings, load_settings
from mainline.errors import UserError
from mainline.project import Grouping, Project, load_project
from mainline.release.ledger import Deploy, Moved
from mainline.release.restore import restore
from mainline.release.state import ENVIRONMENTS, Environment
from mainline.release.store import find
from mainline.rollout.actions import Tick
from mainline.rollout.admin import remove_socket
from mainline.rollout.contract import key_in
from mainline.rollout.controller import Controller
from mainline.rollout.observe import Observer
from mainline.rollout.paired import Slicer
from mainline.rollout.plan import Plan, make_plan, read_plan
from mainline.rollout.plane import FOLDER, LOG, Busy, Plane
from mainline.rollout.processes import alive, need_linux_or_mac, stop_all
from mainline.rollout.rollback import Back, back_in_git, drop, roll_back
from mainline.rollout.timeline import write_timeline
from mainline.rollout.view import view

RETRIES = 5  # somebody else may commit to branch deploy; it cannot go on for ever


def controller(environment: str = "production", *, by: str = "mainline rollout", tied: bool = False) -> Controller:
    """Return the controller of an environment; ``tied``: the processes end with this command, on any free port.

    Raises:
        UserError: there is no such environment, or params.yaml or branch deploy is broken.
    """
    need_linux_or_mac()
    settings = load_settings()
    project = load_project(settings.project)
    log = getattr(getattr(settings, "serve", None), "log", None)
    rules = with_free_port(settings.rollout) if tied else settings.rollout
    plane = Plane(FOLDER, Path(str(getattr(log, "folder", LOG))), rules, lambda name: find(name).bento, tied=tied)
    deploy = Deploy.open()
    made = Controller(
        deploy,
        plane,
        rules,
        lambda name: find(name).golden(),
        Observer(plane, slicer_of(project), project.value if settings.model.task == "binary" else None,
                 settings.data.positive),
        environment=environment_of(environment),
        by=by,
        key=key_in(settings.serve.api_key_env),
    )  # fmt: skip
    if in_cluster(made) and deploy.remote:
        from mainline.rollout.kubernetes.folder import released_settings, with_stable

        made.also = with_stable(deploy, released_settings())
    return made


def with_free_port(rules: Rollout) -> Rollout:
    """Return ``rules`` with a proxy that takes any free port: nobody but this command needs to know the address.

    The configured port may be in use: by what serves here, by a second clone, or by another program.
    """
    return rules.model_copy(update={"proxy": rules.proxy.model_copy(update={"port": 0})})


def in_cluster(of: Controller) -> bool:
    """Return whether a cluster runs this environment: then git is all that is changed here."""
    return of.rules.target == "kubernetes" and of.environment == "production"


def driver(environment: str, what: str, by: str = "mainline rollout") -> Controller:
    """Return the controller of an environment whose traffic is moved here.

    Raises:
        UserError: a cluster runs it.
    """
    of = controller(environment, by=by)
    if in_cluster(of):
        raise UserError(
            f"rollout.target is kubernetes: {what} is for Argo Rollouts to do there",
            "`mainline kubernetes follow` hears what it does; `kubectl argo rollouts promote` or `abort` tells it",
        )
    return of


def environment_of(name: str) -> Environment:
    """Return the environment of that name.

    Raises:
        UserError: there is none.
    """
    for known in ENVIRONMENTS:
        if known == name:
            return known
    raise UserError(f"--environment {name}: there is no such environment", f"use {' or '.join(ENVIRONMENTS)}")


def slicer_of(project: Project) -> Slicer:
    """Return the project's slices as a function of logged rows; a slice that needs more than is logged is left out."""

    def labels(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
        import pandas as pd

        frame = pd.DataFrame(list(rows))
        found = {}
        for name, grouping in project.slices.items():
            if (values := _labels(frame, grouping)) is not None:
                found[name] = values
        return found

    return labels


def _labels(frame: Any, grouping: Grouping) -> list[str] | None:
    try:
        return [str(value) for value in grouping(frame)]
    except Exception:  # a project's own function over columns that may not be logged
        return None


def plan_of(settings: Settings, mode: str | None, compressed: bool = False) -> Plan:
    """Return the plan that params.yaml and the command ask for."""
    value = load_project(settings.project).value if settings.model.task == "binary" else None
    return make_plan(settings.rollout, value, mode, compressed)


def run(of: Controller, pause: float, *, each: Callable[[Tick], None] | None = None) -> Tick:
    """Tick until no candidate is left, show it, write the timeline, and return the last tick.

    While another command is at work it waits.

    Raises:
        UserError: as :meth:`Controller.tick`; the services go on as they are.
    """
    state = of.state()
    release, retried, waited = state.candidate, 0, False
    with view(f"{of.environment}: {release or state.stable}", read_plan(state.plan) if release else None) as shown:
        while True:
            try:
                tick = of.tick()
            except Moved as moved:
                if retried >= RETRIES:
                    raise
                retried += 1
                console.warn(str(moved.problem))
                continue
            except Busy as busy:
                # A rollback, say, must not end the one who looks after stable; its lock goes with it, also by a kill.
                if not waited:
                    console.warn(f"{busy.problem}: waiting for its end")
                waited = True
                time.sleep(pause)
                continue
            retried, waited = 0, False
            shown.show(tick)
            if each:
                each(tick)
            if tick.over:
                break
            time.sleep(pause)
    if release:
        write_timeline(of.journal(release))
    return tick


def back(environment: str, to: str | None, why: str) -> Back:
    """Roll back, as ``mainline rollback`` does."""
    made = controller(environment, by="mainline rollback")
    if in_cluster(made):
        return back_in_git(made, to, why)
    done = roll_back(made, lambda name: restore(name, made.deploy), to, why)
    write_timeline(made.journal(done.left))
    return done


def abort(environment: str, why: str) -> str:
    """Take the candidate out, and return why; in a cluster by git alone.

    Raises:
        UserError: nothing is being tried.
    """
    of = controller(environment, by="mainline rollout abort")
    return drop(of, why) if in_cluster(of) else of.end("abort", why).text


def status(of: Controller) -> bool:
    """Print what git says, what is live and what runs; return whether they agree."""
    from mainline.rollout.follow import compare

    state = of.state()
    rows = [("stable", state.stable or "(none)"), ("candidate", state.candidate or "(none)"),
            ("phase", f"{state.phase or '-'}, {state.weight} %, step {state.step}"),
            ("before", ", ".join(state.previous) or "(none)"), ("revision", str(state.revision))]  # fmt: skip
    console.table(f"{of.environment} in git", ("", ""), rows)
    running = [
        (item.role, item.release, str(item.port), "runs" if alive(item) else "has ended", _age(item.at))
        for item in of.plane.processes.all()
    ]
    if running:
        console.table("processes here", ("role", "release", "port", "", "since"), running, right=(2,))
    try:
        layout = of.plane.layout()
        move = compare(state, layout)
    except UserError as problem:
        console.error(str(problem))
        return False
    words = {"none": "live is what git says", "build": "nothing is live here", "follow": "live is behind git",
             "finish": "a change of traffic is not in git yet"}  # fmt: skip
    console.say(words[move], "pass" if move == "none" else "warn")
    return move in ("none", "build")


def stop(of: Controller) -> list[str]:
    """Stop everything that runs here and forget what was live; git keeps what should be."""
    with of.plane.held():
        stopped = stop_all(of.plane.processes)
        for name in ("routes.json", "clusters.json"):
            (of.plane.folder / name).unlink(missing_ok=True)
        remove_socket(of.plane.folder.resolve())
    return stopped


def _age(began: float) -> str:
    return dt.datetime.fromtimestamp(began).strftime("%H:%M:%S")
