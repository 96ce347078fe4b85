"""Parts of documents that applications of tests write by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["answers", "query"]


def answers(schemas: Mapping[str, Any]) -> dict[str, Any]:
    """What statuses promise: JSON of a schema, or nothing."""
    return {status: {"description": "", **_content(schema)} for status, schema in schemas.items()}


def query(name: str, schema: Any, *, required: bool = False) -> dict[str, Any]:
    """A parameter of the query."""
    return {"name": name, "in": "query", "required": required, "schema": schema}


def _content(schema: Any) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}} if schema else {}
