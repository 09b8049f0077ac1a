"""The proxy: one Envoy, told by files what to do, and asked over a unix socket what it does."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainline.config import Proxy
from mainline.errors import UserError
from mainline.files import write_atomic, write_json
from mainline.rollout.admin import admin_socket, ask, find_program
from mainline.rollout.envoy_config import (
    BOOTSTRAP,
    CLUSTERS,
    ROUTES,
    bootstrap,
    clusters,
    digest,
    discovery,
    static,
    versioned,
)
from mainline.rollout.layout import Layout, read_layout
from mainline.rollout.processes import Process, Processes, alive, free_port

SECONDS = 5.0  # for Envoy to take a change; it needs milliseconds
GRACE = 0.1  # between two attempts a request is nowhere to be seen
RDS, CDS = "http.ingress.rds.split", "cluster_manager.cds"


@dataclass(frozen=True)
class Envoy:
    """Envoy for one folder; ``processes`` starts it and finds it again."""

    folder: Path
    rules: Proxy
    processes: Processes

    def process(self) -> Process | None:
        """Return the running Envoy."""
        return next((item for item in self.processes.of("proxy") if alive(item)), None)

    @property
    def port(self) -> int:
        """Return where users come in; it stays the same when Envoy is started again."""
        known = self.processes.of("proxy")
        return known[0].port if known else self.rules.port or free_port()

    def layout(self) -> Layout | None:
        """Return what the routes file says; None when there is none.

        Raises:
            UserError: it was not written by mainline, or was changed since.
        """
        path = self.folder / ROUTES
        if not path.is_file():
            return None
        fix = "`mainline rollout stop` takes the proxy down; `mainline rollout run` builds it up again from git"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            text, _, known = str(content["version_info"]).rpartition("#")
            same = known == digest(content["resources"])
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: is not what mainline wrote ({error}); nothing was changed", fix) from error
        if not same:
            raise UserError(f"{path}: was changed by hand: its routes are not those of its version", fix)
        return read_layout(text, str(path))

    def taken(self) -> bool | None:
        """Return whether Envoy serves what the routes file says; None when it does not answer."""
        try:
            wanted = json.loads((self.folder / ROUTES).read_text(encoding="utf-8"))["version_info"]
        except (OSError, ValueError, KeyError):
            return False
        served = self._texts().get(f"{RDS}.version_text")
        return None if served is None else served == str(wanted)

    def start(self, layout: Layout, starts: int = 0) -> Process:
        """Return Envoy, started with ``layout`` and answering.

        Raises:
            UserError: there is no Envoy for this platform, it refuses the configuration, or the port is taken.
        """
        program, port = find_program(), self.port
        self.folder.mkdir(parents=True, exist_ok=True)
        folder = self.folder.resolve()
        admin = admin_socket(folder)
        check = write_json(folder / "check.json", static(layout, admin, port, self.rules))
        done = subprocess.run([program, "--mode", "validate", "--disable-hot-restart", "-c", str(check)],
                              capture_output=True, text=True, timeout=60, check=False)  # fmt: skip
        if done.returncode != 0:
            raise UserError(f"Envoy refuses the configuration: {_last(done.stderr)}", f"look at {check}")
        write_json(folder / BOOTSTRAP, bootstrap(folder, admin, port, self.rules))
        write_atomic(folder / CLUSTERS, self._clusters([layout]))
        write_atomic(folder / ROUTES, versioned(layout, self.rules))
        admin.unlink(missing_ok=True)
        for old in self.processes.of("proxy"):
            self.processes.stop(old)
        command = [program, "-c", str(folder / BOOTSTRAP), "--concurrency", "1", "--disable-hot-restart",
                   "--reject-unknown-dynamic-fields", "--log-level", "warning"]  # fmt: skip
        process = self.processes.start("envoy", command, role="proxy", port=port, starts=starts)
        end = time.monotonic() + 4 * SECONDS
        while time.monotonic() < end and alive(process):
            if self._get("/ready").startswith("LIVE") and self.taken():
                return process
            time.sleep(0.02)
        words = self.processes.tail(process)
        self.processes.stop(process)
        raise UserError(
            f"Envoy did not start on port {port}: {words}", "is the port taken? rollout.proxy.port: 0 takes a free one"
        )

    def apply(self, layout: Layout) -> None:
        """Make Envoy serve ``layout``: new clusters first, then the routes, then old clusters go.

        Without a running Envoy only the files are written: it finds them when it starts.

        Raises:
            UserError: Envoy does not take it; the files are put back, and the traffic is what it was.
        """
        before = {name: (self.folder / name).read_text(encoding="utf-8") for name in (CLUSTERS, ROUTES)}
        old = read_layout(json.loads(before[ROUTES])["version_info"].rpartition("#")[0], str(self.folder / ROUTES))
        running = self.process() is not None
        steps = [
            (CLUSTERS, self._clusters([old, layout]), CDS),
            (ROUTES, versioned(layout, self.rules), RDS),
            (CLUSTERS, self._clusters([layout]), CDS),
        ]
        for name, text, watched in steps:
            if text is steps[-1][1] and running:
                self._drain({item.name for item in old.upstreams()} - {item.name for item in layout.upstreams()})
            begin = self._numbers(watched)
            write_atomic(self.folder / name, text)
            if running and (problem := self._wait(watched, json.loads(text)["version_info"], begin)):
                for kept, content in before.items():
                    write_atomic(self.folder / kept, content)
                raise UserError(f"Envoy did not take {name}: {problem}; the traffic is what it was",
                                "`mainline rollout status` shows what runs; run the same command again")  # fmt: skip

    def counters(self) -> dict[str, dict[int, tuple[int, int, int]]]:
        """Return attempts, errors and requests in flight by cluster and port; empty when Envoy does not answer."""
        found: dict[str, dict[int, tuple[int, int, int]]] = {}
        for cluster in _json(self._get("/clusters?format=json")).get("cluster_statuses", []):
            hosts = {}
            for host in cluster.get("host_statuses", []):
                values = {item["name"]: int(item.get("value", 0)) for item in host.get("stats", [])}
                port = host["address"]["socket_address"]["port_value"]
                hosts[port] = (values.get("rq_total", 0), values.get("rq_error", 0), values.get("rq_active", 0))
            found[cluster["name"]] = hosts
        return found

    def dropped(self) -> dict[str, int]:
        """Return by cluster how many requests it kept back because too many were under way."""
        ending = ".upstream_rq_pending_overflow"
        return {name.removeprefix("cluster.").removesuffix(ending): n for name, n in self._numbers(ending).items()}

    def latencies(self) -> dict[str, list[tuple[float, int]]]:
        """Return (upper edge in ms, cumulative count) by cluster; empty when Envoy does not answer."""
        answer = _json(self._get("/stats?format=json&histogram_buckets=cumulative&filter=upstream_rq_time$"))
        found: dict[str, list[tuple[float, int]]] = {}
        for group in answer.get("stats", []):
            details = group.get("histograms", [])
            for item in details if isinstance(details, list) else details.get("details", []):
                name = item["name"].removeprefix("cluster.").removesuffix(".upstream_rq_time")
                found[name] = [(float(b["upper_bound"]), int(b["cumulative"])) for b in item.get("totals", [])
                               if "cumulative" in b] or [
                    (float(b["upper_bound"]), int(b["cumulative"])) for b in item.get("buckets", [])
                ]  # fmt: skip
        return found

    def _clusters(self, layouts: Sequence[Layout]) -> str:
        content = clusters(layouts, self.rules)
        return discovery(digest(content), content)

    def _drain(self, names: set[str]) -> None:
        """Wait until the clusters that go have answered what they have begun, as long as a request may take."""
        if not names:
            return
        time.sleep(GRACE)
        end = time.monotonic() + self.rules.timeout_seconds
        while time.monotonic() < end:
            counters = self.counters()
            if not any(host[2] for name in names for host in counters.get(name, {}).values()):
                return
            time.sleep(0.02)

    def _wait(self, watched: str, version: str, begin: Mapping[str, int]) -> str:
        """Return an empty text once Envoy has taken ``version``, else why not; ``begin``: its counters before."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            if self._texts().get(f"{watched}.version_text") == version and not self._warming():
                return ""
            now = self._numbers(watched)
            for kind in ("update_rejected", "update_failure"):
                if now.get(f"{watched}.{kind}", 0) > begin.get(f"{watched}.{kind}", 0):
                    return f"{kind} ({self._last_words()})"
            time.sleep(0.005)
        return f"not within {SECONDS:.0f} s"

    def _warming(self) -> bool:
        return bool(self._numbers("cluster_manager.warming_clusters").get("cluster_manager.warming_clusters"))

    def _last_words(self) -> str:
        process = self.process()
        return self.processes.tail(process, 2) if process else "it does not run"

    def _texts(self) -> dict[str, str]:
        found = (line.split(": ", 1) for line in self._get("/stats?type=TextReadouts").splitlines() if ": " in line)
        return {name: text.strip('"').replace("&quot;", '"') for name, text in found}

    def _numbers(self, prefix: str) -> Mapping[str, int]:
        lines = self._get(f"/stats?filter={prefix.replace('.', '%5C.')}&type=All").splitlines()
        pairs = (line.rsplit(": ", 1) for line in lines if ": " in line)
        return {name: int(value) for name, value in pairs if value.isdigit()}

    def _get(self, path: str) -> str:
        """Return what the admin interface answers; empty when it does not."""
        return ask(admin_socket(self.folder.resolve()), path)


def _json(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _last(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1][-400:] if lines else "no reason given"
