"""Every dialect becomes the same `Api`."""

import jsonschema_rs
import pytest

from gnomon.core.errors import DataError
from gnomon.fuzz.base import NOTHING, Api, Case, Header, Link, Operation, SecurityScheme
from gnomon.fuzz.loading import closed, dialect_of, load
from gnomon.fuzz.writing import written

SWAGGER = """
swagger: "2.0"
info: {title: Shelf, version: 1.2.0}
host: shelf.example
basePath: /v1/
schemes: [https, http]
consumes: [application/json]
produces: [application/json]
securityDefinitions:
  key: {type: apiKey, in: header, name: X-Key}
  user: {type: basic}
security: [{key: []}, {user: [], key: []}]
definitions:
  Book:
    type: object
    required: [title]
    properties:
      title: {type: string, example: Emma}
      pages: {type: integer, minimum: 0, exclusiveMinimum: true, x-nullable: true}
      next: {$ref: '#/definitions/Book'}
parameters:
  page: {name: page, in: query, type: integer, maximum: 9}
paths:
  /books:
    get:
      operationId: list_books
      parameters:
        - {$ref: '#/parameters/page'}
        - {name: tag, in: query, type: array, items: {type: string}, collectionFormat: multi}
        - {name: ids, in: query, type: array, items: {type: integer}, collectionFormat: pipes}
        - {name: X-Want, in: header, type: array, items: {type: string}}
      responses:
        200:
          description: all of them
          headers: {X-Total: {type: integer}}
          schema: {type: array, items: {$ref: '#/definitions/Book'}}
          x-links: {first: {operationId: get_book, parameters: {id: $response.body#/0/id}}}
    post:
      security: []
      parameters: [{name: book, in: body, required: true, schema: {$ref: '#/definitions/Book'}}]
      responses: {201: {description: made}}
  /books/{id}:
    parameters: [{name: id, in: path, required: true, type: string}]
    get: {operationId: get_book, responses: {200: {description: one, schema: {$ref: '#/definitions/Book'}}}}
  /books/{id}/cover:
    put:
      consumes: [multipart/form-data]
      produces: [image/png]
      parameters:
        - {name: id, in: path, required: true, type: string}
        - {name: image, in: formData, required: true, type: file}
        - {name: words, in: formData, type: array, items: {type: string}, collectionFormat: multi}
      responses: {200: {description: the image, schema: {type: file}}}
"""

OPENAPI = """
openapi: 3.0.3
info: {title: Shelf, version: 1.2.0}
servers:
  - url: https://{host}/v1/
    variables: {host: {default: shelf.example}}
  - url: http://shelf.example/v1
security: [{key: []}, {user: [], key: []}]
components:
  securitySchemes:
    key: {type: apiKey, in: header, name: X-Key}
    user: {type: http, scheme: Basic}
  schemas:
    Book:
      type: object
      required: [title]
      properties:
        title: {type: string, example: Emma}
        pages: {type: integer, minimum: 0, exclusiveMinimum: true, nullable: true}
        next: {$ref: '#/components/schemas/Book'}
  parameters:
    page: {name: page, in: query, schema: {type: integer, maximum: 9}}
  requestBodies:
    Book: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/Book'}}}}
  headers:
    Total: {schema: {type: integer}}
  links:
    first: {operationId: get_book, parameters: {id: $response.body#/0/id}}
  responses:
    Books:
      description: all of them
      headers: {X-Total: {$ref: '#/components/headers/Total'}}
      content: {application/json: {schema: {type: array, items: {$ref: '#/components/schemas/Book'}}}}
      links: {first: {$ref: '#/components/links/first'}}
paths:
  /books:
    get:
      operationId: list_books
      parameters:
        - {$ref: '#/components/parameters/page'}
        - {name: tag, in: query, schema: {type: array, items: {type: string}}}
        - {name: ids, in: query, style: pipeDelimited, schema: {type: array, items: {type: integer}}}
        - {name: X-Want, in: header, schema: {type: array, items: {type: string}}}
      responses: {200: {$ref: '#/components/responses/Books'}}
    post:
      security: []
      requestBody: {$ref: '#/components/requestBodies/Book'}
      responses: {201: {description: made}}
  /books/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get:
      operationId: get_book
      responses:
        200: {description: one, content: {application/json: {schema: {$ref: '#/components/schemas/Book'}}}}
  /books/{id}/cover:
    put:
      parameters: [{name: id, in: path, required: true, schema: {type: string}}]
      requestBody:
        required: true
        content:
          multipart/form-data:
            schema:
              type: object
              properties: {image: {type: string, format: binary}, words: {type: array, items: {type: string}}}
              required: [image]
            encoding: {words: {style: form, explode: true}}
      responses:
        200: {description: the image, content: {image/png: {schema: {type: string, format: binary}}}}
"""

BOTH = pytest.mark.parametrize("text", [SWAGGER, OPENAPI], ids=["2.0", "3.0"])


def by_key(api: Api) -> dict[str, Operation]:
    return {operation.key: operation for operation in api.operations}


