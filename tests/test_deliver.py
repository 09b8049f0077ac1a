"""What stops the whole way before anything is built."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from mainline import deliver as way


def test_what_is_not_committed_is_said_and_nothing_is_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(way, "changed_files", lambda _: ["params.yaml", "dvc.lock"])
    monkeypatch.setattr(way, "run_compare", lambda: pytest.fail("compared"))
    assert way.deliver() == 0
    assert "not committed: params.yaml, dvc.lock; a release is made of a commit" in capsys.readouterr().out


@pytest.mark.parametrize("code", [1, 3])
def test_a_verdict_that_is_not_promote_stops_it(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(way, "changed_files", lambda _: [])
    monkeypatch.setattr(way, "run_compare", lambda: code)
    monkeypatch.setattr(way, "build", lambda **_: pytest.fail("built"))
    assert way.deliver() == code


def test_a_first_release_that_does_not_start_is_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    release = SimpleNamespace(id="one", path="there")
    told: list[str] = []
    monkeypatch.setattr(way, "changed_files", lambda _: [])
    monkeypatch.setattr(way, "run_compare", lambda: 0)
    deploy = SimpleNamespace(state=lambda _: SimpleNamespace(stable=None))
    monkeypatch.setattr(way, "Deploy", SimpleNamespace(open=lambda: deploy))
    monkeypatch.setattr(way, "build", lambda **_: SimpleNamespace(release=release))
    monkeypatch.setattr(way, "show_built", lambda _: None)
    monkeypatch.setattr(way, "twin", lambda *_: SimpleNamespace(id="twin"))
    aborted = SimpleNamespace(tick=SimpleNamespace(outcome="abort"), release="twin")
    monkeypatch.setattr(
        way, "rehearse", lambda name, *_: aborted if name == "twin" else pytest.fail(f"{name} was tried")
    )
    monkeypatch.setattr(way, "tell", lambda done, _: told.append(done.release))
    assert way.deliver() == 1 and told == ["twin"]
