"""Production on a machine that follows branch ``deploy``: the workflow writes git, and waits for what comes of it.

Silence is not taken for health: without a sign of life the run fails, and git stays as it is.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mainline.ci.event import append
from mainline.ci.ledger import by
from mainline.ci.release_build import fetch
from mainline.compare.git import git
from mainline.config import Rollout, load_settings
from mainline.console import Mark, say, warn
from mainline.errors import UserError
from mainline.github import GitHub, connect
from mainline.release import beat
from mainline.release.beat import Beat
from mainline.release.ledger import Deploy
from mainline.release.state import Transition
from mainline.release.store import Release
from mainline.rollout.here import controller, plan_of
from mainline.rollout.rollback import Back, back_in_git

JOB_SECONDS = 20_000.0  # a job ends after 350 minutes; it shall say before what it waits for
FOLLOWERS = {"host": "mainline rollout run --forever", "kubernetes": "mainline kubernetes follow"}
DECIDED = ("promote", "abort", "rollback")
MARKS: dict[str, Mark] = {"promote": "pass", "abort": "fail", "rollback": "fail"}


def followed_by(rules: Rollout | None = None) -> str:
    """Return the command of whoever follows branch ``deploy``; empty when the workflow rehearses by itself."""
    return FOLLOWERS.get((rules or load_settings().rollout).target, "")


def getter(deploy: Deploy) -> Callable[[str], Release]:
    """Return how a machine gets a release: from its store, a workflow's artifact, or built again from its commit."""

    def get(release: str) -> Release:
        server: GitHub | None = None
        try:
            server = connect()
        except UserError as error:
            warn(f"release {release}: no artifact is asked for: {error.problem}")
        # Whoever builds it again needs its commit; that it cannot be fetched is said there.
        git("fetch", "--quiet", "origin", deploy.entry(release).commit, check=False)
        return fetch(release, deploy, server)

    return get


@dataclass
class Watch:
    """Waits for the machine; ``clock`` and ``sleep`` are in seconds."""

    deploy: Deploy
    rules: Rollout
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep
    _beat: Beat | None = field(default=None, init=False)
    _heard: float = field(default=0.0, init=False)
    _said: str = field(default="", init=False)

    def begin(self) -> float:
        """Return the time; what was heard of the machine before does not count."""
        self._beat, self._heard = self._ask(), self.clock()
        return self._heard

    def listen(self) -> Beat | None:
        """Return the machine's last sign of life, after a pause and a look at the branch; its trouble is printed."""
        self.sleep(self.rules.host.poll_seconds)
        try:
            self.deploy.refresh()
        except UserError as error:
            # Who cannot ask does not know that nobody answers.
            self._print(error.problem)
            self.hear()
            return self._beat
        found = self._ask()
        if found is not None and (self._beat is None or found.name != self._beat.name):
            self._beat = found
            self.hear()
            self._print(f"the machine says: {found.trouble}" if found.trouble else "")
        return self._beat

    def hear(self) -> None:
        """Begin to count the silence anew."""
        self._heard = self.clock()

    def silent(self) -> bool:
        """Return whether the machine has given no sign of life for too long."""
        return self.clock() - self._heard >= self.rules.host.silence_seconds

    def _ask(self) -> Beat | None:
        try:
            return beat.get(self.deploy, "production")
        except UserError as error:
            self._print(error.problem)
            return self._beat

    def _print(self, text: str) -> None:
        if text and text != self._said:
            warn(text)
        self._said = text


def roll_out(release: str, deploy: Deploy, watch: Watch | None = None) -> bool:
    """Make ``release`` the candidate in git, unless it is, and wait for the machine; return whether it was promoted.

    Raises:
        UserError: another release is being tried, or the ledger cannot be read.
        Moved: somebody else changed branch ``deploy`` at the same moment.
    """
    settings = load_settings()
    of = controller("production", by=by())
    state = of.state()
    known = len(deploy.entry(release).transitions)
    if state.candidate == release:
        say(f"{release} is being tried already ({state.phase or 'starting'}, {state.weight} %): waiting for its end")
    else:
        of.start(release, plan_of(settings, None))
        say(f"{release} is the candidate in git; the machine that follows branch deploy takes it from here")
    return wait(release, known, watch or Watch(deploy, settings.rollout))


def wait(release: str, known: int, watch: Watch, environment: Mapping[str, str] = os.environ) -> bool:
    """Print what happens to ``release`` after its first ``known`` transitions; return whether it ends as stable."""
    deploy, rules = watch.deploy, watch.rules
    most = min(rules.max_seconds + rules.host.silence_seconds, JOB_SECONDS)
    seen: list[Transition] = []
    began = watch.begin()
    while True:
        watch.listen()
        fresh = deploy.entry(release).transitions[known + len(seen) :]
        for item in fresh:
            weight = "" if item.weight is None else f"{item.weight} %"
            say(f"{item.event:<9} {weight:>5}  {item.why}", MARKS.get(item.event, "none"))
        if fresh:
            watch.hear()
        seen += fresh
        state = deploy.state("production")
        if state.candidate != release:
            break
        where = f"{state.phase or 'not begun'}, {state.weight} % of the users"
        if watch.silent():
            silence = f"no sign of the machine for {rules.host.silence_seconds:.0f} s"
            say(f"nobody looks after {release} ({where}): {silence}. Is `{followed_by(rules)}` running "
                "there? It stays the candidate, and stable goes on", "fail")  # fmt: skip
            return False
        if watch.clock() - began >= most:
            say(f"{release} is still being tried ({where}) after {most:.0f} s; the machine goes on with it. To wait "
                "for its end: the workflow `release` without an id", "fail")  # fmt: skip
            return False
    lines = [f"- {item.time} **{item.event}**: {item.why}" for item in seen]
    append(environment.get("GITHUB_STEP_SUMMARY", ""), "\n".join([f"### {release}", "", *lines, ""]))
    decided = [item.event for item in seen if item.event in DECIDED][-1:]
    if decided != ["promote"] or state.stable != release:
        say(f"{release} was not promoted: {decided[0] if decided else 'branch deploy names it no more'}; "
            f"{state.stable or 'nothing'} is stable", "fail")  # fmt: skip
        return False
    return True


def go_back(to: str, why: str) -> Back:
    """Make ``to`` stable again in git alone; a candidate is dropped with it."""
    done = back_in_git(controller("production", by=by()), to, why)
    say(f"git says that {to} is stable again instead of {done.left}")
    return done


def followed(deploy: Deploy, watch: Watch | None = None) -> bool:
    """Return whether the machine has done what ``production.yaml`` says; true without a machine to wait for."""
    rules = load_settings().rollout
    deploy.refresh()
    state = deploy.state("production")
    if not followed_by(rules) or state.stable is None:
        return True
    watch = watch or Watch(deploy, rules)
    began, most = watch.begin(), rules.host.silence_seconds
    while watch.clock() - began < most:
        live = watch.listen()
        if live and live.stable == state.stable and (live.revision or 0) >= state.revision:
            say(f"the machine serves {live.stable}", "pass")
            return True
    live = watch.listen()
    known = f"its last word: {live.stable or 'nothing'} is live" if live else "it has never given a sign of life"
    say(f"git says {state.stable}, and the machine has not followed within {most:.0f} s ({known}): users may still get "
        f"what was to be taken from them. Is `{followed_by(rules)}` running there, and what does it say?",
        "fail")  # fmt: skip
    return False
