"""A file is written whole or not at all, on a real disk limit too."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mainline.errors import UserError
from mainline.files import read_json, replace_atomic, sha256, write_atomic, write_json

ROOT = Path(__file__).parents[1]
WRITE = """
import sys
from pathlib import Path
import pandas as pd
from mainline.data.split import write_rows
from mainline.errors import UserError
from mainline.files import write_atomic, write_json
path = Path(sys.argv[2])
rows = pd.DataFrame({"a": range(50000), "_batch": "x", "_line": 1}).sample(frac=1, random_state=1)
kinds = {
    "bytes": lambda: write_atomic(path, b"new" * 50000),
    "json": lambda: write_json(path, {"new": "x" * 50000}),
    "rows": lambda: write_rows(path, rows),
}
try:
    kinds[sys.argv[1]]()
except UserError as error:
    sys.exit(str(error))
"""


def limited(bytes_: int, *command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run ``command`` where no file can grow beyond ``bytes_``, as on a full disk."""
    return subprocess.run(
        command, cwd=folder, timeout=120, check=False, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, bytes_)),
    )  # fmt: skip


def test_folders_are_made_and_text_is_utf8(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.txt"
    assert write_atomic(path, "größer\n") == path
    assert path.read_bytes() == "größer\n".encode()
    assert [item.name for item in path.parent.iterdir()] == ["c.txt"]
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("kind", ["bytes", "json", "rows"])
def test_a_write_that_fails_half_way_leaves_the_old_file(kind: str, tmp_path: Path) -> None:
    # Given an old file, and a disk on which no file can grow beyond 20,000 bytes
    path = tmp_path / "kept"
    path.write_text("old")
    # When something larger is written over it
    done = limited(20_000, sys.executable, "-c", WRITE, kind, "kept", folder=tmp_path)
    # Then the old file stands, nothing else is left, and the words are clear
    assert done.returncode == 1, done.stderr
    assert "kept: could not be written" in done.stderr and "free disk space" in done.stderr
    assert "Traceback" not in done.stderr
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["kept"]
    # And with enough room the same command succeeds
    assert limited(10**7, sys.executable, "-c", WRITE, kind, "kept", folder=tmp_path).returncode == 0
    assert path.read_bytes()[:3] != b"old"


def test_a_model_that_cannot_be_written(ready: Any) -> None:
    # Given a trained model, and a disk that is full before a model fits
    folder = ready.folder / "artifacts"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    # When it is trained once more
    done = limited(2_000, sys.executable, "-m", "mainline.cli", "train", folder=ready.folder)
    # Then the command fails in words, and every file is as it was
    assert done.returncode == 1, done.stderr
    assert "artifacts/model.skops: could not be written (File too large); nothing was changed" in done.stderr
    assert "Traceback" not in done.stderr
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_writer_that_raises_leaves_nothing(tmp_path: Path) -> None:
    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        replace_atomic(tmp_path / "a", fail)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    with pytest.raises(UserError, match=r"a/b: could not be written \((Not a directory|File exists)\)"):
        write_atomic(tmp_path / "a" / "b", "y")


def test_equal_values_are_equal_json_bytes(tmp_path: Path) -> None:
    left = write_json(tmp_path / "left", {"b": [1, None], "a": "é"}).read_bytes()
    right = write_json(tmp_path / "right", {"a": "é", "b": [1, None]}).read_bytes()
    assert left == right == '{\n  "a": "é",\n  "b": [\n    1,\n    null\n  ]\n}\n'.encode()
    assert read_json(tmp_path / "left") == {"a": "é", "b": [1, None]}


def test_not_a_number_is_no_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a", {"a": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_read_json_tells_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="absent.json: not there") as caught:
        read_json(tmp_path / "absent.json")
    assert "dvc repro" in caught.value.fix
    (tmp_path / "torn.json").write_text(json.dumps({"a": 1})[:-1])
    with pytest.raises(UserError, match=r"torn.json: is not valid JSON"):
        read_json(tmp_path / "torn.json")


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
