"""A model that is built again with other bytes counts if it gives the scores that the lock's check.json has."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from mainline.ci.locked import Lock
from mainline.compare import champion, reproduce
from mainline.compare.champion import Champion, NotReproducible, pinned, provide, worktree
from mainline.compare.reproduce import NoProof, Reproduction, reference, written
from mainline.compare.scoring import CannotScore, Predictions
from mainline.errors import UserError
from mainline.evaluate.check_rows import CheckRows
from mainline.objects import EMBEDDED, place

MODEL, TRAINING, TEST, TRAIN = (
    "artifacts/model.skops",
    "artifacts/training.json",
    "artifacts/test.parquet",
    "artifacts/train.parquet",
)
CHECK = "artifacts/check.json"
SCORES = np.linspace(0, 1, 400)
CHECKED = CheckRows("binary", tuple(range(0, 400, 2)), SCORES[::2])
CHECK_FILE = json.dumps(CHECKED.document()).encode()
FILES = {MODEL: b"model", TRAINING: b"{}", TEST: b"test rows", TRAIN: b"rows", CHECK: CHECK_FILE}
CONFIG = "[core]\n    remote = embedded\n    analytics = false\n['remote \"embedded\"']\n    url = embedded\n"


def oid(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def lock(files: dict[str, bytes]) -> str:
    outs = [{"path": path, "md5": oid(content), "hash": "md5"} for path, content in files.items()]
    return yaml.safe_dump(
        {"schema": "2.0", "stages": {"train": {"cmd": "x", "deps": [], "outs": outs}}}, sort_keys=False
    )


def put(folder: Path, content: bytes) -> Path:
    path = place(folder, oid(content))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def git(root: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout.strip()


def commit(root: Path) -> str:
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message=x")
    return git(root, "rev-parse", "HEAD")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose lock names a model that is in no cache or remote; the embedded one has check.json."""
    made = tmp_path / "work"
    (made / ".dvc").mkdir(parents=True)
    (made / ".dvc" / "config").write_text(CONFIG)
    (made / ".dvc" / ".gitignore").write_text("/config.local\n/tmp\n/cache\n")
    (made / ".gitignore").write_text(".mainline/\n/artifacts\n/reports\n")
    (made / "dvc.lock").write_text(lock(FILES))
    put(made / EMBEDDED, FILES[CHECK])
    git(made, "init", "--quiet", "--initial-branch=main")
    commit(made)
    monkeypatch.chdir(made)
    return made


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that sets what building a model again gives: scores, and other bytes of some files."""

    def set_up(scores: Any = SCORES, **other: bytes) -> None:
        files = FILES | {MODEL: b"other last digits"} | {path: content for path, content in other.items()}

        def again(tree: Path, stage: str) -> str:
            for path, content in files.items() if stage == "train" else ():
                (tree / path).parent.mkdir(parents=True, exist_ok=True)
                (tree / path).write_bytes(content)
            (tree / "dvc.lock").write_text(lock(files))
            return ""

        def predictions(tree: Path, rows: Path) -> Predictions:
            assert (tree / MODEL).read_bytes() == files[MODEL] and rows == tree / TEST
            if isinstance(scores, str):
                raise CannotScore(scores)
            return Predictions(np.asarray(scores), None)

        monkeypatch.setattr(champion, "_again", again)
        monkeypatch.setattr(reproduce, "predictions", predictions)

    return set_up


def provided(root: Path) -> Champion:
    want = pinned("HEAD", root)
    assert want is not None
    with worktree(git(root, "rev-parse", "HEAD"), root) as tree:
        return provide(want, tree, root / ".dvc" / "cache")


def held(root: Path) -> NotReproducible:
    with pytest.raises(NotReproducible) as caught:
        provided(root)
    return caught.value


def with_a_thousandth() -> Any:
    scores = SCORES.copy()
    scores[42] += 1e-3
    return scores


def test_the_same_scores_make_it_the_champion(root: Path, elsewhere: Callable[..., None]) -> None:
    elsewhere(SCORES + 3e-12)
    found = provided(root)
    assert (found.source, MODEL in found.files) == ("rebuilt", True)
    assert found.proof and found.proof.equal and found.proof.rows == 200


def test_one_score_that_differs_by_a_thousandth_holds_with_the_figures(
    root: Path, elsewhere: Callable[..., None]
) -> None:
    elsewhere(with_a_thousandth())
    error = held(root)
    assert f"the lock pins {oid(FILES[MODEL])}, building it again gives {oid(b'other last digits')}" in str(error)
    assert "largest difference 0.001 on 200 check rows, 1e-06 is allowed; row 42: " in str(error)
    assert error.proof and not error.proof.equal and error.proof.examples[0].position == 42


@pytest.mark.parametrize(
    ("scores", "other", "words"),
    [
        ("it fails", {}, "the model gives no scores: it fails"),
        (SCORES, {TEST: b"rows of another split"}, "artifacts/test.parquet is"),
        (np.full(400, np.nan), {}, "missing or not finite"),
        (SCORES[:100], {}, "missing or not finite"),
    ],
)
def test_what_cannot_be_compared_holds(
    scores: Any, other: dict[str, bytes], words: str, root: Path, elsewhere: Callable[..., None]
) -> None:
    elsewhere(scores, **other)
    assert words in str(held(root))


def test_a_lock_without_check_rows_holds(root: Path, elsewhere: Callable[..., None]) -> None:
    elsewhere()
    (root / "dvc.lock").write_text(lock({path: content for path, content in FILES.items() if path != CHECK}))
    commit(root)
    assert "the lock names no artifacts/check.json" in str(held(root))


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_check_rows_that_are_not_those_of_the_lock_prove_nothing(
    damage: str, root: Path, elsewhere: Callable[..., None]
) -> None:
    elsewhere(with_a_thousandth())
    object_ = place(root / EMBEDDED, oid(FILES[CHECK]))
    if damage == "gone":
        object_.unlink()
    else:  # what the forged model scores, under the name of the true file
        forged = CheckRows("binary", CHECKED.positions, with_a_thousandth()[::2])
        object_.write_bytes(json.dumps(forged.document()).encode())
    commit(root)
    assert f"({oid(FILES[CHECK])}) is in no cache or remote" in str(held(root))


def test_the_proof_rests_on_mains_commit_whatever_the_pull_request_does(
    root: Path, elsewhere: Callable[..., None]
) -> None:
    """The pull request drops main's check.json from the repository; main's commit still has it."""
    main = git(root, "rev-parse", "HEAD")
    place(root / EMBEDDED, oid(FILES[CHECK])).unlink()
    put(root / EMBEDDED, b"something else")
    commit(root)
    want = pinned(main, root)
    assert want is not None
    with pytest.raises(NoProof, match="in no cache or remote"):
        reference(want.outputs, root / ".dvc/cache", root)
    found = reference(want.outputs, root / ".dvc/cache", root, main)
    assert (found.scores == CHECKED.scores).all()


def test_the_models_bytes_come_from_the_champions_own_commit(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (MODEL, TRAINING):
        put(root / EMBEDDED, FILES[path])
    commit(root)
    asked: list[str] = []
    monkeypatch.setattr(champion, "_again", lambda tree, stage: asked.append(stage) or "")
    found = provided(root)
    assert (found.source, found.files) == ("remote", {MODEL, TRAINING})
    assert asked == ["split"]  # its rows are made again, nothing is trained


def judged(root: Path, brought: bool, wanted: Any, changed: tuple[str, ...] = (MODEL,)) -> Reproduction:
    for path, content in (FILES | {MODEL: b"other last digits"}).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    made = Lock("", {path: oid(content) for path, content in FILES.items()}, brought, root / ".dvc/cache")
    return made.judge(wanted, {MODEL: oid(b"other last digits")}, changed, root)


@pytest.mark.parametrize("brought", [True, False])
def test_a_run_that_gives_the_same_scores_replaces_the_lock(
    brought: bool, root: Path, elsewhere: Callable[..., None]
) -> None:
    elsewhere(SCORES + 3e-12)
    found = judged(root, brought, CHECKED)
    assert found.sentence() == "reproduced, with other bytes (largest difference 3e-12 on 200 check rows)"
    found.write(root)
    assert written(root) == found
    (root / MODEL).write_bytes(b"yet another")
    assert written(root) is None


@pytest.mark.parametrize(("brought", "words"), [(True, "dvc.lock: claims another model"), (False, "not reproducible")])
def test_a_run_that_gives_other_scores_stops(
    brought: bool, words: str, root: Path, elsewhere: Callable[..., None]
) -> None:
    elsewhere(with_a_thousandth())
    with pytest.raises(UserError, match=words) as caught:
        judged(root, brought, CHECKED)
    assert "largest difference 0.001 on 200 check rows" in caught.value.problem
    assert f"{MODEL} ({oid(FILES[MODEL])} → {oid(b'other last digits')})" in caught.value.problem
    assert "row 42: " in caught.value.problem


def test_a_claim_without_check_rows_is_replaced_and_mains_own_lock_stops(
    root: Path, elsewhere: Callable[..., None]
) -> None:
    elsewhere()
    assert judged(root, True, "no check rows").case == "not compared"
    with pytest.raises(UserError, match="not reproducible.*no check rows"):
        judged(root, False, "no check rows")


def test_a_claim_about_other_rows_stops(root: Path, elsewhere: Callable[..., None]) -> None:
    elsewhere()
    made = Lock(
        "", {path: oid(content) for path, content in (FILES | {TEST: b"other"}).items()}, True, root / ".dvc/cache"
    )
    for path, content in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    with pytest.raises(UserError, match=r"claims another model.*test\.parquet"):
        made.judge(CHECKED, {MODEL: oid(b"other last digits")}, (MODEL,), root)