@BOTH
def test_the_same_api_in_two_dialects(text: str) -> None:
    api = load(text)
    assert (api.title, api.version, api.base_path) == ("Shelf", "1.2.0", "/v1")
    assert api.servers == ("https://shelf.example/v1", "http://shelf.example/v1")
    assert api.security == {
        "key": SecurityScheme(kind="apiKey", name="X-Key", location="header"),
        "user": SecurityScheme(kind="http", scheme="basic"),
    }
    keys = ["GET /books", "POST /books", "GET /books/{id}", "PUT /books/{id}/cover"]
    assert [operation.key for operation in api.operations] == keys
    book = api.definitions["Book"]
    assert book["properties"]["pages"] == {"type": ["integer", "null"], "exclusiveMinimum": 0}
    assert book["properties"]["title"]["examples"] == ["Emma"]
    assert book["properties"]["next"] == {"$ref": "#/$defs/Book"}
    (repair,) = api.repairs
    assert "keys that are not text (200 first)" in repair.found


@BOTH
def test_parameters_in_two_dialects(text: str) -> None:
    page, tag, ids, want = by_key(load(text))["GET /books"].parameters
    assert page.schema == {"type": "integer", "maximum": 9}
    assert (tag.style, tag.explode) == ("form", True)
    assert (ids.style, ids.explode) == ("pipeDelimited", False)
    assert (want.location, want.style) == ("header", "simple")
    (id,) = by_key(load(text))["GET /books/{id}"].parameters
    assert (id.name, id.location, id.required) == ("id", "path", True)


@BOTH
def test_bodies_in_two_dialects(text: str) -> None:
    operations = by_key(load(text))
    post, put = operations["POST /books"], operations["PUT /books/{id}/cover"]
    assert post.bodies["application/json"].schema == {"$ref": "#/$defs/Book"}
    assert post.body_required and put.body_required
    form = put.bodies["multipart/form-data"]
    image = {"type": "string", "format": "binary"}
    words = {"type": "array", "items": {"type": "string"}}
    assert form.schema == {"type": "object", "properties": {"image": image, "words": words}, "required": ["image"]}
    assert form.encoding == {"words": {"style": "form", "explode": True}}


@BOTH
def test_answers_in_two_dialects(text: str) -> None:
    operations = by_key(load(text))
    answer = operations["GET /books"].answer(200)
    assert answer is not None
    assert answer.content == {"application/json": {"type": "array", "items": {"$ref": "#/$defs/Book"}}}
    assert answer.headers == {"X-Total": Header(schema={"type": "integer"})}
    first = Link(operation="GET /books/{id}", parameters={"id": "$response.body#/0/id"}, body=NOTHING)
    assert answer.links == {"first": first}
    assert operations["PUT /books/{id}/cover"].answers["200"].content == {
        "image/png": {"type": "string", "format": "binary"}
    }


@BOTH
def test_security_is_alternatives_of_names(text: str) -> None:
    operations = by_key(load(text))
    assert operations["GET /books"].security == (frozenset({"key"}), frozenset({"user", "key"}))
    assert operations["POST /books"].security == ()


def test_media_types_without_a_schema() -> None:
    """Swagger 2.0 says what is produced apart from schemas; where it says nothing, a schema holds for any type."""
    document = """
        {"swagger": "2.0", "info": {"title": "t", "version": "1"}, "paths": {"/a": {
            "get": {"produces": ["text/html"], "responses": {"200": {"description": "d"}}},
            "put": {"responses": {"200": {"description": "d", "schema": {"type": "object"}}}}}}}
    """
    get, put = load(document).operations
    assert get.answers["200"].content == {"text/html": None}
    assert put.answers["200"].content == {"*/*": {"type": "object"}}


@pytest.mark.parametrize(
    ("collection_format", "style", "sent"),
    [
        ("csv", ("form", False), "q=a,b"),
        ("ssv", ("spaceDelimited", False), "q=a%20b"),
        ("tsv", ("tabDelimited", False), "q=a%09b"),
        ("pipes", ("pipeDelimited", False), "q=a%7Cb"),
        ("multi", ("form", True), "q=a&q=b"),
    ],
)
def test_collection_formats(collection_format: str, style: tuple[str, bool], sent: str) -> None:
    parameter = {"name": "q", "in": "query", "type": "array", "items": {"type": "string"}}
    answers = {"200": {"description": "d"}}
    operation = {"parameters": [{**parameter, "collectionFormat": collection_format}], "responses": answers}
    (read,) = load({"swagger": "2.0", "paths": {"/a": {"get": operation}}}).operations
    assert (read.parameters[0].style, read.parameters[0].explode) == style
    assert written(Case(operation=read, parameters={("query", "q"): ["a", "b"]})).target == f"/a?{sent}"


