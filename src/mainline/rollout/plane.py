"""The data plane on this machine: Envoy and the services behind it. It runs on when the controller does not."""

from __future__ import annotations

import fcntl
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from mainline.config import Rollout
from mainline.errors import UserError
from mainline.rollout.contract import ready
from mainline.rollout.envoy import Envoy
from mainline.rollout.envoy_config import arm, shadow
from mainline.rollout.layout import Layout, Upstream
from mainline.rollout.measures import EDGES
from mainline.rollout.processes import Process, Processes, alive, free_port, lost, memory_mb
from mainline.rollout.tally import Reading, buckets

FOLDER = Path(".mainline", "rollout")
LOG = Path(".mainline", "log")
STABLE, CANDIDATE = "stable", "candidate"
PATIENCE = 60.0  # seconds that a person's command waits for a look to end
Launcher = Callable[[Path, int, str, Path], list[str]]


def serve(bento: Path, port: int, track: str, log: Path) -> list[str]:
    """Return the command that serves a Bento."""
    command = [sys.executable, "-m", "mainline.cli", "serve", "--bento", str(bento)]
    return [*command, "--port", str(port), "--track", track, "--log", str(log)]


class Busy(UserError):
    """Another command decides and acts at this moment; nothing was changed."""


@dataclass(frozen=True)
class Plane:
    """Envoy, the services, and where they log.

    Attributes:
        find: the Bento of a release; raises UserError when it is gone.
        launch: the command that serves it.
    """

    folder: Path
    log: Path
    rules: Rollout
    find: Callable[[str], Path]
    launch: Launcher = serve
    tied: bool = False

    @property
    def processes(self) -> Processes:
        """Return the processes' files."""
        return Processes(self.folder / "processes", self.tied)

    @property
    def envoy(self) -> Envoy:
        """Return the proxy."""
        return Envoy(self.folder, self.rules.proxy, self.processes)

    @contextmanager
    def held(self, seconds: float = 0.0) -> Iterator[None]:
        """Keep other commands out while this one decides and acts; wait for them at most ``seconds``.

        Raises:
            Busy: another one is at it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("a") as stream:
            end = time.monotonic() + seconds
            while True:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError as error:
                    if time.monotonic() >= end:
                        raise Busy(
                            "another `mainline rollout` or `rollback` is at work here",
                            "wait until it has ended; `mainline rollout status` shows what it does",
                        ) from error
                    time.sleep(0.05)
            yield

    def running(self) -> bool:
        """Return whether Envoy runs."""
        return self.envoy.process() is not None

    def layout(self) -> Layout | None:
        """Return what the proxy was told last; None: nothing yet.

        Raises:
            UserError: somebody else told it something, or Envoy serves something else.
        """
        found = self.envoy.layout()
        if found and self.running() and self.envoy.taken() is False:
            raise UserError(
                "Envoy does not serve what its routes file says; nothing was changed",
                "`mainline rollout stop` takes it down; `mainline rollout run` builds it up again from git",
            )
        return found

    def apply(self, layout: Layout) -> None:
        """Make the proxy do ``layout``; it is started when it does not run.

        Raises:
            UserError: Envoy does not take it; the traffic is what it was.
        """
        if self.running():
            self.envoy.apply(layout)
        else:
            old = self.processes.of("proxy")
            self.envoy.start(layout, old[0].starts if old else 0)

    def upstream(self, role: str, release: str) -> Upstream | None:
        """Return where the release answers in that role; None when nothing of it is alive."""
        ports = tuple(sorted(item.port for item in self.processes.of(role, release) if alive(item)))
        return Upstream(release, ports) if ports else None

    def begin(self, role: str, release: str) -> None:
        """Start what is missing of a release; a candidate that ended is not started again: that is a finding.

        Raises:
            UserError: its Bento is gone.
        """
        known = self.processes.of(role, release)
        want = self.rules.proxy.replicas if role == STABLE else 1
        if role == CANDIDATE and known:
            return
        for item in known:
            if not alive(item):
                self._again(item)
        for _ in range(want - len(known)):
            self._launch(role, release, free_port(), 0)

    def wait(self, role: str, release: str, seconds: float) -> Upstream | None:
        """Return where the release answers once all of it is ready; None when it is not within ``seconds``."""
        end = time.monotonic() + seconds
        while True:
            known = self.processes.of(role, release)
            if known and all(alive(item) and ready(item.port, release) for item in known):
                return Upstream(release, tuple(sorted(item.port for item in known)))
            if time.monotonic() > end or not any(alive(item) for item in known):
                return None
            time.sleep(0.05)

    def ready(self, role: str, release: str, tries: int = 1) -> bool:
        """Return whether at least one process of the release is ready; a busy one is asked again.

        A candidate without its worker is not: its port is open, and whoever asks there waits in vain.
        """
        for number in range(tries):
            if number:
                time.sleep(0.2)
            for item in self.processes.of(role, release):
                if alive(item) and not (role == CANDIDATE and lost(item)) and ready(item.port, release):
                    return True
        return False

    def settle(self, role: str, release: str) -> None:
        """Remember the workers of a release that is ready; done once for each of its processes."""
        for item in self.processes.of(role, release):
            if not item.workers:
                self.processes.settle(item)

    def supervise(self, keep: Mapping[str, str]) -> list[str]:
        """Start again what should run and does not; return sentences about it. ``keep``: releases of role stable."""
        said = []
        for item in self.processes.of(STABLE):
            if item.release in keep.values() and not alive(item) and self._again(item):
                said.append(f"stable {item.release} on port {item.port} had ended ({self.processes.tail(item, 1)}): "
                            "started again")  # fmt: skip
        proxies = self.processes.of("proxy")
        found = self.envoy.layout()
        if proxies and found and not alive(proxies[0]):
            starts = self.processes.restarted(proxies[0], time.time())
            if starts is not None:
                self.envoy.start(found, starts)
                said.append("Envoy had ended: started again with the same routes")
        return said

    def sweep(self, layout: Layout, spare: Collection[str] = ()) -> list[str]:
        """Stop every service that ``layout`` sends nothing to, but for releases of role stable in ``spare``."""
        ports = {port for upstream in layout.upstreams() for port in upstream.ports}
        extra = [
            item
            for item in self.processes.all()
            if item.role != "proxy" and item.port not in ports and not (item.role == STABLE and item.release in spare)
        ]
        for item in extra:
            self.processes.stop(item)
        return [item.name for item in extra]

    def readings(self, layout: Layout) -> dict[str, Reading]:
        """Return what the proxy has counted of both sides; empty when it does not answer."""
        counters, latencies, dropped = self.envoy.counters(), self.envoy.latencies(), self.envoy.dropped()
        if not counters or layout.candidate is None:
            return {}
        mine = shadow(layout.candidate) if layout.shadow else layout.candidate.name
        timed = shadow(layout.candidate) if layout.shadow else arm(layout.candidate)
        sides = {"candidate": (mine, timed), "stable": (layout.stable.name, layout.stable.name)}
        found = {}
        for side, (cluster, clock) in sides.items():
            hosts = counters.get(cluster, {}).values()
            times = buckets(latencies.get(clock, [])) or (0,) * (len(EDGES) + 1)
            requests, errors = sum(host[0] for host in hosts), sum(host[1] for host in hosts)
            found[side] = Reading(requests, errors, times, dropped.get(cluster, 0))
        return found

    def memory(self, release: str) -> float | None:
        """Return the candidate's memory in MB."""
        sizes = [memory_mb(item) for item in self.processes.of(CANDIDATE, release)]
        return max((size for size in sizes if size is not None), default=None)

    def proxy_identity(self) -> str:
        """Return which Envoy this is: its counters begin anew with each."""
        process = self.envoy.process()
        return f"{process.pid}@{process.began}" if process else ""

    def died(self, release: str) -> str:
        """Return what is known of a candidate that ended; empty while it runs."""
        for item in self.processes.of(CANDIDATE, release):
            if not alive(item):
                return f"the candidate's process ended by itself ({self.processes.tail(item) or 'it said nothing'})"
            if lost(item):
                return f"a worker of the candidate ended by itself ({self.processes.tail(item) or 'it said nothing'})"
        return ""

    def _again(self, item: Process) -> bool:
        starts = self.processes.restarted(item, time.time())
        if starts is None:
            return False
        self.processes.stop(item, 0)
        self._launch(item.role, item.release, item.port, starts)
        return True

    def _launch(self, role: str, release: str, port: int, starts: int) -> None:
        track = "stable" if role == STABLE else "canary"
        environment = {"MAINLINE_RELEASE": release, "MAINLINE_TRACK": track, "MAINLINE_LOG": str(self.log.resolve())}
        command = self.launch(self.find(release), port, track, self.log.resolve())
        self.processes.start(f"{role}-{release}-{port}", command, role=role, release=release, port=port,
                             environment=environment, starts=starts)  # fmt: skip


def without_candidate(layout: Layout, revision: int, intent: str = "") -> Layout:
    """Return the layout in which stable answers everybody."""
    return replace(layout, candidate=None, weight=0, shadow=False, revision=revision, intent=intent)
