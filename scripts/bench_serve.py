"""Measure the service beside what a user would write without it, in one run: `python scripts/bench_serve.py`.

Four servers of the same model: this service (request check, log and figures on), `mlflow models serve`, a minimal
FastAPI endpoint with scikit-learn through pandas, and a FastAPI endpoint with this service's fast path. All run at once
and are asked in turn, round by round, so that a busy machine is unfair to none of them. Each figure is the median of
the rounds; CPU is the server's own time for one request, which a busy machine hardly changes.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from mainline.console import any_terminal

ROOT = Path(__file__).resolve().parents[1]
CONCURRENCY = (1, 16, 64)
FIRST_PORT = 18800

FASTAPI = """
import os, sys
from pathlib import Path
from typing import Literal

from fastapi import FastAPI
from pydantic import BaseModel, Field

class Row(BaseModel):
{fields}

class Rows(BaseModel):
    rows: list[Row]

app = FastAPI()
ROOT = Path({root!r})
{body}
"""
PANDAS = """
import pandas as pd
from mainline.train.artifact import load_model

model = load_model(ROOT / "artifacts/model.skops")

@app.post("/predict")
def predict(row: Row):
    return {"probability": float(model.predict_proba(pd.DataFrame([row.model_dump()]))[0, 1])}

@app.post("/many")
def many(rows: Rows):
    frame = pd.DataFrame([row.model_dump() for row in rows.rows])
    return {"probabilities": model.predict_proba(frame)[:, 1].tolist()}
"""
FAST = """
from mainline.serve.scorer import load_scorer

scorer = load_scorer(ROOT / "artifacts")

@app.post("/predict")
async def predict(row: Row):
    return {"probability": float(scorer.score_rows([row.model_dump()])[0])}

@app.post("/many")
async def many(rows: Rows):
    return {"probabilities": scorer.score_rows([row.model_dump() for row in rows.rows]).tolist()}
"""


@dataclass(frozen=True)
class Server:
    """One server: how it is started, and where and how it takes one row and a hundred."""

    name: str
    port: int
    command: list[str]
    paths: tuple[str, str]
    bodies: tuple[Path, Path]


def servers(folder: Path, workers: int, row: dict[str, Any], first: int) -> list[Server]:
    """Return the four servers with ``workers`` processes each; what they need is written to ``folder``."""
    bodies = {"ours_1": row, "ours_100": {"rows": [row] * 100}, "mlflow_1": {"dataframe_records": [row]},
              "mlflow_100": {"dataframe_records": [row] * 100}}  # fmt: skip
    for name, body in bodies.items():
        (folder / f"{name}.json").write_text(json.dumps(body), encoding="utf-8")
    ours = (folder / "ours_1.json", folder / "ours_100.json")
    theirs = (folder / "mlflow_1.json", folder / "mlflow_100.json")
    fields = "\n".join(f"    {name}: {type(value).__name__}" for name, value in row.items())
    for name, code in (("with_pandas", PANDAS), ("with_fast_path", FAST)):
        text = FASTAPI.format(fields=fields, root=str(ROOT), body=code)
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    python = sys.executable

    def fastapi(module: str, port: int) -> list[str]:
        return [python, "-m", "uvicorn", f"{module}:app", "--app-dir", str(folder), "--port", str(port),
                "--workers", str(workers), "--no-access-log"]  # fmt: skip

    return [
        Server("this service", first, [python, "-m", "mainline.cli", "serve", "--port", str(first),
               "--workers", str(workers), "--log", str(folder / "log")], ("/predict", "/predict"), ours),
        Server("mlflow models serve", first + 1, [python, "-m", "mlflow", "models", "serve", "-m",
               str(folder / "mlflow"), "--env-manager", "local", "-p", str(first + 1), "-w", str(workers)],
               ("/invocations", "/invocations"), theirs),
        Server("FastAPI, scikit-learn", first + 2, fastapi("with_pandas", first + 2), ("/predict", "/many"), ours),
        Server("FastAPI, the fast path", first + 3, fastapi("with_fast_path", first + 3), ("/predict", "/many"), ours),
    ]  # fmt: skip


def save_for_mlflow(folder: Path) -> None:
    """Save the model as MLflow keeps it, for `mlflow models serve`."""
    import mlflow

    from mainline.train.artifact import load_model

    mlflow.sklearn.save_model(
        load_model(ROOT / "artifacts/model.skops"), str(folder / "mlflow"), serialization_format="cloudpickle",
        pip_requirements=[],
    )  # fmt: skip


@contextlib.contextmanager
def running(all_servers: list[Server], folder: Path) -> Iterator[dict[str, psutil.Process]]:
    """Start the servers, wait until each has answered, and end them."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
                   "PYTHONPATH": str(ROOT / "src"), "MLFLOW_DISABLE_TELEMETRY": "true",
                   "BENTOML_DO_NOT_TRACK": "True"}  # fmt: skip
    started: dict[str, psutil.Process] = {}
    try:
        for server in all_servers:
            with (folder / f"{server.port}.txt").open("wb") as out:
                made = subprocess.Popen(server.command, cwd=ROOT, env=environment, stdout=out, stderr=out)
            started[server.name] = psutil.Process(made.pid)
        for server in all_servers:
            wait(server, folder)
        yield started
    finally:
        for process in started.values():
            tree = [process, *process.children(recursive=True)]
            for one in tree:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.terminate()
            for one in psutil.wait_procs(tree, timeout=20)[1]:
                one.kill()


