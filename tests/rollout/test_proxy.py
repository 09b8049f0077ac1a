"""The proxy as users meet it: one Envoy, two stand-ins."""

from __future__ import annotations

import http.client
import json
import os
import signal
import stat
import subprocess
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest

from mainline.config import Proxy
from mainline.errors import UserError
from mainline.rollout.admin import admin_socket, ask
from mainline.rollout.envoy_config import clusters, routes, static
from mainline.rollout.layout import Layout, Upstream, read_layout
from mainline.rollout.processes import alive

pytestmark = pytest.mark.slow
A, B = Upstream("rel-a", (1001,)), Upstream("rel-b", (1002,))


@pytest.fixture(scope="module")
def pair(shared):
    """The shared stage with "other" beside "good"; returns a function that sets weight and shadow."""
    shared.add("other", bend=0.1)
    shared.plane.begin("candidate", "other")
    other = shared.plane.wait("candidate", "other", 10)
    plain = shared.plane.layout()

    def split(weight: int, shadow: bool = False) -> None:
        shared.plane.apply(replace(plain, candidate=other, weight=weight, shadow=shadow))

    yield split
    shared.plane.apply(plain)


def send(port: int, count: int, headers, path: str = "/predict", body: object = None) -> list[http.client.HTTPResponse]:
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    found = []
    for number in range(count):
        line.request("POST", path, json.dumps(body or {"x": 0.3, "group": "a"}), headers(number))
        answer = line.getresponse()
        answer.text = answer.read()  # type: ignore[attr-defined]
        found.append(answer)
    line.close()
    return found


def test_users_stay_on_their_side_and_none_leaves_the_candidate_when_it_gets_more(pair, shared) -> None:
    seen: dict[int, set[int]] = {}
    for weight in (10, 50, 100):
        pair(weight)
        sides = defaultdict(set)
        for _ in range(2):
            for number, answer in enumerate(send(shared.plane.envoy.port, 120, lambda n: {"x-user-id": f"u{n}"})):
                sides[number].add(answer.getheader("x-release"))
        assert all(len(side) == 1 for side in sides.values()), "nobody sees both"
        seen[weight] = {number for number, side in sides.items() if side == {"other"}}
        assert abs(len(seen[weight]) - 1.2 * weight) <= 20
    assert seen[10] <= seen[50] <= seen[100]


def test_a_user_without_an_id_keeps_his_side_by_a_cookie(pair, shared) -> None:
    pair(50)
    sides = set()
    for _ in range(12):
        (first,) = send(shared.plane.envoy.port, 1, lambda n: {})
        cookie = first.getheader("set-cookie").split(";")[0]
        again = send(shared.plane.envoy.port, 3, lambda n, cookie=cookie: {"cookie": cookie})
        assert {item.getheader("x-release") for item in again} == {first.getheader("x-release")}
        assert not any(item.getheader("set-cookie") for item in again)
        sides.add(first.getheader("x-release"))
    assert sides == {"good", "other"}


def test_shadow_gets_every_request_marked_and_no_user_can_mark_his_own(pair, shared) -> None:
    pair(0, shadow=True)
    answers = send(shared.plane.envoy.port, 20, lambda n: {"x-request-id": f"mirror-{n}", "x-shadow": "1"})
    assert {item.getheader("x-release") for item in answers} == {"good"}
    end = time.monotonic() + 5
    while True:
        lines = [json.loads(line) for path in shared.plane.log.glob("*") for line in path.read_text().splitlines()]
        tracks = defaultdict(set)
        for line in lines:
            if str(line["request_id"]).startswith("mirror-"):
                tracks[line["request_id"]].add((line["release"], line["track"]))
        if all(len(found) == 2 for found in tracks.values()) and len(tracks) == 20 or time.monotonic() > end:
            break
    assert set(map(frozenset, tracks.values())) == {frozenset({("good", "stable"), ("other", "shadow")})}


def test_copies_that_the_proxy_keeps_back_in_a_burst_are_counted_as_its_own(pair, shared) -> None:
    pair(0, shadow=True)
    layout, process = shared.plane.layout(), shared.plane.processes.of("candidate", "other")[0]
    before = shared.plane.readings(layout)
    os.kill(process.pid, signal.SIGSTOP)
    try:
        with shared.traffic(400) as traffic:
            time.sleep(1.0)
    finally:
        os.kill(process.pid, signal.SIGCONT)
    end = time.monotonic() + 10
    while True:
        now = shared.plane.readings(layout)
        copies, users = (now[side].since(before[side]) for side in ("candidate", "stable"))
        if copies.requests + copies.dropped >= users.requests or time.monotonic() > end:
            break
    assert traffic.answers.failed == 0
    assert (copies.requests + copies.dropped, copies.errors, users.dropped) == (users.requests, 0, 0)
    assert copies.dropped > 50, "or the burst was none"


