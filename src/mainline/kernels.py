"""Which numeric kernels really run, held against the pinned ones."""

from __future__ import annotations

from dataclasses import dataclass

from mainline.numerics import BLAS_KERNEL, has_avx2

AVX512_PREFIXES = ("X86_V4", "AVX512", "AVX10")  # of the names that any version of NumPy has for features beyond AVX2


@dataclass(frozen=True)
class Deviation:
    """A library whose kernels are not the pinned ones.

    Attributes:
        library: its name, with the version where it tells one.
        running: what runs.
        pinned: what should run.
    """

    library: str
    running: str
    pinned: str

    def __str__(self) -> str:
        return f"{self.library} runs {self.running}, pinned is {self.pinned}"


def deviations() -> list[Deviation]:
    """Return the loaded libraries whose kernels are not the pinned ones; nothing where none are pinned.

    NumPy that was loaded before the pins were set keeps its kernels, and another BLAS (MKL, for example) has its own.
    """
    import numpy as np
    from threadpoolctl import threadpool_info

    if not has_avx2():
        return []
    deviating = [
        Deviation(
            f"{info['internal_api']} {info.get('version') or ''}".strip(),
            f"{info.get('architecture') or 'kernels of its own'} with {info['num_threads']} threads",
            f"OpenBLAS {BLAS_KERNEL} with 1 thread",
        )
        for info in threadpool_info()
        if info["user_api"] == "blas" and (info.get("architecture"), info["num_threads"]) != (BLAS_KERNEL, 1)
    ]
    loops = [name for name in np.show_config("dicts")["SIMD Extensions"]["found"] if name.startswith(AVX512_PREFIXES)]
    if loops:
        deviating.append(Deviation(f"NumPy {np.__version__}", ", ".join(loops), "AVX2"))
    return deviating
