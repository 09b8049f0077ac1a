from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mainline.ci.release_build import artifact_name, fetch, pack, unpack
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
    """The release as one file; the store has lost it."""
    yield pack(find(NAME, tmp_path / STORE), tmp_path / "dist")


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
    with pytest.raises(UserError, match="the ledger has SHA-256"):
        unpack(evil, NAME, deploy, tmp_path)
    (tmp_path / "no.tar.gz").write_bytes(packed.read_bytes()[:200])
    for name, words in (("no.tar.gz", "cannot be unpacked"), ("none.tar.gz", "cannot be unpacked")):
        with pytest.raises(UserError, match=words):
            unpack(tmp_path / name, NAME, deploy, tmp_path)
    assert not (tmp_path / STORE / NAME).exists()


def test_what_is_here_is_not_fetched(tmp_path: Path, deploy: Deploy, hub: Any, server: GitHub) -> None:
    assert fetch(NAME, deploy, server, tmp_path).id == NAME and hub.calls == []


def test_an_artifact_counts_only_if_it_is_what_the_ledger_has(
    tmp_path: Path, deploy: Deploy, packed: Path, hub: Any, server: GitHub, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.artifacts = tmp_path / "artifacts"
    folder = hub.artifacts / artifact_name(NAME)
    folder.mkdir(parents=True)
    shutil.copy(packed, folder)
    evil = tampered(packed, tmp_path)
    lose(tmp_path)
    assert fetch(NAME, deploy, server, tmp_path).id == NAME
    assert "GET /blob/1" in hub.calls  # without the token: the stand-in answers it with 400
    lose(tmp_path)
    shutil.copy(evil, folder / packed.name)
    with pytest.raises(UserError, match="its commit cccccccccccc is not here"):
        fetch(NAME, deploy, server, tmp_path)
    assert "is left alone" in capsys.readouterr().out
    hub.refuse["/actions/artifacts"] = 403
    with pytest.raises(UserError, match="is not here"):
        fetch(NAME, deploy, server, tmp_path)
    assert "no earlier run has it any more" in capsys.readouterr().out
    with pytest.raises(UserError, match="is not here"):
        fetch(NAME, deploy, None, tmp_path)
    assert "no earlier run was asked" in capsys.readouterr().out
