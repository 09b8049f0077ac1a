from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mainline.ci import release_build
from mainline.ci.release_archive import HASH, SIZE, pack, sealed
from mainline.ci.release_build import artifact_name, enter_seal, fetch, unpack
from mainline.errors import UserError
from mainline.files import sha256
from mainline.github import GitHub
from mainline.release.identity import PARTS, listing, release_id
from mainline.release.ledger import Deploy
from mainline.release.state import Entry
from mainline.release.store import STORE, find

DIGESTS = {name: hashlib.sha256(name.encode()).hexdigest() for name in PARTS}
NAME = release_id("bank", DIGESTS)


@pytest.fixture
def deploy(tmp_path: Path) -> Deploy:
    """A store with one small release that the ledger knows."""
    folder = tmp_path / STORE / NAME
    (folder / "bento" / "src").mkdir(parents=True)
    (folder / "bento" / "src" / "service.py").write_text("print()\n")
    content = {"id": NAME, "project": "bank", "commit": "c" * 40, "digests": DIGESTS, "files": listing(folder)}
    (folder / "release.json").write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
    made = Deploy.open(tmp_path / "deploy")
    entry = Entry(NAME, "c" * 40, digests=DIGESTS | {"manifest": sha256(folder / "release.json")})
    made.commit("known", expect=made.head(), entries=[entry])
    return made


@pytest.fixture
def packed(tmp_path: Path, deploy: Deploy) -> Iterator[Path]:
    """The release as one file, whose hash the ledger has."""
    yield enter_seal(find(NAME, tmp_path / STORE), deploy, tmp_path)


def lose(tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / STORE / NAME)


def tampered(packed: Path, tmp_path: Path) -> Path:
    """Return an archive of a release that agrees with itself, but is not what was built."""
    with tarfile.open(packed) as archive:
        archive.extractall(tmp_path / "evil", filter="data")
    folder = tmp_path / "evil" / NAME
    (folder / "bento" / "src" / "service.py").write_text("import os\n")
    content = json.loads((folder / "release.json").read_text())
    (folder / "release.json").unlink()
    content["files"] = listing(folder)
    (folder / "release.json").write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
    return pack(find(NAME, tmp_path / "evil"), tmp_path / "evil" / "dist")


def test_a_packed_release_comes_out_as_it_went_in(tmp_path: Path, deploy: Deploy, packed: Path) -> None:
    before, again = listing(tmp_path / STORE / NAME), pack(find(NAME, tmp_path / STORE), tmp_path / "again")
    assert again.read_bytes() == packed.read_bytes()
    lose(tmp_path)
    assert unpack(packed, NAME, deploy, tmp_path).path == tmp_path / STORE / NAME
    assert listing(tmp_path / STORE / NAME) == before


def test_another_release_under_the_same_name_is_refused(tmp_path: Path, deploy: Deploy, packed: Path) -> None:
    evil = tampered(packed, tmp_path)
    lose(tmp_path)
    with pytest.raises(UserError, match="the ledger says"):
        unpack(evil, NAME, deploy, tmp_path)
    (tmp_path / "no.tar").write_bytes(packed.read_bytes()[:200])
    for name, words in (("no.tar", "has 200 bytes"), ("none.tar", "cannot be read")):
        with pytest.raises(UserError, match=words):
            unpack(tmp_path / name, NAME, deploy, tmp_path)
    # One that the ledger's hash lets through is held against its manifest as well.
    deploy.commit(
        "x", expect=deploy.head(), entries=[replace(deploy.entry(NAME), digests=known(deploy) | sealed(evil))]
    )
    with pytest.raises(UserError, match="the ledger has SHA-256"):
        unpack(evil, NAME, deploy, tmp_path)
    assert not (tmp_path / STORE / NAME).exists()


def known(deploy: Deploy) -> dict[str, str]:
    return dict(deploy.entry(NAME).digests)


