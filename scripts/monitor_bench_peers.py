"""One drift check of one tool over two folders of Parquet, in the tool's own environment: seconds and peak memory.

`python scripts/monitor_bench_peers.py TOOL REFERENCE CURRENT` prints one line of JSON; `monitor_bench.py --peers` calls
it. Imports are counted apart. Nothing but the tool and pandas is needed.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

PROFILE = "profile.json"


def frame(folder: str) -> Any:
    """Return all rows of a folder; texts as pandas' own objects, which every tool takes."""
    import pandas as pd

    rows = pd.concat([pd.read_parquet(path) for path in sorted(Path(folder).glob("*.parquet"))], ignore_index=True)
    return rows.astype({name: "object" for name in rows.select_dtypes(exclude="number")})


def evidently() -> Callable[[str, str], int]:
    """Return what makes Evidently's drift preset, as a dict, and how many columns it judged."""
    from evidently import Report  # type: ignore[import-not-found]
    from evidently.presets import DataDriftPreset  # type: ignore[import-not-found]

    def work(reference: str, current: str) -> int:
        found = Report([DataDriftPreset()]).run(current_data=frame(current), reference_data=frame(reference))
        return len(found.dict()["metrics"]) - 1  # the first is of the whole data set

    return work


def nannyml() -> Callable[[str, str], int]:
    """Return what runs NannyML's univariate drift calculator with its defaults."""
    from nannyml import UnivariateDriftCalculator  # type: ignore[import-not-found]

    def work(reference: str, current: str) -> int:
        rows = frame(reference)
        found = UnivariateDriftCalculator(column_names=list(rows)).fit(rows).calculate(frame(current))
        return len({column[0] for column in found.to_df(multilevel=True)} - {"chunk"})

    return work


def profile() -> Callable[[str, str], int]:
    """Return what makes Mainline's profile of the reference, as training does once a model."""
    from mainline.data.profile import count, make_bins

    def work(reference: str, current: str) -> int:
        rows = frame(reference)
        names = [str(name) for name in rows]
        texts = [name for name in names if rows[name].dtype == object]
        bins = make_bins(rows.astype(dict.fromkeys(texts, "str")), names, 50, 0.25)
        made = count(rows, bins).to_dict()
        Path(reference, PROFILE).write_text(json.dumps(made), encoding="utf-8")
        return len(names)

    return work


def mainline() -> Callable[[str, str], int]:
    """Return what Mainline does with a window: read the reference's profile, scan the rows, judge."""
    import scipy.stats  # noqa: F401

    from mainline.config import Monitor
    from mainline.data.profile import Profile
    from mainline.monitor.build import Scan, scan
    from mainline.monitor.drift import judge

    def work(reference: str, current: str) -> int:
        known = Profile.from_dict(json.loads(Path(reference, PROFILE).read_text(encoding="utf-8")))
        found = scan(current, Scan(bins=known.bins, length=None)).windows["all"].profile
        return len(judge(known, found, Monitor()))

    return work


TOOLS: dict[str, Callable[[], Callable[[str, str], int]]] = {
    "profile": profile, "mainline": mainline, "nannyml": nannyml, "evidently": evidently,
}  # fmt: skip


def main() -> None:
    """Import, work, and print what it took."""
    name, reference, current = sys.argv[1:]
    begun = time.perf_counter()
    work = TOOLS[name]()
    loaded = time.perf_counter() - begun
    begun, used = time.perf_counter(), time.process_time()
    columns = work(reference, current)
    took, cpu = time.perf_counter() - begun, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    known = "" if name in ("profile", "mainline") else version(name)
    made = {"tool": name, "version": known, "columns": columns, "import": round(loaded, 2)}
    print(json.dumps({**made, "seconds": round(took, 2), "cpu": round(cpu, 2), "peak_mb": round(peak)}))


if __name__ == "__main__":
    main()
