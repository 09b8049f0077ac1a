"""Another processor: other last digits, and so other bytes, of the same model.

It is simulated by kernels that the clone's own code chooses: OpenBLAS' for Sandybridge, which gives another model of
the example; for HistGradientBoosting also a C library without FMA and AVX2, which the command line would undo by
starting again, so that the clone's code no longer looks for it. Commands run as
processes of their own here: one that is forked would have the kernels of the process that it is forked from.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from mainline.compare.reproduce import prove
from mainline.errors import UserError
from mainline.evaluate.check_rows import CheckRows
from mainline.files import read_json
from mainline.numerics import BLAS_KERNEL, has_avx2
from mainline.objects import EMBEDDED, expand, intact, kept_outputs, md5, place, stage_outputs

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not has_avx2(), reason="the kernels are not pinned here")]

NUMERICS = "src/mainline/numerics.py"
MASKED = {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-FMA,-AVX2"}
MODEL, CHECK = "artifacts/model.skops", "artifacts/check.json"
WITHOUT = "from mainline.numerics import pin; pin(); "  # a command of mainline pins by itself
TRAIN = WITHOUT + "from mainline.ci.train import train; print(train('main'))"
BUILD = WITHOUT + (
    "from pathlib import Path; from mainline.release.restore import outputs; outputs(Path(), other_bytes=True)"
)
HGB = '''"""The estimator."""

from __future__ import annotations

from sklearn.ensemble import HistGradientBoostingClassifier

SPACE = {"max_iter": [30]}


def build(seed: int, *, max_iter: int = 30) -> HistGradientBoostingClassifier:
    """Return an unfitted model."""
    return HistGradientBoostingClassifier(max_iter=max_iter, random_state=seed, early_stopping=False)
'''


def edit(file: Path, *changes: tuple[str, str]) -> None:
    text = file.read_text(encoding="utf-8")
    for before, after in changes:
        assert before in text, before
        text = text.replace(before, after)
    file.write_text(text, encoding="utf-8")


def commit(clone: Any, message: str) -> None:
    clone.run("git", "add", "--all", ".dvc/embedded", "src", "params.yaml", "dvc.lock")
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    clone.run("git", *who, "commit", "--quiet", f"--message={message}")


def forget(clone: Any) -> None:
    """Take the model's bytes away, as if it were too large for the repository: only check.json stays there."""
    outputs = kept_outputs(clone.folder)
    for folder in (clone.folder / EMBEDDED, clone.folder / ".dvc" / "cache"):
        for oid, path in expand(outputs, folder).items():
            if path != CHECK or folder.name == "cache":
                place(folder, oid).unlink(missing_ok=True)
    for name in ("artifacts", "reports"):
        shutil.rmtree(clone.folder / name)


def python(clone: Any, code: str, *, check: bool = True, **extra: str) -> str:
    output: str = clone.run(sys.executable, "-c", code, check=check, **extra)
    return output


def pinned(clone: Any) -> dict[str, str]:
    return {output.path: output.oid for output in stage_outputs(clone.folder)}