def test_the_hash_of_the_packed_file_is_entered_once(tmp_path: Path, deploy: Deploy, packed: Path) -> None:
    assert known(deploy) == DIGESTS | {"manifest": known(deploy)["manifest"], **sealed(packed)}
    before = deploy.head()
    assert enter_seal(find(NAME, tmp_path / STORE), deploy, tmp_path) == packed and deploy.head() == before
    # The mode of a file depends on who unpacked it, the packed file does not.
    for file in (tmp_path / STORE / NAME).rglob("*"):
        file.chmod(0o700 if file.is_dir() else 0o600)
    assert enter_seal(find(NAME, tmp_path / STORE), deploy, tmp_path) == packed and deploy.head() == before


def test_what_is_here_is_not_fetched(tmp_path: Path, deploy: Deploy, hub: Any, server: GitHub) -> None:
    assert fetch(NAME, deploy, server, tmp_path).id == NAME and hub.calls == []


@pytest.fixture
def uploaded(tmp_path: Path, hub: Any, packed: Path) -> Path:
    """The folder of the artifact that the workflow `release` has uploaded; the store has lost the release."""
    hub.artifacts = tmp_path / "artifacts"
    folder = hub.artifacts / artifact_name(NAME)
    folder.mkdir(parents=True)
    shutil.copy(packed, folder)
    return Path(folder)


def test_an_artifact_of_main_is_taken(
    tmp_path: Path, deploy: Deploy, uploaded: Path, hub: Any, server: GitHub, capsys: pytest.CaptureFixture[str]
) -> None:
    lose(tmp_path)
    assert fetch(NAME, deploy, server, tmp_path).id == NAME
    assert "GET /blob/1" in hub.calls  # without the token: the stand-in answers it with 400
    lose(tmp_path)
    hub.refuse["/actions/artifacts"] = 403
    with pytest.raises(UserError, match="its commit cccccccccccc is not here"):
        fetch(NAME, deploy, server, tmp_path)
    assert "no earlier run has it any more" in capsys.readouterr().out
    with pytest.raises(UserError, match="is not here"):
        fetch(NAME, deploy, None, tmp_path)
    assert "no earlier run was asked" in capsys.readouterr().out


FOREIGN = {
    "of a fork": ({"head_repository_id": 8}, {}),
    "of a branch": ({"head_branch": "topic"}, {}),
    "of a fork's branch of the same name": ({"repository_id": None, "head_repository_id": None}, {}),
    "of a pull request's run": ({}, {"event": "pull_request"}),
    "of another workflow": ({}, {"path": ".github/workflows/pull-request.yml@main"}),
    "of a file that only looks alike": ({}, {"path": "x/.github/workflows/release.yml"}),
}


@pytest.mark.parametrize(("listed", "run"), FOREIGN.values(), ids=FOREIGN)
def test_what_another_run_uploaded_is_not_even_downloaded(
    tmp_path: Path,
    deploy: Deploy,
    uploaded: Path,
    hub: Any,
    server: GitHub,
    listed: dict[str, Any],
    run: dict[str, Any],
) -> None:
    lose(tmp_path)
    hub.uploaded[1], hub.runs[1] = listed, hub.runs[1] | run
    with pytest.raises(UserError, match="is not here"):
        fetch(NAME, deploy, server, tmp_path)
    assert not [call for call in hub.calls if "/zip" in call or "/blob" in call]


def outside(tmp_path: Path) -> bytes:
    """Return a packed release that writes a file outside through a link, as CVE-2025-4517 does."""
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        for name, target in ((f"{NAME}/out", str(tmp_path)), (f"{NAME}/up", "../../..")):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            archive.addfile(link)
        file = tarfile.TarInfo(f"{NAME}/out/written")
        file.size = 4
        archive.addfile(file, io.BytesIO(b"evil"))
    return (tmp_path / "evil.tar").read_bytes()


