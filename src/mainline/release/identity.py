"""What makes two releases the same: the digests of everything that a release is made of, and the id made from them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mainline.compare.git import git
from mainline.files import read_json, sha256
from mainline.paths import MODEL, SERVING, VALIDATION
from mainline.train.lineage import data_hash

CODE = ("src", "bentofile.yaml", "requirements.lock")  # and the *.py files at the top
PARTS = ("code", "data", "params", "lock", "model", "serving", "environment")
LENGTH = 12  # hex digits of the SHA-256 in an id


def digests(root: Path = Path()) -> dict[str, str]:
    """Return one digest a part, by the names in ``PARTS``.

    ``code`` covers what the commit holds; the others are SHA-256 of files (``data``: names and hashes of all batches,
    ``serving``: names and hashes of the folder's files). The work tree must be clean for them to belong together.

    Raises:
        UserError: a file is absent.
    """
    tree = (line.split(maxsplit=3) for line in git("ls-tree", "HEAD", root=root).splitlines())
    listed = {name: hashed for _, _, hashed, name in tree if covered(name)}
    return {
        "code": of(listed),
        "data": data_hash(read_json(root / VALIDATION)["batches"]),
        "params": sha256(root / "params.yaml"),
        "lock": sha256(root / "dvc.lock"),
        "model": sha256(root / MODEL),
        "serving": of(listing(root / SERVING)),
        "environment": sha256(root / "requirements.lock"),
    }


def covered(name: str) -> bool:
    """Return whether the file or folder at the top of the repository counts as code of a release."""
    return name in CODE or name.endswith(".py")


def release_id(project: str, parts: Mapping[str, str]) -> str:
    """Return the id of a release: the same content has the same id, on every machine."""
    return f"{project}-{of({name: parts[name] for name in PARTS})[:LENGTH]}"


def of(value: Any) -> str:
    """Return the SHA-256 of ``value`` as JSON without blanks and with sorted keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def listing(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below ``folder`` by its path in there; a link counts by where it points."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() or path.is_symlink())
    return {
        path.relative_to(folder).as_posix(): of({"link": str(path.readlink())}) if path.is_symlink() else sha256(path)
        for path in files
    }
