"""Pinned numeric kernels: equal bytes on every x86-64 processor with AVX2, whatever the environment says.

OpenBLAS, NumPy and Arrow choose their kernels by the processor when they are loaded. Other kernels add in another
order, and so do more threads: the last digits differ, and with them the hash of every output. The variables here choose
for them, so they must be set before NumPy is loaded: by the command line, by ``service.py``, and by the hook that
`make setup` puts into .venv, for notebooks and everything else that starts there. The hook runs this module at every
start of Python, so it imports nothing that Python has not loaded by then. Measurements: docs/decisions/0026.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # what `typing` has under this name takes longer to import than all of this to run
if TYPE_CHECKING:
    from collections.abc import Mapping

THREADS = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "GOTO_NUM_THREADS",
        "MKL_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "NUMEXPR_NUM_THREADS",
    ),
    "1",
)
BLAS_KERNEL = "Haswell"  # OpenBLAS' name for its kernels for AVX2 and FMA
ABOVE_AVX2 = ("X86_V4", "AVX512_ICL", "AVX512_SPR")  # NumPy's names for what it could use beyond AVX2
KERNELS = {
    "OPENBLAS_CORETYPE": BLAS_KERNEL,
    "NPY_DISABLE_CPU_FEATURES": " ".join(ABOVE_AVX2),
    "ARROW_USER_SIMD_LEVEL": "AVX2",
}
# NumPy refuses to load when both of its variables are set; the others change how OpenBLAS cuts matrices into blocks.
REMOVED = ("NPY_ENABLE_CPU_FEATURES", "OPENBLAS_BLOCK_FACTOR", "OPENBLAS_L2_SIZE")
NEEDED = {b"avx2", b"fma"}  # processor features without which the pinned kernels could not run
CPUINFO = "/proc/cpuinfo"
TUNABLES, MASK = "GLIBC_TUNABLES", "glibc.cpu.hwcaps="


def pinned(environment: Mapping[str, str]) -> dict[str, str]:
    """Return ``environment`` for a new process, with the variables that pin its threads and kernels.

    Without AVX2 and FMA, and on other architectures, only the threads are pinned.
    """
    if not has_avx2():
        return {**environment, **THREADS}
    kept = {name: value for name, value in environment.items() if name not in (*REMOVED, TUNABLES)}
    tunables = _unmasked(environment.get(TUNABLES, ""))
    return {**kept, **({TUNABLES: tunables} if tunables else {}), **THREADS, **KERNELS}


def pin() -> None:
    """Pin threads and kernels of this process and of its children; libraries that are loaded keep theirs."""
    os.environ.update(THREADS)
    if has_avx2():
        for name in REMOVED:
            os.environ.pop(name, None)
        os.environ.update(KERNELS)


def restart_if_masked() -> None:
    """Start this process again if GLIBC_TUNABLES hides processor features from the C library, else do nothing.

    ``exp`` and ``log`` of the C library have variants with and without FMA. It chooses one before Python runs, so that
    changing the variable of a running process has no effect.
    """
    tunables = os.environ.get(TUNABLES, "")
    if _unmasked(tunables) != tunables and has_avx2():
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], pinned(os.environ))


def has_avx2() -> bool:
    """Return whether this is an x86-64 processor with AVX2 and FMA."""
    if os.name != "posix" or os.uname().machine != "x86_64":
        return False
    if sys.platform == "darwin":
        return _sysctl("hw.optional.avx2_0") and _sysctl("hw.optional.fma")
    try:
        # Unbuffered, so that the kernel writes the first processor alone: a machine may have hundreds.
        with open(CPUINFO, "rb", buffering=0) as stream:  # noqa: PTH123 (pathlib is slow to import)
            text = stream.read(1 << 16)
    except OSError:
        return False
    return any(set(line.split()) >= NEEDED for line in text.splitlines() if line.startswith(b"flags"))


def _unmasked(tunables: str) -> str:
    return ":".join(item for item in tunables.split(":") if not item.startswith(MASK))


def _sysctl(name: str) -> bool:
    """Return whether the macOS kernel reports the feature ``name``."""
    import ctypes

    value, size = ctypes.c_int(0), ctypes.c_size_t(ctypes.sizeof(ctypes.c_int))
    failed = ctypes.CDLL(None).sysctlbyname(name.encode(), ctypes.byref(value), ctypes.byref(size), None, 0)
    return not failed and bool(value.value)
