"""Secrets stand in the environment, in .dvc/config.local and in git's remotes; none of them is ever printed."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
from typer.testing import CliRunner

from mainline.address import shown
from mainline.cli import app
from mainline.doctor import run, storage
from mainline.doctor.curtain import hide, secrets_of
from mainline.doctor.found import Check, Found, broken
from mainline.errors import UserError

PLANTED = {
    "GITHUB_TOKEN": "ghp_0123456789abcdefTOKEN",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCY",
    "AZURE_STORAGE_CONNECTION_STRING": "AccountKey=ZmFrZS1hY2NvdW50",
    "SERVICE_KEY": "the-key-of-the-service",
    "MLFLOW_TRACKING_URI": "http://mlflow-user:tracking-pass@127.0.0.1:1/mlflow?sig=signature-of-mlflow",
    "MAINLINE_LOG": "s3x://log-user:log-password@bucket/log?token=token-of-the-log",
}
VALUES = (
    *(PLANTED[name] for name in list(PLANTED)[:4]),
    "mlflow-user", "tracking-pass", "signature-of-mlflow", "log-password", "token-of-the-log", "git-user", "git-p%40ss",
    "git-p@ss", "push-password", "secret-of-dvc", "password-of-dvc", "url-password",
)  # fmt: skip


@pytest.fixture
def planted(place: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The sound place, with keys wherever people leave them, and nothing that answers."""
    for name, value in (place.environment | PLANTED).items():
        monkeypatch.setenv(name, value)
    address = "https://git-user:git-p%40ss@127.0.0.1:1/ada/loans.git"
    for name, value in (("url", address), ("pushurl", "https://x:push-password@127.0.0.1:1/loans.git")):
        subprocess.run(["git", "config", f"remote.origin.{name}", value], cwd=place.repo, check=True)
    (place.repo / ".dvc" / "config.local").write_text(
        "['remote \"mine\"']\n    url = s3://url-user:url-password@bucket/path\n    secret_access_key = secret-of-dvc\n"
        "    password = password-of-dvc\n",
        encoding="utf-8",
    )
    said = f"ERROR: {PLANTED['AWS_SECRET_ACCESS_KEY']}: s3://url-user:url-password@bucket secret-of-dvc: no\n"
    monkeypatch.setattr(storage.dvc, "run", lambda *_: subprocess.CompletedProcess([], 1, "", said))
    monkeypatch.chdir(place.repo)
    return place


@pytest.mark.parametrize("arguments", [(), ("--json",), ("--offline",), ("--offline", "--json")])
def test_no_secret_is_printed(planted: Any, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")  # annotations are printed, too
    printed = CliRunner().invoke(app, ["doctor", *arguments])
    assert printed.exit_code == 1 and "127.0.0.1" in printed.output  # the key in the address of origin is a fault
    assert [value for value in VALUES if value in printed.output] == []


def test_the_checks_themselves_say_no_secret_but_what_other_programs_quote(
    planted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the curtain only the planted words of DVC come through: the curtain is a second line, and it works."""
    monkeypatch.setattr(run, "hide", lambda text, _: text)
    printed = CliRunner().invoke(app, ["doctor"]).output
    assert {value for value in VALUES if value in printed} == {
        "secret-of-dvc",
        "url-password",
        PLANTED["AWS_SECRET_ACCESS_KEY"],
    }


def test_a_secret_in_an_error_or_a_fix_is_blotted_out(place: Any) -> None:
    place.environment["DATABASE_PASSWORD"] = "opensesame-1"  # noqa: S105

    def leak(_: Any) -> Found:
        return broken("could not open with opensesame-1", "try opensesame-1 again")

    header = "AUTHORIZATION: basic aGVhZGVyLW9mLWEtcnVubmVy"
    subprocess.run(["git", "config", "http.https://github.com/.extraheader", header], cwd=place.repo, check=True)

    def quote(_: Any) -> Found:
        return broken(f"git said {header}", "")

    def fail(_: Any) -> Found:
        raise UserError("opensesame-1 was refused", "https://a:opensesame-1@host/x?sig=1")

    with run_sight(place) as seen:
        found = run.examine(seen, [Check("a", "b", leak), Check("c", "d", fail), Check("e", "f", quote)])
    assert [(item.text, item.fix) for item in found] == [
        ("could not open with …", "try … again"),
        ("… was refused", "https://host/x"),
        ("git said AUTHORIZATION: basic …", ""),
    ]


def run_sight(place: Any) -> Any:
    from mainline.doctor.sight import sight

    return sight(place.repo, place.environment)


def test_addresses_are_shown_bare() -> None:
    assert shown("https://u:p@ss@host:1/a?sig=x#y and s3://k@b/c") == "https://host:1/a and s3://b/c"
    assert shown("git@github.com:ada/loans.git") == "git@github.com:ada/loans.git"
    assert hide("abcdef abcdefgh", {"abcdef", "abcdefgh"}) == "… …"


def test_ordinary_words_and_short_values_are_no_secrets(place: Any) -> None:
    environment = {"PWD": "/home/ada", "GIT_AUTHOR_NAME": "Ada Lovelace", "API_KEY": "abc", "MY": "shortkey"}
    assert secrets_of(environment, place.repo, [], "MY") == {"shortkey"}
    (place.repo / ".dvc" / "config.local").write_text("[broken\n password = in-a-broken-file\n", encoding="utf-8")
    assert secrets_of({}, place.repo, [], None) == {"in-a-broken-file"}
