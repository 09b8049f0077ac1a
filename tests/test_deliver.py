"""What stops the whole way before anything is built."""

from __future__ import annotations

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
