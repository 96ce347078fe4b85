"""Schemas of every dialect as JSON Schema 2020-12, references kept as references.

A schema that something refers to becomes a definition under a name of its own, read once and from a queue, so that
recursion ends and depth is bounded; what is nested deeper than `MAX_DEPTH` becomes a definition too, because validators
stop at some depth. Words that neither constrain a value nor say what it is for (title, description, xml) are left out.
"""

from __future__ import annotations

import re
from collections import deque
from pathlib import Path
from typing import Any

from gnomon.fuzz.base import Schema
from gnomon.fuzz.loading.cycles import without_idle_cycles
from gnomon.fuzz.loading.keywords import CLEANED, LISTS, MAPS, SINGLE, Mistake, distinct, flag, typed
from gnomon.fuzz.loading.references import Library, Node
from gnomon.fuzz.loading.repairs import Ledger, shown
from gnomon.fuzz.loading.sense import sensible
from gnomon.fuzz.pointers import unescaped

__all__ = ["Schemas"]

MAX_DEPTH = 30
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]")
_NULL = {"type": "null"}


class Schemas:
    """Reads schemas and collects the definitions that they refer to.

    Args:
        library: finds what references mean.
        ledger: takes the repairs.
        siblings: whether keywords beside a `$ref` count (OpenAPI 3.1) or are ignored (before).
    """

    def __init__(self, library: Library, ledger: Ledger, *, siblings: bool) -> None:
        self._library, self._ledger, self._siblings = library, ledger, siblings
        self._names: dict[tuple[str, str], str] = {}
        self._taken: set[str] = set()
        self._queue: deque[tuple[str, Node]] = deque()
        self._definitions: dict[str, Schema] = {}

    def define(self, node: Node) -> str:
        """The name of the definition that this schema is; it is read by `definitions`."""
        known = self._names.get((node.place, node.pointer))
        if known is None:
            known = self._named(node)
            self._names[node.place, node.pointer] = known
            self._queue.append((known, node))
        return known

    def definitions(self) -> dict[str, Schema]:
        """Every definition so far, none of which leads back to itself without taking a part of the value."""
        while self._queue:
            name, node = self._queue.popleft()
            self._definitions[name] = self.read(node)
        without_idle_cycles(self._definitions, self._ledger)
        return self._definitions

    def read(self, node: Node, depth: int = 0) -> Schema:
        """The schema at a node; `True` where there is none that can be read."""
        value = node.value
        if isinstance(value, bool):
            return value
        if isinstance(value, str):
            meant, _ = typed(value)
            self._ledger.note(node.where, f"{shown(value)} for a schema", f"type {value}" if meant else "any value")
            return meant or True
        if not isinstance(value, dict):
            self._ledger.note(node.where, f"{shown(value)} for a schema", "any value")
            return True
        if depth >= MAX_DEPTH:
            return {"$ref": f"#/$defs/{self.define(node)}"}
        out: dict[str, Any] = {}
        reference = value.get("$ref", value.get("$dynamicRef"))
        if reference is not None:
            out = self._reference(node, reference)
            if not self._siblings:
                return self._beside(node, out)
        self._keywords(node, out, depth)
        sensible(node, out, self._ledger, unsaid_items=self._siblings)
        return self._nullable(node, out) if self._is_nullable(node) else out

    def _reference(self, node: Node, reference: Any) -> dict[str, Any]:
        if not isinstance(reference, str):
            self._ledger.note(node.where, f"{shown(reference)} for a reference", "any value")
            return {}
        target = self._library.target(node, reference)
        return {"$ref": f"#/$defs/{self.define(target)}"} if target else {}

    def _beside(self, node: Node, out: dict[str, Any]) -> dict[str, Any]:
        """What is meant beside a reference, though the dialect ignores it there; its other keywords stay ignored."""
        for keyword in ("readOnly", "writeOnly"):
            if node.value.get(keyword) is True:
                self._note(node, keyword, f"{keyword} beside a reference", "meant")
                out[keyword] = True
        return self._nullable(node, out) if self._is_nullable(node) else out

    def _keywords(self, node: Node, out: dict[str, Any], depth: int) -> None:
        for keyword, value in node.value.items():
            if keyword in CLEANED:
                self._plain(node, keyword, value, out)
            elif keyword in SINGLE:
                self._single(node, keyword, value, out, depth)
            elif keyword in LISTS:
                self._list(node, keyword, value, out, depth)
            elif keyword in MAPS:
                self._map(node, keyword, value, out, depth)
            elif keyword in ("exclusiveMinimum", "exclusiveMaximum"):
                self._exclusive(node, keyword, value, out)
            elif keyword == "type":
                self._type(node, value, out)
            elif keyword == "discriminator":
                self._discriminator(node, value, out)
            elif keyword == "dependencies" and isinstance(value, dict):
                self._dependencies(node, value, out, depth)
        self._examples(node.value, out)

    def _plain(self, node: Node, keyword: str, value: Any, out: dict[str, Any]) -> None:
        if keyword == "required" and isinstance(value, bool):
            if node.pointer.split("/")[-2:-1] != ["properties"]:  # of a property the object around it takes it
                self._note(node, keyword, f"{shown(value)} for a list of names", "no constraint")
            return
        cleaned = self._cleaned(node, keyword, value)
        if cleaned is None and (value is not None or keyword not in ("const", "default")):
            return
        known = out.get(keyword, [])
        out[keyword] = distinct([*known, *cleaned]) if keyword == "required" else cleaned

    def _cleaned(self, node: Node, keyword: str, value: Any) -> Any:
        try:
            return CLEANED[keyword](value)
        except Mistake as mistake:
            self._note(node, keyword, mistake.found, mistake.taken)
            return mistake.value

    def _single(self, node: Node, keyword: str, value: Any, out: dict[str, Any], depth: int) -> None:
        if keyword == "items" and isinstance(value, list):  # a tuple, as JSON Schema had it up to 2019-09
            self._list(node, keyword, value, out, depth, "prefixItems")
            if "additionalItems" in node.value:
                out["items"] = self.read(node.child("additionalItems"), depth + 1)
            return
        if isinstance(value, str) and value.lower() in ("true", "false"):
            meant = value.lower() == "true"
            self._note(node, keyword, f"{shown(value)} for a boolean", shown(meant))
            out[keyword] = meant
            return
        out[keyword] = self.read(node.child(keyword), depth + 1)

    def _list(self, node: Node, keyword: str, value: Any, out: dict[str, Any], depth: int, name: str = "") -> None:
        if isinstance(value, dict):
            self._note(node, keyword, "one schema for a list of schemas", "a list of it")
            out[keyword] = [self.read(node.child(keyword), depth + 1)]
        elif not isinstance(value, list) or not value:
            self._note(
                node, keyword, f"{shown(value)} for a list of schemas" if value else "no schemas", "no constraint"
            )
        else:
            inner = node.child(keyword)
            out[name or keyword] = [self.read(inner.child(i), depth + 1) for i in range(len(value))]

    def _map(self, node: Node, keyword: str, value: Any, out: dict[str, Any], depth: int) -> None:
        if not isinstance(value, dict):
            self._note(node, keyword, f"{shown(value)} for schemas by name", "no constraint")
            return
        inner = node.child(keyword)
        found = {}
        for name, each in value.items():
            child = inner.child(name)
            key = self._cleaned(inner, "pattern", name) if keyword == "patternProperties" else name
            if key is None:
                continue
            found[key] = self.read(child, depth + 1)
            if keyword == "properties" and isinstance(each, dict) and isinstance(each.get("required"), bool):
                self._required_property(child, name, each["required"], out)
        out[keyword] = found

    def _required_property(self, node: Node, name: str, required: bool, out: dict[str, Any]) -> None:
        taken = "a name in the required list of its object" if required else "left out"
        self._ledger.note(node.where, f"required: {shown(required)} on a property", taken)
        if required:
            out["required"] = distinct([*out.get("required", []), name])

    def _exclusive(self, node: Node, keyword: str, value: Any, out: dict[str, Any]) -> None:
        """A number, or `true` beside the bound that it makes exclusive (OpenAPI before 3.1)."""
        if not isinstance(value, bool):
            cleaned = self._cleaned(node, keyword.replace("exclusiveM", "m"), value)
            if cleaned is not None:
                out[keyword] = cleaned
            return
        bound = keyword.replace("exclusiveM", "m")
        if value and bound not in node.value:
            self._note(node, keyword, f"true without {bound}", "no constraint")

    def _type(self, node: Node, value: Any, out: dict[str, Any]) -> None:
        meant, said = typed(value)
        section = self._library.section(value) if isinstance(value, str) and said == "any type" else None
        if section is not None:
            meant, said = {"$ref": f"#/$defs/{self.define(section)}"}, f"a reference to {section.pointer}"
        if said:
            self._note(node, "type", f"{shown(value)} for a type", said)
        for keyword, each in meant.items():
            if keyword == "type" or keyword not in node.value:
                out[keyword] = each

    def _discriminator(self, node: Node, value: Any, out: dict[str, Any]) -> None:
        """Kept as an annotation; what a mapping names is the reference to its definition."""
        if isinstance(value, str):
            value = {"propertyName": value}
        if not isinstance(value, dict) or not isinstance(value.get("propertyName"), str):
            self._note(node, "discriminator", f"{shown(value)} for a discriminator", "left out")
            return
        found: dict[str, Any] = {"propertyName": value["propertyName"]}
        mapping = value.get("mapping")
        for key, name in (mapping if isinstance(mapping, dict) else {}).items():
            target = self._library.section(str(name)) or self._library.target(node, str(name))
            if target:
                found.setdefault("mapping", {})[key] = f"#/$defs/{self.define(target)}"
        out["discriminator"] = found

    def _dependencies(self, node: Node, value: dict[str, Any], out: dict[str, Any], depth: int) -> None:
        """One keyword up to draft 7, two since."""
        inner = node.child("dependencies")
        for name, each in value.items():
            if isinstance(each, list):
                out.setdefault("dependentRequired", {})[name] = [n for n in distinct(each) if isinstance(n, str)]
            else:
                out.setdefault("dependentSchemas", {})[name] = self.read(inner.child(name), depth + 1)

    def _examples(self, value: dict[str, Any], out: dict[str, Any]) -> None:
        many = value.get("examples", [])
        found = [*(many if isinstance(many, list) else [])]
        found += [value[key] for key in ("example", "x-example") if key in value]
        kept = []
        for each in found:
            try:
                kept.append(CLEANED["default"](each))
            except Mistake:  # an example too deep to judge promises nothing
                continue
        if kept:
            out["examples"] = distinct(kept)

    def _is_nullable(self, node: Node) -> bool:
        for keyword in ("nullable", "x-nullable"):
            if keyword in node.value:
                try:
                    return flag(node.value[keyword])
                except Mistake as mistake:
                    self._note(node, keyword, mistake.found, mistake.taken)
                    return bool(mistake.value)
        return False

    def _nullable(self, node: Node, out: dict[str, Any]) -> dict[str, Any]:
        """The schema, or null. Before 3.1 `nullable` counts beside `type` alone, yet it is meant wherever it stands."""
        if any(keyword in out for keyword in ("$ref", "allOf", "anyOf", "oneOf", "not", "const", "if")):
            self._note(node, "nullable", "nullable beside a schema without a type", "that schema, or null")
            marks: dict[str, Any] = {mark: out.pop(mark) for mark in ("readOnly", "writeOnly") if mark in out}
            return {"anyOf": [out, _NULL], **marks}
        kinds = out.get("type")
        if kinds is not None:
            out["type"] = distinct([*(kinds if isinstance(kinds, list) else [kinds]), "null"])
        if "enum" in out:
            out["enum"] = distinct([*out["enum"], None])
        return out

    def _named(self, node: Node) -> str:
        """A free name for a definition, of characters that no pointer escapes."""
        pointer = re.sub(r"^/(components/schemas|definitions)/", "", node.pointer).strip("/")
        parts = [Path(node.place).stem, *pointer.split("/")] if node.place else pointer.split("/")
        name = base = ".".join(_UNSAFE.sub("_", unescaped(part)) for part in parts if part)[-100:] or "schema"
        number = 1
        while name in self._taken:
            number += 1
            name = f"{base}_{number}"
        self._taken.add(name)
        return name

    def _note(self, node: Node, keyword: str, found: str, taken: str) -> None:
        where = node.child(keyword).where if keyword in node.value else node.where
        self._ledger.note(where, found, taken)
