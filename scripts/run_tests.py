"""`make test`: the suite in parts side by side, one more than there are cores, the longest first.

Each part is a pytest of its own; what it says is shown in one piece when it has ended, so that nothing is mixed. The
exit code is not 0 unless that of every part is. Arguments go to every part: make test ARGS="-k lock".
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).parents[1]
# One part more than there are cores: those with services and workflows wait more than they work.
AT_ONCE = min(4, (os.cpu_count() or 1) + 1)
# What has a part for its slow tests: a folder, or a file that is then left out of its folder's part. One that mostly
# waits goes beside the two that work most.
APART = ("workflows", "rollout", "faults", "workflows/test_release.py", "drill", "pipeline", "replay")
NO_TESTS = 5  # pytest's exit code for a part that has none, as most have after ARGS="-k name"


@dataclass(frozen=True)
class Part:
    """Some of the tests: what pytest is told to take."""

    name: str
    take: tuple[str, ...]


@dataclass(frozen=True)
class Ended:
    """A part that has ended: exit code, output, seconds."""

    part: Part
    code: int
    said: str
    seconds: float


def parts(root: Path) -> list[Part]:
    """Return the parts in the order in which they start; together they hold every test once."""
    apart = [name for name in APART if (root / "tests" / name).exists()]
    ignored = [f"--ignore=tests/{name}" for name in apart]
    slow = [
        Part(f"slow, {name}", ("-m", "slow", f"tests/{name}", *(item for item in ignored if f"tests/{name}/" in item)))
        for name in apart
    ]
    rest = Part("slow, the rest", ("-m", "slow", "tests", *ignored))
    return [*slow[:1], Part("fast", ("-m", "not slow", "tests")), *slow[1:], rest]


@contextlib.contextmanager
def shared(root: Path) -> Iterator[dict[str, str]]:
    """Yield the environment of every part; what all of them use is made once, as tests/forks.py says."""
    file = root / "tests" / "forks.py"
    if not file.exists():
        yield dict(os.environ)
        return
    spec = importlib.util.spec_from_file_location("forks_of_tests", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    with module.forks() as server:
        yield {**os.environ, module.SHARED: str(server.folder)}


def run(
    part: Part,
    arguments: Sequence[str],
    root: Path,
    environment: Mapping[str, str],
    running: list[subprocess.Popen[bytes]],
) -> Ended:
    """Run ``part`` to its end; its process is in ``running`` from its start on."""
    began = time.monotonic()
    print(f"== {part.name}: begins", flush=True)
    with tempfile.TemporaryFile() as said:
        pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--durations=5"]
        # A group of its own, so that an interrupt reaches what its tests have started, too.
        process = subprocess.Popen(
            [*pytest, *part.take, *arguments],
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
        running.append(process)
        code = process.wait()
        said.seek(0)
        return Ended(part, code, said.read().decode("utf-8", "replace"), time.monotonic() - began)


def end(running: Sequence[subprocess.Popen[bytes]], number: signal.Signals) -> None:
    """Send a signal to every part that still runs and to what it has started; give them ten seconds."""
    for process in running:
        if process.poll() is None:
            os.killpg(process.pid, number)
    deadline = time.monotonic() + 10
    while any(process.poll() is None for process in running) and time.monotonic() < deadline:
        time.sleep(0.05)


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """Return the exit code: 0 if every part passed, ``NO_TESTS`` if none had a test."""
    began = time.monotonic()
    running: list[subprocess.Popen[bytes]] = []
    codes: list[int] = []
    with shared(root) as environment, ThreadPoolExecutor(AT_ONCE) as pool:
        waiting = [pool.submit(run, part, arguments, root, environment, running) for part in parts(root)]
        try:
            for future in as_completed(waiting):
                ended = future.result()
                codes.append(ended.code)
                print(f"== {ended.part.name}: {ended.seconds:.0f} s\n{ended.said}", end="", flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for number in (signal.SIGINT, signal.SIGKILL):  # the second for whoever was started deaf to the first
                end(running, number)
            raise
    failed = [code for code in codes if code not in (0, NO_TESTS)]
    print(f"== {len(codes) - len(failed)} of {len(codes)} parts passed, {time.monotonic() - began:.0f} s in all")
    if failed:
        return max(abs(code) for code in failed)
    return NO_TESTS if set(codes) == {NO_TESTS} else 0


def stop(number: int, _: FrameType | None) -> None:
    """End on a signal as on an interrupt."""
    sys.exit(128 + number)


if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal may lack characters that a test prints
    signal.signal(signal.SIGTERM, stop)
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
