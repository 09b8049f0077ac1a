from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mainline.cli import app

ROOT = Path(__file__).parents[2]
DIGEST = "shop.example/bank@sha256:" + "a" * 64


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    return tmp_path


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the schemas out, which other tests hold the same files against."""
    monkeypatch.setattr("mainline.rollout.kubernetes.check.schema_faults", lambda _: [])


def run(*arguments: str):
    return CliRunner().invoke(app, ["kubernetes", *arguments])


def test_a_release_is_rendered_and_right(place: Path) -> None:
    done = run("render", "--image", DIGEST, "--release", "bank-1", "--environment", "production", "--out", "k")
    assert done.exit_code == 0, done.output
    assert "files for production, bank-1" in done.output
    assert not (place / "k/overlays/staging").exists()
    assert run("check", "k").exit_code == 0


def test_the_placeholder_is_accepted_only_when_asked(quick: None) -> None:
    assert run("render").exit_code == 0
    refused = run("check")
    assert refused.exit_code == 1 and "the placeholder; render with --image" in refused.output
    assert run("check", "--placeholder").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--image", "bank:1", "--release", "bank-1"], "not named by digest"),
        (["--image", DIGEST], "one without the other"),
        (["--environment", "test"], "use staging or production"),
        (
            ["--image", DIGEST, "--release", "r", "--shadow-image", DIGEST, "--shadow-release", "r"],
            "name the candidate",
        ),
    ],
)
def test_a_mistake_writes_nothing(arguments: list[str], words: str, place: Path) -> None:
    done = run("render", *arguments)
    assert done.exit_code == 1 and words in done.output
    assert [path.name for path in place.iterdir()] == ["params.yaml"]


def test_a_render_that_fails_its_own_check_writes_nothing(
    place: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mainline.rollout.kubernetes.workload.USER", 0)
    done = run("render")
    assert done.exit_code == 1 and "runs as root" in done.output
    assert [path.name for path in place.iterdir()] == ["params.yaml"]
