"""Staging: the packed release is started and asked on every path to a prediction, before any user's request is."""

from __future__ import annotations

import csv
import math
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from mainline.ci.ledger import by
from mainline.compare.scoring import environment
from mainline.config import load_settings
from mainline.errors import UserError
from mainline.evaluate.check_rows import apart
from mainline.files import read_json
from mainline.release.ledger import Deploy, Transition
from mainline.release.store import Release
from mainline.rollout.contract import ask, check_golden, connected, key_in, ready
from mainline.rollout.plane import serve
from mainline.rollout.processes import Process, Processes, alive, free_port

REQUESTS = 200
SECONDS = 600.0
Look = Callable[[], str]
Check = dict[str, Any]


def check_release(release: Release, requests: int = REQUESTS) -> dict[str, Any]:
    """Return what staging found: ``passed``, and each check with a sentence. Nothing is left running.

    The paths to a prediction: files (`mainline score`), the exact model, the fast path, and HTTP; each must repeat the
    golden answers to their tolerance. Latency is the median of one row over HTTP, against ``gates.latency_ms``.
    """
    golden = release.golden()
    with tempfile.TemporaryDirectory(prefix="mainline-staging-") as work:
        source = Path(shutil.copytree(release.bento / "src", Path(work, "src")))
        checks = [
            _judged("golden rows, files", lambda: _by_files(source, golden, Path(work))),
            _judged("golden rows, exact model", lambda: _by_model(source, golden, exact=True)),
            _judged("golden rows, serving path", lambda: _by_model(source, golden, exact=False)),
        ]
        checks += _over_http(release, golden, Path(work), requests)
    return {"release": release.id, "passed": all(check["passed"] for check in checks), "checks": checks}


def enter(release: str, found: Mapping[str, Any], deploy: Deploy) -> bool:
    """Write what staging found into the ledger, and return whether the release may go on.

    Raises:
        UserError: the findings are about another release.
    """
    if found.get("release") != release:
        raise UserError(f"staging looked at {found.get('release')}, not at {release}", "run the job again")
    passed = bool(found["passed"])
    failed = [f"{check['check']}: {check['text']}" for check in found["checks"] if not check["passed"]]
    why = f"{len(found['checks'])} checks passed" if passed else "; ".join(failed)[:600]
    state = deploy.state("staging")
    event = Transition(release, "staging", "staged" if passed else "abort", by(), why, evidence=dict(found))
    before = () if state.stable in (None, release) else (state.stable, *state.previous)
    made = replace(state, stable=release, previous=tuple(filter(None, before)))
    deploy.commit(
        f"staging: {'' if passed else 'abort '}{release}\n\n{why}",
        expect=deploy.head(),
        states=[made] if passed and made != state else [],
        transitions=[event],
    )
    return passed


def _over_http(release: Release, golden: Mapping[str, Any], work: Path, requests: int) -> list[Check]:
    port, ids = free_port(), Processes(work / "processes", tied=True)
    name = load_settings(release.bento / "src" / "params.yaml").serve.api_key_env
    # The service answers nobody but this: where its key is not known, any will do.
    key = (key_in(name) or secrets.token_hex(16)) if name else ""
    own = {name: key} if name else {}
    with _running(ids, serve(release.bento, port, "stable", work / "log"), port, own) as process:
        end = time.monotonic() + load_settings().rollout.ready_seconds
        while not ready(port, release.id):
            if time.monotonic() > end or not alive(process):
                return [_check("ready", False, f"not ready: {ids.tail(process) or 'it said nothing'}")]
            time.sleep(0.1)
        checks = [_check("ready", True, f"/readyz names {release.id}")]
        fault = check_golden(golden, port, None, None, key).fault
        rows = len(golden.get("rows") or ())
        checks.append(_check("golden rows, HTTP", not fault, fault or f"{rows} answers are the model's"))
        checks.append(_judged("contract", lambda: _contract(port, golden, key)))
        checks.append(_latency(port, golden, requests, key))
    return checks


def _contract(port: int, golden: Mapping[str, Any], key: str) -> str:
    """Ask what no golden request asks: probes, metrics, a request that must be refused."""
    field = next(iter(golden["rows"][0]["request"]))
    broken = dict(golden["rows"][0]["request"])
    del broken[field]
    with connected(port) as line:
        for path in ("/livez", "/healthz"):
            status, _ = ask(line, "GET", path)
            if status != 200:
                raise UserError(f"{path} answered {status}", "")
        status, said = ask(line, "POST", "/predict", broken, key)
        named = [item.get("field") for item in said.get("problems") or ()]
        if status != 422 or field not in named:
            raise UserError(f"a request without {field} got {status} and {named}, not 422 naming it", "")
        line.request("GET", "/metrics")
        answer = line.getresponse()
        text = answer.read().decode("utf-8", "replace")
        if answer.status != 200 or "mainline_requests_total" not in text:
            raise UserError(f"/metrics answered {answer.status} without mainline_requests_total", "")
    return f"probes and metrics answer; a request without {field} is refused by name"


