"""The service described in OpenAPI, from the same rules that check its requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mainline.serve.request import Checker
from mainline.serve.rules import Rule

if TYPE_CHECKING:
    from mainline.serve.model import Loaded

TYPES = {"integer": "integer", "number": "number", "text": "string", "flag": "boolean", "time": "string"}
PROBLEM = {
    "type": "object",
    "required": ["row", "field", "problem"],
    "properties": {
        "row": {"type": "integer"},
        "field": {"type": ["string", "null"]},
        "value": {"description": "what was sent; null where it may not be shown"},
        "problem": {"type": "string"},
        "allowed": {"description": "the vocabulary, or type and bounds"},
        "hint": {"type": "string"},
    },
}


def describe(loaded: Loaded) -> dict[str, Any]:
    """Return the OpenAPI 3.1 description of the service, with a request that really is valid."""
    one = {"$ref": "#/components/schemas/Row"}
    many = {"type": "object", "required": ["rows"], "additionalProperties": False,
            "properties": {"rows": {"type": "array", "minItems": 1, "maxItems": loaded.settings.max_rows,
                                    "items": one}}}  # fmt: skip
    secured: list[dict[str, list[str]]] = [{"key": []}] if loaded.key is not None else []
    refusals = {
        "422": _answer("The request is at fault: the body, a field or a value", "Refusal"),
        "413": _answer("Too large a body, or too many rows", "Refusal"),
        "503": _answer("Not ready", "Refusal"),
        "504": _answer("Time-out", "Refusal"),
        **({"401": _answer("No valid API key", "Refusal")} if secured else {}),
    }
    header = {
        "name": "x-request-id", "in": "header", "required": False,
        "description": "taken over if it is a plain token; otherwise one is made",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
    }  # fmt: skip
    schemas = {
        "Row": row_schema(loaded.checker),
        "Prediction": _prediction(loaded),
        "Predictions": {
            "type": "object",
            "required": ["request_id", "release", "predictions"],
            "properties": {
                "request_id": {"type": "string"},
                "release": {"type": "string"},
                "predictions": {"type": "array", "items": {"$ref": "#/components/schemas/Prediction"}},
            },
        },
        "Feedback": {
            "type": "object",
            "required": ["request_id", "outcome"],
            "additionalProperties": False,
            "properties": {
                "request_id": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
                "outcome": _value(loaded.outcome) | {"description": f"the known {loaded.outcome.name}"},
                "row": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1, "default": 0},
                "time": {"type": "string", "format": "date-time"},
            },
        },
        "Refusal": {
            "type": "object",
            "required": ["error", "request_id"],
            "properties": {
                "error": {"type": "string"},
                "request_id": {"type": "string"},
                "problems": {"type": "array", "items": PROBLEM},
            },
        },
    }
    predict = {
        "operationId": "predict",
        "summary": "Predict one row or many",
        "parameters": [header],
        "requestBody": _body({"oneOf": [one, many]}, loaded.example),
        "responses": {"200": _answer("The predictions, in the order of the rows", "Predictions"), **refusals},
        "security": secured,
    }
    feedback = {
        "operationId": "feedback",
        "summary": "Report what a prediction came to",
        "parameters": [header],
        "requestBody": _body({"$ref": "#/components/schemas/Feedback"}, {
            "request_id": "5f0c6c1e8a5d4a0f9d6f6a7b8c9d0e1f", "outcome": _first(loaded.outcome), "row": 0,
        }),
        "responses": {"202": {"description": "Taken"}, **refusals},
        "security": secured,
    }  # fmt: skip
    described: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "Mainline: predictions", "version": loaded.identity.release},
        "paths": {"/predict": {"post": predict}, "/feedback": {"post": feedback}, **_probes()},
        "components": {"schemas": schemas},
    }
    if secured:
        described["components"]["securitySchemes"] = {"key": {"type": "apiKey", "in": "header", "name": "x-api-key"}}
    return described


def row_schema(checker: Checker) -> dict[str, Any]:
    """Return the JSON Schema of one row."""
    return {
        "type": "object",
        "required": [name for name in checker.required if name not in checker.accepted],
        "additionalProperties": False,
        "properties": {name: _field(rule, name in checker.accepted) for name, rule in checker.rules.items()},
    }


def _field(rule: Rule, accepted: bool) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": TYPES[rule.kind]} if accepted else _value(rule)
    if rule.nullable or accepted:
        schema["type"] = [schema["type"], "null"]
        if "enum" in schema:
            schema["enum"] = [*schema["enum"], None]
    return schema


def _value(rule: Rule) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": TYPES[rule.kind]}
    if rule.vocabulary is not None:
        return schema | {"enum": rule.allowed()}
    if rule.kind == "time":
        return schema | {"format": "date-time"}
    return schema | dict(rule.bounds)


def _first(rule: Rule) -> Any:
    return rule.allowed()[0] if rule.vocabulary else 1


def _prediction(loaded: Loaded) -> dict[str, Any]:
    chance = {"type": "number", "minimum": 0, "maximum": 1}
    if loaded.task == "regression":
        properties: dict[str, Any] = {"value": {"type": "number"}}
    elif loaded.task == "binary":
        properties = {"probability": chance, "decision": {"type": "boolean"}}
    else:
        properties = {
            "probabilities": {"type": "object", "additionalProperties": chance},
            "decision": {"type": "string", "enum": list(loaded.names or ())},
        }
    return {"type": "object", "required": list(properties), "properties": properties}


def _body(schema: dict[str, Any], example: Any) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": schema, "example": dict(example)}}}


def _answer(what: str, schema: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": what, "content": content}


def _probes() -> dict[str, Any]:
    return {
        path: {"get": {"operationId": path[1:], "summary": summary, "responses": {
            "200": {"description": "Yes"}, **({"503": {"description": "Not yet"}} if path == "/readyz" else {}),
        }}}
        for path, summary in (
            ("/readyz", "Is the model loaded? Says which release, track and path"),
            ("/livez", "Does the process answer?"),
            ("/healthz", "The same as livez"),
            ("/metrics", "Figures for Prometheus"),
        )
    }  # fmt: skip
