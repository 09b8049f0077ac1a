"""The embedded remote is looked after as long as it is the default, and no longer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]


@pytest.mark.parametrize(("url", "code"), [("embedded", 1), ("../storage", 0)])
def test_what_is_not_named_there_counts_only_while_it_is_the_default(url: str, code: int, tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    text = f"[core]\n    remote = one\n['remote \"one\"']\n    url = {url}\n"
    (tmp_path / ".dvc" / "config").write_text(text, encoding="utf-8")
    stray = tmp_path / ".dvc/embedded/files/md5/00/11"
    stray.parent.mkdir(parents=True)
    stray.write_text("x", encoding="utf-8")
    command = [sys.executable, str(TOP / "scripts/check_embedded.py")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, "is named by no .dvc file" in done.stderr) == (code, bool(code)), done.stderr
