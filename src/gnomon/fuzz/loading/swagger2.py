"""Swagger 2.0: parameters hold their schema's keywords themselves, media types stand apart from schemas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gnomon.fuzz.base import Header, Media, Parameter, Schema, SecurityScheme
from gnomon.fuzz.loading.keywords import CLEANED, LISTS, MAPS, SINGLE
from gnomon.fuzz.loading.operations import JSON, MULTIPART, URLENCODED, Declared, Inputs, sendable
from gnomon.fuzz.loading.reading import Reading
from gnomon.fuzz.loading.references import Node
from gnomon.fuzz.loading.repairs import shown

__all__ = ["Swagger2"]

_SCHEMA = {*CLEANED, *SINGLE, *LISTS, *MAPS, "type", "exclusiveMinimum", "exclusiveMaximum", "nullable", "x-nullable"}
_SCHEMA = (_SCHEMA | {"$ref", "example", "x-example"}) - {"required"}
_STYLES = {"ssv": "spaceDelimited", "pipes": "pipeDelimited", "tsv": "tabDelimited"}


_FILE = {"type": "string", "format": "binary"}


class Swagger2:
    """Reads the parts of a Swagger 2.0 document."""

    methods = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
    links = "x-links"

    def __init__(self, reading: Reading) -> None:
        self._reading, self._ledger = reading, reading.ledger

    def inputs(self, operation: Node, declared: list[Declared]) -> Inputs:
        """Parameters, and the body: one schema, or the fields of a form."""
        parameters: list[Parameter] = []
        fields: list[Declared] = []
        body: Declared | None = None
        for each in declared:
            if each.location == "body":
                body = each
            elif each.location == "formData":
                fields.append(each)
            else:
                parameters.append(self._parameter(each))
        consumes = self._media_types(operation, "consumes")
        if body is not None:
            if fields:
                self._ledger.note(operation.where, "both a body and a form", "the body")
            return Inputs(parameters, self._body(body, consumes), body.required)
        if fields:
            return Inputs(parameters, self._form(fields, consumes), any(field.required for field in fields))
        return Inputs(parameters, {}, False)

    def content(self, operation: Node, answer: Node) -> Mapping[str, Schema | None]:
        """The schema under each media type that is produced; under any where none is said."""
        produces = self._media_types(operation, "produces")
        said = answer.value.get("schema")
        if said is None:
            return dict.fromkeys(produces)
        # A file is a type of its own here.
        is_file = isinstance(said, dict) and said.get("type") == "file"
        schema: Schema = dict(_FILE) if is_file else self._reading.schema(answer, "schema")
        return dict.fromkeys(produces or ["*/*"], schema)

    def header(self, node: Node) -> Header:
        """A header; this dialect never requires one."""
        return Header(schema=self._inline(node))

    def security(self) -> dict[str, SecurityScheme]:
        """Schemes by name; `basic` is what later dialects call http."""
        found = {}
        for name, node in self._reading.members(self._reading.library.root, "securityDefinitions"):
            kind, word = self._reading.word(node, "type"), self._reading.word
            scheme = "basic" if kind == "basic" else ""
            found[name] = SecurityScheme(
                kind="http" if kind == "basic" else kind,
                name=word(node, "name"),
                location=word(node, "in"),
                scheme=scheme,
            )
        return found

    def places(self, url: str) -> tuple[str, tuple[str, ...]]:
        """The base path, and base URLs with it; `url` is where the document was read."""
        root = self._reading.library.root
        base = self._reading.word(root, "basePath").strip().strip("/")
        base = f"/{base}" if base else ""
        host = self._reading.word(root, "host").strip("/")
        schemes = self._reading.words(root, "schemes") or [url.partition("://")[0] if "://" in url else "http"]
        if not host and "://" in url:
            host = url.split("/")[2]
        return base, tuple(f"{scheme}://{host}{base}" for scheme in schemes) if host else ()

    def _media_types(self, operation: Node, key: str) -> list[str]:
        holder = operation if key in operation.value else self._reading.library.root
        return list(dict.fromkeys(word.strip() for word in self._reading.words(holder, key)))

    def _parameter(self, declared: Declared) -> Parameter:
        node, place = declared.node, declared.place
        style, explode = self._style(node, place)
        return Parameter(
            name=declared.name,
            location=place,
            schema=self._inline(node),
            required=declared.required,
            style=style,
            explode=explode,
            examples=self._reading.examples(node),
        )

    def _style(self, node: Node, location: str) -> tuple[str, bool]:
        """What later dialects call a `collectionFormat`; csv is the default."""
        said = node.value.get("collectionFormat", "csv")
        plain = "simple" if location in ("path", "header") else "form"
        if said == "multi" and plain == "form":
            return plain, True
        if said in _STYLES:
            return _STYLES[said], False
        if said != "csv":
            self._ledger.note(node.child("collectionFormat").where, f"collectionFormat {shown(said)}", "csv")
        return plain, False

    def _inline(self, node: Node) -> Schema:
        """The schema that a parameter or header is itself, or holds as later dialects do."""
        if isinstance(node.value, dict) and "schema" in node.value:
            self._ledger.note(node.where, "a schema in a parameter", "the schema of its values")
            return self._reading.schema(node, "schema")
        if not isinstance(node.value, dict):
            return self._reading.schemas.read(node)
        held = {key: value for key, value in node.value.items() if key in _SCHEMA}
        if not {"type", "$ref", "enum", *LISTS} & set(held):
            self._ledger.note(node.where, "no type", "any value")
        return self._reading.schemas.read(Node(held, node.place, node.pointer))

    def _body(self, body: Declared, consumes: list[str]) -> dict[str, Media]:
        node = body.node
        if "schema" not in node.value and "type" in node.value:
            self._ledger.note(node.where, "a body with a type and no schema", "the schema of that type")
            schema = self._inline(node)
        else:
            schema = self._reading.schema(node, "schema")
        media = Media(schema=schema, examples=self._reading.examples(node))
        return dict.fromkeys(map(sendable, consumes or [JSON]), media)

    def _form(self, fields: list[Declared], consumes: list[str]) -> dict[str, Media]:
        files = any(str(field.node.value.get("type")).lower() == "file" for field in fields)
        kinds = [each for each in consumes if each.split(";")[0].strip().lower() in (URLENCODED, MULTIPART)]
        if files:
            kinds = [MULTIPART]
        encoding: dict[str, Mapping[str, Any]] = {}
        for field in fields:
            if "collectionFormat" in field.node.value or field.node.value.get("type") == "array":
                style, explode = self._style(field.node, "formData")
                encoding[field.name] = {"style": style, "explode": explode}
        schema: dict[str, Any] = {
            "type": "object",
            "properties": {field.name: self._field(field) for field in fields},
        }
        required = [field.name for field in fields if field.required]
        if required:
            schema["required"] = required
        return dict.fromkeys(kinds or [URLENCODED], Media(schema=schema, encoding=encoding))

    def _field(self, field: Declared) -> Schema:
        node = field.node
        if node.value.get("type") == "file":  # no mistake in a form of this dialect
            node = Node({**node.value, **_FILE}, node.place, node.pointer)
        return self._inline(node)
