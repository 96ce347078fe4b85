"""The shop as GraphQL, with crashes of its own; anybody may ask, and what is made there is nobody's in particular."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from graphql import GraphQLSchema, build_schema, graphql

from gnomon.data.worlds.shop.base import Answer, Log, Refused, State

__all__ = ["SDL", "graph", "schema"]

SDL = """
"An ISO 8601 instant."
scalar DateTime

type Query {
  items(first: Int = 10, text: String): ItemPage!
  item(id: ID!): Item
  dearest(ids: [ID!]!): Item
  customer(id: ID!): Customer
  purchase(id: ID!): Purchase
}

type Mutation {
  createCustomer(name: String!, tier: Tier = BASIC): Customer!
  renameCustomer(id: ID!, name: String!): Customer
  deleteCustomer(id: ID!): Boolean!
  createPurchase(input: PurchaseInput!): Purchase
}

enum Tier { BASIC GOLD }

input PurchaseInput {
  customerId: ID!
  quantity: Int = 1
  due: DateTime
}

type ItemPage {
  pages: Int!
  nodes: [Item!]!
}

type Item {
  id: ID!
  title: String!
  price: Float!
  discount: Float!
  related: [Item!]!
}

type Customer {
  id: ID!
  name: String!
  initial: String!
  tier: Tier!
}

type Purchase {
  id: ID!
  quantity: Int!
  due: DateTime
  customer: Customer!
}
"""
_MOST_DEPTH = 6
_SALE = 100.0
# Said by graphql-core itself, where a resolver answers nothing; `discount` alone may.
_NULL = "Cannot return null"


@dataclass
class _Root:
    """What answers the root fields; graphql-core calls a method by its field's name."""

    state: State
    log: Log
    customers: dict[str, dict[str, Any]] = field(default_factory=dict)
    purchases: dict[str, dict[str, Any]] = field(default_factory=dict)

    def items(self, info: Any, first: int | None = 10, text: str | None = None) -> dict[str, Any]:
        found = [i for i in self.state.items.values() if not i["deleted"] and (text or "") in i["title"]]
        limit = 10 if first is None or first < 0 else first
        with self.log.crash("graphql-page-zero"):
            pages = -(-len(found) // limit)
        return {"pages": pages, "nodes": [self._item(i) for i in islice(found, min(limit, 100))]}

    def item(self, info: Any, id: str) -> dict[str, Any] | None:
        with self.log.crash("graphql-word-id"):
            number = int(id)
        found = self.state.items.get(number)
        return self._item(found) if found else None

    def dearest(self, info: Any, ids: list[str]) -> dict[str, Any] | None:
        known = [i for i in self.state.items.values() if str(i["id"]) in ids]
        if ids and not known:
            return None
        with self.log.crash("graphql-empty-list"):
            return self._item(max(known, key=lambda item: item["price"]))

    def customer(self, info: Any, id: str) -> dict[str, Any] | None:
        return self.customers.get(id)

    def purchase(self, info: Any, id: str) -> dict[str, Any] | None:
        return self.purchases.get(id)

    def createCustomer(self, info: Any, name: str, tier: str | None = "BASIC") -> dict[str, Any]:
        with self.log.crash("graphql-empty-name"):
            initial = name[0]
        id = self.state.new_id()
        self.customers[id] = {"id": id, "name": name, "initial": initial, "tier": tier or "BASIC"}
        return self.customers[id]

    def renameCustomer(self, info: Any, id: str, name: str) -> dict[str, Any] | None:
        if id in self.customers:
            self.customers[id]["name"] = name
        return self.customers.get(id)

    def deleteCustomer(self, info: Any, id: str) -> bool:
        return self.customers.pop(id, None) is not None

    def createPurchase(self, info: Any, input: dict[str, Any]) -> dict[str, Any] | None:
        customer_id = input["customerId"]
        if customer_id not in self.customers:
            return None

        def customer(info: Any) -> dict[str, Any]:
            with self.log.crash("graphql-deleted-parent"):
                return self.customers[customer_id]

        id, quantity = self.state.new_id(), input["quantity"]
        kept = {"id": id, "quantity": 1 if quantity is None else quantity, "due": input.get("due")}
        self.purchases[id] = {**kept, "customer": customer}
        return self.purchases[id]

    def _item(self, item: dict[str, Any]) -> dict[str, Any]:
        def discount(info: Any) -> float | None:
            price: float = item["price"]
            if price >= _SALE:
                return round(price * 0.1, 2)
            self.log.add("graphql-null")
            return None

        def related(info: Any) -> list[dict[str, Any]]:
            if len(info.path.as_list()) > 2 * _MOST_DEPTH:
                return []
            return [self._item(i) for i in islice(self.state.items.values(), 3) if i is not item]

        return {
            "id": str(item["id"]),
            "title": item["title"],
            "price": item["price"],
            "discount": discount,
            "related": related,
        }


def schema() -> GraphQLSchema:
    """The schema of the view."""
    return build_schema(SDL)


def graph(state: State, log: Log) -> Callable[[bytes], Awaitable[Answer]]:
    """What answers the body of a POST to /graphql: `{"query", "variables"?, "operationName"?}`."""
    known, root = schema(), _Root(state, log)

    async def answer(raw: bytes) -> Answer:
        query, variables, name = _asked(raw)
        result = await graphql(known, query, root, variable_values=variables, operation_name=name)
        said: dict[str, Any] = {"data": result.data}
        for error in result.errors or ():
            if error.path and error.original_error is not None and not error.message.startswith(_NULL):
                log.crashed(error.original_error)
        if result.errors:
            said["errors"] = [error.formatted for error in result.errors]
        # A question that cannot be run is the client's fault; a crash is told in the answer.
        asked_wrongly = result.data is None and all(not error.path for error in result.errors or ())
        return Answer(400 if asked_wrongly else 200, said)

    return answer


def _asked(raw: bytes) -> tuple[str, dict[str, Any] | None, str | None]:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise Refused(400, "The body is no JSON") from None
    if not isinstance(body, dict) or not isinstance(body.get("query"), str):
        raise Refused(400, "query must be a string")
    variables, name = body.get("variables"), body.get("operationName")
    if not isinstance(variables, dict | None) or not isinstance(name, str | None):
        raise Refused(400, "variables must be an object, operationName a string")
    return body["query"], variables, name
