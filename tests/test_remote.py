"""Moving the data to storage: against a real S3 server on loopback, and a real folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mainline.errors import UserError
from mainline.objects import data_outputs, expand, place
from mainline.plugins import add_dependency
from mainline.remote import is_embedded, move, verify

pytestmark = pytest.mark.usefixtures("quick")

KEPT = (".dvc/config", "pyproject.toml", "requirements.lock")
KEY, SECRET = "test-key", "test-secret"
TOP = Path(__file__).parents[1]


def dvc(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run DVC as a user would, without any of our code."""
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120, check=False)


def state(root: Path) -> dict[str, bytes]:
    return {name: (root / name).read_bytes() for name in KEPT}


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small repository in the shape of this one: two batches, a future one, and the embedded remote."""
    root = tmp_path_factory.mktemp("template")
    for name, text in {
        "data/2020-01.csv": "a,b\n1,2\n",
        "data/2020-02.csv": "a,b\n3,4\n",
        "replay/2020-03.csv": "a,b\n5,6\n",
        "pyproject.toml": '[project]\nname = "x"\nversion = "1"\ndependencies = [\n    "dvc>=3.67",\n]\n',
        "requirements.lock": "dvc==3.67.1\ndvc-s3==3.3.0\n",
    }.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    for name in ("lock.py", "bootstrap.py"):
        (root / "scripts").mkdir(exist_ok=True)
        shutil.copy(TOP / "scripts" / name, root / "scripts" / name)
    subprocess.run(["git", "init", "-q", root], check=True, timeout=60)
    for command in (
        "init -q",
        "config core.analytics false",
        "remote add -q -d embedded .dvc/embedded",
        "add -q data replay",
        "push -q",
    ):
        done = dvc(root, *command.split())
        assert done.returncode == 0, done.stderr
    shutil.rmtree(root / ".dvc" / "cache")
    return root


@pytest.fixture
def repo(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "repo"
    shutil.copytree(template, root)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    return root


@dataclass(frozen=True)
class Server:
    """An S3 server: its address, and the folder in which its buckets are folders."""

    address: str
    buckets: Path


@pytest.fixture(scope="session")
def server(s3: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that refuses unsigned and wrongly signed requests."""
    with s3.rclone(tmp_path_factory.mktemp("s3"), (KEY, SECRET)) as (address, buckets):
        yield Server(address, buckets)


def assert_nothing_changed(root: Path, before: dict[str, bytes]) -> None:
    assert state(root) == before
    assert is_embedded(root)
    assert not list((root / ".dvc" / "tmp").glob("remote-*"))


def assert_fresh_clone_pulls(root: Path, clone: Path) -> None:
    """A copy with an empty cache and no embedded remote gets every batch from the new default, by DVC alone."""
    keep = shutil.ignore_patterns("embedded", "cache", "tmp", "data", "replay")
    shutil.copytree(root, clone, ignore=keep)
    done = dvc(clone, "pull")
    assert done.returncode == 0, done.stderr
    assert (clone / "data/2020-02.csv").read_text() == "a,b\n3,4\n"
    assert (clone / "replay/2020-03.csv").read_text() == "a,b\n5,6\n"


