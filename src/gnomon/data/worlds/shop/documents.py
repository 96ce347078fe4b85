"""What the shop says of itself: the table of operations as OpenAPI 3.1, 3.0 and 2.0."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from gnomon.data.worlds.shop.operations import FORM, JSON, OPERATIONS, Operation, Outcome, Parameter
from gnomon.data.worlds.shop.schemas import SCHEMAS

__all__ = ["DIALECTS", "Dialect", "document"]

Dialect = Literal["openapi-3.1", "openapi-3.0", "openapi-2.0"]
DIALECTS: tuple[Dialect, ...] = ("openapi-3.1", "openapi-3.0", "openapi-2.0")
_WHERE = {"openapi-2.0": "#/definitions/"}
_INFO = {"title": "Shop", "version": "1.0.0"}


def document(dialect: Dialect) -> dict[str, Any]:
    """The shop's document in one dialect; all list the same operations and say the same of them.

    What a dialect cannot say is left out of it: that a header is required (2.0), null as a type but by `nullable` (3.0)
    and `x-nullable` (2.0).
    """
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        said = _old(operation) if dialect == "openapi-2.0" else _new(operation, dialect)
        paths.setdefault(operation.path, {})[operation.method.lower()] = said
    schemas = {name: _schema(schema, dialect) for name, schema in SCHEMAS.items()}
    if dialect == "openapi-2.0":
        key = {"type": "apiKey", "in": "header", "name": "Authorization", "description": "`Bearer TOKEN`"}
        return {
            "swagger": "2.0",
            "info": _INFO,
            "basePath": "/",
            "paths": paths,
            "definitions": schemas,
            "securityDefinitions": {"token": key},
        }
    return {
        "openapi": {"openapi-3.1": "3.1.0", "openapi-3.0": "3.0.3"}[dialect],
        "info": _INFO,
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def _head(operation: Operation) -> dict[str, Any]:
    tag = operation.path.split("/")[1]
    security: list[Any] = [] if operation.public else [{"token": []}]
    return {"operationId": operation.name, "tags": [tag], "security": security}


def _new(operation: Operation, dialect: Dialect) -> dict[str, Any]:
    said = _head(operation)
    if operation.parameters:
        said["parameters"] = [
            {"name": p.name, "in": p.place, "required": p.required, "schema": _schema(p.schema, dialect)}
            for p in operation.parameters
        ]
    if operation.body:
        schema = _schema({"$ref": f"#/$defs/{operation.body}"}, dialect)
        said["requestBody"] = {"required": True, "content": {operation.media: {"schema": schema}}}
    said["responses"] = {str(status): _answer(outcome, dialect) for status, outcome in operation.outcomes.items()}
    return said


def _answer(outcome: Outcome, dialect: Dialect) -> dict[str, Any]:
    said: dict[str, Any] = {"description": outcome.text}
    if outcome.headers:
        said["headers"] = {n: {"required": True, "schema": _schema(s, dialect)} for n, s in outcome.headers.items()}
    if outcome.schema is not None:
        # Only JSON is held to the schema; another form of the same is a text.
        said["content"] = {
            media: {"schema": _schema(outcome.schema, dialect) if media == JSON else {"type": "string"}}
            for media in outcome.media
        }
    return said


def _old(operation: Operation) -> dict[str, Any]:
    said = _head(operation)
    said["produces"] = sorted({m for o in operation.outcomes.values() if o.schema is not None for m in o.media})
    parameters = [_old_parameter(p) for p in operation.parameters]
    if operation.body:
        said["consumes"] = [operation.media]
        if operation.media == FORM:
            form = SCHEMAS[operation.body]
            parameters += [
                {"name": name, "in": "formData", "required": name in form["required"], **_schema(schema, "openapi-2.0")}
                for name, schema in form["properties"].items()
            ]
        else:
            schema = _schema({"$ref": f"#/$defs/{operation.body}"}, "openapi-2.0")
            parameters.append({"name": "body", "in": "body", "required": True, "schema": schema})
    if parameters:
        said["parameters"] = parameters
    said["responses"] = {str(status): _old_answer(outcome) for status, outcome in operation.outcomes.items()}
    return said


def _old_parameter(parameter: Parameter) -> dict[str, Any]:
    said = {"name": parameter.name, "in": parameter.place, "required": parameter.required}
    more = {"collectionFormat": "multi"} if parameter.schema["type"] == "array" else {}
    return {**said, **_schema(parameter.schema, "openapi-2.0"), **more}


def _old_answer(outcome: Outcome) -> dict[str, Any]:
    said: dict[str, Any] = {"description": outcome.text}
    if outcome.headers:
        said["headers"] = {name: _schema(schema, "openapi-2.0") for name, schema in outcome.headers.items()}
    if outcome.schema is not None:
        said["schema"] = _schema(outcome.schema, "openapi-2.0")
    return said


def _schema(schema: Mapping[str, Any], dialect: Dialect) -> dict[str, Any]:
    """A schema of the table in the words of a dialect; never shares structure with the table."""
    where = _WHERE.get(dialect, "#/components/schemas/")
    said: dict[str, Any] = json.loads(json.dumps(schema).replace("#/$defs/", where))
    if dialect != "openapi-3.1":
        _older(said, "nullable" if dialect == "openapi-3.0" else "x-nullable")
    return said


def _older(node: Any, nullable: str) -> None:
    if isinstance(node, list):
        for child in node:
            _older(child, nullable)
    if not isinstance(node, dict):
        return
    if isinstance(node.get("type"), list):
        node["type"] = next(t for t in node["type"] if t != "null")
        node[nullable] = True
    if "exclusiveMinimum" in node:
        node["minimum"], node["exclusiveMinimum"] = node["exclusiveMinimum"], True
    for child in node.values():
        _older(child, nullable)