def _latency(port: int, golden: Mapping[str, Any], requests: int, key: str = "") -> Check:
    limit, rows = load_settings().gates.latency_ms, golden["rows"]
    taken, failed = [], 0
    with connected(port) as line:
        for number in range(requests):
            began = time.perf_counter()
            status, _ = ask(line, "POST", "/predict", rows[number % len(rows)]["request"], key)
            taken.append(1000 * (time.perf_counter() - began))
            failed += status != 200
    p50, p99 = statistics.median(taken), sorted(taken)[int(0.99 * (len(taken) - 1))]
    text = f"one row over HTTP: median {p50:.2f} ms, p99 {p99:.2f} ms, {failed} of {requests:,} failed"
    passed = not failed and (limit is None or p50 <= limit)
    return _check("latency", passed, f"{text}; allowed median {limit} ms") | {"p50_ms": p50, "p99_ms": p99}


def _by_files(source: Path, golden: Mapping[str, Any], work: Path) -> str:
    rows = golden["rows"]
    with (work / "golden.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]["request"]))
        writer.writeheader()
        writer.writerows(row["request"] for row in rows)
    command = [sys.executable, "-m", "mainline.cli", "score", str(work / "golden.csv"), str(work / "scored.csv")]
    done = subprocess.run(
        command, cwd=source, env=environment(source), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=SECONDS, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise UserError(f"`mainline score` ended with {done.returncode}: {(done.stderr or done.stdout)[-300:]}", "")
    with (work / "scored.csv").open(encoding="utf-8", newline="") as stream:
        scored = list(csv.DictReader(stream))
    if len(scored) != len(rows):
        raise UserError(f"{len(scored)} of {len(rows)} rows came out", "")
    return _held([_numbers(row["expected"]) for row in rows],
                 [{name: _number(row.get(name)) for name in _numbers(wanted["expected"])}
                  for row, wanted in zip(scored, rows, strict=True)], golden["tolerance"])  # fmt: skip


def _by_model(source: Path, golden: Mapping[str, Any], *, exact: bool) -> str:
    import numpy as np

    from mainline.project import load_project
    from mainline.serve.scorer import ExactScorer, load_scorer
    from mainline.train.artifact import load_model

    trusted = load_project(str(read_json(source / "artifacts" / "training.json")["project"])).trusted
    scorer = load_scorer(source / "artifacts", trusted)
    if exact:
        scorer = ExactScorer(load_model(source / "artifacts" / "model.skops", trusted), scorer.inputs)
    rows = golden["rows"]
    scored = np.asarray(scorer.score_rows([row["request"] for row in rows]), dtype=float)
    wanted = [_numbers(row["expected"]) for row in rows]
    got = [
        dict(zip(names, np.atleast_1d(values).tolist(), strict=True))
        for names, values in zip(wanted, scored, strict=True)
    ]
    return f"{_held(wanted, got, golden['tolerance'])} (path {scorer.path})"


def _held(wanted: Sequence[Mapping[str, float]], got: Sequence[Mapping[str, float]], tolerance: float) -> str:
    """Return a sentence.

    Raises:
        UserError: an answer is further off than ``tolerance``, or no number.
    """
    far = 0.0
    for number, (have, want) in enumerate(zip(got, wanted, strict=True), 1):
        for name, value in want.items():
            off = apart(have[name], value)
            if not off <= tolerance:
                raise UserError(f"row {number}: {name} is {have[name]!r}, the model says {value!r}", "")
            far = max(far, off)
    return f"{len(wanted)} answers are the model's, {far:.1e} off at most"


def _numbers(answer: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a golden answer under the names of the columns that `mainline score` writes."""
    if "probabilities" in answer:
        return {f"probability_{name}": float(value) for name, value in answer["probabilities"].items()}
    return {name: float(answer[name]) for name in ("probability", "value") if name in answer}


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def _judged(name: str, look: Look) -> Check:
    """Return the check; whatever goes wrong in it is its finding."""
    try:
        return _check(name, True, look())
    except UserError as error:
        return _check(name, False, error.problem)
    except Exception as error:  # the project's own code runs here
        return _check(name, False, f"{type(error).__name__}: {error}"[:400])


def _check(name: str, passed: bool, text: str) -> Check:
    return {"check": name, "passed": passed, "text": text}


@contextmanager
def _running(ids: Processes, command: Sequence[str], port: int, own: Mapping[str, str]) -> Any:
    process: Process = ids.start("staging", command, role="staging", port=port, environment=own)
    try:
        yield process
    finally:
        ids.stop(process)
