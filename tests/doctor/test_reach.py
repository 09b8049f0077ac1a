"""Offline, without a token, with one that may not look, and with a server that never answers: nothing becomes ok."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from mainline.ci.labels import LABELS
from mainline.doctor import actions, rules, settings, sight, watching
from mainline.doctor import hub as doctor_hub
from mainline.doctor.found import NotSeen
from mainline.doctor.hub import repository_of, within
from mainline.doctor.levels import reached

ROOMS = (settings, actions, rules, watching)
ASKED = {check.name for room in ROOMS for check in room.CHECKS} - {"default branch", "heartbeat"}
LEDGER = {"stable", "canary", "way back", "rollout", "heartbeat"}


def unknown(findings: list[Any]) -> set[str]:
    return {item.check for item in findings if item.status == "unknown"}


def test_offline_nothing_of_github_is_asked_and_nothing_of_it_is_ok(hosted: Any) -> None:
    findings = hosted.look(offline=True)
    assert unknown(findings) == ASKED | {"secrets"}
    assert hosted.hub.calls == [] and reached(findings).number == 1


def test_offline_an_origin_that_is_far_away_is_not_asked_and_the_ledger_here_is_in_doubt(place: Any) -> None:
    subprocess.run(
        ["git", "remote", "set-url", "origin", "https://192.0.2.1/ada/loans.git"], cwd=place.repo, check=True
    )
    findings = place.look("origin", "stable", "canary", "way back", "rollout", "heartbeat", offline=True)
    assert unknown(findings) == {"origin", *LEDGER}
    shutil.copytree(place.top / "ledger", place.repo / ".mainline" / "deploy")
    found = place.find("stable", offline=True)
    assert found.status == "unknown" and "on this machine: r2 since" in found.text


def test_without_a_token_github_is_not_checked_and_never_ok(hosted: Any) -> None:
    del hosted.environment["GITHUB_TOKEN"]
    findings = hosted.look()
    assert unknown(findings) == ASKED | {"secrets"} and hosted.hub.calls == []
    assert {item.text for item in findings if item.status == "unknown"} == {"not checked: no token (GITHUB_TOKEN)"}
    assert all("gh auth token" in item.fix for item in findings if item.status == "unknown")


def test_a_token_that_may_not_look_makes_no_check_ok(hosted: Any) -> None:
    for path in [*hosted.more, "/issues"]:
        if path != "/actions/workflows":
            hosted.hub.refuse[path] = 403
    findings = hosted.look(*ASKED, "secrets")
    fine = {"GitHub", *(f"workflow {name}" for name in actions.WORKFLOWS)}
    assert {item.check for item in findings if item.status == "ok"} == fine
    assert unknown(findings) == (ASKED | {"secrets"}) - fine - {"blind", "alarms"}


@pytest.fixture
def deaf() -> Iterator[tuple[str, list[int]]]:
    """A server that takes connections and never answers; its address, and how often it was called."""
    calls: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as server, contextlib.ExitStack() as stack:

        def take() -> None:
            while True:
                try:
                    stack.enter_context(server.accept()[0])
                except OSError:
                    return
                calls.append(1)

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", calls
        server.shutdown(socket.SHUT_RDWR)


def test_a_server_that_does_not_answer_is_asked_once_and_the_rest_goes_on(
    hosted: Any, deaf: tuple[str, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_hub, "PATIENCE", 0.2)
    address, calls = deaf
    hosted.environment["GITHUB_API_URL"] = address
    findings = hosted.look()
    assert unknown(findings) == ASKED | {"secrets"} and len(calls) == 1
    assert reached(findings).number == 1
    assert not [item for item in findings if item.status == "broken"], "being offline is no fault"


def test_a_name_that_is_looked_up_for_ever_is_left_behind() -> None:
    end = threading.Event()
    with pytest.raises(NotSeen, match=r"it does not answer within 0\.05 seconds"):
        within(0.05, end.wait, "it")
    end.set()
    with pytest.raises(ZeroDivisionError):
        within(9, lambda: 1 / 0, "it")
    assert within(9, lambda: 7, "it") == 7


def test_an_origin_that_does_not_answer_is_asked_once(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(place.top / "origin.git")
    asked = []
    plain = sight.Sight.run

    def count(self: Any, *arguments: str, **how: Any) -> Any:
        asked.extend(name for name in arguments if name == "ls-remote")
        return plain(self, *arguments, **how)

    monkeypatch.setattr(sight.Sight, "run", count)
    findings = place.look("origin", *LEDGER)
    assert {item.status for item in findings} == {"broken", "unknown"} and unknown(findings) == LEDGER
    assert asked == ["ls-remote"]


@pytest.mark.parametrize(
    ("origin", "server", "name"),
    [
        ("https://github.com/ada/loans.git", "", "ada/loans"),
        ("https://u:p@github.com/ada/loans", "", "ada/loans"),
        ("git@github.com:ada/loans.git", "", "ada/loans"),
        ("ssh://git@github.com:22/ada/loans.git", "", "ada/loans"),
        ("https://hub.example.org/ada/loans", "https://hub.example.org", "ada/loans"),
        ("https://gitlab.com/ada/loans.git", "", ""),
        ("https://github.com.example.org/ada/loans", "", ""),
        ("../origin.git", "", ""),
        ("https://github.com/ada/loans/more", "", ""),
        ("http://[", "", ""),
        ("", "", ""),
    ],
)
def test_the_repository_is_read_from_the_origin(origin: str, server: str, name: str) -> None:
    assert repository_of(origin, {"GITHUB_SERVER_URL": server}) == name


def test_pages_are_all_read(hosted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"label {number}" for number in range(100)]
    pages = {"1": [{"name": name} for name in names], "2": [{"name": name} for name in LABELS]}
    plain = hosted.hub.answer
    monkeypatch.setattr(
        hosted.hub, "answer", lambda m, p, b, q: (200, pages[q["page"]]) if p == "/labels" else plain(m, p, b, q)
    )
    assert hosted.find("labels").status == "ok"


def test_a_git_that_is_not_there_stops_no_check(hosted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(hosted.top))
    findings = hosted.look()
    assert {item.check for item in findings if item.status == "ok"} & {"params", "storage", "objects", "GitHub"}
    assert not {item.check for item in findings if item.status == "ok"} & {"git", "origin", "stable", "heartbeat"}


def test_the_doctor_changes_nothing(place: Any) -> None:
    before = {path: path.read_bytes() for path in place.top.rglob("*") if path.is_file()}
    place.look()
    after = {path: path.read_bytes() for path in place.top.rglob("*") if path.is_file()}
    assert after == before
    assert all(call.startswith("GET ") for call in place.hub.calls)
    assert watching.CHECKS
