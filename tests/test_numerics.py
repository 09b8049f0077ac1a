"""The pins of the numeric kernels, in every process that computes something."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mainline.numerics
from mainline.compare.scoring import environment as tree_environment
from mainline.kernels import AVX512_PREFIXES, deviations
from mainline.numerics import ABOVE_AVX2, KERNELS, THREADS, has_avx2, pin, pinned

ROOT = Path(__file__).parents[1]
PACKAGES = Path(np.__file__).parents[1]
HOSTILE = {
    **dict.fromkeys(THREADS, "2"),
    "OPENBLAS_CORETYPE": "Sandybridge",
    "OPENBLAS_BLOCK_FACTOR": "50",
    "OPENBLAS_L2_SIZE": "0x10000",
    "ARROW_USER_SIMD_LEVEL": "NONE",
    "NPY_ENABLE_CPU_FEATURES": "X86_V3",
    "GLIBC_TUNABLES": "glibc.malloc.check=0:glibc.cpu.hwcaps=-FMA,-AVX2",
}
SHOW = "from mainline.kernels import deviations\nimport numpy, scipy.linalg\nprint(*deviations(), sep='\\n')"

avx2 = pytest.mark.skipif(not has_avx2(), reason="kernels are pinned on x86-64 with AVX2 only")


def python(code: str, *, site: bool, cwd: Path = ROOT, **outside: str) -> str:
    """Return all output of ``code``; without ``site``, .venv's hook does not run."""
    kept = {name: value for name, value in os.environ.items() if name not in {**THREADS, **KERNELS, **HOSTILE}}
    paths = os.pathsep.join([str(ROOT / "src"), str(PACKAGES)])
    done = subprocess.run([sys.executable, *([] if site else ["-S"]), "-c", code], cwd=cwd, capture_output=True,
                          text=True, env={**kept, **outside, "PYTHONPATH": paths}, timeout=120)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@avx2
def test_pins_win_over_what_is_set() -> None:
    found = pinned({**HOSTILE, "HOME": "/home/me"})
    assert {name: found[name] for name in (*THREADS, *KERNELS)} == {**THREADS, **KERNELS}
    assert found["GLIBC_TUNABLES"] == "glibc.malloc.check=0"
    assert found["OPENBLAS_CORETYPE"] == "Haswell" and found["OMP_NUM_THREADS"] == "1"
    left = {"NPY_ENABLE_CPU_FEATURES", "OPENBLAS_BLOCK_FACTOR", "OPENBLAS_L2_SIZE"}
    assert found["HOME"] == "/home/me" and not found.keys() & left
    assert "GLIBC_TUNABLES" not in pinned({"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-FMA"})


@avx2
def test_this_process_gets_the_same_pins(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)
    pin()
    expected = pinned(HOSTILE) | {"GLIBC_TUNABLES": HOSTILE["GLIBC_TUNABLES"]}  # `restart_if_masked` must still see it
    assert {name: os.environ.get(name) for name in {*HOSTILE, *KERNELS}} == {
        name: expected.get(name) for name in {*HOSTILE, *KERNELS}
    }