def test_a_body_of_a_range_of_media_types_is_sent_as_one() -> None:
    text = """
        {"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "paths": {"/a": {"post": {
            "requestBody": {"content": {"*/*": {"schema": {}}, "text/*": {"schema": {}}, "text/csv": {}}},
            "responses": {"200": {"description": "d", "content": {"*/*": {}}}}}}}}
    """
    (operation,) = load(text).operations
    assert list(operation.bodies) == ["application/json", "text/plain", "text/csv"]
    assert operation.answers["200"].content == {"*/*": None}


def test_openapi_3_2() -> None:
    api = load("""
openapi: 3.2.0
info: {title: t, version: '1'}
paths:
  /a:
    query: {responses: {'200': {description: d}}}
    additionalOperations: {COPY: {responses: {'200': {description: d}}}}
    get:
      parameters:
        - in: querystring
          name: all
          content:
            application/x-www-form-urlencoded:
              schema: {type: object, required: [q], properties: {q: {type: string}, n: {type: integer}}}
      responses:
        '200': {description: d, content: {application/jsonl: {itemSchema: {type: integer}}}}
    """)
    query, get, copy = api.operations
    assert (api.dialect, query.method, copy.method) == ("openapi-3.2", "QUERY", "COPY")
    assert [(p.name, p.required, p.schema) for p in get.parameters] == [
        ("q", True, {"type": "string"}),
        ("n", False, {"type": "integer"}),
    ]
    assert api.repairs == ()


def test_parameters_of_openapi_3() -> None:
    (operation,) = load("""
openapi: 3.1.0
info: {title: t, version: '1'}
paths:
  /a/{x}:
    parameters: [{name: q, in: query, schema: {type: integer}}, {name: q, in: header, schema: {type: integer}}]
    get:
      parameters:
        - {name: x, in: path, required: true, style: matrix, explode: true, schema: {type: string}, example: b}
        - {name: q, in: query, allowReserved: true, schema: {type: string, examples: [s]}}
        - {name: f, in: query, content: {application/json: {schema: {type: object}, examples: {a: {value: {k: 1}}}}}}
        - {name: Accept, in: header, schema: {type: string}}
      responses: {'200': {description: d}}
    """).operations
    header, x, q, f = operation.parameters
    assert (header.name, header.location) == ("q", "header")
    assert (x.style, x.explode, x.examples) == ("matrix", True, ("b",))
    assert (q.reserved, q.schema["type"], q.examples) == (True, "string", ("s",))
    assert (f.media_type, f.schema, f.examples) == ("application/json", {"type": "object"}, ({"k": 1},))


def test_servers_are_relative_to_where_the_document_stands() -> None:
    document = {"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "paths": {}, "servers": [{"url": "/v2/"}]}
    assert (load(document).base_path, load(document).servers) == ("/v2", ())
    assert load(document, base_url="http://127.0.0.1:8000").servers == ("http://127.0.0.1:8000/v2",)


def test_a_schema_is_closed_by_what_it_reaches() -> None:
    definitions = {
        "A": {"properties": {"b": {"$ref": "#/$defs/B"}}},
        "B": {"items": {"$ref": "#/$defs/A"}, "default": {"$ref": "#/$defs/C"}},
        "C": {"type": "string"},
    }
    whole = closed({"$ref": "#/$defs/A"}, definitions)
    assert whole == {"$ref": "#/$defs/A", "$defs": {"A": definitions["A"], "B": definitions["B"]}}
    assert closed({"type": "string"}, definitions) == {"type": "string"}
    assert closed(True, definitions) is True
    jsonschema_rs.Draft202012Validator(whole).validate({"b": [{}]})
    other = closed({"not": {"$ref": "#/$defs/A"}}, definitions)
    assert isinstance(whole, dict) and isinstance(other, dict) and whole["$defs"] is other["$defs"]


@pytest.mark.parametrize(
    ("document", "dialect"),
    [
        ({"swagger": "2.0"}, "openapi-2.0"),
        ({"openapi": "3.0.1"}, "openapi-3.0"),
        ({"openapi": 3.1}, "openapi-3.1"),
        ({"openapi": "3.2.0"}, "openapi-3.2"),
        ({"paths": {}, "definitions": {}}, "openapi-2.0"),
        ({"paths": {}, "components": {}}, "openapi-3.0"),
        ({"data": {"__schema": {}}}, "graphql"),
        ({"__schema": {}}, "graphql"),
        ('"""The root."""\ntype Query { a: Int }', "graphql"),
        ("# words\nschema { query: Q }", "graphql"),
    ],
)
def test_dialects(document: object, dialect: str) -> None:
    assert dialect_of(document) == dialect


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"swaggerVersion": "1.2"}, "is written in Swagger 1.2, which is not read; convert it"),
        ({"name": "x", "dependencies": {}}, "its keys: dependencies, name"),
        (["paths"], "is a list where an API description is an object"),
        ("type: object", "is neither an API description nor GraphQL; it begins 'type: object'"),
    ],
)
def test_no_dialect(document: object, told: str) -> None:
    with pytest.raises(DataError, match=told):
        dialect_of(document)


def test_graphql_is_told_apart() -> None:
    assert load("type Query {\n  a: Int\n}").dialect == "graphql"
