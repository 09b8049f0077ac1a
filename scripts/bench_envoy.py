"""`make bench`, last part: what Envoy adds to a request, and what users notice of a change of weight.

Two real services of two real releases behind the rollout's own Envoy. First one of them is asked directly and through
Envoy, block by block in turn. Then users come in at a steady rate while the candidate's weight is changed step by step,
as a rollout does it. Everything ends with the script, also on Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench_place import OUT, ROOT, Answer, Place, answers, end, ended_by_signals, make_place, markdown, quantile

from mainline.config import load_settings
from mainline.files import write_json
from mainline.release.store import find
from mainline.rollout.admin import remove_socket
from mainline.rollout.layout import Layout
from mainline.rollout.plane import CANDIDATE, STABLE, Plane
from mainline.rollout.processes import stop_all

CONCURRENCY = (1, 16)
WEIGHTS = (0, 1, 5, 25, 50, 100, 0)
USERS = 2000


@dataclass(frozen=True)
class Changed:
    """A change of weight: when it was begun (Unix time), and how long until Envoy had confirmed all of it."""

    weight: int
    at: float
    seconds: float


@dataclass(frozen=True)
class Noticed:
    """What the users of one weight got.

    Attributes:
        share: of the users whom the candidate answered in the second half.
        settled_ms: from the begin of the change until the last request that went where its user no longer belongs.
        stragglers: how many such requests there were.
    """

    weight: int
    confirmed_ms: float
    requests: int
    failed: int
    share: float
    settled_ms: float
    stragglers: int
    p50: float
    p99: float


@contextlib.contextmanager
def running(place: Place) -> Iterator[tuple[Plane, Layout]]:
    """Start both services and Envoy in the clone; give them with the layout in which stable answers all."""
    before = Path.cwd()
    os.chdir(place.folder)
    # The services run the code that their releases hold; what starts them is the clone's.
    os.environ["PYTHONPATH"] = str(place.folder / "src")
    rules = load_settings().rollout
    plane = Plane(place.folder.parent / "plane", place.folder.parent / "log", rules,
                  lambda name: find(name).bento, tied=True)  # fmt: skip
    try:
        for role, release in zip((STABLE, CANDIDATE), place.releases, strict=True):
            plane.begin(role, release)
        stable, candidate = (
            plane.wait(role, release, 120.0) for role, release in zip((STABLE, CANDIDATE), place.releases, strict=True)
        )
        if stable is None or candidate is None:
            raise SystemExit(f"a service did not start: look into {plane.processes.folder}")
        layout = Layout(stable, candidate)
        plane.apply(layout)
        yield plane, layout
    finally:
        stop_all(plane.processes)
        remove_socket(plane.folder.resolve())
        os.chdir(before)


def closed_loop(port: int, body: Path, concurrency: int, seconds: float) -> dict[str, float]:
    """Return the figures of ``bench_load``."""
    command = [sys.executable, str(ROOT / "scripts/bench_load.py"), str(port), "/predict", str(body), str(concurrency),
               str(seconds)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def added(plane: Plane, layout: Layout, body: Path, seconds: float, rounds: int) -> list[dict[str, float | str]]:
    """Return the medians of the rounds by way and concurrency; the two ways are asked in turn."""
    ways = {"directly": layout.stable.ports[0], "through Envoy": plane.envoy.port}
    found: dict[tuple[int, str], list[dict[str, float]]] = {}
    for number in range(rounds):
        for concurrency in CONCURRENCY:
            for way in list(ways) if number % 2 else list(ways)[::-1]:
                measured = closed_loop(ways[way], body, concurrency, seconds)
                found.setdefault((concurrency, way), []).append(measured)
    lines: list[dict[str, float | str]] = []
    for (concurrency, way), blocks in sorted(found.items()):
        middle = {key: statistics.median(block[key] for block in blocks) for key in ("rate", "p50", "p99")}
        total = {key: sum(block[key] for block in blocks) for key in ("all", "failed")}
        lines.append({"clients": concurrency, "way": way, **middle, **total})
    return lines


def change_weights(
    place: Place, plane: Plane, layout: Layout, rate: float, seconds: float
) -> tuple[list[Changed], list[Answer]]:
    """Change the weight while users come in; return the changes and all answers."""
    record = place.folder.parent / "answers.csv"
    users: subprocess.Popen[bytes] | None = None
    changes = []
    try:
        users = place.users(plane.envoy.port, record, rate, (len(WEIGHTS) + 1) * seconds + 30, USERS)
        time.sleep(2.0)  # the client's own start, and its first connections
        for number, weight in enumerate(WEIGHTS):
            at, begin = time.time(), time.perf_counter()
            plane.apply(Layout(layout.stable, layout.candidate, weight=weight, revision=number + 1))
            changes.append(Changed(weight, at, time.perf_counter() - begin))
            time.sleep(max(0.0, seconds - (time.perf_counter() - begin)))
    finally:
        end(users)
    return changes, answers(record)


def notice(changes: Sequence[Changed], got: Sequence[Answer], candidate: str, until: float) -> list[Noticed]:
    """Return what the users noticed, by weight; a user's side in the second half of a block is where he belongs."""
    lines = []
    ends = [change.at for change in changes[1:]] + [until]
    for change, stop in zip(changes, ends, strict=True):
        mine = [one for one in got if change.at <= one.at < stop]
        half = (change.at + stop) / 2
        belongs = {one.number % USERS: one.release for one in mine if one.at >= half and one.status == 200}
        astray = [
            one
            for one in mine
            if one.at < half and one.status == 200 and belongs.get(one.number % USERS, one.release) != one.release
        ]
        took = [one.milliseconds for one in mine]
        lines.append(Noticed(
            change.weight, 1000 * change.seconds, len(mine), sum(one.status != 200 for one in mine),
            sum(release == candidate for release in belongs.values()) / max(len(belongs), 1),
            max((1000 * (one.at - change.at) for one in astray), default=0.0), len(astray),
            quantile(took, 0.5), quantile(took, 0.99),
        ))  # fmt: skip
    return lines


