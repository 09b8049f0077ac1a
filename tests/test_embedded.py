"""The repository keeps the model's outputs that the lock names, up to a bound, and nothing that was made of rows."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from mainline import objects
from mainline.embedded import embedded_faults, keep, lacking
from mainline.objects import EMBEDDED, bring, kept_outputs, place, stage_outputs
from mainline.paths import KEPT, ROW_FILES

TOP = Path(__file__).parents[1]
CONFIG = "[core]\n    remote = {0}\n['remote \"{0}\"']\n    url = {1}\n"
CACHE = Path(".dvc", "cache")
MODEL, ROWS, PLOTS, CHECK = "artifacts/model.skops", "artifacts/rows.parquet", "reports/plots", "artifacts/check.json"


def put(folder: Path, content: bytes, suffix: str = "") -> str:
    oid = hashlib.md5(content).hexdigest() + suffix
    place(folder, oid).parent.mkdir(parents=True, exist_ok=True)
    place(folder, oid).write_bytes(content)
    return oid


def lock(root: Path, version: int) -> dict[str, str]:
    """Make outputs in the cache and a lock that names them; return their ids by path."""
    cache = root / CACHE
    plot = put(cache, b"plot %d" % version)
    found = {path: put(cache, f"{path} {version}".encode()) for path in (MODEL, ROWS, CHECK)}
    found[PLOTS] = put(cache, json.dumps([{"md5": plot, "relpath": "roc.csv"}]).encode(), ".dir")
    outs = [{"path": path, "md5": oid, "hash": "md5", "size": 10} for path, oid in found.items()]
    content = {"schema": "2.0", "stages": {"all": {"cmd": "x", "outs": outs}}}
    (root / "dvc.lock").write_text(yaml.safe_dump(content, sort_keys=False))
    return found | {"plot": plot}


def git(root: Path, *arguments: str) -> None:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments]
    subprocess.run(command, cwd=root, check=True, capture_output=True)


def commit(root: Path) -> None:
    git(root, "add", "--all", "--", ".dvc/embedded", ".dvc/config", "dvc.lock", "data.dvc")
    git(root, "commit", "--quiet", "--message=x")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    batch = put(tmp_path / EMBEDDED, b"batch")
    listing = put(tmp_path / EMBEDDED, json.dumps([{"md5": batch, "relpath": "a.csv"}]).encode(), ".dir")
    (tmp_path / "data.dvc").write_text(f"outs:\n- md5: {listing}\n  hash: md5\n  path: data\n")
    (tmp_path / ".dvc" / "config").write_text(
        "[core]\n    remote = embedded\n['remote \"embedded\"']\n    url = embedded\n"
    )
    git(tmp_path, "init", "--quiet")
    return tmp_path


def held(root: Path) -> set[str]:
    return {file.parent.name + file.name for file in (root / EMBEDDED).rglob("*") if file.is_file()}


def test_what_is_kept_is_what_train_evaluate_and_card_make() -> None:
    stages = yaml.safe_load((TOP / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    made = {path for name in ("train", "evaluate", "card") for kind in ("outs", "metrics", "plots")
            for path in stages[name].get(kind, [])}  # fmt: skip
    assert {path.as_posix() for path in KEPT} == made
    rows = {path for stage in stages.values() for path in stage["outs"] if path.endswith(".parquet")}
    assert {path.as_posix() for path in ROW_FILES} == rows


def test_the_committed_outputs_are_those_of_the_lock() -> None:
    assert lacking(TOP) == [], "run `mainline repro`, commit dvc.lock with .dvc/embedded"
    assert sum(output.entry["size"] for output in kept_outputs(TOP)) < 200_000


def test_outputs_are_kept_and_rows_are_not(root: Path) -> None:
    before, found = held(root), lock(root, 1)
    kept = keep(root, root / CACHE)
    assert held(root) - before == {found[MODEL], found[CHECK], found[PLOTS], found["plot"]}
    assert len(kept.added) == 4 and "commit it with dvc.lock" in kept.words() and not kept.warning()
    assert embedded_faults(root) == lacking(root) == []
    assert keep(root, root / CACHE).words() == ""


@pytest.mark.parametrize("committed", [True, False])
def test_objects_that_the_lock_no_longer_names_leave(root: Path, committed: bool) -> None:
    before = held(root)
    lock(root, 1)
    keep(root, root / CACHE)
    if committed:
        commit(root)
    found = lock(root, 2)
    # Somebody who forgets them is no fault: the run brings them up to date
    if committed:
        assert embedded_faults(root) == [] and len(lacking(root)) == 3
    kept = keep(root, root / CACHE)
    assert held(root) - before == {found[MODEL], found[CHECK], found[PLOTS], found["plot"]} and before <= held(root)
    assert len(kept.removed) == 4 and embedded_faults(root) == []
    assert not [folder for folder in (root / EMBEDDED).rglob("*") if folder.is_dir() and not any(folder.iterdir())]


def test_rows_that_a_push_has_put_there_are_a_fault_and_leave(root: Path) -> None:
    found = lock(root, 1)
    keep(root, root / CACHE)
    bring([output for output in stage_outputs(root) if output.path == ROWS], root / CACHE, root / EMBEDDED)
    assert len(embedded_faults(root)) == 1 and found[ROWS][2:] in embedded_faults(root)[0]
    assert keep(root, root / CACHE).removed == (found[ROWS],)


def test_data_are_never_taken_away(root: Path) -> None:
    lock(root, 1)
    stray = put(root / EMBEDDED, b"an earlier batch")
    commit(root)
    before = held(root)
    keep(root, root / CACHE)
    assert before <= held(root)  # git knows it, and it was never an output
    assert [stray[2:] in fault for fault in embedded_faults(root)] == [True]
    # And nothing at all while the list of the data is not at hand
    data = next(oid for oid in before if oid.endswith(".dir"))
    place(root / EMBEDDED, data).unlink()
    lock(root, 2)
    assert keep(root, root / CACHE).removed == ()


def test_a_large_model_leaves_its_check_rows_alone(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, _ = held(root), lock(root, 1)
    keep(root, root / CACHE)
    commit(root)
    found = lock(root, 2)
    monkeypatch.setattr(objects, "KEPT_BYTES", 29)  # the three outputs have 30
    kept = keep(root, root / CACHE)
    assert held(root) - before == {found[CHECK]} and embedded_faults(root) == []
    assert keep(root, root / CACHE).removed == ()
    assert kept.large == 30 and "make remote" in kept.warning() and "only artifacts/check.json" in kept.warning()


def test_what_the_lock_still_names_stays_when_the_outputs_grow(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = lock(root, 1)
    keep(root, root / CACHE)
    commit(root)
    monkeypatch.setattr(objects, "KEPT_BYTES", 29)
    assert keep(root, root / CACHE).removed == () and embedded_faults(root) == []
    monkeypatch.setattr("mainline.embedded.KEPT_BYTES", 10)
    assert "too large for the repository" in embedded_faults(root)[0] and found[MODEL] in held(root)


def test_damaged_outputs_are_a_fault_and_are_put_back(root: Path) -> None:
    found = lock(root, 1)
    keep(root, root / CACHE)
    place(root / EMBEDDED, found[MODEL]).write_bytes(b"other")
    assert [found[MODEL] in fault and "damaged" in fault for fault in embedded_faults(root)] == [True]
    keep(root, root / CACHE)
    assert embedded_faults(root) == []


def test_with_storage_of_ones_own_the_repository_keeps_nothing(root: Path) -> None:
    (root / ".dvc" / "config").write_text(CONFIG.format("own", "../../own"))
    before, _ = held(root), lock(root, 1)
    kept: Any = keep(root, root / CACHE)
    assert (kept.added, kept.removed, kept.large) == ((), (), None) and held(root) == before
