"""Schemas of every keyword, as the values of requests are drawn from them."""

from __future__ import annotations

from typing import Any

NODE = {
    "type": "object",
    "required": ["v"],
    "properties": {"v": {"type": "integer"}, "next": {"$ref": "#/$defs/N"}},
}
TREE = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "kids": {"type": "array", "items": {"$ref": "#/$defs/T"}}},
    "required": ["name", "kids"],
    "additionalProperties": False,
}
CAT = {
    "type": "object",
    "required": ["kind"],
    "properties": {"kind": {"const": "cat"}, "lives": {"type": "integer", "minimum": 1, "maximum": 9}},
}
DOG = {
    "type": "object",
    "required": ["kind", "name"],
    "properties": {"kind": {"const": "dog"}, "name": {"type": "string", "minLength": 1}},
}


def obj(**more: Any) -> dict[str, Any]:
    """An object schema."""
    return {"type": "object", **more}


def arr(**more: Any) -> dict[str, Any]:
    """An array schema."""
    return {"type": "array", **more}


def text(**more: Any) -> dict[str, Any]:
    """A string schema."""
    return {"type": "string", **more}


def num(**more: Any) -> dict[str, Any]:
    """A number schema."""
    return {"type": "number", **more}


def whole(**more: Any) -> dict[str, Any]:
    """An integer schema."""
    return {"type": "integer", **more}


INT, STR, BOOL = whole(), text(), {"type": "boolean"}
AB = {"a": INT, "b": STR}

SCALARS: list[Any] = [
    *({"type": name} for name in ("null", "boolean", "integer", "number", "string", "array", "object")),
    {"type": ["string", "null"]},
    {"type": ["integer", "string", "array"]},
    {"type": ["number", "boolean", "object"]},
    whole(minimum=0),
    whole(maximum=-5),
    whole(minimum=3, maximum=3),
    whole(minimum=1, maximum=100),
    whole(exclusiveMinimum=0, exclusiveMaximum=10),
    whole(multipleOf=7),
    whole(multipleOf=5, minimum=12, maximum=47),
    whole(multipleOf=0.5, minimum=1),
    whole(multipleOf=2.5),
    whole(minimum=0.5, maximum=7.5),
    whole(minimum=2**40),
    {"type": "integer", "format": "int32"},
    {"type": "integer", "format": "int64", "minimum": 0},
    num(minimum=0),
    num(minimum=-1.5, maximum=2.25),
    num(exclusiveMinimum=0, exclusiveMaximum=1),
    num(multipleOf=0.5),
    num(multipleOf=0.01, minimum=0, maximum=100),
    num(multipleOf=0.1),
    num(multipleOf=3),
    num(maximum=1e-9, minimum=-1e-9),
    {"type": "number", "format": "float"},
    {"type": "number", "format": "double"},
    {"minimum": 5},
    {"multipleOf": 4, "type": ["integer", "null"]},
    text(minLength=1),
    text(maxLength=0),
    text(maxLength=5),
    text(minLength=3, maxLength=3),
    text(minLength=2, maxLength=8),
    text(minLength=300),
    text(pattern="^a"),
    text(pattern="z$"),
    text(pattern="b"),
    text(pattern="^[a-z]+$"),
    text(pattern="^[a-z]+$", minLength=5, maxLength=7),
    text(pattern="^[A-Z]{2}[0-9]{3}$"),
    text(pattern=r"^\d{3}-\d{4}$"),
    text(pattern=r"^\w+$", maxLength=10),
    text(pattern=r"^\S*$"),
    text(pattern=r"^(foo|bar)$"),
    text(pattern=r"^(ab)+$", maxLength=6),
    text(pattern=r"^[^/]+$"),
    text(pattern="^$"),
    text(pattern=r"^.{1,5}$"),
    text(pattern=r"^[a-zA-Z0-9._%+-]+@[a-z]+\.[a-z]{2,4}$"),
    text(pattern=r"^(?!x).+$"),
    text(pattern=r"\."),
    text(minLength=1, pattern="^[0-9]*$"),
    *(text(format=name) for name in ("date", "date-time", "time", "duration", "uuid", "email", "hostname", "ipv4")),
    *(text(format=name) for name in ("ipv6", "uri", "uri-reference", "json-pointer", "regex", "byte", "binary")),
    text(format="password", minLength=8),
    text(format="unheard-of", minLength=2),
    text(format="uri", maxLength=60),
    text(format="date", pattern="^2"),
    {"const": 1},
    {"const": None},
    {"const": "x"},
    {"const": False},
    {"const": {"a": [1, 2]}},
    {"const": [1, "a"]},
    {"enum": [1]},
    {"enum": ["red", "green", "blue"]},
    {"enum": [1, 2.5, "a", None, True]},
    {"enum": [0, False]},
    {"enum": [[], {}, ""]},
    {"enum": ["a", "b", None], "type": ["string", "null"]},
    {"enum": [1, 2, 3, 4, "x"], "type": "integer", "minimum": 2},
    text(enum=["a", "bb", "ccc"], maxLength=2),
]

