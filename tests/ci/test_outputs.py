"""The way of the outputs to storage of one's own: packed, taken as a claim, pushed from main."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from mainline import stored
from mainline.ci import outputs
from mainline.ci.outputs import FOLDER, pack, take
from mainline.ci.push import named, push
from mainline.ci.storage import explained, refusal
from mainline.errors import UserError
from mainline.objects import Output, data_outputs, expand, place, stage_outputs

pytestmark = pytest.mark.usefixtures("quick")

FORK = {"number": 7, "head": {"sha": "a" * 40, "ref": "topic", "repo": {"full_name": "bob/loans"}},
        "base": {"sha": "b" * 40, "ref": "main", "repo": {"full_name": "ada/loans"}}}  # fmt: skip


@dataclass
class Work:
    """A repository whose pipeline has a file and a folder as outputs; its storage is the folder ``bucket``.

    With ``store``, that folder is behind the S3 server.
    """

    root: Path
    bucket: Path
    store: Any
    s3: Any
    patch: pytest.MonkeyPatch
    git: Callable[..., str]

    def key(self, key: tuple[str, str] | None, write: tuple[str, str] | None = None) -> None:
        """Give this process one key to read, and one behind the prefix that a push takes."""
        for prefix, pair in (("", key), ("MAINLINE_WRITE_", write)):
            for name, value in zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), pair or ("", ""), strict=True):
                if value:
                    self.patch.setenv(prefix + name, value)
                else:
                    self.patch.delenv(prefix + name, raising=False)

    def there(self) -> set[str]:
        """Return the objects in storage."""
        return {file.parent.name + file.name for file in self.bucket.rglob("*") if file.is_file()}

    def zip(self, folder: Path | None = None, **more: bytes) -> Path:
        """Return an artifact of what was packed, and of ``more`` members."""
        file = self.root.parent / "outputs.zip"
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            top = self.root / FOLDER if folder is None else folder
            for path in sorted(item for item in top.rglob("*") if item.is_file()):
                archive.write(path, path.relative_to(top).as_posix())
            for name, content in more.items():
                archive.writestr(name, content)
        return file

    def lose(self) -> None:
        """Let the cache be empty, as in the job that pushes."""
        shutil.rmtree(self.root / ".dvc" / "cache", ignore_errors=True)


@pytest.fixture(scope="session")
def store(s3: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with s3.serve(tmp_path_factory.mktemp("s3")) as made:
        yield made


@pytest.fixture(scope="session")
def lined(tmp_path_factory: pytest.TempPathFactory, dvc: Callable[..., str], git: Callable[..., str]) -> Path:
    root = tmp_path_factory.mktemp("lined")
    (root / "data").mkdir()
    (root / "data" / "2020-01.csv").write_text("a\n1\n", encoding="utf-8")
    command = "mkdir -p folder && tr 1 3 < data/2020-01.csv > model && cp model folder/x && echo 2 > folder/y"
    stage = {"cmd": f"{command} && echo 1 > m.json", "deps": ["data"], "outs": ["model", "folder"],
             "metrics": [{"m.json": {"cache": False}}]}  # fmt: skip
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"train": stage}}), encoding="utf-8")
    git(root, "init", "--quiet", "--initial-branch=main")
    dvc(root, "init", "--quiet")
    dvc(root, "add", "--quiet", "data")
    dvc(root, "repro", "--quiet")
    return root


@pytest.fixture
def work(
    lined: Path, s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, git: Callable[..., str]
) -> Work:  # fmt: skip
    root, bucket = Path(shutil.copytree(lined, tmp_path / "work", symlinks=True)), tmp_path / "bucket"
    config = f"[core]\nremote = store\n['remote \"store\"']\nurl = {bucket}\n"
    (root / ".dvc" / "config").write_text(config, encoding="utf-8")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message=Start")
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.chdir(root)
    (data,) = data_outputs(root)
    for oid in expand([data], root / ".dvc" / "cache"):
        place(bucket, oid).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(place(root / ".dvc" / "cache", oid), place(bucket, oid))
    return Work(root, bucket, None, s3, monkeypatch, git)


@pytest.fixture
def hosted(work: Work, store: Any) -> Work:
    """The same, behind the S3 server; the key at hand is the one that reads."""
    below = hashlib.md5(str(work.root).encode()).hexdigest()[:8]
    config = f"[core]\nremote = store\n['remote \"store\"']\nurl = s3://ours/{below}\nendpointurl = {store.address}\n"
    (work.root / ".dvc" / "config").write_text(config, encoding="utf-8")
    shutil.copytree(work.bucket, store.buckets / "ours" / below)
    work.bucket, work.store = store.buckets / "ours" / below, store
    for name, value in (("AWS_DEFAULT_REGION", "us-east-1"), ("AWS_EC2_METADATA_DISABLED", "true")):
        work.patch.setenv(name, value)
    store.asked.clear()
    work.key(work.s3.READER)
    return work


def writes(work: Work) -> list[tuple[str, int]]:
    return [(key, code) for method, _, key, code in work.store.asked if method not in work.s3.READS]


@pytest.mark.slow
def test_a_run_packs_with_the_key_that_reads_and_the_push_takes_the_one_that_writes(hosted: Work) -> None:
    work = hosted
    assert pack() == 3  # the model, which is folder/x as well, folder/y, and the list of the folder
    files = work.there()
    archive, wanted = work.zip(**{"../../escaped": b"x", "files/md5/ab/" + "0" * 30: b"nobody asked"}), named("HEAD")
    assert writes(work) == [] and {output.path for output in wanted} == {"model", "folder"}
    work.lose()
    # Storage refuses the key that reads, and the error names the secrets that are wanted.
    with pytest.raises(UserError) as stopped:
        push(wanted, archive)
    assert "the key was refused" in stopped.value.problem
    assert "MAINLINE_WRITE_AWS_ACCESS_KEY_ID, MAINLINE_WRITE_AWS_SECRET_ACCESS_KEY" in stopped.value.fix
    assert set(writes(work)) == {(work.s3.READER[0], 403)} and work.there() == files
    work.store.asked.clear()
    work.key(work.s3.READER, work.s3.WRITER)
    push(wanted, archive)
    assert {method for method, *_ in work.store.asked} <= {"GET", "HEAD", "PUT"}, "a key that may not delete is enough"
    new = work.there() - files
    assert len(new) == 3 and {output.oid for output in wanted} <= new
    assert set(writes(work)) == {(work.s3.WRITER[0], 200)}
    assert not (work.root.parent / "escaped").exists()
    # Again: nothing is written, and no artifact is needed.
    work.store.asked.clear()
    assert push(wanted, None) == 0 and writes(work) == []
    assert pack() == 0 and not (work.root / FOLDER).exists()


def test_a_push_that_was_cut_off_goes_on(work: Work) -> None:
    pack()
    archive, wanted = work.zip(), named("HEAD")
    model = next(output for output in wanted if output.path == "model")
    work.lose()
    push([model], archive)
    sent = place(work.bucket, model.oid)
    before = sent.stat().st_mtime_ns
    push(wanted, archive)
    assert {output.oid for output in wanted} <= work.there() and sent.stat().st_mtime_ns == before
    # Another clone has all of it by DVC alone.
    work.lose()
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "pull", "--quiet"], cwd=work.root, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_what_is_in_neither_place_is_named(work: Work) -> None:
    pack()
    archive = work.zip()
    model = next(output for output in stage_outputs(work.root) if output.path == "model")
    place(work.root / FOLDER, model.oid).unlink()
    without = work.zip()
    work.lose()
    with pytest.raises(UserError, match="folder, model: dvc.lock names it; neither .*bucket nor the artifact has it"):
        push(named("HEAD"), None)
    with pytest.raises(UserError, match="model: dvc.lock names it"):
        push(named("HEAD"), without)
    assert archive.is_file() and model.oid not in work.there()


def test_bytes_that_do_not_fit_their_name_are_not_pushed(work: Work) -> None:
    pack()
    before = work.there()
    model = next(output for output in stage_outputs(work.root) if output.path == "model")
    forged = place(work.root / FOLDER, model.oid)
    forged.unlink()
    forged.write_bytes(b"a\n4\n")
    with pytest.raises(UserError, match=f"{model.oid} holds bytes with another MD5"):
        push(named("HEAD"), work.zip())
    forged.write_bytes(b"a\n3\n" + b"0" * 10_000_000)
    with pytest.raises(UserError, match=f"{model.oid} is larger than 4 bytes"):
        push(named("HEAD"), work.zip())
    assert work.there() == before


def test_a_list_of_a_folder_leads_nowhere_else(work: Work) -> None:
    listing = json.dumps([{"md5": "../../../../escaped", "relpath": "x"}]).encode()
    oid = hashlib.md5(listing).hexdigest() + ".dir"
    archive = work.zip(work.root / "nothing", **{f"files/md5/{oid[:2]}/{oid[2:]}": listing})
    with pytest.raises(UserError, match="which is not the name of an object"):
        take(archive, [Output("folder", oid, "dvc.lock", {"md5": oid})], work.root / "c")
    assert not (work.root.parent / "escaped").exists()


@pytest.mark.parametrize(
    ("lock", "words"),
    [
        ({"stages": {"train": {"outs": [{"path": "model", "md5": "../../../etc/passwd"}]}}}, "is not an MD5"),
        ({"stages": {"train": {"outs": ["model"]}}}, "is not one that DVC wrote"),
        ({"stages": ["train"]}, "is not one that DVC wrote"),
    ],
)
def test_a_lock_that_dvc_did_not_write_is_refused(work: Work, lock: Any, words: str) -> None:
    (work.root / "dvc.lock").write_text(yaml.safe_dump(lock), encoding="utf-8")
    work.git(work.root, "commit", "--quiet", "--all", "--message=Forged")
    with pytest.raises(UserError, match=words):
        named("HEAD")


def test_an_archive_that_is_none_or_holds_a_name_twice_is_refused(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = stage_outputs(work.root)
    broken = work.root / "broken.zip"
    broken.write_bytes(b"PK nothing")
    with pytest.raises(UserError, match="is not a ZIP archive|is not a plain ZIP"):
        take(broken, wanted, work.root / "c")
    pack()
    archive = work.zip()
    with zipfile.ZipFile(archive, "a") as content, pytest.warns(UserWarning, match="Duplicate"):
        content.writestr(content.namelist()[0], b"other")
    with pytest.raises(UserError, match="twice"):
        take(archive, wanted, work.root / "c")
    monkeypatch.setattr(outputs, "MEMBERS", 2)
    with pytest.raises(UserError, match="more than 2 members"):
        take(work.zip(), wanted, work.root / "c")
    with pytest.raises(UserError, match="the outputs are 3 objects"):
        pack()


def test_outputs_of_a_repository_without_storage_stay_there(work: Work) -> None:
    (work.root / ".dvc" / "config").write_text(
        "[core]\n    remote = e\n['remote \"e\"']\n    url = embedded\n", encoding="utf-8"
    )
    assert pack() == 0 and not (work.root / FOLDER).exists()
    assert refusal() is None


CASES = [
    ({}, "no key was found", "set the key as environment variables"),
    ({"GITHUB_ACTIONS": "true", "GITHUB_ACTOR": "ada"},
     "no key: the secrets AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY are not set",
     "Settings → Secrets and variables → Actions"),
    ({"GITHUB_ACTIONS": "true", "GITHUB_ACTOR": "dependabot[bot]"},
     "no key: a run of Dependabot gets the secrets of Dependabot's own store only",
     "Settings → Secrets and variables → Dependabot"),
    ({"GITHUB_ACTIONS": "true", "GITHUB_ACTOR": "bob", "GITHUB_EVENT_PATH": "event.json"},
     "no key: GitHub gives the run of a fork no secret, so bob/loans cannot read the data",
     "to be pushed to a branch of this repository"),
]  # fmt: skip


@pytest.mark.parametrize(("environment", "problem", "fix"), CASES, ids=["laptop", "own", "dependabot", "fork"])
def test_a_missing_key_is_told_to_whom_it_concerns(
    work: Work, environment: dict[str, str], problem: str, fix: str
) -> None:
    words = "set the key as environment variables (S3: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)"
    silence(work, stored.Silent("the remote does not answer: Unable to locate credentials", words, "no key was found"))
    Path("event.json").write_text(json.dumps({"pull_request": FORK}), encoding="utf-8")
    Path("reports").mkdir()
    Path("reports/stopped.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UserError) as stopped, explained(environment=environment):
        raise UserError("the batches are not all in the remote", "`dvc push`")
    assert problem in stopped.value.problem and fix in stopped.value.fix
    assert "the batches are not all" not in str(stopped.value)
    assert json.loads(Path("reports/stopped.json").read_text())["problem"] == stopped.value.problem


def silence(work: Work, error: stored.Silent) -> None:
    """Let storage be an S3 bucket that answers with an error."""
    config = "[core]\nremote = store\n['remote \"store\"']\nurl = s3://user@ours/x\n"
    (work.root / ".dvc" / "config").write_text(config, encoding="utf-8")

    def lacking(*_: Any) -> dict[str, str]:
        raise error

    work.patch.setattr(stored, "lacking", lacking)


REFUSED = [("the key was refused", "Settings → Secrets and variables → Actions: the key in AWS_ACCESS_KEY_ID"),
           ("the host does not answer", "check the URL"), ("the bucket does not exist", "check the URL"),
           ("", "Settings → Secrets")]  # fmt: skip


@pytest.mark.parametrize(("cause", "fix"), REFUSED, ids=[item[0] or "unknown" for item in REFUSED])
def test_another_refusal_is_told_as_it_is(work: Work, cause: str, fix: str) -> None:
    silence(work, stored.Silent("the remote does not answer: odd", "check the URL", cause))
    given = {"GITHUB_ACTIONS": "true", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    with pytest.raises(UserError) as stopped, explained(environment=given):
        raise UserError("the pipeline stopped", "the lines above")
    assert stopped.value.problem.startswith("s3://ours/x: ") and cause in stopped.value.problem
    assert stopped.value.fix.startswith(fix)


def test_what_stops_while_storage_answers_is_left_as_it_is(work: Work) -> None:
    with pytest.raises(UserError, match="the pipeline stopped"), explained(environment={"GITHUB_ACTIONS": "true"}):
        raise UserError("the pipeline stopped", "the lines above")


@pytest.mark.slow
def test_storage_says_itself_why_it_is_silent(hosted: Work) -> None:
    def cause() -> str:
        with pytest.raises(stored.Silent) as silent:
            stored.lacking(stored.default_remote(), stage_outputs(hosted.root), hosted.root / ".dvc" / "cache")
        return silent.value.cause

    hosted.key((hosted.s3.READER[0], "wrong"))
    assert cause() == "the key was refused"
    hosted.key(None)
    assert cause() == "no key was found"
    # Of the list of a folder DVC itself says nothing but a warning.
    hosted.lose()
    (data,) = data_outputs(hosted.root)
    with pytest.raises(stored.Silent, match="does not answer"):
        stored.lacking(stored.default_remote(), [data], hosted.root / ".dvc" / "cache")
    why = refusal(environment={"GITHUB_ACTIONS": "true"})
    assert why is not None and "no key: the secrets AWS_ACCESS_KEY_ID" in why.problem
    assert {code for *_, code in hosted.store.asked} == {403}


def test_storage_lacks_what_dvc_only_warns_of(work: Work) -> None:
    """``dvc status --cloud`` says nothing of a folder whose list is neither here nor there."""
    folder = next(output for output in stage_outputs(work.root) if output.path == "folder")
    remote = stored.default_remote()
    assert set(stored.lacking(remote, [folder], work.root / "empty").values()) == {"folder"}
    here = stored.lacking(remote, [folder], work.root / ".dvc" / "cache")
    assert set(here.values()) == {"folder", "folder/x", "folder/y"}