def told(latency: Sequence[dict[str, float | str]], weights: Sequence[Noticed]) -> str:
    """Return both tables."""
    first = []
    for line in latency:
        direct = next(one for one in latency if one["clients"] == line["clients"] and one["way"] == "directly")
        p50, p99 = (float(line[key]) - float(direct[key]) for key in ("p50", "p99"))
        more = ("", "") if line is direct else (f"{p50:+.2f}", f"{p99:+.2f}")
        first.append((
            str(line["clients"]), str(line["way"]), f"{float(line['rate']):,.0f}", f"{float(line['p50']):.2f}", more[0],
            f"{float(line['p99']):.2f}", more[1], f"{float(line['all']):,.0f}", f"{float(line['failed']):.0f}",
        ))  # fmt: skip
    second = [
        (f"{one.weight} %", f"{one.share:.1%}", f"{one.requests:,}", str(one.failed), f"{one.confirmed_ms:.0f}",
         f"{one.settled_ms:.0f}", str(one.stragglers), f"{one.p50:.2f}", f"{one.p99:.1f}")
        for one in weights
    ]  # fmt: skip
    return "\n".join((
        markdown(("clients", "way", "requests/s", "p50 ms", "added", "p99 ms", "added", "requests", "failed"),
                 first, 2),
        markdown(("weight", "share of the users", "requests", "failed", "confirmed after ms", "right after ms",
                  "requests astray", "p50 ms", "p99 ms"), second, 0),
    ))  # fmt: skip


def main() -> None:
    """Measure, print Markdown, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each block of the latency")
    parser.add_argument("--rounds", type=int, default=3, help="blocks of each kind")
    parser.add_argument("--rate", type=float, default=500.0, help="requests a second while the weight changes")
    parser.add_argument("--hold", type=float, default=10.0,
                        help=f"seconds that each weight stays; {USERS} users must each come twice")  # fmt: skip
    given = parser.parse_args()
    if given.rate > 600 or given.rate * given.hold < 2 * USERS:
        parser.error(f"--rate is at most 600, and --rate times --hold at least {2 * USERS}")
    loads = [os.getloadavg()[0]]
    with ended_by_signals(), tempfile.TemporaryDirectory(prefix="mainline-envoy-") as name:
        place = make_place(Path(name), {"proxy": {"port": 0}})
        body = Path(name) / "body.json"
        body.write_bytes(place.bodies.read_bytes().splitlines()[0])
        with running(place) as (plane, layout):
            latency = added(plane, layout, body, given.seconds, given.rounds)
            loads.append(os.getloadavg()[0])
            changes, got = change_weights(place, plane, layout, given.rate, given.hold)
            loads.append(os.getloadavg()[0])
    # What was due before the first change or after the last one's time is nobody's; but failures always count.
    until = changes[-1].at + given.hold
    weights = notice(changes, got, place.releases[1], until)
    outside = sum(one.status != 200 for one in got) - sum(one.failed for one in weights)
    print(
        f"Conditions: {os.cpu_count()} cores, Python {platform.python_version()}, everything on one machine, load "
        f"average {min(loads):.1f} to {max(loads):.1f}; {given.rounds} rounds of {given.seconds:g} s; then "
        f"{given.rate:g} requests a second of {USERS:,} users, {len(got):,} in all, "
        f"{sum(one.status != 200 for one in got)} failed ({outside} before the first change or after the last).\n"
    )
    print(told(latency, weights))
    write_json(OUT / "envoy.json", {"load": loads, "rate": given.rate, "requests": len(got), "failed_outside": outside,
                                    "latency": latency, "weights": [asdict(one) for one in weights]})  # fmt: skip
    if any(one.status != 200 for one in got):
        sys.exit(1)


if __name__ == "__main__":
    main()