OBJECTS: list[Any] = [
    obj(properties=AB),
    obj(properties=AB, required=["a"]),
    obj(properties=AB, required=["a", "b"], additionalProperties=False),
    obj(properties=AB, additionalProperties=False),
    obj(properties=AB, additionalProperties=BOOL),
    obj(additionalProperties=INT),
    obj(additionalProperties=INT, minProperties=1, maxProperties=3),
    obj(additionalProperties=False),
    obj(required=["z"]),
    obj(required=["z"], additionalProperties=STR),
    obj(minProperties=2),
    obj(maxProperties=1),
    obj(maxProperties=0),
    obj(properties=AB, minProperties=2),
    obj(properties=AB, minProperties=2, maxProperties=2, additionalProperties=False),
    obj(patternProperties={"^x-": STR}),
    obj(patternProperties={"^x-": STR}, additionalProperties=False),
    obj(patternProperties={"^x-": STR}, properties=AB, additionalProperties=INT),
    obj(patternProperties={"^a": INT, "z$": {"minimum": 3}}, minProperties=1),
    obj(patternProperties={"^[0-9]+$": STR}, additionalProperties=False, minProperties=2),
    obj(properties={"x1": {"minimum": 3}}, patternProperties={"^x": INT}, required=["x1", "x2"]),
    obj(propertyNames={"pattern": "^[a-z]{1,4}$"}),
    obj(propertyNames={"enum": ["a", "b"]}, additionalProperties=INT),
    obj(propertyNames={"maxLength": 3}, properties=AB, minProperties=1),
    obj(propertyNames=False),
    obj(dependentRequired={"a": ["b"]}),
    obj(properties=AB, dependentRequired={"a": ["b"]}, additionalProperties=False),
    obj(properties={**AB, "c": BOOL}, dependentRequired={"a": ["b"], "b": ["c"]}),
    obj(dependentSchemas={"a": {"properties": {"b": INT}, "required": ["b"]}}),
    obj(properties={"a": False}),
    obj(properties={"a": False, "b": INT}, required=["b"]),
    obj(properties={"a": True}, unevaluatedProperties=False),
    obj(allOf=[{"properties": {"a": INT}}], properties={"b": STR}, unevaluatedProperties=False),
    obj(properties={"o": obj(properties=AB, required=["a"], additionalProperties=False)}, required=["o"]),
    obj(properties={"deep": obj(properties={"er": obj(properties={"est": whole(minimum=1)}, required=["est"])})}),
    obj(properties={"a/b": INT, "c~d": STR, "": BOOL}, required=["a/b"]),
    obj(properties={f"p{i}": text(minLength=i) for i in range(12)}, required=["p3"]),
    {"required": ["a"]},
    {"properties": {"a": INT}},
    {"type": ["object", "string"], "minLength": 2, "required": ["x"]},
]

ARRAYS: list[Any] = [
    arr(items=INT),
    arr(items=STR, minItems=1),
    arr(items=STR, maxItems=2),
    arr(items=BOOL, minItems=2, maxItems=2),
    arr(maxItems=0),
    arr(items=INT, uniqueItems=True),
    arr(items=whole(minimum=1, maximum=4), uniqueItems=True, minItems=3),
    arr(items={"enum": ["a", "b", "c"]}, uniqueItems=True),
    arr(uniqueItems=True, minItems=2),
    arr(items=BOOL, uniqueItems=True, minItems=2),
    arr(contains={"const": 3}),
    arr(contains=whole(minimum=5), minContains=2),
    arr(contains=INT, maxContains=1),
    arr(contains=INT, minContains=1, maxContains=2, items={"type": ["integer", "string"]}),
    arr(contains=STR, minContains=0, maxContains=1),
    arr(items=INT, contains=whole(multipleOf=5), uniqueItems=True, minItems=2),
    arr(prefixItems=[INT, STR]),
    arr(prefixItems=[INT, STR], items=False),
    arr(prefixItems=[INT, STR], items=BOOL, minItems=3),
    arr(prefixItems=[INT], minItems=1, items=STR, contains={"const": "x"}),
    arr(prefixItems=[INT], unevaluatedItems=False),
    arr(items=arr(items=INT, minItems=1), minItems=1),
    arr(items=obj(properties=AB, required=["a"]), minItems=1, maxItems=3),
    arr(items=text(format="uuid"), uniqueItems=True, minItems=1),
    {"items": INT},
    {"minItems": 2, "type": ["array", "null"]},
    arr(items=False),
]

