"""Runtime expressions: where in an exchange a value stands (OpenAPI 3.1, sec. 4.8.20.4)."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import unquote, urlsplit

from gnomon.fuzz.base import NOTHING, Exchange
from gnomon.fuzz.pointers import tokens, unescaped

__all__ = ["LOCATION", "evaluate", "pointed", "put"]

LOCATION = "$response.header.Location"
"Of this header the last segment of the path is taken: the identifier of what was made."
_EMBEDDED = re.compile(r"\{(\$[^{}]+)\}")


def evaluate(expression: Any, exchange: Exchange) -> Any:
    """The value of an expression; a constant is itself, and `NOTHING` stands for what is not there."""
    if not isinstance(expression, str):
        return expression
    if _EMBEDDED.search(expression):
        return _EMBEDDED.sub(lambda match: str(evaluate(match[1], exchange)), expression)
    if not expression.startswith("$"):
        return expression
    if expression in ("$method", "$url", "$statusCode"):
        whole = {"$method": exchange.request.method, "$url": exchange.request.target}
        return whole.get(expression, exchange.reply.status)
    side, _, rest = expression[1:].partition(".")
    if rest.startswith("body"):
        return _of_body(side, rest, exchange)
    place, _, name = rest.partition(".")
    if side == "response":
        said = exchange.reply.header(name.lower()) if place == "header" else None
        if said is None:
            return NOTHING
        return unquote(urlsplit(said).path.rstrip("/").rpartition("/")[2]) if expression == LOCATION else said
    return next((v for (where, key), v in exchange.case.parameters.items() if (where, key) == (place, name)), NOTHING)


def pointed(value: Any, pointer: str) -> Any:
    """What a JSON pointer points at; `NOTHING` where nothing is there."""
    for part in tokens(pointer):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return NOTHING
    return value


def put(value: Any, pointer: str, what: Any) -> Any:
    """The value with `what` where a JSON pointer points; as it is where nothing is there."""
    if pointed(value, pointer) is NOTHING:
        return value
    if not pointer:
        return what
    head, _, rest = pointer[1:].partition("/")
    head, rest = unescaped(head), f"/{rest}" if rest else ""
    if isinstance(value, dict):
        return {**value, head: put(value[head], rest, what)}
    at = int(head)
    return [*value[:at], put(value[at], rest, what), *value[at + 1 :]]


def _of_body(side: str, rest: str, exchange: Exchange) -> Any:
    pointer = rest.partition("#")[2]
    if side == "request":
        return pointed(exchange.case.body, pointer)
    try:
        return pointed(json.loads(exchange.reply.body), pointer)
    except (ValueError, RecursionError):
        return NOTHING
