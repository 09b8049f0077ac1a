"""``mainline repro``: DVC's pipeline; the repository keeps what came out of it.

Data that no stage has taken are not noted in their ``*.dvc`` file.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import yaml

from mainline import child, console
from mainline.embedded import keep
from mainline.files import write_atomic
from mainline.objects import data_outputs


def repro(root: Path = Path()) -> int:
    """Run ``dvc repro`` in ``root`` and return its exit code.

    ``dvc repro`` begins by noting data that have changed in their ``*.dvc`` file. If no stage comes to its end with
    them, the file gets back what it held, and that is said; the data themselves stay as they are. After a run that
    came to its end the embedded remote keeps the outputs of the model.

    Raises:
        UserError: the outputs cannot be written into the embedded remote.
    """
    before = {path: path.read_bytes() for path in sorted(root.glob("*.dvc")) if path.is_file()}
    sys.stdout.flush()
    try:
        code = _dvc(root)
        if code == 0:
            _keep(root)
        return code
    finally:
        for path in _refused(before, root):
            write_atomic(path, before[path])
            console.warn(
                f"{path.name} is as it was, because these data came through no stage; mend them and run the same "
                f"again, or put them back: `dvc checkout --force {path.name}`"
            )


def _keep(root: Path) -> None:
    kept = keep(root)
    for text, mark in ((kept.words(), "pass"), (kept.warning(), "warn")):
        if text:
            console.say(text, mark)  # type: ignore[arg-type]


def _dvc(root: Path) -> int:
    environment = {**os.environ, "PATH": child.search_path(), "DVC_NO_ANALYTICS": "1"}
    return subprocess.run([sys.executable, "-m", "dvc", "repro"], cwd=root, env=environment, check=False).returncode


def _refused(before: dict[Path, bytes], root: Path) -> list[Path]:
    """Return the files that have changed and name data which no stage in ``dvc.lock`` was run with."""
    changed = [path for path, content in before.items() if path.is_file() and path.read_bytes() != content]
    if not changed:
        return []
    lock = root / "dvc.lock"
    stages = (yaml.safe_load(lock.read_text(encoding="utf-8")) or {}).get("stages") or {} if lock.is_file() else {}
    used = {(dep["path"], dep.get("md5")) for stage in stages.values() for dep in stage.get("deps", [])}
    named = {output.source: (output.path, output.oid) for output in data_outputs(root)}
    return [path for path in changed if named.get(path.name) not in used]
