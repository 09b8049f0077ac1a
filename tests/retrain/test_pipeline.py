"""What a retraining's work tree keeps of the model that it trains."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mainline.objects import EMBEDDED, place
from mainline.retrain import pipeline

CONFIG = "[core]\n    remote = {0}\n['remote \"{0}\"']\n    url = {1}\n"
LOCK = """schema: '2.0'
stages:
  train:
    cmd: mainline train
    outs:
    - path: artifacts/model.skops
      hash: md5
      md5: {}
      size: 5
"""


@pytest.mark.parametrize(("name", "url", "kept"), [("embedded", "embedded", True), ("own", "../../own", False)])
def test_the_new_models_bytes_are_committed_with_its_branch(
    name: str, url: str, kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, cache, asked = hashlib.md5(b"model").hexdigest(), tmp_path / "cache", []
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text(CONFIG.format(name, url), encoding="utf-8")

    def repro(command: list[str], *_: Any, **__: Any) -> subprocess.CompletedProcess[str]:
        place(cache, model).parent.mkdir(parents=True)
        place(cache, model).write_bytes(b"model")
        (tmp_path / "dvc.lock").write_text(LOCK.format(model), encoding="utf-8")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(pipeline.child, "run", repro)
    monkeypatch.setattr(pipeline, "_dvc", lambda arguments, *_: asked.append(arguments[0]))
    monkeypatch.setattr("mainline.embedded.cache_folder", lambda root: cache)
    monkeypatch.setattr("mainline.embedded._git", lambda *_: "")
    pipeline.train(tmp_path, "data", remote=False)
    assert place(tmp_path / EMBEDDED, model).is_file() is kept
    assert asked == (["add", "push"] if kept else ["add"])
