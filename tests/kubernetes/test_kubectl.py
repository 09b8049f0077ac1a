"""kubectl as it is found on PATH, played by a script: what it says, and the ways in which it fails."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mainline.errors import UserError
from mainline.rollout.kubernetes import kubectl


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return tmp_path / "kubectl"


def write(program: Path, text: str) -> None:
    program.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    program.chmod(0o755)


def test_one_question_without_our_keys(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "a-token-of-some-length")
    write(program, f'echo "$@" > {program}.asked; env > {program}.env; echo \'{{"kind": "List", "items": [1]}}\'')
    assert kubectl.ask("bank-production")["items"] == [1]
    asked = Path(f"{program}.asked").read_text().split()
    assert asked[:2] == ["get", "rollouts.argoproj.io,replicasets.apps,analysisruns.argoproj.io"]
    assert asked[2:6] == ["--namespace", "bank-production", "--output", "json"]
    seen = Path(f"{program}.env").read_text()
    assert "a-token-of-some-length" not in seen and "PATH=" in seen


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('echo "error: You must be logged in" >&2; exit 1', "kubectl: error: You must be logged in"),
        ('echo \'{"items": []}\'; echo "Error from server (Forbidden)" >&2; exit 1', "Forbidden"),
        ('echo "E1121 19:17:07 memcache.go" >&2; echo "refused" >&2; exit 1', "kubectl: refused"),
        ("exit 3", "exit code 3"),
        ("echo Healthy", "cannot be read"),
        ("echo '[]'", "it is no list"),
        ('echo \'{"kind": "Rollout"}\'', "it is no list"),
        ("sleep 60", "no answer within 0 s"),
    ],
)
def test_no_failure_is_taken_for_an_answer(
    program: Path, text: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubectl, "SECONDS", 0.3 if "sleep" in text else 20.0)
    write(program, text)
    with pytest.raises(UserError) as caught:
        kubectl.ask("bank-production")
    assert words in caught.value.problem and "19:17" not in caught.value.problem


def test_without_kubectl_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="kubectl: No such file") as caught:
        kubectl.ask("bank-production")
    assert "install kubectl" in caught.value.fix
