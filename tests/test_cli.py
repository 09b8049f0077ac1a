from __future__ import annotations

import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from mainline.cli import app
from mainline.errors import UserError
from mainline.numerics import THREADS

COMMANDS = {
    "validate": "mainline.stages.run_validate",
    "split": "mainline.stages.run_split",
    "train": "mainline.stages.run_train",
    "evaluate": "mainline.stages.run_evaluate",
    "card": "mainline.stages.run_card",
    "summary": "mainline.summary.show",
    "latency": "mainline.summary.show_latency",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in THREADS:
        monkeypatch.setenv(name, "7")
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_calls_one_function_with_one_thread(command: str, monkeypatch) -> None:
    threads = []
    monkeypatch.setattr(COMMANDS[command], lambda: threads.append([os.environ[name] for name in THREADS]) or True)
    result = CliRunner().invoke(app, [command])
    assert result.exit_code == 0, result.output
    assert threads == [["1"] * len(THREADS)]


@pytest.mark.parametrize("command", ["validate", "summary"])
def test_a_verdict_is_the_exit_code(command: str, monkeypatch) -> None:
    monkeypatch.setattr(COMMANDS[command], lambda: False)
    assert CliRunner().invoke(app, [command]).exit_code == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_a_users_mistake_ends_in_words_and_exit_code_1(command: str, monkeypatch) -> None:
    def fail() -> None:
        raise UserError("params.yaml: data.id: odd [bold]", "mend it")

    monkeypatch.setattr(COMMANDS[command], fail)
    result = CliRunner().invoke(app, [command])
    assert result.exit_code == 1
    assert result.stderr == "✗ params.yaml: data.id: odd [bold]\n  fix: mend it\n"
    assert isinstance(result.exception, SystemExit)


def test_any_other_error_is_not_hidden(monkeypatch) -> None:
    def fail() -> None:
        raise RuntimeError("a defect of ours")

    monkeypatch.setattr(COMMANDS["train"], fail)
    assert isinstance(CliRunner().invoke(app, ["train"]).exception, RuntimeError)


def test_remote_moves_or_verifies(monkeypatch) -> None:
    calls = []
    monkeypatch.setattr(
        "mainline.remote.move", lambda url, endpoint_url: calls.append((url, endpoint_url)) or ["moved"]
    )
    monkeypatch.setattr("mainline.remote.verify", lambda: calls.append("verify") or ["read back"])
    moved = CliRunner().invoke(app, ["remote", "s3://bucket", "--endpoint-url", "http://host:9000"])
    plain = CliRunner().invoke(app, ["remote", "/folder"])
    verified = CliRunner().invoke(app, ["remote", "--verify"])
    assert calls == [("s3://bucket", "http://host:9000"), ("/folder", None), "verify"]
    assert (moved.output, plain.output, verified.output) == ("✓ moved\n", "✓ moved\n", "✓ read back\n")


def test_help_names_every_command_and_a_wrong_one_is_refused() -> None:
    shown = CliRunner().invoke(app, ["--help"])
    assert shown.exit_code == 0
    assert all(f"  {command} " in shown.output for command in [*COMMANDS, "remote"])
    wrong = CliRunner().invoke(app, ["trian"])
    assert wrong.exit_code == 2 and "trian" in wrong.output


def test_a_terminal_without_our_characters_is_no_traceback(scratch) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "mainline.cli", "validate"]
    done = subprocess.run(command, cwd=scratch.folder, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "checking the batches ?\n? 1,200 rows" in done.stdout
