"""Storage of one's own, on a server that demands signatures and knows who may write: the workflows themselves."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mainline.objects import expand, stage_outputs

pytestmark = pytest.mark.slow


@pytest.fixture
def store(s3: Any, tmp_path: Path) -> Iterator[Any]:
    with s3.serve(tmp_path / "s3") as made:
        yield made


@pytest.fixture
def stored(place: Any, store: Any) -> Any:
    """A place whose main keeps its data and the champion's outputs in storage of its own; no run finds a cache."""
    config = place.clone / ".dvc" / "config"
    text = "[core]\n    remote = mine\n    autostage = true\n['remote \"mine\"']\n    url = s3://ours/loans\n"
    config.write_text(f"{text}    endpointurl = {store.address}\n    verify = true\n", encoding="utf-8")
    place.push("Storage of our own")
    git = place.hub.git
    place.hub.origin = place.top / "origin.git"
    git("update-ref", "refs/heads/main", git("rev-parse", "refs/heads/topic"))
    for origin in (place.top / "cache-of-dvc", place.clone / ".dvc" / "embedded"):
        shutil.copytree(origin / "files", store.buckets / "ours" / "loans" / "files", dirs_exist_ok=True)
    place.forget()
    place.variables["AWS_DEFAULT_REGION"] = "us-east-1"
    return place


def secret(key: tuple[str, str], prefix: str = "") -> dict[str, str]:
    return {f"{prefix}AWS_ACCESS_KEY_ID": key[0], f"{prefix}AWS_SECRET_ACCESS_KEY": key[1]}


def writes(store: Any, s3: Any) -> set[tuple[str, int]]:
    return {(key, code) for method, _, key, code in store.asked if method not in s3.READS}


def states(place: Any) -> list[tuple[str, str]]:
    return [(item["sha"], item["state"]) for item in place.hub.statuses]


def test_outputs_reach_storage_from_mains_code_before_the_verdict(stored: Any, store: Any, s3: Any) -> None:
    stored.secrets = secret(s3.READER)
    stored.other_model()
    outcome = stored.run()
    assert outcome.code == 0, "train reads data and champion with the key that reads"
    assert {key for _, _, key, _ in store.asked} == {s3.READER[0]} and writes(store, s3) == set()
    before = store.files("ours/loans")
    # No key that writes: storage itself refuses the one that reads, and the job says which secrets it wants.
    refused = stored.report(outcome)
    assert refused.code == 1 and (s3.READER[0], 403) in writes(store, s3)
    assert "MAINLINE_WRITE_AWS_ACCESS_KEY_ID" in refused.log and store.files("ours/loans") == before
    locked = stored.origin
    assert states(stored) == [(locked, "pending"), (locked, "failure")]
    assert "the key was refused" in stored.hub.statuses[-1]["description"]
    # With the environment's key the same run comes to its end; the key stays out of the job that trains.
    stored.environments["storage"] = secret(s3.WRITER, "MAINLINE_WRITE_")
    store.asked.clear()
    assert stored.report(outcome).code == 0
    assert states(stored)[-1] == (locked, "success") and "promote" in stored.hub.statuses[-1]["description"]
    assert writes(store, s3) == {(s3.WRITER[0], 200)}
    new = {name.replace("files/md5/", "").replace("/", "") for name in store.files("ours/loans") - before}
    (stored.clone / "dvc.lock").write_text(stored.hub.git("show", f"{locked}:dvc.lock"), encoding="utf-8")
    wanted = expand(stage_outputs(stored.clone), store.buckets / "ours" / "loans")
    assert new and new <= wanted.keys()
    assert all((store.buckets / "ours/loans/files/md5" / oid[:2] / oid[2:]).is_file() for oid in wanted)
    assert stored.hub.refused == []


def test_runs_without_a_key_say_whose_it_is(stored: Any, store: Any, s3: Any) -> None:
    stored.secrets = secret(s3.READER)
    stored.environments["storage"] = secret(s3.WRITER, "MAINLINE_WRITE_")
    stored.other_model()
    fork = stored.run(home="eve/loans")
    assert fork.code == 1 and "GitHub gives the run of a fork no secret, so eve/loans cannot read" in fork.log
    assert "the batches are not all in the remote" not in fork.log
    assert stored.report(fork, home="eve/loans").code == 0
    assert states(stored)[-1][1] == "failure" and "no secret" in stored.hub.comments[-1]["body"]
    bot = stored.run(sender={"login": "dependabot[bot]"})
    assert bot.code == 1 and "gets the secrets of Dependabot's own store only" in bot.log
    assert "Settings → Secrets and variables → Dependabot" in bot.log
    assert not [key for _, _, key, _ in store.asked if key], "no secret has reached either"
    # With the keys in that store the data come, and what stops the run then is told as it is.
    stored.dependabot = secret(s3.READER)
    stored.edit("src/bank/schema.py", lambda text: text + "\nraise RuntimeError('planted')\n")
    read = stored.run(sender={"login": "dependabot[bot]"})
    assert read.code == 1 and "the pipeline stopped" in read.log and "no key" not in read.log
    assert {key for *_, key, _ in store.asked} >= {s3.READER[0]} and writes(store, s3) == set()
