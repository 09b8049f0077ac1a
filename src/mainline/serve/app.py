"""The HTTP side of the service: one small ASGI application in front of everything that BentoML serves itself."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from mainline.serve import clock
from mainline.serve.identity import TOKEN
from mainline.serve.log import stamp
from mainline.serve.model import Loaded
from mainline.serve.openapi import describe
from mainline.serve.request import SHOWN, Checked, Refused, read_json, read_rows
from mainline.serve.rules import READERS, Fault

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Answer = tuple[int, dict[str, Any]]

FEEDBACK = ("request_id", "outcome", "row", "time")
WORK = ("/predict", "/feedback")
PATHS = frozenset((*WORK, "/readyz", "/livez", "/healthz", "/metrics", "/openapi.json", "/docs.json"))
JSON = b"application/json"
NOT_READY: dict[str, Any] = {"error": "not ready: the model is being loaded, or the service is stopping"}

logger = logging.getLogger(__name__)


class Gone(Exception):
    """The client went away before its request was complete."""


@dataclass(frozen=True)
class Asked:
    """What a request's headers say, when it came, the model; ``length`` -1: not announced; ``at``: a replay's time."""

    request_id: str
    key: bytes
    shadow: bool
    length: int
    start: float
    loaded: Loaded | None
    at: str = ""


class Application:
    """Answers the paths of PATHS; all state is in ``loaded``, which is None until the model is ready."""

    def __init__(self) -> None:
        self.loaded: Loaded | None = None
        # The exact path takes milliseconds: off the event loop, one at a time, so that a time-out can be kept.
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")

    def close(self) -> None:
        """Write the log's last records; nothing is answered afterwards."""
        loaded, self.loaded = self.loaded, None
        self._pool.shutdown(wait=False, cancel_futures=True)
        if loaded is not None:
            loaded.log.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        asked = _headers(scope, self.loaded)
        if scope["path"] not in WORK:
            status, body, kind = self._look(scope)
            await _send(send, status, body, asked, kind)
            return
        try:
            status, content = await self._work(scope, receive, asked)
        except Refused as refused:
            status, content = refused.status, {"error": refused.error, "problems": []}
        except TimeoutError:
            status, content = 504, {"error": "no answer within the time-out"}
        except Gone:
            return  # nobody is there to read an answer
        except Exception:  # whatever the project's model raises, the client gets an answer and the log the reason
            logger.exception("request %s failed", asked.request_id)
            status, content = 500, {"error": "the model failed on this request; the service's log says why"}
        if scope["path"] == "/predict" and asked.loaded is not None:
            asked.loaded.metrics.request(status, time.perf_counter() - asked.start, asked.shadow)
            asked.loaded.metrics.dropped(asked.loaded.log.dropped)
        if status >= 400:
            content["request_id"] = asked.request_id
        await _send(send, status, json.dumps(content).encode(), asked)

    def _look(self, scope: Scope) -> tuple[int, bytes, bytes]:
        """Answer what needs no model: probes, figures, the description."""
        loaded, path = self.loaded, scope["path"]
        status = 200
        content: dict[str, Any] = {"alive": True}
        if scope["method"] not in ("GET", "HEAD"):
            status, content = 405, {"error": f"{path} takes GET"}
        elif path == "/readyz":
            status, content = _ready(loaded)
        elif path not in ("/livez", "/healthz"):
            if loaded is None:
                status, content = 503, NOT_READY
            elif path == "/metrics":
                return 200, loaded.metrics.text(), b"text/plain; version=0.0.4; charset=utf-8"
            else:
                content = describe(loaded)
        return status, json.dumps(content).encode(), JSON

    async def _work(self, scope: Scope, receive: Receive, asked: Asked) -> Answer:
        """Answer /predict or /feedback.

        Raises:
            Refused, TimeoutError, Gone: as their names say.
        """
        loaded = asked.loaded
        if scope["method"] != "POST":
            return 405, {"error": f"{scope['path']} takes POST"}
        if loaded is None:
            return 503, dict(NOT_READY)
        if loaded.key is not None and not hmac.compare_digest(asked.key, loaded.key):
            return 401, {"error": "no valid API key: send it as x-api-key, or as authorization: Bearer …"}
        body = await _body(receive, asked.length, loaded)
        return await self._predict(loaded, body, asked) if scope["path"] == "/predict" else _feedback(loaded, body)

    async def _predict(self, loaded: Loaded, body: bytes, asked: Asked) -> Answer:
        checked = loaded.checker.check(read_rows(body, loaded.settings.max_rows))
        if checked.unseen or checked.missing:
            loaded.metrics.values(checked.unseen, checked.missing, asked.shadow)
        if checked.problems:
            return 422, _refusal(checked)
        if loaded.scorer.path == "onnx":
            score = loaded.scorer.score_rows(checked.rows)
        else:
            task = asyncio.get_running_loop().run_in_executor(self._pool, loaded.scorer.score_rows, checked.rows)
            score = await asyncio.wait_for(task, loaded.settings.timeout_seconds)
        if not np.isfinite(score).all():
            raise ValueError("a prediction is not a finite number")
        predictions = loaded.answers(score)
        seen = None if loaded.task == "regression" else score if score.ndim == 1 else score.max(axis=1)
        loaded.metrics.predictions(seen, len(predictions), asked.shadow)
        _record(loaded, checked.rows, predictions, score.tolist(), asked)
        return 200, {"request_id": asked.request_id, "release": loaded.identity.release, "predictions": predictions}


