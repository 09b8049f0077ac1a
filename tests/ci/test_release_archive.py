"""What a packed release may hold: files and links of its own folder, and nothing else."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mainline.ci.release_archive import Seal, Wrong, pack, seal_of, unpack
from mainline.release.store import Release


def made(path: Path, *members: tuple[str, bytes, str]) -> Path:
    """Write a tar of members: name, type, and content or target."""
    with tarfile.open(path, "w") as archive:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind == tarfile.REGTYPE:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content.encode()))
            else:
                info.linkname = content
                archive.addfile(info)
    return path


FILE, LINK = tarfile.REGTYPE, tarfile.SYMTYPE
EVIL = {
    "absolute": [("/tmp/x", FILE, "x")],
    "steps up": [("bank-1/../../x", FILE, "x")],
    "another folder": [("other/x", FILE, "x")],
    "the folder itself": [("bank-1", FILE, "x")],
    "link out": [("bank-1/a", LINK, "../../x")],
    "absolute link": [("bank-1/a", LINK, "/etc/passwd")],
    "link to the folder above": [("bank-1/a", LINK, "..")],
    "hard link": [("bank-1/a", tarfile.LNKTYPE, "/etc/passwd")],
    "device": [("bank-1/a", tarfile.CHRTYPE, "")],
    "pipe": [("bank-1/a", tarfile.FIFOTYPE, "")],
    "folder": [("bank-1/a", tarfile.DIRTYPE, "")],
    "twice": [("bank-1/a", FILE, "x"), ("bank-1/a", FILE, "y")],
    "file below a file": [("bank-1/a", FILE, "x"), ("bank-1/a/b", FILE, "y")],
    "out by two links": [("bank-1/a/b/c/d", LINK, "../.."), ("bank-1/a/b/c/e", LINK, "d/../../..")],
}


@pytest.mark.parametrize("members", EVIL.values(), ids=EVIL)
def test_what_leads_out_or_is_no_file_is_refused(tmp_path: Path, members: list[tuple[str, bytes, str]]) -> None:
    file, into = made(tmp_path / "evil.tar", *members), tmp_path / "deep" / "into"
    into.mkdir(parents=True)
    with pytest.raises(Wrong):
        unpack(file, "bank-1", into)
    assert {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*")} == {"evil.tar", "deep"}
    assert [path.name for path in into.parent.iterdir()] == ["into"]


def test_a_file_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    file = made(tmp_path / "evil.tar", ("bank-1/a", LINK, "b"), ("bank-1/b/x", FILE, "x"), ("bank-1/a/y", FILE, "y"))
    with pytest.raises(Wrong):
        unpack(file, "bank-1", tmp_path / "into")


@pytest.mark.parametrize(
    "spoil", [lambda data: data[:700], lambda _: b"", lambda _: b"no tar" * 200], ids=["cut", "empty", "text"]
)
def test_a_broken_file_is_named(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    file = made(tmp_path / "a.tar", ("bank-1/a", FILE, "x" * 5000))
    file.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(Wrong, match="cannot be unpacked"):
        unpack(file, "bank-1", tmp_path / "into")


def test_files_modes_and_links_come_out_as_they_went_in(tmp_path: Path) -> None:
    folder = tmp_path / "store" / "bank-1"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "run.sh").write_text("#!/bin/sh\n")
    (folder / "deep" / "run.sh").chmod(0o755)
    (folder / "plain").write_bytes(b"\0" * 3_000_000)
    (folder / "twin").hardlink_to(folder / "plain")
    (folder / "deep" / "to").symlink_to("../plain")
    release = Release("bank-1", folder, {})
    file = pack(release, tmp_path / "dist")
    unpack(file, "bank-1", tmp_path / "into")
    out = tmp_path / "into" / "bank-1"
    assert (out / "deep" / "to").readlink() == Path("../plain") and (out / "twin").read_bytes() == b"\0" * 3_000_000
    assert (out / "deep" / "run.sh").stat().st_mode & 0o777 == 0o755 and (out / "plain").stat().st_mode & 0o777 == 0o644
    assert pack(Release("bank-1", out, {}), tmp_path / "again").read_bytes() == file.read_bytes()


@pytest.mark.parametrize("size", ["", "x", "-1", "9" * 5000])
def test_a_size_that_is_no_number_is_no_seal(size: str) -> None:
    assert seal_of({"archive": "a" * 64, "archive_bytes": size}) is None
    assert seal_of({"archive": "a" * 64, "archive_bytes": "12"}) == Seal("a" * 64, 12)