def test_weight_changes_under_load_cost_nothing(pair, shared) -> None:
    with shared.traffic(400) as traffic:
        for weight in (5, 50, 100, 0, 25, 0) * 3:
            pair(weight)
    assert traffic.answers.failed == 0, traffic.answers.failures
    assert traffic.answers.sent > 100


def test_what_is_not_for_users(pair, shared) -> None:
    port = shared.plane.envoy.port
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    line.request("GET", "/metrics")
    assert line.getresponse().status == 404
    (large,) = send(port, 1, lambda n: {}, body={"x": 0.3, "group": "a" * 1_100_000})
    assert large.status == 413
    admin = admin_socket(shared.plane.folder.resolve())
    assert stat.S_IMODE(admin.stat().st_mode) == 0o600
    assert stat.S_IMODE(admin.parent.stat().st_mode) == 0o700
    assert ask(admin, "/ready") == "LIVE\n"
    assert ask(admin, "/config_dump") == ask(admin, "/quitquitquit") == ""


def test_a_rate_limit_refuses_the_rest(stage_for) -> None:
    stage = stage_for()
    limited = stage.rules.model_copy(update={"proxy": Proxy(port=0, requests_per_second=5)})
    stage.plane = replace(stage.plane, rules=limited)
    stage.renew()
    stage.serve("good")
    statuses = [item.status for item in send(stage.plane.envoy.port, 40, lambda n: {})]
    assert 0 < statuses.count(200) < 40
    assert set(statuses) == {200, 429}


def test_a_port_that_is_taken_is_told(shared, stage_for) -> None:
    stage = stage_for()
    taken = stage.rules.model_copy(update={"proxy": Proxy(port=shared.plane.envoy.port)})
    stage.plane = replace(stage.plane, rules=taken)
    stage.renew()
    with pytest.raises(UserError, match="Envoy did not start on port"):
        stage.serve("good")


def test_tied_processes_end_with_the_one_that_started_them(stage_for) -> None:
    stage = stage_for()
    child = os.fork()
    if child == 0:
        try:
            stage.serve("good")
            os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    left = stage.plane.processes.all()
    assert [item.role for item in left] == ["proxy", "stable"]
    end = time.monotonic() + 10
    while any(alive(item) for item in left) and time.monotonic() < end:
        time.sleep(0.05)
    assert stage.alive() == []


def test_every_field_is_one_that_envoy_knows(tmp_path: Path) -> None:
    from mainline.rollout.admin import find_program

    for number, layout in enumerate((Layout(A), Layout(A, B, 0, True), Layout(A, B, 25), Layout(A, B, 100))):
        for rules in (Proxy(), Proxy(requests_per_second=7)):
            path = tmp_path / f"{number}.json"
            path.write_text(json.dumps(static(layout, tmp_path / "a.sock", 10_000, rules)))
            done = subprocess.run([find_program(), "--mode", "validate", "--disable-hot-restart", "-c", str(path)],
                                  capture_output=True, text=True, timeout=60)  # fmt: skip
            assert done.returncode == 0, done.stderr


def test_the_candidate_stands_first_and_full_weight_still_falls_back() -> None:
    split = routes(Layout(A, B, 100), Proxy())["virtual_hosts"][0]["routes"][1]["route"]
    names = [(item["name"], item["weight"]) for item in split["weighted_clusters"]["clusters"]]
    assert names == [("arm-rel-b-p1002", 100), ("rel-a-p1001", 0)]
    found = {item["name"]: item for item in clusters([Layout(A), Layout(A, B, 5)], Proxy())}
    inner = found["arm-rel-b-p1002"]["cluster_type"]["typed_config"]["clusters"]
    assert inner == [{"name": "rel-b-p1002"}, {"name": "rel-a-p1001"}]
    assert set(found) == {"arm-rel-b-p1002", "rel-a-p1001", "rel-b-p1002", "shadow-rel-b-p1002"}


def test_a_layout_survives_its_text() -> None:
    layout = Layout(A, B, 25, False, 7, "abort: odd")
    assert read_layout(layout.text(), "x") == layout
    for text in ("", "{}", "[1]", '{"stable": {"release": "a", "ports": 3}, "candidate": null}'):
        with pytest.raises(UserError, match="was not written by mainline"):
            read_layout(text, "routes.json")
