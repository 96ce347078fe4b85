"""From a document to an `Api`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gnomon.core.errors import DataError, DocumentError
from gnomon.fuzz.base import Api
from gnomon.fuzz.loading.dialects import dialect_of, is_declared
from gnomon.fuzz.loading.fetch import Document, from_app, opened
from gnomon.fuzz.loading.openapi3 import OpenApi3
from gnomon.fuzz.loading.operations import operations
from gnomon.fuzz.loading.reading import Reading
from gnomon.fuzz.loading.references import Library
from gnomon.fuzz.loading.repairs import Ledger
from gnomon.fuzz.loading.swagger2 import Swagger2

__all__ = ["load"]


def load(schema: str | Path | Mapping[str, Any] | object, *, base_url: str = "", at: str = "") -> Api:
    """The API that a document describes; mistakes in it are repaired, each with one entry of `Api.repairs`.

    Args:
        schema: path or http URL of an OpenAPI document (JSON or YAML; of a bare host the common locations are tried) or
            of a GraphQL schema (its language, or what introspection answers), the URL of a GraphQL server, the document
            itself as a mapping or as text, or an ASGI or WSGI application that serves it. Whether a URL may be asked is
            for the caller to say; its references are followed on the same origin alone.
        at: path of an application where it serves the document or answers GraphQL; "" for the common ones.
        base_url: what relative URLs of servers are relative to, where the document was not read from a URL.

    Raises:
        DocumentError: nothing can be read, or it describes no web API; a GraphQL server has introspection off.
    """
    try:
        return _loaded(schema, base_url, at)
    except DataError as error:
        raise DocumentError(error.what, where=error.where, todo=error.todo) from None


def _loaded(schema: str | Path | Mapping[str, Any] | object, base_url: str, at: str) -> Api:
    ledger = Ledger()
    document = from_app(schema, ledger, at) if at else opened(schema, ledger)
    try:
        dialect = dialect_of(document.content)
    except DataError as error:
        raise DataError(error.what, where=document.place, todo=error.todo) from None
    if dialect == "graphql":
        from gnomon.fuzz.graphql.loading import graph_api

        return graph_api(document.content, document.place, endpoint=document.endpoint)
    return _api(document, dialect, ledger, base_url)


def _api(document: Document, dialect: str, ledger: Ledger, base_url: str) -> Api:
    if not is_declared(document.content):
        ledger.note("", "no version of OpenAPI that is known", dialect)
    library = Library(document, ledger)
    reading = Reading(library, ledger, siblings=dialect not in ("openapi-2.0", "openapi-3.0"))
    parts = Swagger2(reading) if dialect == "openapi-2.0" else OpenApi3(reading, dialect)
    info = dict(reading.members(library.root, "info"))
    for key in ("title", "version"):
        if key not in info:
            ledger.note("/info", f"no {key}", "an empty text")
    for section in library.sections():
        for name in section.value:
            reading.schemas.define(section.child(name))
    found = operations(reading, parts)
    base_path, servers = parts.places(document.place if "://" in document.place else base_url)
    return Api(
        title=str(info["title"].value) if "title" in info else "",
        version=str(info["version"].value) if "version" in info else "",
        dialect=dialect,
        operations=found,
        base_path=base_path,
        servers=servers,
        definitions=reading.schemas.definitions(),
        security=parts.security(),
        repairs=ledger.repairs,
    )