def wait(server: Server, folder: Path, seconds: float = 180) -> None:
    """Return once the server has predicted one row.

    Raises:
        SystemExit: it has not within ``seconds``; its output is shown.
    """
    until, last = time.monotonic() + seconds, ""
    headers = {"Content-Type": "application/json"}
    while time.monotonic() < until:
        url = f"http://127.0.0.1:{server.port}{server.paths[0]}"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, server.bodies[0].read_bytes(), headers), timeout=5):
                return
        except OSError as error:
            last = str(error)
        time.sleep(0.3)
    raise SystemExit(f"{server.name}: {last}\n{(folder / f'{server.port}.txt').read_text()[-2000:]}")


def measure(server: Server, process: psutil.Process, many: bool, concurrency: int, seconds: float) -> dict[str, float]:
    """Return the load generator's figures, and the CPU milliseconds of a request in all processes of the server."""
    before = cpu(process)
    command = [sys.executable, str(ROOT / "scripts/bench_load.py"), str(server.port), server.paths[many],
               str(server.bodies[many]), str(concurrency), str(seconds)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 120, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    found["cpu"] = 1000 * (cpu(process) - before) / max(found["all"], 1)
    return found


def cpu(process: psutil.Process) -> float:
    """Return the CPU seconds of a process and all that it started."""
    return float(sum(sum(one.cpu_times()[:2]) for one in (process, *process.children(recursive=True))))


def table(results: dict[tuple[str, int, int, int], list[dict[str, float]]], rows: int, workers: int) -> list[str]:
    """Return one Markdown table: rates with their ratio to ours, p50, p99, largest, CPU."""
    names = list(dict.fromkeys(key[0] for key in results))
    lines = [f"{rows} row{'s' * (rows > 1)} a request, {workers} worker{'s' * (workers > 1)}:", "",
             "| server | clients | requests/s | ours is | p50 ms | p99 ms | largest ms | CPU ms a request | failed |",
             "|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for concurrency in CONCURRENCY:
        found = {name: results.get((name, rows, workers, concurrency)) for name in names}
        middle = {name: {key: statistics.median(item[key] for item in rounds) for key in rounds[0]}
                  for name, rounds in found.items() if rounds}  # fmt: skip
        for name, item in middle.items():
            ratio = middle[names[0]]["rate"] / item["rate"] if item["rate"] else float("nan")
            times = "" if name == names[0] else f"{ratio:.1f} ×"
            cells = [name, str(concurrency), f"{item['rate']:,.0f}", times, f"{item['p50']:.2f}", f"{item['p99']:.1f}",
                     f"{item['max']:.0f}", f"{item['cpu']:.2f}", f"{item['failed']:.0f}"]  # fmt: skip
            lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def main() -> None:
    """Measure and print Markdown."""
    any_terminal()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    given = parser.parse_args()
    os.chdir(ROOT)
    from mainline.serve.model import load

    results: dict[tuple[str, int, int, int], list[dict[str, float]]] = {}
    loads = []
    with tempfile.TemporaryDirectory(prefix="mainline-bench-") as name:
        folder = Path(name)
        os.environ["MAINLINE_LOG"] = str(folder / "log")
        row = dict(load(ROOT).example)
        save_for_mlflow(folder)
        for number, workers in enumerate(given.workers):
            asked = servers(folder, workers, row, FIRST_PORT + 10 * number)
            with running(asked, folder) as processes:
                for rows, concurrency in list(itertools.product((1, 100), CONCURRENCY)) * given.rounds:
                    for server in asked:
                        loads.append(os.getloadavg()[0])
                        found = measure(server, processes[server.name], rows > 1, concurrency, given.seconds)
                        results.setdefault((server.name, rows, workers, concurrency), []).append(found)
    print(
        f"Conditions: {os.cpu_count()} cores, Python {platform.python_version()}, servers and load generator on one "
        f"machine, load average {min(loads):.1f} to {max(loads):.1f}, {given.rounds} rounds of {given.seconds:g} s.\n"
    )
    for workers in given.workers:
        for rows in (1, 100):
            print("\n".join(table(results, rows, workers)))


if __name__ == "__main__":
    main()
