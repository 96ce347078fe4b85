"""A GraphQL server asked for its schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gnomon.core.errors import DataError
from gnomon.fuzz.base import Request

__all__ = ["ENDPOINTS", "introspected", "introspection"]

ENDPOINTS = ("/graphql", "/api/graphql")
"Where servers answer GraphQL by custom."


def introspection(target: str = "") -> Request:
    """The request that asks for the schema."""
    from gnomon.fuzz.graphql.loading import INTROSPECTION

    headers = (("content-type", "application/json"), ("accept", "application/json"))
    return Request(method="POST", target=target, headers=headers, body=json.dumps({"query": INTROSPECTION}).encode())


def introspected(text: str, where: str) -> Mapping[str, Any] | None:
    """The schema that a server answered; None where what it answered is not GraphQL's form.

    Raises:
        DataError: it answered in GraphQL's form that it does not tell.
    """
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    data, errors = said.get("data"), said.get("errors")
    if isinstance(data, dict) and isinstance(data.get("__schema"), dict):
        return said
    if isinstance(errors, list) and errors and isinstance(errors[0], dict) and "message" in errors[0]:
        first = str(errors[0]["message"])[:200]
        todo = "turn introspection on, or give a file with the schema and --url"
        raise DataError(f"does not tell its schema: {first!r}", where=where, todo=todo)
    return None
