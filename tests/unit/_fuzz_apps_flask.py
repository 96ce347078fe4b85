"""Orders on Flask, whose document and reading of bodies are written by hand; what is not planted keeps its word."""

from __future__ import annotations

import itertools
import json
from typing import Any

from flask import Flask, Response, abort, jsonify, request

from tests.unit._fuzz_apps import answers, query

__all__ = ["PLANTED", "app_of"]

PLANTED = {
    ("negative_data_accepted", "GET /search"),
    ("server_error", "POST /orders"),
    ("undocumented_status", "POST /orders"),
    ("undocumented_content_type", "GET /orders/{order_id}"),
    ("created_not_found", "GET /orders/{order_id}"),
}
"Checks and operations of the planted defects."

_TEXT, _COUNT = {"type": "string"}, {"type": "integer"}
_ORDER = {"type": "object", "properties": {"id": _COUNT, "item": _TEXT, "count": _COUNT}, "required": ["id", "item"]}
_NEW_ORDER = {
    "type": "object",
    "properties": {
        "item": {"type": "string", "minLength": 1, "maxLength": 30},
        "count": {"type": "integer", "minimum": 1},
        "coupon": {"type": "string", "maxLength": 8},
    },
    "required": ["item", "count"],
    "additionalProperties": False,
}
_DOCUMENT = {
    "openapi": "3.0.3",
    "info": {"title": "Orders", "version": "1"},
    "paths": {
        "/search": {
            "get": {
                "parameters": [query("limit", {"type": "integer"})],
                "responses": answers({"200": {"type": "array", "items": _TEXT}}),
            }
        },
        "/orders": {
            "post": {
                "requestBody": {"required": True, "content": {"application/json": {"schema": _NEW_ORDER}}},
                "responses": answers({"201": _ORDER, "400": None, "415": None}),
            }
        },
        "/orders/{order_id}": {
            "get": {
                "parameters": [
                    {"name": "order_id", "in": "path", "required": True, "schema": {"type": "integer", "minimum": 0}},
                    query("plain", {"type": "string", "enum": ["yes", "no"]}),
                ],
                "responses": answers({"200": _ORDER, "404": None}),
            }
        },
    },
}


def app_of() -> Flask:
    """A new application."""
    app, orders, numbers = Flask("orders"), {}, itertools.count(1)

    @app.get("/openapi.json")
    def document() -> Any:
        return jsonify(_DOCUMENT)

    @app.get("/search")
    def search() -> Any:
        limit = request.args.get("limit", type=int, default=10)  # planted: what is no number is 10
        return jsonify([f"hit {n}" for n in range(max(0, min(limit, 50)))])

    @app.post("/orders")
    def make() -> Any:
        given = request.get_json()
        if not isinstance(given, dict) or set(given) - {"item", "count", "coupon"}:
            abort(400)
        item, count, coupon = given.get("item"), given.get("count"), given.get("coupon", "")
        if not isinstance(item, str) or not 1 <= len(item) <= 30 or not isinstance(coupon, str) or len(coupon) > 8:
            abort(400)
        if isinstance(count, bool) or not (isinstance(count, int) or (isinstance(count, float) and count % 1 == 0)):
            abort(400)
        if count < 1:
            abort(400)
        int(count).to_bytes(4, "big")  # planted: more than 32 bits
        number = next(numbers)
        order = {"id": number, "item": item, "count": int(count)}
        if not item.isspace():
            orders[number] = order  # planted: an order of blanks is made and not kept
        return jsonify(order), 202 if len(coupon) == 8 else 201  # planted: 202 is not documented

    @app.get("/orders/<int:order_id>")
    def one(order_id: int) -> Any:
        if order_id not in orders:
            abort(404)
        if request.args.get("plain", "no") not in ("yes", "no"):
            abort(404)
        if request.args.get("plain") == "yes":
            return Response(json.dumps(orders[order_id]), mimetype="text/plain")  # planted
        return jsonify(orders[order_id])

    return app
