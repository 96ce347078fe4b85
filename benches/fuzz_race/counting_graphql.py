"""Counts for a GraphQL API: an operation is a root field."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graphql import FieldNode, GraphQLError, OperationDefinitionNode, build_schema, parse

from benches.fuzz_race.counting import Count, is_noise
from gnomon.fuzz.checks.fingerprint import masked

__all__ = ["GraphQl"]


class GraphQl:
    """Counts for an API with a GraphQL schema."""

    def __init__(self, sdl: Path) -> None:
        known = build_schema(sdl.read_text(encoding="utf-8"))
        roots = [root for root in (known.query_type, known.mutation_type) if root]
        self._fields = {f"{root.name}.{name}" for root in roots for name in root.fields}
        self._names = {"query": "Query", "mutation": "Mutation"}
        if known.query_type and known.mutation_type:
            self._names = {"query": known.query_type.name, "mutation": known.mutation_type.name}
        self._read: dict[str, dict[str, str]] = {}

    @property
    def size(self) -> int:
        """How many root fields there are."""
        return len(self._fields)

    def judge(self, line: Mapping[str, Any], bodies: Mapping[str, bytes], at: float, count: Count) -> None:
        """Counts one exchange."""
        roots = self._roots(line["request_body"], bodies.get(line["request_body"], b""))
        status, body = line["status"], bodies.get(line["body"], b"")
        said = _object(body)
        named = [name for name in roots.values() if name in self._fields]
        count.exchange(line, "", at)
        count.hit.update(named)
        if said.get("data") and not said.get("errors"):
            count.good.update(named)
        noise = is_noise(status, body)
        if 500 <= status <= 599 and not noise:
            for name in named or ["outside"]:
                count.defects.add(at, "5xx", name, str(status))
        count.defects.shown(at, body.decode("utf-8", "replace"))
        errors = said.get("errors")
        for error in errors if isinstance(errors, list) else ():
            path = error.get("path") if isinstance(error, dict) else None
            # Without a path it is the question that is wrong.
            if path and not noise:
                name = roots.get(str(path[0]), str(path[0]))
                count.defects.add(at, "graphql", name, masked(str(error.get("message"))))

    def _roots(self, key: str, body: bytes) -> dict[str, str]:
        """Root fields by the name that they have in the answer."""
        if key not in self._read:
            self._read[key] = self._roots_of(str(_object(body).get("query", "")))
        return self._read[key]

    def _roots_of(self, query: str) -> dict[str, str]:
        try:
            document = parse(query)
        except (GraphQLError, RecursionError):
            return {}
        found = {}
        for definition in document.definitions:
            if not isinstance(definition, OperationDefinitionNode):
                continue
            kind = self._names.get(definition.operation.value, "")
            for node in definition.selection_set.selections:
                if isinstance(node, FieldNode):
                    name = node.alias.value if node.alias else node.name.value
                    found[name] = f"{kind}.{node.name.value}"
        return found


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
