"""The service's answers, asked in this process: predictions, refusals, feedback, limits, figures."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mainline.errors import UserError
from mainline.serve.scorer import ExactScorer

Serve = Callable[..., Any]


class Fixed:
    """A scorer that does as it is told."""

    path, inputs, refused = "exact", (), ()

    def __init__(self, action: Callable[[int], Any]) -> None:
        self.action = action

    def score_rows(self, rows: Any) -> Any:
        return self.action(len(rows))


def test_one_row_gets_one_prediction_with_its_ids(serve: Serve, row: dict[str, Any]) -> None:
    served = serve()
    status, headers, answer = served.ask("/predict", row, headers={"x-request-id": "abc.1"})
    assert status == 200
    assert headers["x-request-id"] == answer["request_id"] == "abc.1"
    assert headers["x-release"] == answer["release"] == "bank-0123456789ab"
    (prediction,) = answer["predictions"]
    assert prediction.keys() == {"probability", "decision"}
    assert prediction["decision"] is (prediction["probability"] >= 0.1)
    assert 0 < prediction["probability"] < 1


def test_many_rows_get_the_predictions_that_each_gets_alone(serve: Serve, row: dict[str, Any]) -> None:
    served = serve()
    rows = [row, row | {"poutcome": "success"}, row | {"age": 80, "job": "retired"}]
    alone = [served.ask("/predict", one)[2]["predictions"][0]["probability"] for one in rows]
    answer = served.ask("/predict", {"rows": rows})[2]
    assert [item["probability"] for item in answer["predictions"]] == pytest.approx(alone, abs=1e-7)
    assert len(set(alone)) == 3


@pytest.mark.parametrize("given", ["", "ä", "a b", "x" * 129, "a\n"])
def test_a_request_id_that_is_no_plain_token_is_replaced(serve: Serve, row: dict[str, Any], given: str) -> None:
    answer = serve().ask("/predict", row, headers={"x-request-id": given})[2]
    assert answer["request_id"] != given
    assert len(answer["request_id"]) == 32


def test_cellular_in_capitals_is_refused_named_and_counted(serve: Serve, row: dict[str, Any]) -> None:
    served = serve()
    status, _, answer = served.ask("/predict", row | {"contact": "CELLULAR"})
    assert status == 422
    assert answer["problems"] == [{
        "row": 0, "field": "contact", "value": "CELLULAR", "problem": "is not allowed",
        "allowed": ["cellular", "telephone", "unknown"], "hint": "did you mean 'cellular'?",
    }]  # fmt: skip
    assert answer["error"] == "row 0, contact: is not allowed"
    assert served.metric("mainline_unseen_total", column="contact") == 1
    assert served.metric("mainline_requests_total", status="422", release="bank-0123456789ab", track="stable") == 1
    assert served.metric("mainline_predictions_total") == 0
    assert served.records() == []


def test_an_accepted_column_lets_the_unseen_and_the_missing_through_and_counts_them(
    serve: Serve, row: dict[str, Any]
) -> None:
    served = serve(accept=["contact", "age"])
    rows = [row | {"contact": "CELLULAR"}, row | {"contact": None}, row | {"age": 17}, row | {"age": None}]
    without = {key: value for key, value in row.items() if key != "contact"}
    status, _, answer = served.ask("/predict", {"rows": [*rows, without]})
    assert status == 200, answer
    assert all(0 < item["probability"] < 1 for item in answer["predictions"])
    assert served.metric("mainline_unseen_total", column="contact") == 1
    assert served.metric("mainline_missing_total", column="contact") == 2
    assert served.metric("mainline_unseen_total", column="age") == 1
    assert served.ask("/predict", row | {"contact": 3})[0] == 422, "a wrong type is never accepted"
    assert served.ask("/predict", row | {"job": "ADMIN."})[0] == 422, "another column is not accepted"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 422, "not valid JSON"),
        (b"[1]", 422, "not a JSON object"),
        (b'{"age": NaN}', 422, "not valid JSON"),
        (b"{" * 500, 422, "not valid JSON"),
        (b'{"rows": []}', 422, "at least one"),
        (b'{"rows": [1, null]}', 422, "row 0, as a whole: is not a JSON object"),
        (b'{"rows": {}}', 422, "age"),
        (b'{"rows": [{}, {}, {}, {}]}', 413, "at most 3"),
        (b'{"x": "' + b"y" * 2000 + b'"}', 413, "larger than 1 kB"),
    ],
)
def test_a_body_without_rows_is_refused_in_words(serve: Serve, body: bytes, status: int, words: str) -> None:
    served = serve(max_rows=3, max_body_kb=1)
    found, _, answer = served.ask("/predict", body)
    assert (found, words in answer["error"]) == (status, True), answer
    assert served.ask("/predict", body, headers={"content-length": str(len(body))})[0] == status
    assert served.metric("mainline_requests_total", status=str(status)) == 2


def test_nobody_but_a_replay_may_say_what_time_it_is(
    serve: Serve, row: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    then = {"x-replay-time": "2009-06-10T12:00:00+02:00"}
    served = serve()
    assert "x-replay-time" not in served.ask("/predict", row, headers=then)[1]
    assert served.records()[0]["time"] > "2026"
    monkeypatch.setenv("MAINLINE_REPLAY_CLOCK", "1")
    served = serve()
    assert served.ask("/readyz", headers=then)[1]["x-replay-time"] == "2009-06-10T10:00:00.000Z"
    served.ask("/predict", row, headers=then)
    assert "x-replay-time" not in served.ask("/predict", row, headers={"x-replay-time": "June"})[1]
    served.ask("/predict", row)
    times = [item["time"] for item in served.records()]
    assert times[0] == "2009-06-10T10:00:00.000Z" and min(times[1:]) > "2026"


def test_methods_and_probes(serve: Serve) -> None:
    served = serve()
    assert served.ask("/readyz")[2] == {
        "ready": True, "release": "bank-0123456789ab", "track": "stable", "path": "onnx",
    }  # fmt: skip
    assert served.ask("/predict")[0] == served.ask("/feedback")[0] == 405
    assert served.ask("/readyz", {})[0] == 405
    served.application.close()
    assert served.ask("/readyz")[0] == served.ask("/predict", {})[0] == served.ask("/metrics")[0] == 503
    assert served.ask("/livez")[0] == served.ask("/healthz")[0] == 200


def test_the_key_is_asked_for_where_params_name_one(
    serve: Serve, row: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("THE_KEY", raising=False)
    with pytest.raises(UserError, match="THE_KEY: not set"):
        serve(api_key_env="THE_KEY")
    monkeypatch.setenv("THE_KEY", "sesame")
    served = serve(api_key_env="THE_KEY")
    assert served.ask("/predict", row)[0] == 401
    assert served.ask("/feedback", {})[0] == 401
    assert served.ask("/predict", row, headers={"x-api-key": "sesam"})[0] == 401
    assert served.ask("/predict", row, headers={"x-api-key": "sesame"})[0] == 200
    assert served.ask("/predict", row, headers={"authorization": "Bearer sesame"})[0] == 200
    assert served.ask("/readyz")[0] == 200, "a probe carries no key"


def test_the_log_gets_every_prediction_and_its_outcome(serve: Serve, row: dict[str, Any]) -> None:
    served = serve(track="canary")
    extra = {"row_id": 7, "contact_date": "2009-06-01", "month": "jun"}
    first = served.ask("/predict", {"rows": [row | extra, row]}, headers={"x-request-id": "r1"})[2]
    served.ask("/predict", row, headers={"x-request-id": "r2", "x-shadow": "1"})
    assert served.ask("/feedback", {"request_id": "r1", "outcome": "yes", "row": 1})[0] == 202
    assert served.metric("mainline_predictions_total", track="canary") == 2
    assert served.metric("mainline_predictions_total", track="shadow") == 1
    assert served.metric("mainline_feedback_total") == 1
    records = served.records()
    assert [(item["kind"], item["request_id"], item["row"], item.get("track")) for item in records] == [
        ("prediction", "r1", 0, "canary"), ("prediction", "r1", 1, "canary"), ("prediction", "r2", 0, "shadow"),
        ("feedback", "r1", 1, None),
    ]  # fmt: skip
    one = records[0]
    assert one["score"] == first["predictions"][0]["probability"]
    assert one["release"] == "bank-0123456789ab"
    assert one["features"].items() >= row.items()
    assert one["features"]["row_id"].startswith("sha256:"), "the schema marks it as personal"
    assert records[3]["outcome"] == "yes"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"outcome": "yes"}, "request_id"), ({"request_id": "a b", "outcome": "yes"}, "request_id"),
        ({"request_id": "a"}, "outcome: is missing"),
        ({"request_id": "a", "outcome": "YES"}, "outcome: is not allowed"),
        ({"request_id": "a", "outcome": 1}, "outcome: is not text"),
        ({"request_id": "a", "outcome": "yes", "row": -1}, "row"),
        ({"request_id": "a", "outcome": "yes", "row": True}, "row"),
        ({"request_id": "a", "outcome": "yes", "time": "soon"}, "time: is not a date"),
        ({"request_id": "a", "outcome": "yes", "time": "2009-13-01T00:00:00Z"}, "time: is not a date"),
        ({"request_id": "a", "outcome": "yes", "when": 1}, "when: is not a field"),
    ],
)  # fmt: skip
def test_feedback_that_cannot_be_joined_is_refused(serve: Serve, body: dict[str, Any], words: str) -> None:
    served = serve()
    status, _, answer = served.ask("/feedback", body)
    assert status == 422
    assert words in answer["error"]
    assert served.records() == []


def test_a_slow_model_times_out_and_the_service_lives(serve: Serve, row: dict[str, Any]) -> None:
    def slow(rows: int) -> Any:
        time.sleep(0.4)
        return np.full(rows, 0.5)

    served = serve(timeout_seconds=0.1, scorer=Fixed(slow))
    status, _, answer = served.ask("/predict", row)
    assert (status, "time-out" in answer["error"]) == (504, True)
    assert served.ask("/livez")[0] == 200
    assert served.metric("mainline_requests_total", status="504") == 1


@pytest.mark.parametrize("bad", [lambda rows: 1 / 0, lambda rows: np.full(rows, np.nan), lambda rows: [None]])
def test_a_model_that_fails_is_a_500_in_words_and_no_record(serve: Serve, row: dict[str, Any], bad: Any) -> None:
    served = serve(scorer=Fixed(bad))
    status, _, answer = served.ask("/predict", {"rows": [row, row]})
    assert (status, "the model failed" in answer["error"], "request_id" in answer) == (500, True, True)
    assert served.metric("mainline_requests_total", status="500") == 1
    assert served.records() == []


def test_a_body_that_never_comes_times_out_and_a_client_that_leaves_is_let_go(serve: Serve) -> None:
    served = serve(timeout_seconds=0.05)

    async def never() -> Any:
        await asyncio.sleep(5)

    async def gone() -> Any:
        return {"type": "http.disconnect"}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "path": "/predict", "method": "POST", "headers": []}
    asyncio.run(served.application(scope, never, send))
    assert [item.get("status") for item in sent] == [504, None]
    sent.clear()
    asyncio.run(served.application(scope, gone, send))
    assert sent == []


def test_nothing_that_happens_to_the_log_reaches_a_prediction(serve: Serve, row: dict[str, Any]) -> None:
    served = serve()
    log = served.application.loaded.log
    log.close()
    assert served.ask("/predict", row)[0] == 200
    assert served.metric("mainline_log_dropped_total") == 1
    # An outcome is nothing but its record: who sends it must hear that it is lost
    status, _, answer = served.ask("/feedback", {"request_id": "a", "outcome": "yes"})
    assert status == 503 and "send it again" in answer["error"]
    assert served.metric("mainline_feedback_total") == 0


def test_the_exact_path_answers_the_same(serve: Serve, row: dict[str, Any], outputs: Any) -> None:
    from mainline.train.artifact import load_model

    fast = serve()
    scorer = ExactScorer(load_model(outputs / "artifacts/model.skops"), fast.application.loaded.scorer.inputs)
    exact = serve(scorer=scorer)
    rows = [row, row | {"poutcome": "success", "age": 99}]
    probabilities = [
        [item["probability"] for item in served.ask("/predict", {"rows": rows})[2]["predictions"]]
        for served in (fast, exact)
    ]
    assert probabilities[0] == pytest.approx(probabilities[1], abs=1e-6)
    assert exact.ask("/readyz")[2]["path"] == "exact"


def test_the_description_holds_the_rules_and_a_request_that_is_valid(serve: Serve) -> None:
    served = serve(accept=["contact"])
    described = served.ask("/openapi.json")[2]
    assert served.ask("/docs.json")[2] == described, "BentoML's own page shows the same"
    schema = described["components"]["schemas"]["Row"]
    assert schema["additionalProperties"] is False
    assert "contact" not in schema["required"] and "job" in schema["required"]
    assert schema["properties"]["age"] == {"type": "integer", "minimum": 18, "maximum": 100}
    assert schema["properties"]["poutcome"]["enum"] == ["failure", "other", "success", "unknown"]
    assert "duration" not in schema["properties"] and "y" not in schema["properties"]
    example = described["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert served.ask("/predict", example)[0] == 200
    example = described["paths"]["/feedback"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert served.ask("/feedback", example)[0] == 202


def test_several_classes_and_values_have_answers_of_their_own(serve: Serve) -> None:
    from dataclasses import replace

    loaded = serve().application.loaded
    three = replace(loaded, task="multiclass", names=("a", "b", "c"))
    assert three.answers(np.array([[0.2, 0.5, 0.3]])) == [
        {"probabilities": {"a": 0.2, "b": 0.5, "c": 0.3}, "decision": "b"}
    ]
    two = replace(loaded, task="multiclass", names=("a", "b"))
    assert two.answers(np.array([0.75])) == [{"probabilities": {"a": 0.25, "b": 0.75}, "decision": "b"}]
    assert replace(loaded, task="regression").answers(np.array([1.5])) == [{"value": 1.5}]
    assert json.dumps(loaded.answers(np.array([0.1]))) == '[{"probability": 0.1, "decision": true}]'


def test_accepting_what_stops_the_model_is_refused_at_the_start(serve: Serve) -> None:
    with pytest.raises(UserError, match="serve.accept: 'y' is not a column of the model"):
        serve(accept=["y"])
