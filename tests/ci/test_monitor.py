from __future__ import annotations

import datetime as dt
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mainline.ci import monitor
from mainline.ci.monitor_champion import FACTS, champion, put_facts
from mainline.ci.monitor_demo import until
from mainline.ci.monitor_state import Beat, put_beat
from mainline.cli import app
from mainline.errors import UserError
from mainline.release.ledger import Deploy, Entry

pytestmark = pytest.mark.usefixtures("quick")

NEWEST = dt.datetime(2010, 11, 17)
Run = Callable[..., Any]


@pytest.fixture
def run(event: Callable[..., object], tmp_path: Path, git: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """``run(*words)``: a command in a clone whose origin is bare; returns exit code, output, GITHUB_OUTPUT, summary."""
    event()
    root = Path(__file__).parents[2]
    git(tmp_path, "init", "--quiet", "--bare", "origin.git")
    git(tmp_path / "work", "init", "--quiet")
    git(tmp_path / "work", "remote", "add", "origin", "../origin.git")
    shutil.copy(root / "params.yaml", tmp_path / "work")
    ours = ("MAINLINE_LOG", "DEMO", "KIND", "CODE", "RUN_URL")
    keys = [f"GIT_{role}_{key}" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")]
    for name in (*ours, *keys, "GIT_CONFIG_COUNT", "GIT_CONFIG_KEY_0", "GIT_CONFIG_VALUE_0"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)

    def command(*words: str) -> tuple[int, str, str, str]:
        done = CliRunner().invoke(app, ["ci", "monitor", *words])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        said = [(tmp_path / name).read_text() for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")]
        return done.exit_code, done.output, said[0], said[1]

    return command


@pytest.mark.parametrize("word", ["begin", "heartbeat", "enable"])
def test_where_no_log_is_configured_it_says_so_and_claims_nothing(
    run: Run, tmp_path: Path, git: Callable[..., str], hub: Any, word: str
) -> None:
    code, said, put, page = run(word)
    assert code == 0 and "not configured: the repository variable MAINLINE_LOG" in said and "not configured" in page
    assert put == ("go=false\n" if word == "begin" else "")
    assert "well" not in page and "✓" not in said
    assert hub.calls == [] and git(tmp_path / "origin.git", "for-each-ref") == ""


def test_the_heartbeat_is_red_until_a_run_has_come_to_its_end(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAINLINE_LOG", "s3://bucket/log")
    code, _, put, _ = run("heartbeat")
    assert code == 1 and "why=no run of the workflow monitor has ever" in put
    old = Beat(dt.datetime.now(dt.UTC) - dt.timedelta(hours=49), "", 0)
    put_beat(Deploy.open(tmp_path / "deploy", str(tmp_path / "origin.git")), "log", old)
    code, _, put, _ = run("heartbeat")
    assert code == 1 and "49.0 hours ago; 48 are allowed" in put
    # An alarm is no blindness.
    assert run("beat", "--code", "1")[0] == 0 and run("heartbeat")[0] == 0


def test_only_what_github_has_switched_off_is_enabled_and_what_a_person_has_makes_it_red(
    run: Run, hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAINLINE_LOG", "s3://bucket/log")
    assert run("enable")[0] == 0 and not [call for call in hub.calls if call.startswith("PUT")]
    hub.workflows["monitor.yml"] = "disabled_inactivity"
    assert run("enable")[0] == 0 and "PUT /actions/workflows/monitor.yml/enable" in hub.calls
    hub.workflows["monitor.yml"] = "disabled_manually"
    assert run("enable")[0] == 1


@pytest.mark.parametrize(("code", "words"), [(0, "all is well"), (1, "an alarm stands"), (3, "cannot be told")])
def test_the_run_is_green_only_if_all_is_well(run: Run, code: int, words: str) -> None:
    found, _, _, page = run("conclude", "--code", str(code))
    assert found == code and page.startswith(f"## Monitoring: {words}" if code != 3 else "## Monitoring: it cannot")


def test_a_run_that_watched_nothing_is_no_green_one(run: Run) -> None:
    code, said, _, page = run("conclude", "--code", "")
    assert code == 1 and "is no code" in said and page == ""


def test_the_report_goes_to_the_runs_page(run: Run) -> None:
    Path("reports").mkdir()
    monitor.REPORT.write_text("# June\n", encoding="utf-8")
    assert "# June" in run("conclude", "--code", "1")[3]


@pytest.mark.parametrize(
    ("asked", "end"), [("2009-06", "2009-07-01"), ("2009-12", "2010-01-01"), ("all", "2010-12-01")]
)
def test_a_demonstration_ends_with_a_month(asked: str, end: str) -> None:
    assert until(asked, NEWEST).isoformat() == f"{end}T00:00:00+00:00"


@pytest.mark.parametrize("asked", ["June", "2009-13", "2009-06-01", "--all", "$(id)"])
def test_what_is_no_month_is_refused(asked: str) -> None:
    with pytest.raises(UserError, match="is no month"):
        until(asked, NEWEST)


LOCK = "schema: '2.0'\nstages:\n  all:\n    cmd: x\n    outs:\n"


def locked(folder: Path, git: Callable[..., str], text: str) -> str:
    """Commit a lock that pins files with content ``text``, and put them into the cache; return the commit."""
    md5 = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    stored = folder / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]
    stored.parent.mkdir(parents=True, exist_ok=True)
    stored.write_text(text)
    names = [path.as_posix() for path in (*FACTS, Path("artifacts/model.skops"))]
    outs = "".join(
        f"    - path: {name}\n      hash: md5\n      md5: {md5}\n      size: {len(text)}\n" for name in names
    )
    stage = "stages:\n  all:\n    cmd: x\n    outs:\n" + "".join(f"    - {name}\n" for name in names)
    (folder / "dvc.lock").write_text(LOCK + outs)
    (folder / "dvc.yaml").write_text(stage)
    git(folder, "add", "dvc.lock", "dvc.yaml", ".dvc/config")
    git(folder, "commit", "--quiet", f"--message={text}")
    return git(folder, "rev-parse", "HEAD")


def test_production_is_held_against_the_release_that_serves_not_against_main(
    tmp_path: Path, git: Callable[..., str]
) -> None:
    folder = tmp_path / "work"
    git(tmp_path, "init", "--quiet", "work")
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config").write_text("[core]\n    autostage = false\n")
    old, new = locked(folder, git, "the champion"), locked(folder, git, "main by now")
    deploy = Deploy.open(tmp_path / "deploy")
    assert champion(deploy, folder) == (new, "")
    put_facts(new, root=folder)
    assert (folder / FACTS[0]).read_text() == "main by now"

    state = deploy.state("production")

    deploy.commit(
        "serve", expect=deploy.head(), states=[replace(state, stable="bank-1")], entries=[Entry("bank-1", old)]
    )
    assert champion(deploy, folder) == (old, "bank-1")
    put_facts(old, root=folder)
    assert {(folder / path).read_text() for path in FACTS} == {"the champion"}

    with pytest.raises(UserError, match="pins no"):
        put_facts(old, [Path("artifacts/nothing.json")], folder)
    deploy.commit("gone", expect=deploy.head(), entries=[replace(deploy.entry("bank-1"), commit="d" * 40)])
    with pytest.raises(UserError, match="its commit dddddddddddd is not here"):
        champion(deploy, folder)


def test_beats_and_reports_are_json_for_people(tmp_path: Path) -> None:
    deploy = Deploy.open(tmp_path / "deploy")
    put_beat(deploy, "log", Beat(dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "u", 0))
    assert json.loads(deploy.repo.read("monitor/log/beat.json") or "") == {
        "code": 0, "run": "u", "time": "2026-01-01T00:00:00+00:00",
    }  # fmt: skip
