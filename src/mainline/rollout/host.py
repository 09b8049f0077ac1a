"""A machine that follows branch ``deploy``: it looks for ever, gets the releases that it lacks, and says that it lives.

Stable is looked after whatever else fails: the remote, a release that cannot be had, a commit that somebody broke.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from mainline.console import say, warn
from mainline.errors import UserError
from mainline.release.beat import Beat, Sign
from mainline.release.ledger import Moved
from mainline.rollout.actions import Tick
from mainline.rollout.controller import Controller
from mainline.rollout.follow import WAITING
from mainline.rollout.plane import PATIENCE, Busy, without_candidate
from mainline.rollout.timeline import write_timeline
from mainline.rollout.view import Lines

TRIES = 3
REPEAT_SECONDS = 600.0  # between two lines about the same


@dataclass
class Errand:
    """Getting one release, in a thread: an hour of building must not keep a rollback waiting."""

    get: Callable[[], object]
    failed: int = 0
    why: str = ""
    again: float = 0.0
    thread: threading.Thread | None = None

    def go(self, pause: float) -> None:
        """Begin, or begin again once ``pause`` seconds a failure have passed."""
        if (self.thread and self.thread.is_alive()) or time.monotonic() < self.again:
            return
        self.thread = threading.Thread(target=self._run, args=(pause,), daemon=True)
        self.thread.start()

    def _run(self, pause: float) -> None:
        try:
            self.get()
        except Exception as error:  # whatever stops it must be said to whoever waits for the release
            self.failed += 1
            self.why = error.problem if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            self.again = time.monotonic() + pause * self.failed


@dataclass
class Host:
    """The machine: ``get`` brings a release into its store; ``pause`` and ``retry`` are in seconds."""

    of: Controller
    get: Callable[[str], object]
    pause: float
    retry: float = 30.0
    lines: Lines = field(default_factory=lambda: Lines(REPEAT_SECONDS))
    _errands: dict[str, Errand] = field(default_factory=dict, init=False)
    _said: tuple[str, float] = field(default=("", 0.0), init=False)
    _asked: float = field(default_factory=time.monotonic, init=False)
    _sign: Sign = field(init=False)

    def __post_init__(self) -> None:
        self._sign = Sign(self.of.deploy, self.of.environment)

    def look(self) -> Tick | None:
        """Look once: do what git says as far as it can be done here; return the tick, None if there was none."""
        trouble, tick = "", None
        try:
            tick = self._tick()
        except (Moved, Busy) as passing:
            say(passing.problem)
        except UserError as error:
            trouble = error.problem
            self._keep_up()
        missing = self._missing()
        for release in missing:
            self._fetch(release)
        self._errands = {name: errand for name, errand in self._errands.items() if name in missing}
        self._tell(trouble)
        self._sign.give(self._live(trouble))
        return tick

    def _tick(self) -> Tick:
        tried = self.of.deploy.state(self.of.environment).candidate
        tick = self.of.tick()
        self._asked = time.monotonic()
        self.lines.show(tick)
        if tried and tick.over:
            write_timeline(self.of.journal(tried))
        return tick

    def _keep_up(self) -> None:
        """Start again what ended of what is live, though git could not be asked or followed.

        A candidate that nobody could take out, because git does not answer, loses its users after a while.
        """
        blind = self._blind()
        with contextlib.suppress(UserError), self.of.plane.held():
            plane = self.of.plane
            if not (layout := plane.layout()):
                return
            for line in plane.supervise({"live": layout.stable.release}):
                warn(line)
            if layout.candidate and blind > self.of.rules.host.silence_seconds:
                plane.apply(without_candidate(layout, layout.revision, WAITING))
                warn(f"git has not answered for {blind:.0f} s: {layout.candidate.release} has no users until it does")

    def _blind(self) -> float:
        """Return for how many seconds branch ``deploy`` could not be asked."""
        try:
            self.of.deploy.refresh()
        except UserError:
            return time.monotonic() - self._asked
        self._asked = time.monotonic()
        return 0.0

    def _missing(self) -> list[str]:
        """Return the releases that git names, as far as it is known here, and the store lacks."""
        found = []
        with contextlib.suppress(UserError):
            state = self.of.deploy.state(self.of.environment)
            for release in filter(None, (state.stable, state.candidate)):
                try:
                    self.of.plane.find(release)
                except UserError:
                    found.append(release)
        return found

    def _fetch(self, release: str) -> None:
        """Get a release on the side. A candidate that cannot be had is aborted: whoever waits for it shall know."""
        errand = self._errands.setdefault(release, Errand(lambda: self.get(release)))
        if errand.failed < TRIES or release == self.of.deploy.state(self.of.environment).stable:
            errand.go(self.retry)
            return
        why = f"the machine cannot get it, after {errand.failed} tries: {errand.why}"
        try:
            with self.of.plane.held(PATIENCE):
                state = self.of.state()
                if state.candidate == release:
                    self.lines.show(self.of.abort(state, why[:1000], {}))
        except UserError as error:
            errand.why = error.problem

    def _tell(self, trouble: str) -> None:
        last, at = self._said
        whys = "; ".join(f"{name}: {item.why}" for name, item in self._errands.items() if item.why)
        text = "; ".join(dict.fromkeys(filter(None, (trouble, whys, self._sign.unheard))))
        if text and (text != last or time.monotonic() - at > REPEAT_SECONDS):
            warn(text)
            self._said = (text, time.monotonic())
        elif last and not text:
            say("that is over: it does what git says again", "pass")
            self._said = ("", 0.0)

    def _live(self, trouble: str) -> Beat:
        made = Beat(trouble=trouble[:500])
        with contextlib.suppress(UserError):
            plane = self.of.plane
            if (layout := plane.layout()) and plane.running():
                made = replace(made, stable=layout.stable.release, weight=layout.weight, revision=layout.revision,
                               candidate=layout.candidate.release if layout.candidate else None)  # fmt: skip
        return made


def follow(host: Host) -> None:
    """Look again and again; ends only with the process. What serves goes on when it ends.

    Raises:
        UserError: rollout.target is ``host``, and no remote is followed: releases would be waited for in vain.
    """
    if host.of.rules.target == "host" and not host.of.deploy.remote:
        raise UserError(
            f"rollout.target is host, but {host.of.deploy.repo.folder} follows no remote",
            "set MAINLINE_DEPLOY_REMOTE to the address of the repository on GitHub (docs/rollout.md)",
        )
    while True:
        host.look()
        time.sleep(host.pause)
