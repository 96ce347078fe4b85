"""Which language a document is written in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gnomon.core.errors import DataError

__all__ = ["dialect_of", "is_declared"]

_VERSIONS = {"3.0": "openapi-3.0", "3.1": "openapi-3.1", "3.2": "openapi-3.2"}
_SDL = re.compile(
    r'(?>\s+|\ufeff|#[^\n]*|"""[\s\S]*?"""|"[^"\n]*")*+'
    r"(?:extend\s+)?(?:(?:type|interface|input|enum|union|scalar)\s+[A-Za-z_]\w*|schema\s*[@{]|directive\s*@)"
)


def dialect_of(document: object) -> str:
    """The dialect of a document: openapi-2.0, openapi-3.0, openapi-3.1, openapi-3.2 or graphql.

    Args:
        document: a mapping, or text where it may be GraphQL's schema language. The result of an introspection query,
            with or without `data` around it, is graphql too.

    A document with paths and no version is taken for the one that its other keys belong to.

    Raises:
        DataError: it is none of them.

    >>> dialect_of({"swagger": 2.0}), dialect_of("type Query { a: Int }")
    ('openapi-2.0', 'graphql')
    """
    if isinstance(document, str):
        if _SDL.match(document):
            return "graphql"
        raise DataError(f"is neither an API description nor GraphQL; it begins {document[:40]!r}", todo=_TODO)
    if not isinstance(document, Mapping):
        raise DataError(f"is a {type(document).__name__} where an API description is an object", todo=_TODO)
    data = document.get("data", document)
    if isinstance(data, Mapping) and "__schema" in data:
        return "graphql"
    if "swaggerVersion" in document:
        todo = "convert it to Swagger 2.0 or OpenAPI 3"
        raise DataError(f"is written in Swagger {document['swaggerVersion']}, which is not read", todo=todo)
    declared = _declared(document)
    if declared:
        return declared
    if "paths" not in document and not {"swagger", "openapi"} & set(document):
        keys = ", ".join(sorted(map(str, document))[:6])
        raise DataError(f"has neither openapi, swagger, paths nor a GraphQL schema; its keys: {keys}", todo=_TODO)
    return _likely(document)


def is_declared(document: Mapping[str, Any]) -> bool:
    """Whether an OpenAPI document says its version in a way that is known."""
    return _declared(document) is not None


_TODO = "give an OpenAPI document (JSON or YAML) or a GraphQL schema"


def _declared(document: Mapping[str, Any]) -> str | None:
    if str(document.get("swagger", "")).strip() in ("2.0", "2"):
        return "openapi-2.0"
    return _VERSIONS.get(str(document.get("openapi", "")).strip()[:3])


def _likely(document: Mapping[str, Any]) -> str:
    version = str(document.get("openapi", "")) + str(document.get("swagger", ""))
    if version.startswith("2") or {"definitions", "basePath", "securityDefinitions"} & set(document):
        return "openapi-2.0"
    return "openapi-3.1" if "webhooks" in document else "openapi-3.0"
