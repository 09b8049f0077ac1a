from __future__ import annotations

import contextlib
import datetime as dt
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mainline.errors import UserError
from mainline.release.ledger import Deploy, Entry, State, Transition
from mainline.release.registry import sync
from mainline.train.tracking_store import quiet

ROOT = Path(__file__).parents[2]
A, B = "bank-aaaaaaaaaaaa", "bank-bbbbbbbbbbbb"


class Clock:
    """A clock that goes on by a minute at each look."""

    def __init__(self) -> None:
        self.now = dt.datetime(2026, 11, 21, 8, tzinfo=dt.UTC)

    def __call__(self) -> dt.datetime:
        self.now += dt.timedelta(minutes=1)
        return self.now


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database, made once: its tables take a second."""
    folder = tmp_path_factory.mktemp("mlflow")
    from mainline.train.tracking_store import open_experiment

    with contextlib.chdir(folder), quiet():
        open_experiment("bank")
    return folder / "mlflow.db"


@pytest.fixture
def home(tmp_path: Path, empty: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with params.yaml and an empty database."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copy(empty, tmp_path / "mlflow.db")
    return tmp_path


@pytest.fixture
def deploy(home: Path) -> Iterator[Deploy]:
    """A ledger in which A is stable and B is being tried; B's id sorts after, its release came first."""
    made = Deploy.open(home / "deploy", clock=Clock())
    for name, number in ((B, None), (A, 8)):
        entry = Entry(name, name[-1] * 40, number, "promote", "ada", {"model": name[-1] * 64, "data": "d"})
        made.commit(f"Build {name}", expect=made.head(), entries=[entry],
                    transitions=[Transition(name, "staging", "built", "ada", "merged")])  # fmt: skip
    made.commit("Promote A", expect=made.head(), states=[State("production", A, B, "canary", 5)],
                transitions=[Transition(A, "production", "promote", "ada", "it holds", 100)])  # fmt: skip
    yield made


def shown() -> dict[str, Any]:
    """Return what MLflow shows: tags by version, and release by alias."""
    with quiet():
        import mlflow

        client = mlflow.MlflowClient()
        versions = {int(item.version): item for item in client.search_model_versions("name='bank'")}
        aliases = client.get_registered_model("bank").aliases
        return {
            "tags": {number: dict(item.tags) for number, item in sorted(versions.items())},
            "aliases": {name: versions[int(number)].tags["release"] for name, number in aliases.items()},
        }


def client() -> Any:
    with quiet():
        import mlflow

        return mlflow.MlflowClient(f"sqlite:///{Path.cwd() / 'mlflow.db'}")


def test_versions_tags_and_aliases_follow_the_ledger(deploy: Deploy) -> None:
    sync(deploy)
    assert shown() == {
        "aliases": {"champion": A, "challenger": B},
        "tags": {
            1: {"release": B, "commit": "b" * 40, "verdict": "promote", "approver": "ada", "digest.data": "d",
                "digest.model": "b" * 64, "time.staging.built": "2026-11-21T08:02:00Z"},
            2: {"release": A, "commit": "a" * 40, "verdict": "promote", "approver": "ada", "digest.data": "d",
                "digest.model": "a" * 64, "pull_request": "8", "time.staging.built": "2026-11-21T08:03:00Z",
                "time.production.promote": "2026-11-21T08:04:00Z"},
        },
    }  # fmt: skip


def test_from_an_empty_database_the_same_comes_out(deploy: Deploy, home: Path, empty: Path) -> None:
    sync(deploy)
    before = shown()
    shutil.copy(empty, home / "mlflow.db")
    for left in home.glob("mlflow.db-*"):
        left.unlink()
    sync(deploy)
    assert shown() == before


def test_a_second_sync_has_nothing_to_do(deploy: Deploy) -> None:
    sync(deploy)
    before = shown()
    assert sync(deploy) == [("pass", "MLflow shows the ledger already: 2 versions of bank")]
    assert shown() == before


def test_the_ledger_goes_on_and_mlflow_follows(deploy: Deploy) -> None:
    sync(deploy)
    state = State("production", B, previous=(A,), revision=1)
    deploy.commit("Promote B", expect=deploy.head(), states=[state],
                  transitions=[Transition(B, "production", "promote", "ada", "better")])  # fmt: skip
    said = sync(deploy)
    assert shown()["aliases"] == {"champion": B}
    assert [line for mark, line in said if mark == "warn"] == []
    assert shown()["tags"][1]["time.production.promote"] == "2026-11-21T08:05:00Z"


def test_what_was_moved_by_hand_is_put_back_and_said(deploy: Deploy) -> None:
    sync(deploy)
    before = shown()
    hand = client()
    hand.set_registered_model_alias("bank", "champion", "1")
    hand.delete_registered_model_alias("bank", "challenger")
    hand.set_model_version_tag("bank", "1", "verdict", "reject")
    hand.set_model_version_tag("bank", "1", "approver", "eve")
    hand.set_model_version_tag("bank", "2", "time.production.rollback", "never")
    hand.set_model_version_tag("bank", "2", "note", "of my own")
    said = {line for _, line in sync(deploy)}
    assert said == {
        f"version 1: {B}: approver, verdict",
        f"version 2: {A}: time.production.rollback",
        f"alias champion: was set to {B} by hand; the ledger says {A}: put back",
        f"alias challenger: was taken away by hand; the ledger says {B}: put back",
    }
    after = shown()
    assert after["tags"][2].pop("note") == "of my own"
    assert after == before


def test_a_version_deleted_or_made_by_hand(deploy: Deploy) -> None:
    sync(deploy)
    hand = client()
    hand.delete_model_version("bank", "2")
    hand.create_model_version("bank", "mainline:/x", tags={"release": "bank-cccccccccccc"})
    hand.create_model_version("bank", "mainline:/x")
    said = [line for _, line in sync(deploy)]
    assert any("bank-cccccccccccc is not in the ledger; left as it is" in line for line in said)
    assert shown()["aliases"] == {"champion": A, "challenger": B}


def test_a_release_that_was_registered_twice_keeps_its_first_version(deploy: Deploy) -> None:
    sync(deploy)
    client().create_model_version("bank", "mainline:/x", tags={"release": A})
    assert ("warn", f"version 3: {A} a second time; deleted") in sync(deploy)
    assert sorted(shown()["tags"]) == [1, 2]


def test_a_stable_release_that_the_ledger_lacks_is_named(deploy: Deploy) -> None:
    state = State("production", "bank-999999999999", revision=1)
    deploy.commit("By hand", expect=deploy.head(), states=[state])
    with pytest.raises(UserError, match="champion is bank-999999999999, which"):
        sync(deploy)


def test_a_store_that_does_not_answer_is_named_without_its_password(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ada:secret@127.0.0.1:9")
    with pytest.raises(UserError, match=r"MLflow \(http://127.0.0.1:9\)") as caught:
        sync(deploy)
    assert "secret" not in str(caught.value)


def test_an_empty_ledger_shows_nothing(home: Path) -> None:
    assert sync(Deploy.open(home / "none")) == [("none", "the ledger holds no release yet: nothing to show in MLflow")]