COMBINED: list[Any] = [
    {"allOf": [whole(minimum=1), {"maximum": 9}]},
    {"allOf": [obj(properties={"a": INT}, required=["a"]), obj(properties={"b": STR}, required=["b"])]},
    {"allOf": [text(minLength=2), text(maxLength=4)]},
    {"allOf": [{"multipleOf": 2}, {"multipleOf": 3}, INT]},
    {"anyOf": [INT, STR]},
    {"anyOf": [text(maxLength=2), whole(minimum=10)]},
    {"anyOf": [whole(minimum=10), whole(maximum=-10)]},
    {"anyOf": [CAT, DOG]},
    {"oneOf": [CAT, DOG]},
    {"oneOf": [INT, num(minimum=3)]},
    {"oneOf": [INT, STR, {"type": "null"}]},
    {"oneOf": [{"multipleOf": 3}, {"multipleOf": 5}], "type": "integer"},
    {"oneOf": [obj(required=["a"]), obj(required=["b"])]},
    {"oneOf": [text(maxLength=3), text(pattern="^x")]},
    {"not": INT},
    {"not": {"type": ["string", "object", "array"]}},
    {"type": "integer", "not": {"enum": [0, 1, 2]}},
    {"type": "string", "not": {"pattern": "^a"}},
    {"type": "string", "not": {"const": ""}},
    {"type": "object", "not": {"required": ["a"]}},
    {"type": "object", "not": {"properties": {"a": INT}}},
    {"type": "array", "not": {"contains": {"const": 1}}},
    {"type": "string", "not": {"format": "date"}},
    {"type": "number", "not": {"multipleOf": 1}},
    {"not": {"not": INT}},
    obj(
        properties={"k": {"enum": ["a", "b"]}, "x": INT, "y": INT},
        required=["k"],
        **{"if": {"properties": {"k": {"const": "a"}}}, "then": {"required": ["x"]}, "else": {"required": ["y"]}},
    ),
    {"if": {"type": "integer"}, "then": {"minimum": 0}, "else": {"type": "string"}},
    {"if": text(), "then": {"maxLength": 3}},
    {"$ref": "#/$defs/A", "$defs": {"A": whole(minimum=0)}},
    {"$ref": "#/$defs/N", "$defs": {"N": NODE}},
    {"$ref": "#/$defs/T", "$defs": {"T": TREE}},
    arr(items={"$ref": "#/$defs/N"}, minItems=1, **{"$defs": {"N": NODE}}),
    obj(properties={"n": {"$ref": "#/$defs/N"}, "t": {"$ref": "#/$defs/T"}}, **{"$defs": {"N": NODE, "T": TREE}}),
    {"allOf": [{"$ref": "#/$defs/N"}, {"required": ["extra"]}], "$defs": {"N": NODE}},
    {"anyOf": [{"$ref": "#/$defs/N"}, {"type": "null"}], "$defs": {"N": NODE}},
    {"type": ["array", "integer"], "items": {"$ref": "#"}},
    {"oneOf": [{"$ref": "#/$defs/C"}, {"$ref": "#/$defs/D"}], "$defs": {"C": CAT, "D": DOG}},
    {"allOf": [{"oneOf": [CAT, DOG]}, obj(required=["age"], properties={"age": whole(minimum=0)})]},
    {"allOf": [{"anyOf": [obj(required=["a"]), obj(required=["b"])]}, obj(properties=AB, additionalProperties=False)]},
    {"anyOf": [arr(items=INT, minItems=1), obj(required=["a"])]},
    True,
    {},
    {"description": "anything", "default": 3},
]
SCHEMAS = [*SCALARS, *OBJECTS, *ARRAYS, *COMBINED]
IMPOSSIBLE: list[Any] = [
    False,
    {"not": {}},
    whole(minimum=5, maximum=3),
    text(minLength=3, maxLength=2),
    {"allOf": [INT, STR]},
    {"enum": ["a"], "type": "integer"},
    obj(required=["a"], properties={"a": False}),
    obj(minProperties=3, maxProperties=2),
    {"type": "integer", "multipleOf": 10, "minimum": 1, "maximum": 9},
    {"$ref": "#/$defs/E", "$defs": {"E": obj(required=["e"], properties={"e": {"$ref": "#/$defs/E"}})}},
    arr(items=False, minItems=1),
    arr(items=BOOL, uniqueItems=True, minItems=3),
]
