"""Counters of the service for Prometheus: one small memory-mapped file a worker, added up at the scrape.

prometheus_client's own multi-process mode costs two to three microseconds for each observed score and shares one folder
between all services of a user, which every start empties (BentoML); these arrays cost a fraction, and belong to one
service. The text that Prometheus reads is prometheus_client's.
"""

from __future__ import annotations

import bisect
import contextlib
import mmap
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

STATUSES = (200, 202, 401, 404, 405, 413, 422, 500, 503, 504)
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SCORES = 20  # buckets between 0 and 1
PREFIX = "mainline-metrics-"


def base() -> Path:
    """Return where the folders are: in memory if there is such a place, so that no write ever waits for a disk."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() and os.access(memory, os.W_OK) else Path(tempfile.gettempdir())


def metrics_folder(pid: int) -> Path:
    """Return the folder that the workers of the service with process ``pid`` share."""
    return Path(base(), f"{PREFIX}{os.getuid() if hasattr(os, 'getuid') else 0}-{pid}")


def clean_folders(pid: int) -> None:
    """Remove what earlier services left behind, and what an earlier process of the same number did."""
    own = metrics_folder(pid)
    for folder in own.parent.glob(f"{own.name.rsplit('-', 1)[0]}-*"):
        number = folder.name.rsplit("-", 1)[1]
        if folder == own or not (number.isdigit() and _alive(int(number))):
            shutil.rmtree(folder, ignore_errors=True)


class Metrics:
    """The counters of one worker.

    Args:
        release, track: the labels of every figure; requests marked as shadow count under the track "shadow".
        columns: the fields of a request, for what was unseen or missing.
        folder: where all workers of this service have their files.
    """

    def __init__(self, release: str, track: str, columns: Sequence[str], folder: Path) -> None:
        self._release, self._columns, self._folder = release, tuple(columns), folder
        self._tracks = (track, "shadow") if track != "shadow" else ("shadow",)
        self._column = {name: index for index, name in enumerate(self._columns)}
        self._status = {status: index for index, status in enumerate(STATUSES)}
        sizes = {"status": len(STATUSES), "seconds": len(SECONDS) + 2, "scores": SCORES + 1, "predictions": 1,
                 "unseen": len(self._columns), "missing": len(self._columns), "feedback": 1, "dropped": 1}  # fmt: skip
        ends = np.cumsum([0, *sizes.values()])
        self._place = {name: (int(ends[i]), int(ends[i + 1])) for i, name in enumerate(sizes)}
        self._shape = (len(self._tracks), int(ends[-1]))
        self._all = self._open()
        self._lanes = [
            {name: self._all[lane, start:end] for name, (start, end) in self._place.items()}
            for lane in range(len(self._tracks))
        ]

    def _open(self) -> NDArray[np.float64]:
        size = 8 * self._shape[0] * self._shape[1]
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with (self._folder / f"{os.getpid()}.bin").open("w+b") as stream:
                stream.truncate(size)
                memory: Any = mmap.mmap(stream.fileno(), size)
        except OSError:  # no folder for temporary files: this worker's own figures are better than no service
            memory = bytearray(size)
        return np.frombuffer(memory, dtype=np.float64).reshape(self._shape)

    def request(self, status: int, seconds: float, shadow: bool) -> None:
        """Count one answered request for a prediction."""
        lane = self._lanes[-1 if shadow else 0]
        lane["status"][self._status.get(status, self._status[500])] += 1
        lane["seconds"][bisect.bisect_left(SECONDS, seconds)] += 1
        lane["seconds"][-1] += seconds

    def predictions(self, scores: NDArray[np.float64] | None, rows: int, shadow: bool) -> None:
        """Count predictions; ``scores`` between 0 and 1 go to the histogram, None if there are no such scores."""
        lane = self._lanes[-1 if shadow else 0]
        lane["predictions"][0] += rows
        if scores is None:
            return
        # Upper edges belong to their bucket, as Prometheus has it.
        if rows == 1:
            index = min(max(int(np.ceil(scores[0] * SCORES)) - 1, 0), SCORES - 1)
            lane["scores"][index] += 1
            lane["scores"][-1] += scores[0]
            return
        indices = np.clip(np.ceil(scores * SCORES).astype(np.int64) - 1, 0, SCORES - 1)
        lane["scores"][:SCORES] += np.bincount(indices, minlength=SCORES)
        lane["scores"][-1] += scores.sum()

    def values(self, unseen: Mapping[str, int], missing: Mapping[str, int], shadow: bool) -> None:
        """Count values that were unseen or missing, by column."""
        lane = self._lanes[-1 if shadow else 0]
        for what, counts in (("unseen", unseen), ("missing", missing)):
            for name, count in counts.items():
                lane[what][self._column[name]] += count

    def feedback(self) -> None:
        """Count one accepted outcome."""
        self._lanes[0]["feedback"][0] += 1

    def dropped(self, records: int) -> None:
        """Set how many records of the prediction log this worker has lost."""
        self._lanes[0]["dropped"][0] = records

    def text(self) -> bytes:
        """Return what Prometheus reads: the sum over all workers, also those that are gone."""
        from prometheus_client.exposition import generate_latest
        from prometheus_client.registry import CollectorRegistry

        registry = CollectorRegistry()
        registry.register(self)
        return bytes(generate_latest(registry))

    def collect(self) -> Iterator[Any]:
        """Yield the families of all figures; prometheus_client calls it."""
        from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

        total = self._total()
        part = {name: total[:, start:end] for name, (start, end) in self._place.items()}
        labels = ("release", "track")
        by_label: tuple[tuple[str, str, str, tuple[Any, ...]], ...] = (
            ("requests", "status", "status", STATUSES),
            ("unseen", "column", "unseen", self._columns),
            ("missing", "column", "missing", self._columns),
        )
        for name, label, key, values in by_label:
            family = CounterMetricFamily(f"mainline_{name}", HELP[name], labels=(*labels, label))
            for lane, track in enumerate(self._tracks):
                for index, value in enumerate(values):
                    family.add_metric((self._release, track, str(value)), part[key][lane, index])
            yield family
        for name, key in (("predictions", "predictions"), ("feedback", "feedback"), ("log_dropped", "dropped")):
            family = CounterMetricFamily(f"mainline_{name}", HELP[name], labels=labels)
            for lane, track in enumerate(self._tracks):
                family.add_metric((self._release, track), part[key][lane, 0])
            yield family
        edges = [(index + 1) / SCORES for index in range(SCORES)]
        for name, key, bounds in (("request_seconds", "seconds", list(SECONDS)), ("score", "scores", edges)):
            histogram = HistogramMetricFamily(f"mainline_{name}", HELP[name], labels=labels)
            for lane, track in enumerate(self._tracks):
                counts = part[key][lane]
                below = np.cumsum(counts[:-1])
                buckets = [(repr(bound), float(below[index])) for index, bound in enumerate(bounds)]
                histogram.add_metric((self._release, track), [*buckets, ("+Inf", float(below[-1]))], float(counts[-1]))
            yield histogram

    def _total(self) -> NDArray[np.float64]:
        total = np.zeros(self._shape)
        found = False
        for path in self._folder.glob("*.bin"):
            with contextlib.suppress(OSError, ValueError):
                total += np.fromfile(path, dtype=np.float64).reshape(self._shape)
                found = True
        return total if found else self._all.copy()


HELP = {
    "requests": "Requests for a prediction, by HTTP status",
    "request_seconds": "Time from the request's first byte to the answer",
    "predictions": "Rows predicted",
    "score": "Predicted probabilities; several classes: the largest",
    "unseen": "Values outside vocabulary or range, refused or accepted",
    "missing": "Missing values, refused or accepted",
    "log_dropped": "Records that the prediction log has lost",
    "feedback": "Outcomes received",
}


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
