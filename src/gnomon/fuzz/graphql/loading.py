"""From a GraphQL schema to an `Api` whose operations are its root fields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from graphql import (
    GraphQLError,
    GraphQLScalarType,
    GraphQLSchema,
    build_client_schema,
    build_schema,
    get_introspection_query,
)

from gnomon.core.errors import DataError
from gnomon.fuzz.base import Api, Media, Operation, Repair, Schema
from gnomon.fuzz.graphql.fields import Graph, RootField
from gnomon.fuzz.graphql.inputs import is_needed
from gnomon.fuzz.graphql.resources import kinds_of, subject_of_field
from gnomon.fuzz.graphql.scalars import registered
from gnomon.fuzz.values import compile

__all__ = ["INTROSPECTION", "graph_api"]

INTROSPECTION = get_introspection_query(descriptions=False)
"The query that asks a server for its schema, with nothing that older servers do not know."

_PATH = "/graphql"


def graph_api(content: str | Mapping[str, Any], place: str = "", *, endpoint: str = "") -> Api:
    """The API that a GraphQL schema describes.

    Args:
        content: schema language, or the result of an introspection query, with or without `data` around it.
        place: file or URL that it was read from, for messages.
        endpoint: path where questions go; "" for /graphql.

    Raises:
        DataError: it cannot be read, or has neither queries nor mutations.
    """
    repairs: list[Repair] = []
    schema = _built(content, place, repairs)
    _assert_registered(schema)
    graph = Graph(schema)
    operations = tuple(_operation(graph, root) for root in _roots(graph))
    if not operations:
        raise DataError("has neither queries nor mutations", where=place, todo="give the whole schema")
    if schema.subscription_type:
        found = f"{len(schema.subscription_type.fields)} subscriptions"
        repairs.append(Repair(pointer="/Subscription", found=found, taken="nothing: they are not asked"))
    return Api(
        title="GraphQL",
        version="",
        dialect="graphql",
        operations=operations,
        base_path=endpoint or _PATH,
        definitions=graph.inputs.definitions,
        repairs=tuple(repairs),
    )


def _built(content: str | Mapping[str, Any], place: str, repairs: list[Repair]) -> GraphQLSchema:
    try:
        if not isinstance(content, str):
            data: Any = content.get("data", content)
            return build_client_schema(data)
        try:
            return build_schema(content)
        except TypeError as error:
            # Directives of gateways and the like are used in many schemas and declared in few.
            schema = build_schema(content, assume_valid_sdl=True)
            repairs.append(Repair(pointer="", found=str(error).partition("\n")[0], taken="of no matter"))
            return schema
    except (GraphQLError, TypeError, KeyError, ValueError) as error:
        first = str(error).partition("\n")[0]
        raise DataError(f"is no GraphQL schema that can be read: {first}", where=place, todo="mend it") from None


def _roots(graph: Graph) -> Iterator[RootField]:
    kinds = kinds_of(graph.schema)
    for kind, of in (("query", graph.schema.query_type), ("mutation", graph.schema.mutation_type)):
        for name, field in of.fields.items() if of else ():
            yield RootField(graph, kind, name, subject_of_field(name, field, kinds))


def _operation(graph: Graph, root: RootField) -> Operation:
    arguments = root.field.args
    bodies = {"application/json": Media(schema=graph.inputs.schema(arguments))} if arguments else {}
    return Operation(
        method=root.kind.upper(),
        path=root.name,
        bodies=bodies,
        body_required=any(map(is_needed, arguments.values())),
        name=root.name,
        root=root,
    )


def _assert_registered(schema: GraphQLSchema) -> None:
    """Scalars that a user registered refuse, in graphql-core's judgement, what their JSON Schema does not admit."""
    for name, kind in schema.type_map.items():
        said = registered(name)
        if isinstance(kind, GraphQLScalarType) and said is not None:
            judge = _Judge(name, said)
            # The one name is that of graphql-core 3.2, the other that of 3.3.
            for way in ("parse_value", "coerce_input_value"):
                setattr(kind, way, judge)


class _Judge:
    """Lets values of a registered scalar through."""

    def __init__(self, name: str, schema: Schema) -> None:
        self._name, self._compiled = name, compile(schema)

    def __call__(self, value: Any) -> Any:
        if not self._compiled.is_valid(value):
            raise GraphQLError(f"{self._name} cannot be {value!r}")
        return value
