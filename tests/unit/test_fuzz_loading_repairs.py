"""Mistakes are put right, each with one repair that says where; no operation is dropped for one."""

from typing import Any

import pytest

from gnomon.fuzz.base import Api, Operation
from gnomon.fuzz.loading import load

HEAD = {"info": {"title": "t", "version": "1"}}
ANSWER = {"responses": {"200": {"description": "d"}}}


def openapi(operation: object, path: str = "/a", **more: Any) -> dict[str, Any]:
    return {"openapi": "3.0.3", **HEAD, "paths": {path: {"get": operation}}, **more}


def swagger(parameters: object, path: str = "/a", **more: Any) -> dict[str, Any]:
    return {"swagger": "2.0", **HEAD, "paths": {path: {"get": {"parameters": parameters, **ANSWER}}}, **more}


def only(document: dict[str, Any]) -> tuple[Operation, list[tuple[str, str]]]:
    api = load(document)
    (operation,) = api.operations
    return operation, told(api)


def told(api: Api) -> list[tuple[str, str]]:
    return [(repair.pointer, f"{repair.found} -> {repair.taken}") for repair in api.repairs]


@pytest.mark.parametrize(
    ("word", "schema"),
    [
        ("int", {"type": "integer"}),
        ("bool", {"type": "boolean"}),
        ("float", {"type": "number"}),
        ("str", {"type": "string"}),
        ("String", {"type": "string"}),
        ("date", {"type": "string", "format": "date"}),
        ("file", {"type": "string", "format": "binary"}),
        ("dict", {"type": "object"}),
        ("any", {}),
        ("integr", {}),
        (["int", "null"], {"type": ["integer", "null"]}),
        (7, {}),
    ],
)
def test_words_for_types(word: object, schema: dict[str, Any]) -> None:
    operation, found = only(swagger([{"name": "q", "in": "query", "type": word}]))
    assert operation.parameters[0].schema == schema
    assert [pointer for pointer, _ in found] == ["/paths/~1a/get/parameters/0/type"]


