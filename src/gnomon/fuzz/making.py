"""Cases within the schema: values from pools, from what the server answered, and from what it has taken before."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from gnomon.fuzz.base import NOTHING, Api, Case, Exchange, Location, Operation, Parameter, Schema
from gnomon.fuzz.directions import unsent
from gnomon.fuzz.loading import closed
from gnomon.fuzz.pointers import escaped
from gnomon.fuzz.state.memory import Memory
from gnomon.fuzz.state.names import is_identifier, is_key, subject_of
from gnomon.fuzz.values import Compiled, Draws, assemble, compile

__all__ = ["Maker", "Part"]

_KEPT = 16
# Shares of where a path's values come from; the rest is made (section "state" of the docs page says why these).
_LIVE, _GONE = 0.7, 0.08
_KNOWN_NAME = 0.4
_MADE_ANYWAY = 0.15
_SENDABLE = {"type": "string", "pattern": r"^[!-~]([ -~]*[!-~])?$"}


@dataclass(frozen=True)
class Part:
    """One value of a request: where it stands, its schema, and whether it must be there."""

    location: Location
    name: str
    schema: Schema
    required: bool

    def at(self, pointer: str) -> str:
        """A pointer from the location on: parameters by name, bodies by themselves."""
        return pointer if self.location == "body" else f"/{escaped(self.name)}{pointer}"


class Maker:
    """Makes cases of one API.

    Args:
        api: on its request side.
        memory: what the server has answered.
        canonical: whether values are built by the canonical forms of schemas.
    """

    def __init__(self, api: Api, memory: Memory, *, canonical: bool = True) -> None:
        self._api, self._memory, self._canonical = api, memory, canonical
        self._compiled: dict[tuple[str, str, str, bool], Compiled] = {}
        self._parts: dict[Operation, tuple[Part, ...]] = {}
        self._accepted: dict[str, deque[Case]] = defaultdict(lambda: deque(maxlen=_KEPT))

    def parts(self, operation: Operation) -> tuple[Part, ...]:
        """The values that requests of an operation have, its body last, once a media type."""
        found = self._parts.get(operation)
        if found is None:
            of = [Part(p.location, p.name, _written_schema(p), p.required) for p in operation.parameters]
            of += [Part("body", kind, m.schema, operation.body_required) for kind, m in operation.bodies.items()]
            found = self._parts[operation] = tuple(of)
        return found

    def schema(self, part: Part) -> Schema:
        """The schema of a part with the definitions that it needs."""
        return closed(part.schema, self._api.definitions)

    def compiled(self, operation: Operation, part: Part, *, sent: bool = True) -> Compiled:
        """A part's schema compiled; `sent` leaves members out that only answers have."""
        key = (operation.key, part.location, part.name, sent)
        found = self._compiled.get(key)
        if found is None:
            whole = self.schema(part)
            found = self._compiled[key] = compile(
                unsent(whole) if sent and part.location == "body" else whole, canonical=self._canonical
            )
        return found

    def learn(self, exchange: Exchange) -> None:
        """Keeps a case that the server took."""
        root, reply = exchange.case.operation.root, exchange.reply
        taken = root.took(reply.body) if root else 200 <= reply.status < 300
        if exchange.case.mode == "valid" and taken:
            self._accepted[exchange.case.operation.key].append(exchange.case)

    def valid(self, operation: Operation, rng: Draws, *, path: Mapping[str, Any] | None = None) -> Case:
        """A case within the schema; path parameters that are given stand, the others are live where something lives."""
        given = dict(path or {}) or self._path(operation, rng)
        share = rng.choice((0.0, 0.3, 0.7)) if rng.swarm else 0.5
        parameters: dict[tuple[Location, str], Any] = {}
        for part in self.parts(operation):
            if part.location == "body":
                continue
            if part.location == "path" and part.name in given:
                parameters[("path", part.name)] = given[part.name]
            elif part.required or rng.random() < share:
                value = self.value(operation, part, rng)
                if value is not NOTHING:
                    parameters[(part.location, part.name)] = value
        body, kind = self._body(operation, rng)
        case = Case(operation=operation, parameters=parameters, body=body, media_type=kind, technique="pool")
        return operation.root.asked(case, given, rng) if operation.root else case

    def base(self, operation: Operation, rng: Draws) -> Case:
        """A valid case to change one thing of: one that was accepted, at a thing that lives, or else a new one."""
        there = self._accepted.get(operation.key)
        if not there or rng.random() < 0.2:
            return self.valid(operation, rng)
        case = rng.choice(there)
        live = self._memory.thing_for(operation.path, rng) if "{" in operation.path else None
        path: dict[tuple[Location, str], Any] = {("path", n): v for n, v in (live.params if live else {}).items()}
        case = replace(case, parameters={**case.parameters, **path}, body=self._among_others(case, rng))
        return self.renamed(case, rng) if operation.method == "POST" else case

    def renamed(self, case: Case, rng: Draws, *, besides: str | None = None) -> Case:
        """The case with other texts and identifying numbers in its body, where its schema allows: a server may have the
        first ones already. Of a body that breaks its schema nothing else is broken.

        Args:
            besides: JSON pointer of what stays as it is.
        """
        part = next((each for each in self.parts(case.operation) if each.name == case.media_type), None)
        if part is None or not isinstance(case.body, dict):
            return case
        compiled, body = self.compiled(case.operation, part, sent=False), case.body
        wrong, others = compiled.read.wrong(body), list[Mapping[str, Any]]()
        for name, value in body.items():
            kept = (besides or "-").startswith(f"/{escaped(name)}") or self._refers(case.operation, name)
            tagged = () if kept else _tagged(name, value, rng)
            if tagged:
                tried = chain(tagged, self._others(compiled, name, rng, others))
                bodies = ({**body, name: each} for each in tried)
                body = next((each for each in bodies if compiled.read.wrong(each) == wrong), body)
        return replace(case, body=body)

    def _refers(self, operation: Operation, name: str) -> bool:
        """Whether a member is the key of a kind of thing that the operation does not make; another text names none."""
        kinds = [each for each in self._memory.resources.values() if each.name == self._memory.refers(name)]
        return bool(kinds) and not any(operation in each.creates for each in kinds)

    def _others(self, compiled: Compiled, name: str, rng: Draws, others: list[Mapping[str, Any]]) -> Iterator[Any]:
        """Other values of a member, from five other bodies at most, which are made when they are first wanted."""
        for i in range(5):
            if i == len(others):
                made = assemble(compiled, rng)
                others.append(made.value if made and isinstance(made.value, dict) else {})
            if name in others[i]:
                yield others[i][name]

    def put(self, case: Case, part: Part, value: Any, **more: Any) -> Case:
        """The case with another value of one part."""
        if part.location == "body":
            return replace(case, body=value, media_type=part.name, **more)
        return replace(case, parameters={**case.parameters, (part.location, part.name): value}, **more)

    def is_valid(self, case: Case) -> bool:
        """Whether every value of a case is within its schema, and what is required is there."""
        for part in self.parts(case.operation):
            if part.location == "body":
                if part.name != case.media_type:
                    continue
                value = case.body
            else:
                value = case.parameters.get((part.location, part.name), NOTHING)
            if value is NOTHING and part.required:
                return False
            if value is not NOTHING and not self.compiled(case.operation, part, sent=False).is_valid(value):
                return False
        return True

    def examples(self, operation: Operation, rng: Draws) -> Iterator[Case]:
        """Cases of the document's own examples; other values are drawn."""
        shown = {("body", kind): list(media.examples) for kind, media in operation.bodies.items()}
        shown |= {(p.location, p.name): list(p.examples) for p in operation.parameters}
        most = max((len(each) for each in shown.values()), default=0)
        for i in range(min(most, 10)):
            case, whole = self.valid(operation, rng), True
            for part in self.parts(operation):
                there = shown.get((part.location, part.name), [])
                if there and (part.location != "body" or case.media_type in ("", part.name)):
                    case = self.put(case, part, there[i % len(there)])
                whole = whole and (bool(there) or not part.required)
            yield replace(case, technique="example" if whole and self.is_valid(case) else "pool")

    def _path(self, operation: Operation, rng: Draws) -> dict[str, Any]:
        """Path parameters of a thing that lives, or lived; empty where values are to be made."""
        drawn = rng.random()
        if "{" not in operation.path or drawn > _LIVE + _GONE:
            return {}
        thing = self._memory.thing_for(operation.path, rng, gone=drawn > _LIVE)
        found = dict(thing.params) if thing else {}
        for part in self.parts(operation):
            # `/users/{id}` makes what `/users/{user_id}/orders` names.
            if part.location == "path" and part.name not in found and self._memory.refers(part.name):
                known = self._memory.identifier(part.name, rng)
                found |= {} if known is None else {part.name: known}
        return found

    def value(self, operation: Operation, part: Part, rng: Draws) -> Any:
        """A valid value of a part; `NOTHING` where there is none."""
        compiled = self.compiled(operation, part)
        if part.location != "path" and rng.random() < _KNOWN_NAME:
            known = self._known(part.name, rng)
            for each in (known, _as_number(known)):
                if each is not None and compiled.is_valid(each):
                    return each
        made = assemble(compiled, rng)
        return made.value if made else NOTHING

    def _known(self, name: str, rng: Draws, about: str = "") -> Any:
        """A value that the server has answered under this name, or the key of what the name speaks of."""
        names = is_identifier(name) or self._memory.refers(name)
        found = self._memory.identifier(name, rng, about=about) if names else None
        return found if found is not None else self._memory.value(name, rng)

    def _body(self, operation: Operation, rng: Draws) -> tuple[Any, str]:
        kinds = [part for part in self.parts(operation) if part.location == "body"]
        if not kinds or (not operation.body_required and rng.random() < 0.1):
            return NOTHING, ""
        part = (
            next((each for each in kinds if "json" in each.name), kinds[0]) if rng.random() < 0.8 else rng.choice(kinds)
        )
        made = assemble(self.compiled(operation, part), rng)
        if made is None:
            return NOTHING, ""
        referring = self.referring(made.value, rng, operation)
        return (referring if self.compiled(operation, part).is_valid(referring) else made.value), part.name

    def _among_others(self, case: Case, rng: Draws) -> Any:
        """The body of a case with identifiers of what lives, where its schema allows."""
        part = next((each for each in self.parts(case.operation) if each.name == case.media_type), None)
        referring = self.referring(case.body, rng, case.operation)
        fits = part is None or self.compiled(case.operation, part, sent=False).is_valid(referring)
        return referring if fits else case.body

    def referring(
        self,
        value: Any,
        rng: Draws,
        operation: Operation,
        *,
        besides: str | None = None,
        at: str = "",
        name: str = "",
    ) -> Any:
        """A value whose identifiers are of things that live, where the server has answered such.

        Args:
            besides: JSON pointer of what stays as it is, with all that holds it.
            at, name: where the value stands, and the member that it is.
        """
        if isinstance(value, dict):
            return {
                key: self.referring(each, rng, operation, besides=besides, at=f"{at}/{key}", name=key)
                for key, each in value.items()
            }
        if isinstance(value, list):
            return [
                self.referring(each, rng, operation, besides=besides, at=f"{at}/{i}", name=name)
                for i, each in enumerate(value)
            ]
        # What a bare `name` identifies in GraphQL is as often new as known.
        own = 1 - _KNOWN_NAME if operation.root and not subject_of(name) and not is_key(name) else _MADE_ANYWAY
        if at == besides or not (is_identifier(name) or self._memory.refers(name)) or rng.random() < own:
            return value
        known = self._known(name, rng, operation.root.subject if operation.root else "")
        if type(value) is int and not operation.root:
            # What a URL named is text; in GraphQL text will do.
            known = _as_number(known)
        alike = type(known) is type(value) or (operation.root and type(value) is int and type(known) is str)
        return known if alike else value