@pytest.mark.parametrize("flags", ["flags : fpu sse2 avx", "flags : avx2", "Features : asimd sve", None])
def test_where_the_kernels_could_not_run_only_threads_are_pinned(
    flags: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenBLAS does not check for AVX2: its Haswell kernels would end such a process by SIGILL."""
    if flags:
        (tmp_path / "cpuinfo").write_text(f"processor : 0\n{flags}\n", encoding="utf-8")
    monkeypatch.setattr(mainline.numerics, "CPUINFO", str(tmp_path / "cpuinfo"))
    monkeypatch.setattr(sys, "platform", "linux")
    assert not has_avx2()
    assert pinned({"OPENBLAS_CORETYPE": "Prescott"}) == {"OPENBLAS_CORETYPE": "Prescott", **THREADS}
    assert deviations() == []


def test_every_feature_that_numpy_could_use_beyond_avx2_is_named() -> None:
    """Another NumPy may know more of them."""
    known = np.show_config("dicts")["SIMD Extensions"]  # type: ignore[call-overload]
    loops = {*known.get("found", ()), *known.get("not found", ())}
    assert {name for name in loops if name.startswith(AVX512_PREFIXES)} <= set(ABOVE_AVX2)
    assert "X86_V3" not in ABOVE_AVX2


@avx2
def test_other_kernels_are_noticed() -> None:
    """The planted fault: NumPy was loaded before anything could pin its kernels."""
    unpinned = {"OPENBLAS_CORETYPE": "Sandybridge", "OPENBLAS_NUM_THREADS": "2"}
    found = [line for line in python(SHOW, site=False, **unpinned).splitlines() if not line.startswith("NumPy")]
    assert len(found) == 2  # NumPy and SciPy bring one OpenBLAS each
    assert all("runs Sandybridge with" in line and "pinned is OpenBLAS Haswell" in line for line in found)


@avx2
@pytest.mark.parametrize("loop", ["X86_V4", "AVX512_SKX"])
def test_loops_of_numpy_beyond_avx2_are_noticed(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name differs between versions of NumPy."""
    monkeypatch.setattr(np, "show_config", lambda mode: {"SIMD Extensions": {"found": ["X86_V3", loop]}})
    (found,) = [item for item in deviations() if item.library.startswith("NumPy")]
    assert (found.running, found.pinned) == (loop, "AVX2")


def test_training_and_evaluation_warn_of_other_kernels(scratch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [mainline.kernels.Deviation("openblas 0.3", "SkylakeX with 1 threads", "OpenBLAS Haswell with 1 thread")]
    for stage in ("validate", "split"):
        assert scratch.run(stage)[0] == 0
    monkeypatch.setattr("mainline.kernels.deviations", lambda: found)
    for stage in ("train", "evaluate"):
        code, output = scratch.run(stage)
        assert code == 0 and "numeric kernels: openblas 0.3 runs SkylakeX with 1 threads, pinned is" in output


@avx2
@pytest.mark.skipif(Path(sys.prefix).resolve() != ROOT / ".venv", reason="not in the environment of `make setup`")
def test_whatever_starts_in_the_environment_is_pinned() -> None:
    """A notebook imports NumPy first, and then perhaps nothing of ours."""
    copy = Path(sysconfig.get_path("purelib")) / "mainline_numerics.py"
    assert copy.read_bytes() == (ROOT / "src/mainline/numerics.py").read_bytes()
    assert python("import numpy\n" + SHOW, site=True, **HOSTILE).split() == []


@avx2
def test_a_service_that_bentoml_starts_by_itself_is_pinned() -> None:
    assert python("import service\n" + SHOW, site=False, **HOSTILE).split() == []


@avx2
def test_processes_for_another_work_tree_are_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)
    assert python(SHOW, site=False, **{name: value for name, value in tree_environment(ROOT).items()
                                       if name in {**KERNELS, **HOSTILE}}).split() == []  # fmt: skip


@avx2
@pytest.mark.skipif(sys.platform != "linux", reason="the C library of Linux")
def test_features_that_are_hidden_from_the_c_library_are_used_again() -> None:
    digest = "import math, hashlib; values = [math.exp(i / 77) for i in range(5000)]; "
    digest += "print(hashlib.sha256(repr(values).encode()).hexdigest())"
    masked = {"GLIBC_TUNABLES": HOSTILE["GLIBC_TUNABLES"]}
    plain = python(digest, site=False)
    if python(digest, site=False, **masked) == plain:
        pytest.skip("this C library has one variant")
    assert (
        python(f"from mainline.numerics import restart_if_masked; restart_if_masked(); {digest}", site=False, **masked)
        == plain
    )