@pytest.mark.parametrize(
    ("schema", "read", "said"),
    [
        ({"type": "string", "enum": [1, True]}, {"type": "string", "enum": ["1", "true"]}, "values of an enum"),
        ({"type": "integer", "enum": ["1"]}, {"type": "integer", "enum": [1]}, "values of an enum that are no integer"),
        ({"type": ["boolean", "null"], "enum": ["true"]}, {"type": ["boolean", "null"], "enum": [True]}, "values of"),
        ({"type": "string", "enum": []}, {"type": "string"}, "an enum of no values"),
        ({"type": "array", "items": {"type": "string"}, "enum": ["a"]},
         {"type": "array", "items": {"type": "string", "enum": ["a"]}}, "an enum of single values on an array"),
        ({"type": "array"}, {"type": "array"}, "an array without items"),
        ({"minLength": "3"}, {"minLength": 3}, "'3' for a number -> 3"),
        ({"minLength": -1}, {}, "-1 for a count"),
        ({"minimum": "low"}, {}, "'low' for a number"),
        ({"minimum": 2, "maximum": 1}, {"minimum": 2, "maximum": 1}, "minimum 2 above maximum 1 -> a schema"),
        ({"multipleOf": 0}, {}, "0 for a positive number"),
        ({"exclusiveMinimum": True}, {}, "true without minimum"),
        ({"uniqueItems": "true"}, {"uniqueItems": True}, "'true' for a boolean -> true"),
        ({"pattern": "("}, {}, "'(', which is no regular expression -> no constraint"),
        ({"pattern": r"^\w+\Z"}, {"pattern": r"^\w+$"}, "a regular expression of another dialect"),
        ({"required": "a"}, {"required": ["a"]}, "'a' for a list of names"),
        ({"required": ["a", "a", 1]}, {"required": ["a"]}, "a list of names with repeats"),
        ({"required": True}, {}, "true for a list of names"),
        ({"type": "object", "properties": {"a": {"required": True}, "b": {}}},
         {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a"]}, "required: true on a property"),
        ({"properties": {"a": {}}}, {"properties": {"a": {}}, "type": "object"}, "properties without a type"),
        ({"properties": ["a"]}, {}, "a list for schemas by name"),
        ({"allOf": {"type": "string"}}, {"allOf": [{"type": "string"}]}, "one schema for a list of schemas"),
        ({"oneOf": []}, {}, "no schemas"),
        ({"additionalProperties": "false"}, {"additionalProperties": False}, "'false' for a boolean"),
        ({"items": 5, "type": "array"}, {"items": True, "type": "array"}, "5 for a schema -> any value"),
        ("string", {"type": "string"}, "'string' for a schema -> type string"),
        ({"default": float("nan")}, {}, "a number that is not finite"),
        ({"$ref": 5}, {}, "5 for a reference"),
        ({"$ref": "#/components/schemas/Gone"}, {}, "schemas/Gone', which leads to nothing"),
        ({"$ref": "https://x.example/a.json#/B"}, {}, "which cannot be opened -> any value"),
    ],
)  # fmt: skip
def test_schemas(schema: object, read: object, said: str) -> None:
    operation, found = only(openapi({"parameters": [{"name": "q", "in": "query", "schema": schema}], **ANSWER}))
    assert operation.parameters[0].schema == read
    ((pointer, words),) = found
    assert pointer.startswith("/paths/~1a/get/parameters/0/schema")
    assert said in words


@pytest.mark.parametrize(
    ("schema", "read"),
    [
        ({"type": "string", "nullable": True, "enum": ["a"]}, {"type": ["string", "null"], "enum": ["a", None]}),
        ({"type": "integer", "maximum": 3, "exclusiveMaximum": True}, {"type": "integer", "exclusiveMaximum": 3}),
        ({"type": "integer", "maximum": 3, "exclusiveMaximum": False}, {"type": "integer", "maximum": 3}),
        ({"type": "integer", "exclusiveMaximum": 3}, {"type": "integer", "exclusiveMaximum": 3}),
        ({"example": 1, "examples": [2]}, {"examples": [2, 1]}),
        ({"minLength": 1e9}, {"minLength": 10**9}),
        ({"items": [{"type": "string"}], "additionalItems": False, "type": "array"},
         {"prefixItems": [{"type": "string"}], "items": False, "type": "array"}),
        ({"dependencies": {"a": ["b"], "c": {"type": "object"}}},
         {"dependentRequired": {"a": ["b"]}, "dependentSchemas": {"c": {"type": "object"}}}),
        ({"discriminator": {"propertyName": "k", "mapping": {"x": "A"}}},
         {"discriminator": {"propertyName": "k", "mapping": {"x": "#/$defs/A"}}}),
        ({"type": "string", "readOnly": True, "writeOnly": False, "description": "d", "xml": {}, "x-a": 1},
         {"type": "string", "readOnly": True, "writeOnly": False}),
        ({"$ref": "#/components/schemas/A", "minimum": 3}, {"$ref": "#/$defs/A"}),
        ({"properties": {"$ref": {"type": "string"}}, "type": "object"},
         {"properties": {"$ref": {"type": "string"}}, "type": "object"}),
    ],
)  # fmt: skip
def test_what_is_no_mistake_makes_no_repair(schema: object, read: object) -> None:
    operation = {"parameters": [{"name": "q", "in": "query", "schema": schema}], **ANSWER}
    document = openapi(operation, components={"schemas": {"A": {"type": "integer"}}})
    api = load(document)
    assert api.operations[0].parameters[0].schema == read
    assert told(api) == []


def test_a_path_template_and_its_parameters_are_made_to_agree() -> None:
    operation, found = only(swagger([{"name": "b", "in": "path", "type": "string"}, {"name": "c", "in": "path",
        "type": "string", "required": True}], "/x/{a}/{b}"))  # fmt: skip
    assert {p.name: (p.required, p.schema) for p in operation.parameters} == {
        "b": (True, {"type": "string"}),
        "a": (True, {"type": "string", "minLength": 1}),
    }
    assert [words for _, words in found] == [
        "a path parameter 'b' that is not required -> required",
        "the path parameter 'c', which /x/{a}/{b} does not have -> left out",
        "no parameter for {a} in the path -> text, required",
    ]


@pytest.mark.parametrize("path", ["/x/:id", "/x/<int:id>", "/x/{id:path}", "x/{id}"])
def test_places_as_frameworks_write_them(path: str) -> None:
    operation, found = only(swagger([{"name": "id", "in": "path", "type": "string", "required": True}], path))
    assert operation.path == "/x/{id}"
    assert len(operation.parameters) == len(found) == 1


@pytest.mark.parametrize(
    ("parameter", "location", "said"),
    [
        ({"name": "id", "in": "url"}, "path", "in: 'url' -> in: path"),
        ({"name": "q", "in": "params"}, "query", "in: 'params' -> in: query"),
        ({"name": "q", "in": "Header"}, "header", "in: 'Header' -> in: header"),
        ({"name": "q"}, "query", "no in -> in: query"),
    ],
)
def test_unknown_locations(parameter: dict[str, Any], location: str, said: str) -> None:
    known = {"name": "id", "in": "path", "required": True}
    declared = {known["name"]: known} | {parameter["name"]: {"required": True, **parameter}}
    parameters = [{**each, "type": "string"} for each in declared.values()]
    operation, found = only(swagger(parameters, "/x/{id}"))
    assert operation.parameters[-1].location == location
    assert [words for _, words in found] == [said]


def test_parameters_given_twice_or_without_a_name() -> None:
    first, second = {"name": "q", "in": "query", "type": "string"}, {"name": "q", "in": "query", "type": "integer"}
    operation, found = only(swagger([first, second, {"in": "query"}, "q", None]))
    assert [p.schema for p in operation.parameters] == [{"type": "integer"}]
    assert [words for _, words in found] == [
        "a second query parameter 'q' -> instead of the first",
        *["a parameter without a name -> left out"] * 3,
    ]


def test_a_body_among_the_parameters_of_openapi_3() -> None:
    parameters = [{"name": "b", "in": "body", "schema": {"type": "object"}}]
    operation, found = only(openapi({"parameters": parameters, **ANSWER}))
    assert operation.bodies["application/json"].schema == {"type": "object"}
    assert [words for _, words in found] == ["a parameter in: body -> the request body"]


@pytest.mark.parametrize("broken", [None, "words", [], {}, {"responses": 5}, {"parameters": "q", "requestBody": 3}])
def test_an_operation_that_cannot_be_read_is_kept(broken: object) -> None:
    operation, found = only(openapi(broken, "/a/{id}"))
    assert (operation.key, operation.parameters[0].name) == ("GET /a/{id}", "id")
    assert found


def test_what_stands_beside_a_reference_is_meant() -> None:
    schema = {"$ref": "#/components/schemas/A", "readOnly": True, "x-nullable": True}
    document = openapi({"parameters": [{"name": "q", "in": "query", "schema": schema}], **ANSWER})
    operation, found = only({**document, "components": {"schemas": {"A": {"type": "integer"}}}})
    read = {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}], "readOnly": True}
    assert operation.parameters[0].schema == read
    assert [words for _, words in found] == [
        "readOnly beside a reference -> meant",
        "nullable beside a schema without a type -> that schema, or null",
    ]


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("#definitions/Pet", "the reference '#definitions/Pet' -> #/definitions/Pet"),
        ("Pet", "the reference 'Pet' -> #/definitions/Pet"),
        (
            "#/components/schemas/Pet",
            "the reference '#/components/schemas/Pet', which is not there -> #/definitions/Pet",
        ),
    ],
)
def test_references_whose_meaning_is_plain(reference: str, said: str) -> None:
    body = {"name": "b", "in": "body", "schema": {"$ref": reference}}
    operation, found = only(swagger([body], definitions={"Pet": {"type": "object"}}))
    assert operation.bodies["application/json"].schema == {"$ref": "#/$defs/Pet"}
    assert [words for _, words in found] == [said]