def _tagged(name: str, value: Any, rng: Draws) -> tuple[Any, ...]:
    """Texts like a text, or a number like one that identifies, which hardly anybody has; none for other values."""
    if isinstance(value, str):
        tag = f"{rng.randrange(36**6):x}"
        if not value:
            # An empty text too is often taken only once.
            return (tag,)
        return f"{value[: max(1, len(value) - len(tag))]}{tag}", f"{tag}{value[len(tag) :]}", f"{tag}{value}"
    return (rng.randrange(1, 10**6),) if type(value) is int and is_identifier(name) else ()


def _as_number(known: Any) -> Any:
    """An identifier that was read out of a URL as the number that it may be in a document."""
    return int(known) if isinstance(known, str) and known.isdecimal() and len(known) < 20 else known


def _written_schema(parameter: Parameter) -> Schema:
    """A parameter's schema and what its place asks for besides: a path segment is not empty, a header can be sent."""
    schema = parameter.schema
    if parameter.location == "path":
        return {"allOf": [schema, {"minLength": 1}]}
    free = (
        isinstance(schema, Mapping)
        and schema.get("type") == "string"
        and not ({"pattern", "format", "enum"} & schema.keys())
    )
    if parameter.location in ("header", "cookie") and free:
        return {"allOf": [schema, _SENDABLE]}
    return schema