class FrontDoor:
    """ASGI middleware for the service: what :class:`Application` knows goes there, everything else to BentoML."""

    def __init__(self, app: Any, application: Application) -> None:
        self._app, self._application = app, application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        known = scope["type"] == "http" and scope["path"] in PATHS
        await (self._application if known else self._app)(scope, receive, send)


def _headers(scope: Scope, loaded: Loaded | None) -> Asked:
    """Return what the request's headers say."""
    request_id, key, shadow, length, at = "", b"", False, -1, ""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            given = value.decode("latin-1")
            request_id = given if TOKEN.fullmatch(given) else ""
        elif name == b"content-length":
            length = int(value) if value.isdigit() else -1
        elif name == b"x-api-key":
            key = value
        elif name == b"authorization" and value[:7].lower() == b"bearer ":
            key = key or value[7:].strip()
        elif name == b"x-shadow":
            shadow = value == b"1"
        elif name == clock.NAME and loaded is not None and loaded.replayed:
            at = clock.moment(value)
    return Asked(request_id or uuid.uuid4().hex, key, shadow, length, time.perf_counter(), loaded, at)


async def _body(receive: Receive, length: int, loaded: Loaded) -> bytes:
    """Return the whole body.

    Raises:
        Refused: it is too large.
        TimeoutError: it did not arrive in time.
        Gone: the client closed the connection first.
    """
    limit = loaded.settings.max_body_kb * 1024
    too_large = Refused(413, f"the body is larger than {loaded.settings.max_body_kb:,} kB")
    if length > limit:
        raise too_large
    parts: list[bytes] = []
    size = 0
    async with asyncio.timeout(loaded.settings.timeout_seconds):
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise Gone
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > limit:
                raise too_large
            if not message.get("more_body"):
                return parts[0] if len(parts) == 1 else b"".join(parts)


def _ready(loaded: Loaded | None) -> Answer:
    if loaded is None:
        return 503, {"ready": False, "release": None, "track": None, "path": None}
    who = loaded.identity
    return 200, {"ready": True, "release": who.release, "track": who.track, "path": loaded.scorer.path}


def _refusal(checked: Checked) -> dict[str, Any]:
    total = len(checked.problems)
    first = checked.problems[0]
    more = f" ({total} problems in all)" if total > 1 else ""
    where = f"row {first['row']}, {first['field'] or 'as a whole'}"
    return {"error": f"{where}: {first['problem']}{more}", "problems": checked.problems[:SHOWN]}


def _record(
    loaded: Loaded,
    rows: Sequence[dict[str, Any]],
    predictions: Sequence[dict[str, Any]],
    scores: Sequence[Any],
    asked: Asked,
) -> None:
    """Give the predictions to the log, which neither fails nor waits."""
    now, milliseconds = asked.at or stamp(), round((time.perf_counter() - asked.start) * 1000, 3)
    track = "shadow" if asked.shadow else loaded.identity.track
    for index, (row, prediction) in enumerate(zip(rows, predictions, strict=True)):
        loaded.log.put({
            "kind": "prediction",
            "time": now,
            "request_id": asked.request_id,
            "row": index,
            "release": loaded.identity.release,
            "track": track,
            "features": row,
            "score": scores[index],
            "decision": prediction.get("decision"),
            "latency_ms": milliseconds,
        })  # fmt: skip


def _feedback(loaded: Loaded, body: bytes) -> Answer:
    """Take one outcome.

    Raises:
        Refused: a field is absent, unknown, or not what it must be.
    """
    content = read_json(body)
    if extra := [name for name in content if name not in FEEDBACK]:
        raise Refused(422, f"{extra[0][:80]}: is not a field of feedback: {', '.join(FEEDBACK)}")
    request_id, row, when = content.get("request_id"), content.get("row", 0), content.get("time")
    if not isinstance(request_id, str) or not TOKEN.fullmatch(request_id):
        raise Refused(422, "request_id: is not the id of a request, as the prediction's answer gave it")
    if type(row) is not int or not 0 <= row < 2**31:
        raise Refused(422, "row: is not the number of a row, from 0")
    rule, outcome, name = loaded.outcome, content.get("outcome"), "time"
    try:
        if when is not None:
            when = READERS["time"](when).isoformat(timespec="milliseconds") + "Z"
        name = "outcome"
        if outcome is None:
            raise Refused(422, "outcome: is missing")
        outcome = rule.read(outcome)
    except Fault as fault:
        raise Refused(422, f"{name}: {fault}") from None
    if (words := rule.fault(outcome)) is not None:
        raise Refused(422, f"outcome: {words}: allowed is {json.dumps(rule.allowed())}")
    kept = loaded.log.put({
        "kind": "feedback", "time": when or stamp(), "request_id": request_id, "row": row, "outcome": outcome,
    })  # fmt: skip
    if not kept:
        return 503, {"error": "the outcome was not kept: the prediction log cannot be written; send it again later"}
    loaded.metrics.feedback()
    return 202, {"request_id": request_id, "row": row}


async def _send(send: Send, status: int, body: bytes, asked: Asked, kind: bytes = JSON) -> None:
    headers = [
        (b"content-type", kind),
        (b"content-length", str(len(body)).encode()),
        (b"x-request-id", asked.request_id.encode()),
    ]
    if asked.loaded is not None:
        headers.append((b"x-release", asked.loaded.identity.release.encode()))
    if asked.at:
        headers.append((clock.NAME, asked.at.encode()))
    if status == 405:
        headers.append((b"allow", b"POST" if b"POST" in body else b"GET"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
