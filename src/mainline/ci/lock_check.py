"""Whether the files that a run claims to have locked may be committed, and which tree that gives."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mainline.ci.event import git
from mainline.ci.lock import LOCK
from mainline.errors import UserError
from mainline.objects import EMBEDDED

OBJECT = re.compile(re.escape(EMBEDDED.as_posix()) + r"/files/md5/([0-9a-f]{2})/([0-9a-f]{30}(?:\.dir)?)")
FILES, BYTES = 500, 8 * 1024 * 1024
FIX = "nothing was committed; run `mainline repro` and commit dvc.lock and .dvc/embedded yourself"


@dataclass(frozen=True)
class Locked:
    """Files to write and files to take away."""

    additions: Mapping[str, bytes]
    deletions: tuple[str, ...]

    def __bool__(self) -> bool:
        """Return whether there is anything to commit."""
        return bool(self.additions or self.deletions)

    def changes(self) -> dict[str, Any]:
        """Return the changes as createCommitOnBranch takes them."""
        return {
            "additions": [
                {"path": path, "contents": base64.b64encode(content).decode()}
                for path, content in sorted(self.additions.items())
            ],
            "deletions": [{"path": path} for path in sorted(self.deletions)],
        }


def parse(claim: Mapping[str, Any]) -> Locked:
    """Return what ``lock.json`` claims; only dvc.lock and objects of the embedded remote may be in it.

    Raises:
        UserError: another file is in it, a content is not base64, or a bound is exceeded.
    """
    if not all(isinstance(claim.get(key), list) for key in ("additions", "deletions")):
        raise UserError("lock.json: additions and deletions are not lists of files", FIX)
    try:
        added = {str(item["path"]): str(item["contents"]) for item in claim["additions"]}
        deleted = tuple(str(item["path"]) for item in claim["deletions"])
        if len(added) != len(claim["additions"]) or len({*added, *deleted}) != len(added) + len(deleted):
            raise UserError("lock.json: a file is in it twice", FIX)
    except (KeyError, TypeError) as error:
        raise UserError("lock.json: additions and deletions are not lists of files", FIX) from error
    if len(added) + len(deleted) > FILES or sum(map(len, added.values())) > BYTES * 4 // 3 + 4 * FILES:
        raise UserError(f"lock.json: more than {FILES} files or {BYTES:,} bytes", f"`make remote`; {FIX}")
    for path in (*added, *deleted):
        if path != LOCK and not OBJECT.fullmatch(path):
            raise UserError(f"lock.json: {path[:100]!r} is not a file that a run may write", FIX)
    if LOCK in deleted:
        raise UserError("lock.json: dvc.lock would be deleted", FIX)
    try:
        return Locked({path: base64.b64decode(text, validate=True) for path, text in added.items()}, deleted)
    except (binascii.Error, ValueError) as error:
        raise UserError("lock.json: a content is not base64", FIX) from error


def check(locked: Locked, head: str, root: Path = Path()) -> None:
    """Hold the files against the lock that they come with.

    Each object must be named by its own MD5 and by the new ``dvc.lock``; only what neither ``dvc.lock`` nor a ``*.dvc``
    file of ``head`` names may be taken away.

    Raises:
        UserError: one of that is not so.
    """
    content = locked.additions.get(LOCK)
    lock = _yaml(content if content is not None else (_at(head, LOCK, root) or b""), LOCK)
    pointers = [
        name for name in git(["ls-tree", "-z", "--name-only", head], root=root).split("\0") if name.endswith(".dvc")
    ]
    named = _whole(_named(lock), locked, head, root)
    data = _whole(
        {oid for name in pointers for oid in _named(_yaml(_at(head, name, root) or b"", name))}, locked, head, root
    )
    for path, added in locked.additions.items():
        if path == LOCK:
            continue
        oid = _oid(path)
        if hashlib.md5(added, usedforsecurity=False).hexdigest() != oid.removesuffix(".dir"):
            raise UserError(f"lock.json: {oid}: its bytes have another MD5 than its name", FIX)
        if oid not in named:
            raise UserError(f"lock.json: {oid} is not named by dvc.lock", FIX)
    for path in locked.deletions:
        if _oid(path) in named | data:
            raise UserError(f"lock.json: {_oid(path)} would be deleted, and dvc.lock or a .dvc file names it", FIX)


def tree_with(locked: Locked, head: str, root: Path = Path()) -> str:
    """Return the tree of ``head`` with the files in it; the clone's own index and files stay as they are.

    Raises:
        UserError: git refuses.
    """
    if not locked:
        return git(["rev-parse", f"{head}^{{tree}}"], root=root).strip()
    with tempfile.TemporaryDirectory() as folder:
        extra = {"GIT_INDEX_FILE": str(Path(folder, "index"))}
        git(["read-tree", head], root=root, extra=extra)
        names = sorted(locked.additions)
        for number, name in enumerate(names):
            Path(folder, str(number)).write_bytes(locked.additions[name])
        files = [str(Path(folder, str(number))) for number in range(len(names))]
        oids = git(["hash-object", "-w", "--no-filters", "--", *files], root=root).split() if files else []
        entries = [
            part for oid, name in zip(oids, names, strict=True) for part in ("--cacheinfo", f"100644,{oid},{name}")
        ]
        git(["update-index", "--add", *entries], root=root, extra=extra)
        if locked.deletions:
            git(["update-index", "--force-remove", "--", *locked.deletions], root=root, extra=extra)
        return git(["write-tree"], root=root, extra=extra).strip()


def _oid(path: str) -> str:
    found = OBJECT.fullmatch(path)
    assert found is not None  # parse() has looked
    return found[1] + found[2]


def _whole(oids: Iterable[str], locked: Locked, head: str, root: Path) -> set[str]:
    """Return the objects, and those that lists of folders among them name."""
    found = set(oids)
    for oid in [item for item in found if item.endswith(".dir")]:
        path = f"{EMBEDDED.as_posix()}/files/md5/{oid[:2]}/{oid[2:]}"
        if not OBJECT.fullmatch(path):
            continue
        content = locked.additions.get(path)
        content = content if content is not None else _at(head, path, root)
        try:
            found |= {str(item["md5"]) for item in json.loads(content or b"[]")}
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UserError(f"lock.json: {oid} is not the list of a folder", FIX) from error
    return found


def _named(content: Mapping[str, Any]) -> set[str]:
    """Return the objects that a lock or a ``*.dvc`` file names as outputs."""
    stages = content.get("stages")
    holders = list(stages.values()) if isinstance(stages, dict) else [content]
    outs = [out for holder in holders if isinstance(holder, dict) for out in holder.get("outs") or ()]
    return {str(out["md5"]) for out in outs if isinstance(out, dict) and "md5" in out}


def _at(commit: str, path: str, root: Path) -> bytes | None:
    if not git(["ls-tree", "-z", commit, "--", path], root=root):
        return None
    return git(["show", f"{commit}:{path}"], root=root).encode("utf-8", "surrogateescape")


def _yaml(content: bytes, name: str) -> dict[str, Any]:
    try:
        parsed = yaml.safe_load(content.decode("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise UserError(f"{name} is not valid YAML", FIX) from error
    return parsed if isinstance(parsed, dict) else {}