def test_a_forged_artifact_is_left_alone_without_being_opened(
    tmp_path: Path, deploy: Deploy, uploaded: Path, hub: Any, server: GitHub, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    lose(tmp_path)
    monkeypatch.setattr(tarfile, "open", lambda *_, **__: pytest.fail("a forged archive was opened"))
    for content in (b"0" * 20_000_000, b"0", b""):
        (uploaded / f"{NAME}.tar").write_bytes(content)
        with pytest.raises(UserError, match="is not here"):
            fetch(NAME, deploy, server, tmp_path)
        assert "is left alone" in capsys.readouterr().out
    # As many bytes as the ledger says, but others.
    (uploaded / f"{NAME}.tar").write_bytes(b"0" * int(known(deploy)[SIZE]))
    with pytest.raises(UserError, match="is not here"):
        fetch(NAME, deploy, server, tmp_path)
    assert "has SHA-256" in capsys.readouterr().out
    # Two files, and one of another name.
    (uploaded / "more").write_bytes(b"0")
    with pytest.raises(UserError, match="is not here"):
        fetch(NAME, deploy, server, tmp_path)
    (uploaded / f"{NAME}.tar").unlink()
    with pytest.raises(UserError, match="is not here"):
        fetch(NAME, deploy, server, tmp_path)
    said = capsys.readouterr().out
    assert "it holds 2 files" in said and f"it holds no {NAME}.tar" in said


def test_no_byte_more_than_the_ledger_says_reaches_the_disk(
    tmp_path: Path, deploy: Deploy, uploaded: Path, hub: Any, server: GitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    largest, lose_it = 0, lose(tmp_path)
    assert lose_it is None
    (uploaded / f"{NAME}.tar").write_bytes(b"0" * 198_000_000)  # a ZIP archive of some hundred kB
    taken = release_build.take_out

    def watch(archive: Path, name: str, seal: Any, target: Path) -> None:
        nonlocal largest
        try:
            taken(archive, name, seal, target)
        finally:
            largest = max(largest, target.stat().st_size)

    monkeypatch.setattr(release_build, "take_out", watch)
    # The bound on the download is put aside, so that the archive comes.
    monkeypatch.setattr(release_build.Seal, "zipped", 2**31)
    with pytest.raises(UserError, match="is not here"):
        fetch(NAME, deploy, server, tmp_path)
    assert largest <= int(known(deploy)[SIZE])


def test_an_archive_that_writes_outside_writes_nothing_even_if_its_hash_is_right(
    tmp_path: Path, deploy: Deploy, uploaded: Path, hub: Any, server: GitHub, capsys: pytest.CaptureFixture[str]
) -> None:
    lose(tmp_path)
    file = uploaded / f"{NAME}.tar"
    file.write_bytes(outside(tmp_path))
    entry = replace(deploy.entry(NAME), digests=known(deploy) | sealed(file))
    deploy.commit("x", expect=deploy.head(), entries=[entry])
    with pytest.raises(UserError, match="is not here"):
        fetch(NAME, deploy, server, tmp_path)
    assert "leads out of the release" in capsys.readouterr().out and not (tmp_path / "written").exists()


def test_a_release_without_a_hash_of_its_file_is_built_again(
    tmp_path: Path, deploy: Deploy, uploaded: Path, hub: Any, server: GitHub, capsys: pytest.CaptureFixture[str]
) -> None:
    """As ledgers have it that were begun before the hash was kept."""
    lose(tmp_path)
    digests = {name: value for name, value in known(deploy).items() if name not in (HASH, SIZE)}
    deploy.commit("x", expect=deploy.head(), entries=[replace(deploy.entry(NAME), digests=digests)])
    with pytest.raises(UserError, match="is not here"):
        fetch(NAME, deploy, server, tmp_path)
    assert hub.calls == [] and "no artifact is opened" in capsys.readouterr().out
    with pytest.raises(UserError, match="no hash of the packed file"):
        unpack(uploaded / f"{NAME}.tar", NAME, deploy, tmp_path)
