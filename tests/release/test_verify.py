from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from mainline.files import sha256
from mainline.release.store import STORE
from mainline.release.verify import faults

PARTS = {
    "model": "bento/src/artifacts/model.skops",
    "code": "bento/src/src/bank/features.py",
    "bento": "bento/bento.yaml",
    "environment": "bento/env/python/requirements.txt",
    "params": "params.yaml",
    "lock": "dvc.lock",
    "sbom": "sbom.cdx.json",
    "card": "card.md",
    "golden": "golden.json",
}


@pytest.fixture(scope="module")
def store(built: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the store, which each test leaves as it found it."""
    return Path(shutil.copytree(built.folder / STORE, tmp_path_factory.mktemp("store") / "s"))


@pytest.fixture
def release(built: Any) -> Any:
    return built.only()


def flip(path: Path) -> bytes:
    """Change one bit in the middle of a file; return what it held."""
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    return content


@pytest.mark.parametrize("part", PARTS)
def test_one_flipped_bit_is_found_and_named(store: Path, release: Any, part: str) -> None:
    path = store / release.id / PARTS[part]
    before = flip(path)
    (fault,) = faults(release.id, store)
    path.write_bytes(before)
    assert fault.startswith(f"{path}: the manifest has SHA-256")
    assert faults(release.id, store) == []


def test_every_single_file_is_looked_at(store: Path, release: Any) -> None:
    paths = {name: store / release.id / name for name in release.manifest["files"]}
    before = {name: path.read_bytes() for name, path in paths.items()}
    for name, path in paths.items():
        path.write_bytes(before[name] + b" ")
    found = faults(release.id, store)
    for name, path in paths.items():
        path.write_bytes(before[name])
    assert [fault.split(": ")[0] for fault in found] == [str(path) for _, path in sorted(paths.items())]
    assert faults(release.id, store) == []


def test_a_flipped_bit_anywhere_in_the_manifest_is_found(store: Path, release: Any) -> None:
    path = store / release.id / "release.json"
    before = path.read_bytes()
    pinned = sha256(path)
    for place in range(0, len(before), 131):
        path.write_bytes(before[:place] + bytes([before[place] ^ 1]) + before[place + 1 :])
        assert faults(release.id, store, pinned), "the ledger sees every change"
    for text in (release.id, release.digests["model"], release.digests["code"], release.manifest["files"]["card.md"]):
        path.write_bytes(before.replace(text.encode(), text[:-1].encode() + (b"0" if text[-1] != "0" else b"1")))
        assert faults(release.id, store), "without the ledger, id, digests and files contradict one another"
    path.write_bytes(before)
    assert faults(release.id, store, pinned) == []


def test_a_file_changed_together_with_its_hash_needs_the_ledger(store: Path, release: Any) -> None:
    folder = store / release.id
    manifest, card = (folder / "release.json").read_bytes(), (folder / "card.md").read_bytes()
    (folder / "card.md").write_bytes(card + b"!")
    content = json.loads(manifest)
    content["files"]["card.md"] = sha256(folder / "card.md")
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    (folder / "release.json").write_text(text)
    unseen = faults(release.id, store)
    seen = faults(release.id, store, sha256(Path(release.path) / "release.json"))
    (folder / "release.json").write_bytes(manifest)
    (folder / "card.md").write_bytes(card)
    assert unseen == []
    assert "release.json: the ledger has SHA-256" in seen[0]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": 1}'])
def test_what_is_no_manifest_is_named(store: Path, release: Any, text: str) -> None:
    path = store / release.id / "release.json"
    before = path.read_bytes()
    path.write_text(text)
    found = faults(release.id, store)
    path.write_bytes(before)
    assert f"{path}: is no manifest" in found[0]


def test_an_added_and_a_missing_file_are_named(store: Path, release: Any) -> None:
    folder = store / release.id
    added, card = folder / "bento/src/src/bank/extra.py", folder / "card.md"
    added.write_text("")
    card.rename(store / "card.md")
    found = faults(release.id, store)
    added.unlink()
    (store / "card.md").rename(card)
    assert found == [
        f"{card}: the manifest has SHA-256 {release.manifest['files']['card.md'][:12]}, on disk is nothing",
        f"{added}: is not in the manifest",
    ]


def test_compiled_python_is_one_sentence_that_says_what_to_do(store: Path, release: Any) -> None:
    cache = store / release.id / "bento/src/src/bank/__pycache__"
    cache.mkdir()
    for name in ("a.pyc", "b.pyc"):
        (cache / name).write_bytes(b"")
    found = faults(release.id, store)
    shutil.rmtree(cache)
    (fault,) = found
    assert fault.startswith(f"{cache / 'a.pyc'}: compiled Python")
    assert "2 files; delete" in fault


def test_the_command_names_the_file_and_fails(built: Any) -> None:
    release = built.only()
    code, output = built.mainline("release", "verify", release.id)
    assert code == 0
    assert "held against the ledger" in output
    before = flip(release.path / "golden.json")
    code, output = built.mainline("release", "verify", release.id)
    container = built.mainline("release", "container", release.id)
    (release.path / "golden.json").write_bytes(before)
    assert container[0] == 1
    assert "golden.json: the manifest has SHA-256" in container[1]
    assert code == 1
    assert "golden.json: the manifest has SHA-256" in output
