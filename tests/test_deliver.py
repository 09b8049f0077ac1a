"""What stops the whole way before anything is built."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from mainline import deliver as way
from mainline.compare.git import changed_files


@pytest.mark.parametrize(
    ("verdict", "failed", "code", "said"),
    [
        (0, [], 0, ["To release them, commit", "git add -- dvc.lock params.yaml && git commit"]),
        (0, ["size_mb"], 1, ["a release of this model will be refused: gates not passed: size_mb"]),
        (1, [], 1, []),
        (3, [], 3, []),
    ],
)
def test_uncommitted_changes_end_with_their_verdict_and_are_not_released(
    verdict: int,
    failed: list[str],
    code: int,
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(way, "changed_files", lambda _: ["dvc.lock", "params.yaml"])
    monkeypatch.setattr(way, "run_compare", lambda: verdict)
    monkeypatch.setattr(way, "failed_gates", lambda: failed)
    monkeypatch.setattr(way, "commit_command", lambda changed: f"git add -- {' '.join(changed)} && git commit")
    monkeypatch.setattr(way, "build", lambda **_: pytest.fail("built"))
    assert way.deliver() == code
    printed = capsys.readouterr().out
    assert "uncommitted changes: dvc.lock, params.yaml; a release is built from a commit" in printed
    assert all(words in printed for words in said)
    assert ("git commit" in printed) is (code == 0), "a model that would not be released is not to be committed for it"


def test_the_command_commits_every_change_and_runs_as_it_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(command: str) -> str:
        who = {f"GIT_{role}_{key}": "a@b" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
        own = os.environ | who | {"GIT_EDITOR": "echo Change it >"}
        return subprocess.run(
            command, shell=True, cwd=tmp_path, env=own, check=True, capture_output=True, text=True
        ).stdout

    monkeypatch.chdir(tmp_path)
    objects = tmp_path / ".dvc" / "embedded" / "files" / "md5" / "ab"
    objects.mkdir(parents=True)
    for name in ("kept", "moved", "removed", "staged", ".dvc/embedded/files/md5/ab/old"):
        (tmp_path / name).write_text(f"{name}\n", encoding="utf-8")
    run("git init --quiet . && git add --all && git commit --quiet --message=Start")
    run("git mv moved 'to here' && rm removed && git rm --quiet staged && rm .dvc/embedded/files/md5/ab/old")
    for name in ("kept", "it's new", ".dvc/embedded/files/md5/ab/new"):
        (tmp_path / name).write_text("other\n", encoding="utf-8")
    command = way.commit_command(changed_files("HEAD"))
    assert command == """git add -- 'it'"'"'s new' kept removed 'to here' .dvc/embedded/ && git commit"""
    run(command)
    assert run("git status --porcelain") == ""

    for number in range(20):
        (tmp_path / f"{number}").touch()
    run(way.commit_command(changed_files("HEAD")))
    assert run("git status --porcelain") == ""


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
