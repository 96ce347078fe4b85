"""A root field: what the rest of the fuzzer asks of an operation that is no path."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

from graphql import (
    GraphQLError,
    GraphQLField,
    GraphQLSchema,
    OperationDefinitionNode,
    get_named_type,
    get_variable_values,
    parse,
    validate,
)

from gnomon.fuzz.base import NOTHING, Case, Request
from gnomon.fuzz.checks.fingerprint import masked
from gnomon.fuzz.graphql.inputs import Inputs
from gnomon.fuzz.graphql.plays import plays
from gnomon.fuzz.graphql.reading import Answered, Found, answered, mismatches, objects
from gnomon.fuzz.graphql.selections import Selections, is_error
from gnomon.fuzz.graphql.writing import query_of
from gnomon.fuzz.state.names import is_identifier, is_key, subject_of, words
from gnomon.fuzz.values import Draws
from gnomon.fuzz.writing import Unsendable

__all__ = ["Graph", "RootField"]

_HEADERS = (("content-type", "application/json"), ("accept", "application/json"))


class Graph:
    """One schema, and what is made from it once.

    Attributes:
        schema: as graphql-core has it.
        inputs, selections: arguments and selections of it.
    """

    def __init__(self, schema: GraphQLSchema) -> None:
        self.schema = schema
        self.inputs = Inputs(schema)
        self.selections = Selections(schema, self.inputs)


@dataclass(frozen=True, eq=False)
class RootField:
    """A field of Query or Mutation.

    Attributes:
        graph: whose.
        kind: query or mutation.
        name: as the schema has it.
        subject: what a bare `id` among its arguments identifies: `customer`; "" where nothing says so.
    """

    graph: Graph
    kind: str
    name: str
    subject: str = ""

    @cached_property
    def field(self) -> GraphQLField:
        """Arguments and type of what it answers."""
        schema = self.graph.schema
        kind = schema.query_type if self.kind == "query" else schema.mutation_type
        assert kind, self.kind
        return cast(GraphQLField, kind.fields[self.name])

    def written(self, case: Case, base_path: str) -> Request:
        """The POST of a case: `{"query", "variables"}`, or the case's own bytes.

        Raises:
            Unsendable: its arguments are no object, which says nothing of this field.
        """
        headers = {**dict(_HEADERS), **{name.lower(): value for name, value in case.headers.items()}}
        body = case.body if isinstance(case.body, bytes) else self._body(case)
        sent = tuple((name, value) for name, value in headers.items() if value)
        return Request(method="POST", target=base_path or "/", headers=sent, body=body)

    def asked(self, case: Case, about: Mapping[str, Any], rng: Draws) -> Case:
        """The case with a drawn selection, and with the identifiers of a thing where its arguments take them.

        Args:
            about: identifier by `Resource.key`; empty for a case about nothing in particular.
        """
        body = case.body
        for key, value in about.items():
            named = _naming(body, "".join(words(key)[:-1]), self.subject, value)
            if body is not NOTHING and self.graph.inputs.compiled(self.field.args).is_valid(named):
                body = named
        return replace(case, body=body, selection=self.graph.selections.drawn(self.field.type, rng))

    def plays(self, base: Callable[[], Case], swept: set[str], rng: Draws) -> Iterator[Case]:
        """What is asked of it once, around valid cases, beside borders and faults of its arguments."""
        return plays(self, base, swept, rng)

    def answer(self, body: bytes) -> Answered | None:
        """What a server said; None where that is not GraphQL's form."""
        return answered(body)

    def took(self, body: bytes) -> bool:
        """Whether a server did what was asked: there are data of this field and no errors."""
        said = answered(body)
        return bool(said and not said.errors and said.data and said.data.get(self.name) not in (None, [], False))

    def objects(self, case: Case, said: Answered) -> Iterator[Found]:
        """The objects that were answered, under whatever names the field was asked for."""
        data = said.data or {}
        value = data[self.name] if self.name in data else list(data.values())
        kind = get_named_type(self.field.type)
        return objects(self.graph.schema, kind, case.selection, value, f"/data/{self.name}")

    def failures(self, case: Case, said: Answered) -> list[str]:
        """What the objects in an answer say that are by their type errors: the type, and texts without values."""
        errors = [each for each in self.objects(case, said) if is_error(each.type)]
        return sorted({f"{each.type} {masked(str(each.scalars.get('message', '')))}".strip() for each in errors})

    def mismatches(self, case: Case, said: Answered) -> Iterator[tuple[str, str]]:
        """Where the data are not of the types that the schema has: `Type.field`, and what is wrong."""
        if said.data is None or (said.errors and said.data.get(self.name) is None):
            return iter(())
        value, place = said.data.get(self.name), f"{self.kind.capitalize()}.{self.name}"
        return mismatches(self.graph.schema, self.field.type, case.selection, value, place)

    def refusals(self, request: Request) -> list[str]:
        """Why a server must refuse a request whatever it does, as graphql-core judges query and variables; nothing
        where it need not, or where what was sent is no question at all."""
        try:
            asked = json.loads(request.body)
            document = parse(asked["query"])
        except GraphQLError as error:
            return [error.message]
        except (ValueError, RecursionError, KeyError, TypeError):
            return []
        schema, variables = self.graph.schema, asked.get("variables", {})
        found = validate(schema, document)
        node = next((each for each in document.definitions if isinstance(each, OperationDefinitionNode)), None)
        if not found and node and isinstance(variables, dict):
            given = get_variable_values(schema, node.variable_definitions or (), variables)
            found = given if isinstance(given, list) else []
        return [each.message for each in found]

    def _body(self, case: Case) -> bytes:
        arguments = {} if case.body is NOTHING else case.body
        if not isinstance(arguments, Mapping):
            raise Unsendable(f"{arguments!r} are no arguments")
        asked = query_of(self.graph.schema, self.kind, self.name, self.field, arguments, case.selection)
        return json.dumps(asked, separators=(",", ":")).encode()


def _naming(value: Any, subject: str, bare: str, identifier: Any, name: str = "") -> Any:
    """A value with an identifier wherever a name in it speaks of the subject."""
    if isinstance(value, dict):
        return {key: _naming(each, subject, bare, identifier, key) for key, each in value.items()}
    if isinstance(value, list):
        return [_naming(each, subject, bare, identifier, name) for each in value]
    speaks = is_identifier(name) and (bare if is_key(name) else subject_of(name)) == subject
    return identifier if speaks else value
