"""OpenAPI 3.0, 3.1 and 3.2: parameters hold a schema or a document, bodies stand under media types."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

from gnomon.fuzz.base import Header, Media, Parameter, Schema, SecurityScheme
from gnomon.fuzz.loading.operations import JSON, URLENCODED, Declared, Inputs, sendable
from gnomon.fuzz.loading.reading import Reading
from gnomon.fuzz.loading.references import Node
from gnomon.fuzz.loading.repairs import shown

__all__ = ["OpenApi3"]

_STYLES = {
    "path": ("simple", "label", "matrix"),
    "query": ("form", "spaceDelimited", "pipeDelimited", "deepObject"),
    "header": ("simple",),
    "cookie": ("form", "cookie"),
}
_IGNORED = ("accept", "content-type", "authorization")
"Header parameters that the standard says are ignored (OpenAPI 3.1, sec. 4.8.12.1)."


class OpenApi3:
    """Reads the parts of an OpenAPI 3 document."""

    links = "links"

    def __init__(self, reading: Reading, dialect: str) -> None:
        self._reading, self._ledger = reading, reading.ledger
        self.methods: tuple[str, ...] = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
        if dialect == "openapi-3.2":
            self.methods += ("query",)

    def inputs(self, operation: Node, declared: list[Declared]) -> Inputs:
        """Parameters and bodies; a body or form among the parameters, as Swagger 2.0 has it, is repaired."""
        parameters: list[Parameter] = []
        fields: list[Declared] = []
        bodies, body_required = self._body(operation)
        for each in declared:
            if each.location == "querystring":
                parameters += self._query_string(each.node)
            elif each.location == "formData":
                fields.append(each)
            elif each.location == "body":
                self._ledger.note(each.node.where, "a parameter in: body", "the request body")
                bodies = {**bodies, JSON: Media(schema=self._schema(each.node), examples=self._examples(each.node))}
                body_required = body_required or each.required
            elif each.location != "header" or each.name.lower() not in _IGNORED:
                parameters.append(self._parameter(each))
        if fields:
            self._ledger.note(operation.where, "parameters in: formData", "the fields of a form")
            bodies = {**bodies, URLENCODED: self._form(fields)}
        return Inputs(parameters, bodies, body_required)

    def content(self, operation: Node, answer: Node) -> Mapping[str, Schema | None]:
        """Schemas by media type; None where a media type has none."""
        found: dict[str, Schema | None] = {}
        for name, node in self._reading.members(answer, "content"):
            held = isinstance(node.value, dict) and "schema" in node.value
            found[name.strip()] = self._reading.schema(node, "schema") if held else None
        if "schema" in answer.value and not found:
            self._ledger.note(answer.where, "a schema without a media type", "of any media type")
            found["*/*"] = self._reading.schema(answer, "schema")
        return found

    def header(self, node: Node) -> Header:
        """A header with its schema, or the one of its document."""
        return Header(schema=self._schema(node), required=self._reading.flag(node, "required"))

    def security(self) -> dict[str, SecurityScheme]:
        """Schemes by name."""
        found, word = {}, self._reading.word
        for name, node in self._reading.members(self._components(), "securitySchemes"):
            found[name] = SecurityScheme(
                kind=word(node, "type"),
                name=word(node, "name"),
                location=word(node, "in"),
                scheme=word(node, "scheme").lower(),
            )
        return found

    def places(self, url: str) -> tuple[str, tuple[str, ...]]:
        """The base path of the first server, and all servers that have a host; `url` is where the document was read."""
        servers = [self._server(node) for node in self._reading.listed(self._reading.library.root, "servers")]
        is_http = urlsplit(url).scheme in ("http", "https")
        whole = [urljoin(url, server) for server in servers or ["/"]] if is_http else servers
        first = urlsplit(whole[0]).path.rstrip("/") if whole else ""
        hosts = dict.fromkeys(each.rstrip("/") for each in whole if urlsplit(each).netloc)
        return first if first.startswith("/") or not first else f"/{first}", tuple(hosts)

    def _components(self) -> Node:
        root = self._reading.library.root
        return root.child("components") if isinstance(root.value.get("components"), dict) else Node({})

    def _server(self, node: Node) -> str:
        """A server's URL with the defaults of its variables."""
        values = {name: self._reading.word(each, "default") for name, each in self._reading.members(node, "variables")}

        def filled(match: re.Match[str]) -> str:
            if match[1] not in values:
                self._ledger.note(node.where, f"no variable for {match[0]} in the URL of a server", "an empty text")
            return values.get(match[1], "")

        return re.sub(r"\{([^{}]*)\}", filled, self._reading.word(node, "url").strip())

    def _parameter(self, declared: Declared) -> Parameter:
        node, place = declared.node, declared.place
        style, explode = self._style(node, place)
        media_type, _ = self._document(node)
        return Parameter(
            name=declared.name,
            location=place,
            schema=self._schema(node),
            required=declared.required,
            style=style,
            explode=explode,
            reserved=self._reading.flag(node, "allowReserved"),
            media_type=media_type,
            examples=self._examples(node),
        )

    def _style(self, node: Node, location: str) -> tuple[str, bool]:
        known = _STYLES[location]
        style = node.value.get("style", known[0])
        if style not in known:
            self._ledger.note(node.child("style").where, f"style {shown(style)} in: {location}", known[0])
            style = known[0]
        explode = self._reading.flag(node, "explode") if "explode" in node.value else style in ("form", "cookie")
        return style, explode

    def _document(self, node: Node) -> tuple[str, Node]:
        """The media type that a value is written in and what stands under it; "" and the node itself for none."""
        for name, held in self._reading.members(node, "content"):
            if isinstance(held.value, dict):
                return name.strip(), held
        return "", node

    def _schema(self, node: Node) -> Schema:
        """The schema of a parameter or header: its own, its document's, or its keywords as in Swagger 2.0."""
        media_type, held = self._document(node)
        if media_type and "schema" not in held.value:
            return True
        if isinstance(held.value, dict) and "schema" not in held.value and "type" in held.value:
            self._ledger.note(node.where, "a type and no schema", "the schema of that type")
            kept = {key: value for key, value in held.value.items() if key != "required"}
            return self._reading.schemas.read(Node(kept, node.place, node.pointer))
        return self._reading.schema(held, "schema")

    def _examples(self, node: Node) -> tuple[Any, ...]:
        return self._reading.examples(node) or self._reading.examples(self._document(node)[1])

    def _body(self, operation: Node) -> tuple[dict[str, Media], bool]:
        if "requestBody" not in operation.value:
            return {}, False
        node = self._reading.library.resolved(operation.child("requestBody"))
        found = {sendable(name): self._media(held) for name, held in self._reading.members(node, "content")}
        if not found:
            self._ledger.note(node.where, "a request body without content", f"any value as {JSON}")
            found = {JSON: Media(schema=True)}
        return found, self._reading.flag(node, "required")

    def _media(self, node: Node) -> Media:
        if not isinstance(node.value, dict) or "schema" not in node.value:
            if isinstance(node.value, dict) and "itemSchema" in node.value:  # OpenAPI 3.2: one document after the other
                return Media(schema={"type": "array", "items": self._reading.schema(node, "itemSchema")})
            return Media(schema=True, examples=self._reading.examples(node) if isinstance(node.value, dict) else ())
        encoding = {name: each.value for name, each in self._reading.members(node, "encoding")}
        return Media(
            schema=self._reading.schema(node, "schema"),
            examples=self._reading.examples(node),
            encoding={name: each for name, each in encoding.items() if isinstance(each, dict)},
        )

    def _form(self, fields: list[Declared]) -> Media:
        properties = {field.name: self._schema(field.node) for field in fields}
        required = [field.name for field in fields if field.required]
        return Media(schema={"type": "object", "properties": properties, "required": required})

    def _query_string(self, node: Node) -> list[Parameter]:
        """The query as one document (OpenAPI 3.2): the properties of a form are so many query parameters."""
        media_type, held = self._document(node)
        resolved = self._reading.library.resolved(held.child("schema")) if "schema" in held.value else Node(None)
        if media_type != URLENCODED or not isinstance(resolved.value, dict) or "properties" not in resolved.value:
            self._ledger.note(node.where, f"the whole query as {media_type or 'no document'}", "left out")
            return []
        required = self._reading.words(resolved, "required")
        return [
            Parameter(
                name=name,
                location="query",
                schema=self._reading.schemas.read(each),
                required=name in required,
                style="form",
                explode=True,
            )
            for name, each in self._reading.members(resolved, "properties")
        ]
