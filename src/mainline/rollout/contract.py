"""Golden requests: the service must answer as the exact model did, and stable's answers say how far the two differ."""

from __future__ import annotations

import http.client
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mainline.evaluate.check_rows import apart
from mainline.rollout.measures import Pairs
from mainline.rollout.paired import Half, Paired, Slicer

SECONDS = 30.0
SHADOW = {"x-shadow": "1"}  # these predictions are nobody's


@dataclass(frozen=True)
class Golden:
    """What the golden requests showed: ``fault`` is empty when all answers are the model's."""

    rows: int
    fault: str = ""
    expected: Pairs | None = None


def ready(port: int, release: str, seconds: float = 2.0) -> bool:
    """Return whether a service of ``release`` is ready on ``port``."""
    with connected(port, seconds) as line:
        status, content = ask(line, "GET", "/readyz")
    return status == 200 and content.get("ready") is True and content.get("release") == release


def key_in(name: str | None) -> str:
    """Return the API key in the environment variable ``name`` (``serve.api_key_env``); empty when there is none."""
    return os.environ.get(name, "") if name else ""


def check_golden(
    golden: Mapping[str, Any], candidate: int, stable: int | None, slicer: Slicer | None, key: str = ""
) -> Golden:
    """Return what the golden requests show, sent past the proxy to the ports of candidate and stable.

    Args:
        golden: content of golden.json: ``rows`` of ``request`` and ``expected``, and a ``tolerance``. Rows that are
            marked ``rare`` must be answered right, but say nothing of how often candidate and stable differ.
        stable: None when there is no stable yet; then nothing is expected.
        key: the API key that the services ask for; empty when they ask for none.
    """
    rows, tolerance = golden.get("rows") or [], float(golden.get("tolerance", 1e-6))
    if not rows:
        return Golden(0, "the release has no golden requests, so nothing shows that it answers as its model does")
    paired = Paired(slicer)
    found = []
    with connected(candidate) as line:
        for number, row in enumerate(rows):
            status, content = ask(line, "POST", "/predict", row["request"], key)
            answers = content.get("predictions") or [{}]
            fault = (
                f"answered {status} {content}" if status != 200 else _differs(answers[0], row["expected"], tolerance)
            )
            if fault:
                return Golden(len(rows), f"golden request {number + 1} of {len(rows)}: {fault[:300]}")
    if stable is None:
        return Golden(len(rows))
    with connected(stable) as line:
        for row in rows:
            if row.get("rare"):
                continue  # they are not how often the two differ among users
            status, content = ask(line, "POST", "/predict", row["request"], key)
            if status == 200 and content.get("predictions"):
                theirs, mine = content["predictions"][0], row["expected"]
                found.append((_half(theirs, row["request"]), _half(mine, row["request"])))
    paired.add(found)
    return Golden(len(rows), expected=paired.pairs if found else None)


def ask(
    connection: http.client.HTTPConnection, method: str, path: str, content: Any = None, key: str = ""
) -> tuple[int, Any]:
    """Return status and JSON of an answer; status 0 and the error when there is none."""
    try:
        body = None if content is None else json.dumps(content)
        known = {"x-api-key": key} if key else {}
        connection.request(method, path, body, {"content-type": "application/json", **SHADOW, **known})
        answer = connection.getresponse()
        found = json.loads(answer.read() or b"{}")
        return answer.status, found if isinstance(found, dict) else {}
    except (OSError, http.client.HTTPException, ValueError) as error:
        connection.close()
        return 0, {"error": str(error)}


@contextmanager
def connected(port: int, seconds: float = SECONDS) -> Iterator[http.client.HTTPConnection]:
    """Yield a connection to a service on the loopback address."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        yield connection
    finally:
        connection.close()


def _half(answer: Mapping[str, Any], features: Mapping[str, Any]) -> Half:
    score = answer.get("probability", answer.get("value"))
    if score is None:
        score = next(iter((answer.get("probabilities") or {}).values()), math.nan)
    return Half(float(score), answer.get("decision"), features)


def _differs(got: Mapping[str, Any], expected: Mapping[str, Any], tolerance: float) -> str:
    """Return what differs, an empty text when nothing does."""
    for name, wanted in expected.items():
        found = got.get(name)
        if isinstance(wanted, Mapping):
            if inner := _differs(found if isinstance(found, Mapping) else {}, wanted, tolerance):
                return f"{name}: {inner}"
        elif isinstance(wanted, float) and not isinstance(wanted, bool):
            if not isinstance(found, float | int) or not apart(found, wanted) <= tolerance:
                return f"{name} is {found!r}, the model says {wanted!r} (tolerance {tolerance:g})"
        elif found != wanted:
            return f"{name} is {found!r}, the model says {wanted!r}"
    return ""
