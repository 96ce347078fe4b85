"""What a GraphQL server has answered: identifiers of its types, and scalars by field and by type and field."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from gnomon.fuzz.base import Api, Exchange
from gnomon.fuzz.graphql.reading import Found
from gnomon.fuzz.graphql.resources import identifier_field, resources
from gnomon.fuzz.state.memory import Memory, Thing
from gnomon.fuzz.state.names import is_key, words

__all__ = ["GraphMemory"]


class GraphMemory(Memory):
    """A memory of things that have no path: `resources`, `alive` and `gone` go by the name of their type."""

    def __init__(self, api: Api) -> None:
        schema = next(each.root.graph.schema for each in api.operations if each.root)
        super().__init__(api, tuple(resources(schema, api.operations)))
        self._identifies = {name: identifier_field(kind) for name, kind in schema.type_map.items()}

    def learn(self, exchange: Exchange) -> Thing | None:
        """Takes in the objects of an answer; returns the thing that it made, if it made one."""
        operation, case = exchange.case.operation, exchange.case
        said = operation.root.answer(exchange.reply.body) if operation.root else None
        if said is None or operation.root is None or isinstance(case.body, bytes) or exchange.reply.cut:
            return None
        took = operation.root.took(exchange.reply.body)
        if took and operation.method == "MUTATION":
            for each in self.about(exchange):
                each.keep(exchange)
        made = None
        for found in operation.root.objects(case, said):
            for name, value in found.scalars.items():
                self._keep(name, value)
                self._keep(f"{found.type}_{name}", value)
            thing = self._thing(found)
            if thing and made is None and operation in thing.resource.creates:
                made = self._as_made(thing, found, exchange)
        if took:
            self._forget(exchange)
        return made

    def about(self, exchange: Exchange) -> list[Thing]:
        """The things made in this search whose identifiers an exchange's arguments hold."""
        held = [str(value) for value in _scalars(exchange.case.body)]
        makings = [self.makings.get((item, value)) for item in self.resources for value in held]
        return [making.thing for making in makings if making]

    def identifier(self, name: str, rng: random.Random, *, about: str = "") -> Any:
        """A live identifier for `customerId`, or a bare `id` of what it is `about`; None for other names."""
        last = words(name)[-1:]
        if not last or not is_key(last[0]):
            return None
        return super().identifier(name, rng, about=about if is_key(name) else "")

    def _thing(self, found: Found) -> Thing | None:
        resource = self.resources.get(found.type)
        value = found.scalars.get(self._identifies.get(found.type, ""))
        return self.remember(Thing(resource, {resource.key: value}, found.scalars)) if resource and value else None

    def _as_made(self, thing: Thing, found: Found, exchange: Exchange) -> Thing:
        if not thing.history:
            key = found.keys[self._identifies[found.type]]
            thing.source = {thing.resource.key: f"$response.body#{found.pointer}/{key}"}
            thing.keep(exchange)
            self._keep_making(thing, exchange)
        return thing

    def _forget(self, exchange: Exchange) -> None:
        """Counts what was removed as gone."""
        for resource in self.resources.values():
            if exchange.case.operation in resource.deletes:
                for value in _scalars(exchange.case.body):
                    self.forget(resource.item, {resource.key: value})


def _scalars(value: Any) -> Iterator[str | int]:
    """The texts and numbers in a value."""
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _scalars(each)
    elif isinstance(value, str | int) and not isinstance(value, bool):
        yield value