def test_folder_is_filled_verified_and_made_the_default(repo: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    steps = move(str(store), root=repo)
    assert any(step.startswith("5 objects are in") for step in steps)
    assert not is_embedded(repo)
    assert_fresh_clone_pulls(repo, tmp_path / "clone")
    after = state(repo)
    assert move(str(store), root=repo)[-1].endswith("was the default remote already")
    assert state(repo) == after


@pytest.mark.slow
def test_s3_is_filled_verified_and_made_the_default(repo: Path, server: Server, tmp_path: Path) -> None:
    steps = move("s3://ours/happy", endpoint_url=server.address, root=repo)
    assert any("5 objects are in s3://ours/happy" in step for step in steps)
    assert len([file for file in (server.buckets / "ours/happy").rglob("*") if file.is_file()]) == 5
    committed = b"".join(state(repo).values())
    assert SECRET.encode() not in committed
    assert KEY.encode() not in committed
    assert b'"dvc-s3>=' in (repo / "pyproject.toml").read_bytes()
    assert_fresh_clone_pulls(repo, tmp_path / "clone")
    assert verify(root=repo) == ["5 objects in storage were read back and fit their names"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("url", "secret", "down", "expected"),
    [
        ("s3://ours/x", "wrong", False, "the key was refused"),
        ("s3://nobody/x", SECRET, False, "the bucket does not exist"),
        ("s3://ours/x", SECRET, True, "the host does not answer"),
    ],
    ids=["wrong-key", "missing-bucket", "no-host"],
)
def test_refusals_change_nothing(
    repo: Path, server: Server, monkeypatch: pytest.MonkeyPatch, url: str, secret: str, down: bool, expected: str
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    before = state(repo)
    with pytest.raises(UserError) as caught:
        move(url, endpoint_url="http://127.0.0.1:1" if down else server.address, root=repo)
    assert expected in caught.value.problem
    assert "nothing was switched" in caught.value.problem
    assert caught.value.fix
    assert_nothing_changed(repo, before)


@pytest.mark.slow
def test_damage_in_s3_stops_the_move(repo: Path, server: Server) -> None:
    before = state(repo)
    oid = next(oid for oid, path in objects(repo).items() if path == "data/2020-02.csv")
    planted = place(server.buckets / "ours/damaged", oid)
    planted.parent.mkdir(parents=True)
    planted.write_text("a,b\n3,5\n")
    with pytest.raises(UserError, match=rf"data/2020-02\.csv \({oid}\) is damaged"):
        move("s3://ours/damaged", endpoint_url=server.address, root=repo)
    assert_nothing_changed(repo, before)


@pytest.mark.slow
@pytest.mark.parametrize("damaged", ["data/2020-01.csv", "data"], ids=["file", "folder-list"])
@pytest.mark.parametrize("how", ["damaged", "missing"])
def test_verify_names_what_is_wrong_in_the_remote(repo: Path, tmp_path: Path, damaged: str, how: str) -> None:
    """DVC alone notices a damaged object too late or not at all, so our own reading back has to."""
    store = tmp_path / "store"
    store.mkdir()
    move(str(store), root=repo)
    oid = next(oid for oid, path in objects(repo).items() if path == damaged)
    file = place(store, oid)
    file.chmod(0o644)
    if how == "damaged":
        file.write_bytes(file.read_bytes().replace(b"1", b"9") + b" ")
    else:
        file.unlink()
    with pytest.raises(UserError, match=rf"{damaged} \({oid}\) is {how}"):
        verify(root=repo)
    assert (repo / "data/2020-01.csv").read_text() == "a,b\n1,2\n"


@pytest.mark.slow
def test_plain_pull_of_a_damaged_object_fails_and_keeps_it_out(repo: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    move(str(store), root=repo)
    oid = next(oid for oid, path in objects(repo).items() if path == "data/2020-01.csv")
    place(store, oid).chmod(0o644)
    place(store, oid).write_text("a,b\n9,9\n")
    clone = tmp_path / "clone"
    shutil.copytree(repo, clone, ignore=shutil.ignore_patterns("embedded", "cache", "tmp", "data", "replay"))
    assert dvc(clone, "pull").returncode != 0
    assert not (clone / "data/2020-01.csv").exists()


def test_damage_in_the_local_cache_is_not_pushed(repo: Path, tmp_path: Path) -> None:
    assert dvc(repo, "fetch").returncode == 0
    oid = next(oid for oid, path in objects(repo).items() if path == "data/2020-01.csv")
    cached = place(repo / ".dvc/cache", oid)
    cached.chmod(0o644)
    cached.write_text("a,b\n9,9\n")
    before = state(repo)
    store = tmp_path / "store"
    store.mkdir()
    with pytest.raises(UserError, match="the local cache"):
        move(str(store), root=repo)
    assert not list(store.iterdir())
    assert_nothing_changed(repo, before)


@pytest.mark.slow
def test_stage_outputs_go_along_when_they_are_in_the_cache(repo: Path, tmp_path: Path) -> None:
    (repo / "dvc.yaml").write_text("stages:\n  one:\n    cmd: echo 1 > out.txt\n    outs: [out.txt]\n")
    done = dvc(repo, "repro")
    assert done.returncode == 0, done.stderr
    store = tmp_path / "store"
    store.mkdir()
    assert any(step.startswith("6 objects") for step in move(str(store), root=repo))
    shutil.rmtree(repo / ".dvc/cache")
    second = tmp_path / "second"
    second.mkdir()
    assert any("not in the cache, so not pushed: out.txt" in step for step in move(str(second), root=repo))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("ftp://host/path", "no storage that can be used"),
        ("s3://", "no storage that can be used"),
        ("/no/such/folder", "no such folder"),
        ("", "no such folder"),
        ("s3://key:secret@bucket/x", "would be committed"),
        ("azure://box/x?sig=abc", "would be committed"),
    ],
)
def test_urls_that_cannot_be_used(repo: Path, url: str, expected: str) -> None:
    before = state(repo)
    with pytest.raises(UserError, match=expected) as caught:
        move(url, root=repo)
    assert "secret" not in str(caught.value)
    assert "sig=abc" not in str(caught.value)
    assert_nothing_changed(repo, before)


def test_folder_inside_the_repository_is_refused(repo: Path) -> None:
    with pytest.raises(UserError, match="inside the repository"):
        move(str(repo / ".dvc" / "embedded"), root=repo)


def test_failing_lock_puts_pyproject_back(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(repo.parent / "uv"))
    monkeypatch.delenv("UV_FIND_LINKS", raising=False)
    before = state(repo)
    with pytest.raises(UserError, match=r"requirements\.lock stays as it was"):
        move("gs://bucket/x", root=repo)
    assert_nothing_changed(repo, before)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('dependencies = [\n    "a",\n]', 'dependencies = [\n    "dvc-s3>=3.2",\n    "a",\n]'),
        ('dependencies = ["a"]', 'dependencies = ["dvc-s3>=3.2", "a"]'),
        ("dependencies = []", 'dependencies = ["dvc-s3>=3.2", ]'),
        ('dependencies = [\n    "DVC_S3[x]==1",\n]', 'dependencies = [\n    "DVC_S3[x]==1",\n]'),
    ],
)
def test_dependency_is_added_once(text: str, expected: str) -> None:
    assert add_dependency(f"[project]\n{text}\n", "dvc-s3>=3.2") == f"[project]\n{expected}\n"


def test_dependency_without_a_list_is_left_to_the_user() -> None:
    with pytest.raises(UserError, match="pyproject.toml"):
        add_dependency('[project]\nname = "x"\n', "dvc-s3>=3.2")


def objects(repo: Path) -> dict[str, str]:
    """The path of every data object, by id, as the embedded remote lists them."""
    return expand(data_outputs(repo), repo / ".dvc" / "embedded")


def test_the_server_would_refuse_a_stranger(server: Server) -> None:
    """Without this the wrong-key case could pass for another reason."""
    import urllib.error
    import urllib.request

    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{server.address}/ours", timeout=10)
    assert caught.value.code in (400, 403)
    assert os.environ.get("AWS_SECRET_ACCESS_KEY") != SECRET


def test_a_config_that_cannot_be_read_is_named_and_not_quoted(repo: Path) -> None:
    with (repo / ".dvc" / "config").open("a", encoding="utf-8") as stream:
        stream.write("[broken\n secret = my-key\n")
    for ask in (verify, is_embedded):
        with pytest.raises(UserError, match="cannot be read") as caught:
            ask(root=repo)
        assert "my-key" not in str(caught.value)
