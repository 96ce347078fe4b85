"""From paths to operations: what every dialect has alike.

A path item's parameters join those of its operations, names in a path template and path parameters are made to agree,
and a link to an operation finds it whichever comes first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

from gnomon.fuzz.base import NOTHING, Answer, Header, Link, Location, Media, Operation, Parameter, Schema
from gnomon.fuzz.loading.reading import Reading
from gnomon.fuzz.loading.references import Node
from gnomon.fuzz.loading.repairs import shown

__all__ = ["JSON", "MULTIPART", "URLENCODED", "Declared", "Dialect", "Inputs", "operations", "sendable"]

JSON, URLENCODED, MULTIPART = "application/json", "application/x-www-form-urlencoded", "multipart/form-data"

_PLACE = re.compile(r"\{([^{}]*)\}")
_LOCATIONS = ("path", "query", "header", "cookie", "body", "formData", "querystring")
_PLACES: dict[str, Location] = {"path": "path", "header": "header", "cookie": "cookie"}
_RANGES = dict.fromkeys(("*", "*/*", "application/*", "application/*+json"), JSON)
_RANGES |= {"text/*": "text/plain", "image/*": "image/png", "multipart/*": MULTIPART}
_STATUS = re.compile(r"[1-5]([0-9]{2}|XX)", re.IGNORECASE)


class Declared(NamedTuple):
    """A parameter as the document declares it: its node and name, where it stands, and whether it must be there."""

    node: Node
    name: str
    location: str
    required: bool

    @property
    def place(self) -> Location:
        """Where a value outside the body stands."""
        return _PLACES.get(self.location, "query")


class Inputs(NamedTuple):
    """What an operation takes."""

    parameters: list[Parameter]
    bodies: Mapping[str, Media]
    body_required: bool


class Dialect(Protocol):
    """How one dialect writes what an operation takes and answers."""

    @property
    def methods(self) -> tuple[str, ...]:
        """Keys of a path item that are methods."""
        ...

    @property
    def links(self) -> str:
        """Where an answer keeps its links."""
        ...

    def inputs(self, operation: Node, declared: list[Declared]) -> Inputs:
        """Parameters and bodies."""
        ...

    def content(self, operation: Node, answer: Node) -> Mapping[str, Schema | None]:
        """Bodies of an answer by media type."""
        ...

    def header(self, node: Node) -> Header:
        """A header that an answer promises."""
        ...


def sendable(media_type: str) -> str:
    """A media type to send where the document has a range of them.

    >>> sendable("*/*"), sendable("text/csv")
    ('application/json', 'text/csv')
    """
    plain = media_type.strip()
    return _RANGES.get(plain, plain.replace("*", "octet-stream"))


class _Place(NamedTuple):
    """An operation before it is read: where it stands, its template, and the parameters of its path item."""

    node: Node
    method: str
    path: str
    item: Node

    @property
    def key(self) -> str:
        return f"{self.method} {self.path}"


def operations(reading: Reading, dialect: Dialect) -> tuple[Operation, ...]:
    """Every operation of the document, in its order."""
    root = reading.library.root
    if not isinstance(root.value.get("paths"), dict):
        found = "no paths" if root.value.get("paths") is None else f"{shown(root.value['paths'])} for paths"
        reading.ledger.note("/paths", found, "no operations")
        return ()
    places = list(_places(reading, dialect))
    by_name = {reading.word(place.node, "operationId"): place.key for place in places}
    by_pointer = {place.node.pointer: place.key for place in places}
    reader = _Reader(reading, dialect, by_name, by_pointer)
    return tuple(reader.operation(place) for place in places)


def _places(reading: Reading, dialect: Dialect) -> Iterator[_Place]:
    for template, item in reading.members(reading.library.root, "paths"):
        if template.startswith("x-"):
            continue
        if not isinstance(item.value, dict):
            reading.ledger.note(item.where, f"{shown(item.value)} for a path item", "no methods")
            continue
        path = _template(reading, template, item)
        for key in item.value:
            if key.lower() in dialect.methods:
                if key != key.lower():
                    reading.ledger.note(item.child(key).where, f"the method {shown(key)}", key.lower())
                yield _Place(reading.library.resolved(item.child(key)), key.upper(), path, item)
        for key, node in reading.members(item, "additionalOperations"):
            yield _Place(node, key, path, item)


def _template(reading: Reading, template: str, item: Node) -> str:
    """With places as OpenAPI writes them: `:id`, `<int:id>` and `{id:path}` are those of frameworks."""
    path = re.sub(r"\{([^{}:]+):[^{}]*\}", r"{\1}", template)
    path = re.sub(r"<(?:[^<>:]*:)?([^<>:]+)>", r"{\1}", path)
    holders = [item, *map(item.child, item.value)]
    names = {reading.word(each, "name") for holder in holders for each in reading.listed(holder, "parameters")}
    path = re.sub(r"(?<=/):([A-Za-z_]\w*)", lambda m: f"{{{m[1]}}}" if m[1] in names else m[0], path)
    path = path if path.startswith("/") else f"/{path}"
    if path != template:
        reading.ledger.note(item.where, f"the path {shown(template)}", path)
    return path


class _Reader:
    """Reads operations one by one."""

    def __init__(
        self, reading: Reading, dialect: Dialect, by_name: Mapping[str, str], by_pointer: Mapping[str, str]
    ) -> None:
        self._reading, self._dialect, self._ledger = reading, dialect, reading.ledger
        self._by_name, self._by_pointer = by_name, by_pointer

    def operation(self, place: _Place) -> Operation:
        reading, node = self._reading, place.node
        if not isinstance(node.value, dict):
            self._ledger.note(node.where, f"{shown(node.value)} for an operation", "one that says nothing")
            node = Node({}, node.place, node.pointer)
        own = self._declared(node, place.path)
        shared = {key: each for key, each in self._declared(place.item, place.path).items() if key not in own}
        if any(key[0] == "body" for key in own):
            shared = {key: each for key, each in shared.items() if key[0] != "body"}
        inputs = self._dialect.inputs(node, [*shared.values(), *own.values()])
        return Operation(
            method=place.method,
            path=place.path,
            parameters=self._agreeing(inputs.parameters, place, node),
            bodies=inputs.bodies,
            body_required=inputs.body_required,
            answers=self._answers(node),
            security=self._security(node),
            name=reading.word(node, "operationId"),
            tags=tuple(reading.words(node, "tags")),
        )

    def _declared(self, node: Node, path: str) -> dict[tuple[str, str], Declared]:
        found: dict[tuple[str, str], Declared] = {}
        for each in self._reading.listed(node, "parameters"):
            name = self._reading.word(each, "name")
            if not isinstance(each.value, dict) or (not name and each.value.get("in") not in ("body", "querystring")):
                self._ledger.note(each.where, "a parameter without a name", "left out")
                continue
            location = self._location(each, name, path)
            if location == "path" and name.startswith("{") and name.endswith("}"):
                self._ledger.note(each.where, f"the name {shown(name)}", name[1:-1])
                name = name[1:-1]
            if (location, name) in found:
                self._ledger.note(each.where, f"a second {location} parameter {shown(name)}", "instead of the first")
            required = self._reading.flag(each, "required")
            if location == "path" and not required:
                self._ledger.note(each.where, f"a path parameter {shown(name)} that is not required", "required")
            found[location, name] = Declared(each, name, location, required or location == "path")
        return found

    def _location(self, node: Node, name: str, path: str) -> str:
        said = node.value.get("in")
        if said in _LOCATIONS:
            return str(said)
        low = {"form": "formData", "formdata": "formData"}.get(str(said).lower(), str(said).lower())
        meant = low if low in _LOCATIONS else "path" if name in _PLACE.findall(path) else "query"
        self._ledger.note(node.where, f"in: {shown(said)}" if "in" in node.value else "no in", f"in: {meant}")
        return meant

    def _agreeing(self, parameters: list[Parameter], place: _Place, node: Node) -> tuple[Parameter, ...]:
        """Exactly one path parameter for each name in the template."""
        names = list(dict.fromkeys(_PLACE.findall(place.path)))
        found = []
        for parameter in parameters:
            if parameter.location == "path" and parameter.name not in names:
                what = f"the path parameter {shown(parameter.name)}, which {place.path} does not have"
                self._ledger.note(node.where, what, "left out")
            else:
                found.append(parameter)
        known = {parameter.name for parameter in found if parameter.location == "path"}
        for name in names:
            if name not in known:
                self._ledger.note(node.where, f"no parameter for {{{name}}} in the path", "text, required")
                schema = {"type": "string", "minLength": 1}
                found.append(Parameter(name=name, location="path", schema=schema, required=True))
        return tuple(found)

    def _answers(self, node: Node) -> dict[str, Answer]:
        if not node.value.get("responses"):
            self._ledger.note(node.where, "no responses", "nothing is promised")
        found = {}
        for status, each in self._reading.members(node, "responses"):
            if status.startswith("x-"):
                continue
            meant = status.strip()
            if not _STATUS.fullmatch(meant) and meant != "default":
                self._ledger.note(each.where, f"the status {shown(status)}", "left out")
                continue
            found[meant] = self._answer(node, each)
        return found

    def _answer(self, operation: Node, node: Node) -> Answer:
        if not isinstance(node.value, dict):
            if node.value is not None:
                self._ledger.note(node.where, f"{shown(node.value)} for a response", "nothing is promised")
            return Answer()
        headers = {name: self._dialect.header(each) for name, each in self._reading.members(node, "headers")}
        links = {name: self._link(each) for name, each in self._reading.members(node, self._dialect.links)}
        return Answer(
            content=self._dialect.content(operation, node),
            headers=headers,
            links={name: link for name, link in links.items() if link},
        )

    def _link(self, node: Node) -> Link | None:
        reading = self._reading
        name, reference = reading.word(node, "operationId"), reading.word(node, "operationRef")
        key = self._by_name.get(name) if name else None
        if key is None and reference:
            target = reading.library.target(node, reference)
            key = self._by_pointer.get(target.pointer) if target else None
        if key is None:
            self._ledger.note(node.where, f"a link to {shown(name or reference)}, which is no operation", "left out")
            return None
        parameters = node.value.get("parameters")
        body = node.value.get("requestBody", NOTHING)
        return Link(operation=key, parameters=dict(parameters) if isinstance(parameters, dict) else {}, body=body)

    def _security(self, node: Node) -> tuple[frozenset[str], ...]:
        """Alternatives of the operation, or else of the document."""
        holder = node if "security" in node.value else self._reading.library.root
        found = []
        for each in self._reading.listed(holder, "security"):
            if isinstance(each.value, dict):
                found.append(frozenset(each.value))
            else:
                self._ledger.note(each.where, f"{shown(each.value)} for names of security schemes", "left out")
        return tuple(found)
