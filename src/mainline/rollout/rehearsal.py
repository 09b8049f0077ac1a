"""A whole rollout on this machine: the following month's rows come in as real requests of made-up users.

Requests, services, proxy, analysis and ledger are the real ones; only the users are replayed, and the plan's counts and
times are shorter (``rollout.rehearsal``). Nothing is left running.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainline import console
from mainline.config import Rehearsal, load_settings
from mainline.errors import UserError
from mainline.release.golden import plain
from mainline.release.store import every
from mainline.rollout.actions import Tick
from mainline.rollout.controller import Controller
from mainline.rollout.here import controller, plan_of, run, stop
from mainline.rollout.plan import Plan
from mainline.rollout.plane import FOLDER, Busy
from mainline.rollout.traffic import Answers, Traffic

REPLAY = Path("replay")
PAUSE = 0.5


@dataclass(frozen=True)
class Rehearsed:
    """How a rehearsal ended, and what its users got."""

    tick: Tick
    release: str
    answers: Answers


def rehearse(release: str | None, environment: str, mode: str | None) -> Rehearsed:
    """Try ``release`` (None: the newest one that does not serve) with replayed traffic; return how it ended.

    Raises:
        Busy: another rehearsal runs in this folder; it is left alone.
        UserError: there is nothing to try or to replay, or something does not run.
    """
    with alone(FOLDER):
        return _rehearse(release, environment, mode)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep a second rehearsal out of ``folder``: it would end the services of the first one.

    Raises:
        Busy: there is a first one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "rehearsal").open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Busy(
                "another `make run` or `mainline rollout rehearse` is rehearsing a release in this folder",
                "wait until it has ended, then run the command again",
            ) from error
        yield


def _rehearse(release: str | None, environment: str, mode: str | None) -> Rehearsed:
    settings = load_settings()
    if (name := settings.serve.api_key_env) and not os.environ.get(name):
        # These services answer nobody else and end with this command: any key will do.
        os.environ[name] = secrets.token_hex(16)
    of = controller(environment, by="mainline rollout rehearse", tied=True)
    stop(of)
    state = of.state()
    tried = state.candidate or release or newest(of)
    if release and state.candidate and release != state.candidate:
        raise UserError(f"{state.candidate} is being tried already", "`mainline rollout abort` takes it out")
    rows = requests(REPLAY, of.golden(tried))
    try:
        return play(of, tried, plan_of(settings, mode, compressed=True), rows, settings.rollout.rehearsal)
    finally:
        stop(of)


def play(
    of: Controller, release: str, plan: Plan, rows: Sequence[Mapping[str, Any]], rules: Rehearsal, pause: float = PAUSE
) -> Rehearsed:
    """Drive the rollout of ``release`` to its end while ``rows`` come in; return how it ended."""
    with console.working("starting what serves now"):
        of.tick()
    if of.state().candidate is None:
        of.start(release, plan)
    if of.state().stable is None:
        # Nobody can be served before there is a release that serves.
        tick = run(of, pause)
        return Rehearsed(tick, release, Answers())
    with Traffic(of.plane.envoy.port, rows, rules.rate, rules.users, key=of.key) as traffic:
        tick = run(of, pause)
    return Rehearsed(tick, release, traffic.answers)


def newest(of: Controller) -> str:
    """Return the newest release in the store that does not serve, nor did before.

    Raises:
        UserError: there is none.
    """
    state = of.state()
    known = {state.stable, *state.previous}
    fresh = [item.id for item in every() if item.id not in known]
    if not fresh:
        raise UserError("there is no release to try", "`mainline release build` makes one of this commit")
    return fresh[-1]


def requests(folder: Path, golden: Mapping[str, Any], most: int = 5000) -> list[dict[str, Any]]:
    """Return the first month of ``folder`` as requests, with the fields that golden requests have.

    Without any month the golden requests themselves are the users', and that is said.

    Raises:
        UserError: the month lacks a field.
    """
    import pandas as pd

    months = sorted([*folder.glob("*.csv"), *folder.glob("*.csv.gz")])
    if not months:
        own = [row["request"] for row in golden["rows"] if not row.get("rare")]
        console.warn(
            f"{folder}/ holds no batch to replay: the release's own {len(own)} golden requests are sent instead"
        )
        return own
    fields = list(golden["rows"][0]["request"])
    frame = pd.read_csv(months[0], nrows=most)
    missing = [name for name in fields if name not in frame]
    if missing:
        raise UserError(
            f"{months[0]}: lacks {', '.join(missing)}",
            f"replay batches have the columns of data/: put yours there; without any (`git rm {folder}.dvc`, "
            f"`rm -r {folder}`) the release's golden requests are sent",
        )
    return [{str(name): plain(value) for name, value in row.items()} for row in frame[fields].to_dict("records")]


def tell(done: Rehearsed, folder: Path) -> None:
    """Print what the users got and where the story is."""
    answers = done.answers
    if answers.sent:
        ordered = sorted(answers.seconds)
        p50, p99 = (1000 * ordered[int(share * (len(ordered) - 1))] for share in (0.5, 0.99))
        by = ", ".join(f"{name or 'nobody'} {count:,}" for name, count in sorted(answers.releases.items()))
        console.say(
            f"{answers.sent:,} requests, {answers.failed:,} failed; p50 {p50:.1f} ms, p99 {p99:.1f} ms; answers: {by}",
            "fail" if answers.failed else "pass",
        )
        for line in answers.failures[:3]:
            console.warn(line)
        if answers.behind:
            console.warn("the services did not keep up with the requests: lower rollout.rehearsal.rate in params.yaml")
    mark: dict[str, console.Mark] = {"promote": "pass", "abort": "fail"}
    console.say(f"{done.tick.outcome}: {done.tick.text}", mark.get(done.tick.outcome, "warn"))
    console.say(f"timeline: {folder / done.release / 'timeline.html'}")