@pytest.fixture(scope="module")
def elsewhere(finished: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A clone on another processor, on the branch topic; main's lock is that of the pinned kernels."""
    folder = tmp_path_factory.mktemp("elsewhere") / "clone"
    made = replace(finished, folder=Path(shutil.copytree(finished.folder, folder, symlinks=True)), forks=None)
    edit(made.folder / NUMERICS, (f'BLAS_KERNEL = "{BLAS_KERNEL}"', 'BLAS_KERNEL = "Sandybridge"'))
    forget(made)
    commit(made, "Another processor")
    made.run("git", "checkout", "--quiet", "-b", "topic")
    return made


@pytest.fixture(scope="module")
def run(elsewhere: Any) -> Mapping[str, str]:
    """What main's lock names, once a pull request's run has had to make it again."""
    before = pinned(elsewhere)
    output = python(elsewhere, TRAIN)
    assert "reproduced, with other bytes (largest difference " in output and output.endswith("True\n"), output
    return before


def test_a_pull_requests_run_makes_it_again_with_other_bytes(elsewhere: Any, run: Mapping[str, str]) -> None:
    after, said = pinned(elsewhere), read_json(elsewhere.folder / "reports/reproduction.json")
    assert after[MODEL] != run[MODEL] and after[MODEL] == md5(elsewhere.folder / MODEL)
    assert said["case"] == "other bytes" and 0 < said["proof"]["largest"] < 1e-9 and said["proof"]["rows"] > 300
    # The run's lock is what will be judged, and the repository keeps its bytes
    assert MODEL in said["changed"] and intact(elsewhere.folder / EMBEDDED, after[MODEL])
    assert "artifacts/test.parquet" not in said["changed"]


def test_the_champion_that_is_built_again_is_the_champion(elsewhere: Any, run: Mapping[str, str]) -> None:
    output = elsewhere.run(*elsewhere.program("mainline"), "compare", "--against", "main", check=False)
    verdict = read_json(elsewhere.folder / "reports/verdict.json")
    stopped = {reason["gate"] for reason in verdict["reasons"] if reason["level"] in ("hold", "reject")}
    assert verdict["case"] == "compared" and stopped <= {"latency_ms", "latency ratio"}, output  # of a busy machine
    champion = verdict["champion"]
    assert (champion["source"], champion["reproduced"], champion["proof"]["equal"]) == ("rebuilt", True, True)
    notes = [reason["text"] for reason in verdict["reasons"] if reason["level"] == "note"]
    assert any(note.startswith("champion: reproduced, with other bytes (largest difference ") for note in notes)
    report = (elsewhere.folder / "reports/report.md").read_text(encoding="utf-8")
    assert "The outputs were made again by this run: reproduced, with other bytes (largest difference " in report


def test_a_release_of_main_is_built_with_other_bytes(elsewhere: Any, run: Mapping[str, str]) -> None:
    from mainline.release.fitness import check_fitness, reproduced

    elsewhere.run("git", "checkout", "--quiet", "--force", "main")
    elsewhere.run("git", "clean", "--quiet", "--force", "-d", ".dvc/embedded")
    for name in ("artifacts", "reports"):
        shutil.rmtree(elsewhere.folder / name, ignore_errors=True)
    output = python(elsewhere, BUILD)
    assert "the model of this commit: reproduced, with other bytes" in output
    assert pinned(elsewhere) == run and md5(elsewhere.folder / MODEL) != run[MODEL]
    assert elsewhere.run("git", "status", "--porcelain") == ""
    assert check_fitness(elsewhere.folder) is None
    found = reproduced(elsewhere.folder)
    assert found is not None and found.sentence().startswith("reproduced, with other bytes")
    # And a file that was changed afterwards does not come through with it
    evaluation = elsewhere.folder / "reports/evaluation.json"
    content = evaluation.read_bytes()
    evaluation.unlink()
    evaluation.write_bytes(content + b" ")
    with pytest.raises(UserError, match=r"dvc\.lock does not match.*evaluation\.json"):
        check_fitness(elsewhere.folder)


def test_a_forged_lock_is_run_again(finished_copy: Any) -> None:
    """Security H5: trained with C 30, params put back, committed with force; storage of one's own has the outputs."""
    site, storage = finished_copy, finished_copy.folder.parent / "storage"
    storage.mkdir()
    true = pinned(site)
    site.dvc("remote", "add", "--default", "own", str(storage))
    commit_all = ("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "--all")
    site.run(*commit_all, "--message=Storage of our own")
    site.run("git", "checkout", "--quiet", "-B", "main")
    site.run("git", "checkout", "--quiet", "-b", "topic")
    edit(site.folder / "params.yaml", ("    C: 1.0", "    C: 30.0"))
    site.dvc("repro", "--quiet")
    edit(site.folder / "params.yaml", ("    C: 30.0", "    C: 1.0"))
    site.dvc("commit", "--quiet", "--force", "train", "evaluate", "card")
    site.dvc("push", "--quiet")
    site.run(*commit_all, "--message=A better model")
    forged = pinned(site)
    assert forged[MODEL] != true[MODEL]
    output = python(site, TRAIN, check=False)
    assert "dvc.lock: claims another model than code, data and params give" in output
    assert f"{MODEL} ({forged[MODEL]} → {true[MODEL]})" in output and "check rows" in output
    # With the check rows of the true model in it, it goes through, and what is judged is what the run has made
    lock = (site.folder / "dvc.lock").read_text(encoding="utf-8")
    assert yaml.safe_load(lock)["stages"]["train"]["outs"][0]["path"] == MODEL and true[MODEL] in lock
    site.run("git", "checkout", "--quiet", "dvc.lock")
    for name in ("artifacts", "reports"):  # another runner
        shutil.rmtree(site.folder / name)
    edit(site.folder / "dvc.lock", (forged[CHECK], true[CHECK]))
    site.run(*commit_all, "--message=With the check rows of the true model")
    assert "reproduced, with other bytes (largest difference 0 on " in python(site, TRAIN)
    assert pinned(site)[MODEL] == true[MODEL] == md5(site.folder / MODEL)


def test_a_model_with_kernels_of_its_own(finished_copy: Any) -> None:
    """HistGradientBoosting: other bytes, the same scores; and a model that learned otherwise is told from it."""
    here = replace(finished_copy, forks=None)
    (here.folder / "src/bank/model.py").write_text(HGB, encoding="utf-8")
    edit(here.folder / "params.yaml", ("    C: 1.0", "    max_iter: 30"), ("resamples: 1000", "resamples: 100"))
    for stage in ("train", "evaluate"):
        here.run(*here.program("mainline"), stage)
    before = md5(here.folder / MODEL)
    wanted = CheckRows.read(read_json(here.folder / CHECK))
    lock = {"artifacts/test.parquet": str(md5(here.folder / "artifacts/test.parquet"))}
    edit(
        here.folder / NUMERICS,
        ('"glibc.cpu.hwcaps="', '"glibc.cpu.nothing="'),
        (f'BLAS_KERNEL = "{BLAS_KERNEL}"', 'BLAS_KERNEL = "Sandybridge"'),
    )
    here.run(*here.program("mainline"), "train", **MASKED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLIBC_TUNABLES", MASKED["GLIBC_TUNABLES"])
        patch.setattr("mainline.numerics.MASK", "glibc.cpu.nothing=")
        found = prove(wanted, lock, here.folder)
    assert md5(here.folder / MODEL) != before
    assert found.equal and found.rows > 300, found.words()
    edit(here.folder / "params.yaml", ("max_iter: 30", "max_iter: 29"))
    here.run(*here.program("mainline"), "train")
    assert not prove(wanted, lock, here.folder).equal
