"""The pipeline as DVC runs it: what re-runs, what does not, and what comes out, to the byte."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy
import pytest
import yaml

from mainline.numerics import KERNELS, THREADS, has_avx2

ROOT = Path(__file__).parents[2]
STAGES = ("validate", "split", "train", "evaluate", "card")
NUMERIC = STAGES[:4]  # the card is words about what these write
# What a processor would choose by itself, as far as a variable can choose it.
PROCESSORS = {
    "native": {},
    "Haswell": {"OPENBLAS_CORETYPE": "Haswell"},
    "Zen": {"OPENBLAS_CORETYPE": "Zen"},
    "SkylakeX": {"OPENBLAS_CORETYPE": "SkylakeX"},
    "Sandybridge": {"OPENBLAS_CORETYPE": "Sandybridge"},
    "NumPy without AVX-512": {"NPY_DISABLE_CPU_FEATURES": KERNELS["NPY_DISABLE_CPU_FEATURES"]},
}

pytestmark = pytest.mark.slow

APART = ("compare", "serve", "score", "release", "rollout", "kubernetes", "monitor", "retrain")


def stages_run(output: str) -> list[str]:
    return re.findall(r"Running stage '(\w+)'", output)


def set_param(clone: Any, room: str, key: str, value: Any) -> None:
    path: Path = clone.folder / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    params[room][key] = value
    path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


def test_second_run_does_nothing(finished: Any) -> None:
    output = finished.dvc("repro")
    assert stages_run(output) == []
    assert "up to date" in output


@pytest.mark.parametrize(
    ("room", "key", "value", "expected"),
    [
        ("evaluate", "resamples", 200, ["evaluate", "card"]),
        ("model", "estimator", {"C": 0.5}, ["train", "evaluate", "card"]),
    ],
)
def test_a_key_re_runs_only_the_stages_that_depend_on_it(
    room: str, key: str, value: Any, expected: list[str], finished_copy: Any
) -> None:
    set_param(finished_copy, room, key, value)
    assert stages_run(finished_copy.dvc("repro")) == expected


def test_every_stage_runs_when_a_batch_changes(finished_copy: Any) -> None:
    batch = finished_copy.folder / "data" / "2009-05.csv"
    batch.chmod(0o644)
    lines = batch.read_text(encoding="utf-8").splitlines(keepends=True)
    batch.unlink()
    batch.write_text("".join(lines[:-1]), encoding="utf-8")
    assert stages_run(finished_copy.dvc("repro")) == list(STAGES)[:2] + ["card"]


def test_a_stage_that_reads_a_param_names_it(finished: Any) -> None:
    """A key of params.yaml that no stage names could change without anything being run again."""
    stages = yaml.safe_load((finished.folder / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    named = {name for stage in stages.values() for name in stage["params"]}
    params = yaml.safe_load((finished.folder / "params.yaml").read_text(encoding="utf-8"))
    unnamed = [
        f"{room}.{key}"
        for room, keys in params.items()
        if isinstance(keys, dict) and room not in APART  # read by commands that are no stages
        for key in keys
        if room not in named and not any(name == f"{room}.{key}" or name.startswith(f"{room}.{key}.") for name in named)
    ]
    assert unnamed == [] and "project" in named


def differing(mine: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    return sorted(name for name in mine.keys() | other.keys() if mine.get(name) != other.get(name))


def test_a_hostile_environment_gives_the_same_bytes(finished: Any, new_clone: Any, tmp_path: Path) -> None:
    """Another path, other threads, another locale, time zone and hash seed, and all that chooses numeric kernels."""
    other = new_clone(tmp_path / "somewhere else" / "b")
    surroundings = {
        **dict.fromkeys(THREADS, "2"),
        "OPENBLAS_CORETYPE": "Sandybridge",
        "OPENBLAS_BLOCK_FACTOR": "50",
        "OPENBLAS_L2_SIZE": "0x10000",
        "NPY_ENABLE_CPU_FEATURES": "X86_V3",
        "ARROW_USER_SIMD_LEVEL": "NONE",
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-FMA,-AVX2",
        "LC_ALL": "C",
        "LANG": "tr_TR.UTF-8",
        "TZ": "Pacific/Auckland",
        "PYTHONHASHSEED": "42",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
    }
    other.dvc("repro", "--quiet", "--force", **surroundings)
    mine = finished.outputs()
    assert {"dvc.lock", "artifacts/model.skops", "artifacts/profile.json", "reports/metrics.json"} <= mine.keys()
    assert differing(mine, other.outputs()) == []


@pytest.mark.parametrize("outside", PROCESSORS.values(), ids=PROCESSORS)
def test_every_type_of_processor_gives_the_same_bytes(
    outside: dict[str, str], finished: Any, finished_copy: Any
) -> None:
    """The command line alone must pin the kernels: without ``site``, .venv's hook does not run."""
    before = finished.outputs()
    for name in ("artifacts", "reports"):
        shutil.rmtree(finished_copy.folder / name)
    stages = "from mainline.cli import app\nfor stage in {}: app([stage], standalone_mode=False)"
    environment = {name: value for name, value in finished_copy.environment().items() if name not in KERNELS}
    paths = os.pathsep.join([environment["PYTHONPATH"], str(Path(numpy.__file__).parents[1])])
    done = subprocess.run(
        [sys.executable, "-S", "-c", stages.format(NUMERIC)],
        cwd=finished_copy.folder,
        env={**environment, **outside, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "numeric kernels" not in done.stdout
    made = finished_copy.outputs()
    assert {"artifacts/model.skops", "artifacts/profile.json", "reports/metrics.json"} <= made.keys()
    assert differing({name: before[name] for name in made}, made) == []


def test_the_committed_lock_fits_code_data_and_params(finished: Any) -> None:
    """On a processor with AVX2 the whole lock must come out; elsewhere, bytes of a model may differ."""
    if has_avx2():
        made, committed = ((folder / "dvc.lock").read_text("utf-8") for folder in (finished.folder, ROOT))
        assert made == committed, "run `make run`, commit dvc.lock"

    def made_from(path: Path) -> dict[str, Any]:
        stages = yaml.safe_load(path.read_text(encoding="utf-8"))["stages"]
        sources = {name: [dep for dep in stage["deps"] if dep["path"].startswith(("src", "data"))]
                   for name, stage in stages.items()}  # fmt: skip
        return {name: (sources[name], stages[name]["cmd"], stages[name]["params"]) for name in stages}

    assert made_from(ROOT / "dvc.lock") == made_from(finished.folder / "dvc.lock"), "run `dvc repro`, commit dvc.lock"


def test_no_output_names_this_machine(finished: Any) -> None:
    for name, content in finished.outputs().items():
        assert str(finished.made_in).encode() not in content, name


def test_killed_in_training_and_run_again(finished: Any, finished_copy: Any) -> None:
    # Given a pipeline that must train again, with a search that gives the signal time to arrive
    set_param(finished_copy, "model", "search", {"enabled": True, "folds": 4, "factor": 3})
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro"],
        cwd=finished_copy.folder,
        env=finished_copy.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "fitting" in line:
            break
    else:
        pytest.fail("training never began")
    time.sleep(0.5)
    # When it is killed in the middle of training, every process of it
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=30)
    process.stdout.close()
    # Then there is no half-made model, and the old lock still stands
    assert not (finished_copy.folder / "artifacts" / "model.skops").exists()
    assert (finished_copy.folder / "dvc.lock").read_bytes() == (finished.folder / "dvc.lock").read_bytes()
    # And the next run, with the params as they were, gives the same bytes as if nothing had happened
    set_param(finished_copy, "model", "search", {"enabled": False, "folds": 4, "factor": 3})
    finished_copy.dvc("repro", "--quiet")
    assert finished_copy.outputs() == finished.outputs()


def test_bad_data_stops_dvc_before_training(finished_copy: Any) -> None:
    batch = finished_copy.folder / "data" / "2009-05.csv"
    text = batch.read_text(encoding="utf-8").replace("cellular", "CELLULAR")
    batch.unlink()
    batch.write_text(text, encoding="utf-8")
    before = (finished_copy.folder / "data.dvc").read_bytes()
    output = finished_copy.run(*finished_copy.program("mainline"), "repro", check=False)
    assert "'CELLULAR' looks like a renamed 'cellular'" in output
    assert stages_run(output) == ["validate"]
    assert "failed to reproduce 'validate'" in output
    # DVC had noted the data before it ran the stage
    assert (finished_copy.folder / "data.dvc").read_bytes() == before and "data.dvc is as it was" in output
    assert batch.read_text(encoding="utf-8") == text