def test_links_to_nothing_are_said() -> None:
    responses = {"200": {"description": "d", "links": {"x": {"operationId": "none"}}}}
    operation, found = only(openapi({"responses": responses}))
    assert operation.answers["200"].links == {}
    pointer = "/paths/~1a/get/responses/200/links/x"
    assert found == [(pointer, "a link to 'none', which is no operation -> left out")]


def test_links_by_reference() -> None:
    responses = {"200": {"description": "d", "links": {"x": {"operationRef": "#/paths/~1a/get", "requestBody": 1}}}}
    operation, _ = only(openapi({"responses": responses}))
    assert operation.answers["200"].links["x"].operation == "GET /a"
    assert operation.answers["200"].links["x"].body == 1


def test_statuses() -> None:
    responses = {"200": {"description": "d"}, "4XX": {"description": "d"}, "ok": {"description": "d"}, "x-a": 1}
    operation, found = only(openapi({"responses": responses}))
    assert list(operation.answers) == ["200", "4XX"]
    assert found == [("/paths/~1a/get/responses/ok", "the status 'ok' -> left out")]


def test_a_document_without_its_head() -> None:
    api = load({"paths": {"/a": {"get": ANSWER}}, "definitions": {}})
    assert told(api) == [
        ("", "no version of OpenAPI that is known -> openapi-2.0"),
        ("/info", "no title -> an empty text"),
        ("/info", "no version -> an empty text"),
    ]
    assert load({"openapi": "3.0.0", **HEAD}).operations == ()


def test_the_style_of_a_small_framework() -> None:
    """A document as extensions of Flask write it from docstrings: 4 operations, 3 with mistakes."""
    api = load("""
{"swagger": "2.0", "basePath": "/", "protocol": "https", "host": "t.example", "schemes": ["https"],
 "info": {"title": "Tiny", "version": "0.1"}, "definitions": {}, "paths": {
  "/wait/{n}": {"get": {"parameters": [{"in": "path", "name": "n", "type": "int"}],
                        "produces": ["text/html"], "responses": {"302": {"description": "d"}}}},
  "/echo/{word}": {"get": {"produces": ["application/json"], "responses": {"200": {"description": "d"}}}},
  "/auth": {"get": {"parameters": [{"in": "header", "name": "Authorization", "schema": {"type": "string"}}],
                    "responses": {"200": {"description": "d"}}}},
  "/form": {"post": {"consumes": ["application/x-www-form-urlencoded"], "responses": {"200": {"description": "d"}},
                     "parameters": [{"in": "formData", "name": "a", "type": "string"}]}}}}""")
    assert len(api.operations) == 4
    wait, echo, auth, form = api.operations
    assert wait.parameters[0].schema == {"type": "integer"}
    assert echo.parameters[0].name == "word"
    assert auth.parameters[0].schema == {"type": "string"}
    assert list(form.bodies) == ["application/x-www-form-urlencoded"]
    assert len(api.repairs) == 4
