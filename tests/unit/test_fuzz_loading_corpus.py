"""Random documents, right and wrong: all load, keep every operation, and give schemas that compile alone."""

import importlib.util
import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gnomon.fuzz.base import Api, Schema
from gnomon.fuzz.loading import closed, load

NAMES = st.sampled_from(["A", "B", "C[x]", "d/e", "f~g", "", "é"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
JUNK = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2), max_leaves=3
)
COUNTS = st.integers(-1, 5) | st.sampled_from([1e9, "3", 1.5, 10**30])
NUMBERS = st.integers(-5, 5) | st.floats() | st.sampled_from(["2", 10**400])
TYPES = st.sampled_from(
    ["string", "integer", "number", "boolean", "object", "array", "null", "int", "file", "date", "A", "zzz"]
)
REFERENCES = st.builds(
    "{}{}".format,
    st.sampled_from(["#/components/schemas/", "#/definitions/", "other.json#/", "https://x.example/#/", "#", ""]),
    st.sampled_from(["A", "B", "C%5Bx%5D", "d~1e", "f~0g", "A/properties/A", "A/items", "zzz"]),
)
PATTERNS = st.sampled_from(["^a$", "(", r"[\w-.]", r"\Z", r"\p{L}", "a{,2}", "[^]", r"(?<n>a)\k<n>"]) | st.text(
    max_size=6
)


def schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Schemas of any draft over `inner`, one keyword in some of them with a value of any kind."""
    many, named = st.lists(inner, max_size=2), st.dictionaries(NAMES, inner, max_size=3)
    right: dict[str, st.SearchStrategy[Any]] = {
        "type": TYPES | st.lists(TYPES, max_size=2),
        "$ref": REFERENCES,
        **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"), COUNTS),
        **dict.fromkeys(("minimum", "maximum", "multipleOf"), NUMBERS),
        **dict.fromkeys(("exclusiveMinimum", "exclusiveMaximum"), NUMBERS | st.booleans()),
        **dict.fromkeys(("nullable", "x-nullable", "readOnly", "uniqueItems"), st.booleans() | st.just("yes")),
        **dict.fromkeys(("not", "additionalProperties", "propertyNames", "if", "contains"), inner | st.booleans()),
        **dict.fromkeys(("allOf", "anyOf", "oneOf", "prefixItems", "examples"), many),
        **dict.fromkeys(("properties", "dependentSchemas", "dependencies"), named),
        "patternProperties": st.dictionaries(PATTERNS, inner, max_size=2),
        "items": inner | many,
        "required": st.lists(NAMES, max_size=3) | st.booleans(),
        "enum": st.lists(SCALARS, max_size=3),
        **dict.fromkeys(("const", "default", "example", "title", "$id", "$schema"), JUNK),
        "pattern": PATTERNS,
        "format": st.sampled_from(["date", "uuid", "zzz"]),
        "discriminator": NAMES
        | st.fixed_dictionaries({"propertyName": NAMES, "mapping": st.dictionaries(NAMES, NAMES)}),
    }
    keyword = st.sampled_from(sorted(right))
    pair = keyword.flatmap(lambda k: st.tuples(st.just(k), right[k] if k != "$ref" else REFERENCES))
    broken = st.tuples(keyword, JUNK)
    return st.builds(lambda pairs, odd: dict([*pairs, *odd]), st.lists(pair, max_size=4), st.lists(broken, max_size=1))


SCHEMAS = st.recursive(
    st.booleans() | st.just({"type": "string"}) | REFERENCES.map(lambda r: {"$ref": r}), schemas, max_leaves=6
)
CONTENT = st.dictionaries(
    st.sampled_from(["application/json", "text/plain", "multipart/form-data"]),
    st.fixed_dictionaries({}, optional={"schema": SCHEMAS, "example": JUNK, "examples": JUNK}),
)
LOCATIONS = st.sampled_from(["query", "path", "header", "cookie", "body", "formData", "querystring", "url"]) | JUNK
PARAMETERS = st.fixed_dictionaries({}, optional={
    "name": NAMES | st.just("id") | JUNK, "in": LOCATIONS, "required": st.booleans() | JUNK, "schema": SCHEMAS,
    "type": TYPES, "items": SCHEMAS, "style": st.sampled_from(["form", "deepObject", "zzz"]), "content": CONTENT,
    "collectionFormat": st.sampled_from(["multi", "ssv", "zzz"]), "example": JUNK, "$ref": REFERENCES})  # fmt: skip
LINKS = st.fixed_dictionaries({}, optional={"operationId": NAMES, "operationRef": REFERENCES})
ANSWERS = st.fixed_dictionaries({}, optional={
    "schema": SCHEMAS, "content": CONTENT | JUNK, "headers": st.dictionaries(NAMES, PARAMETERS, max_size=2) | JUNK,
    "links": st.dictionaries(NAMES, LINKS, max_size=2),
})  # fmt: skip
OPERATIONS = st.fixed_dictionaries({}, optional={
    "operationId": NAMES | JUNK, "parameters": st.lists(PARAMETERS, max_size=3) | JUNK, "tags": JUNK,
    "requestBody": st.fixed_dictionaries({}, optional={"content": CONTENT, "$ref": REFERENCES}) | JUNK,
    "consumes": JUNK, "produces": st.lists(st.just("text/plain")) | JUNK, "security": JUNK,
    "responses": st.dictionaries(st.sampled_from(["200", "4XX", "default", "zzz"]), ANSWERS | JUNK, max_size=2) | JUNK,
})  # fmt: skip
METHODS = st.sampled_from(["get", "post", "PUT"])
PATHS = st.dictionaries(
    st.sampled_from(["/a", "/a/{id}", "/b/:id", "c"]),
    st.dictionaries(METHODS, OPERATIONS | JUNK, max_size=2),
    max_size=3,
)
VERSIONS = st.sampled_from([{"swagger": "2.0"}, {"openapi": "3.0.1"}, {"openapi": "3.1.0"}, {"openapi": "3.2.0"}])
DOCUMENTS = st.builds(
    lambda version, paths, named, more: {
        **more, **version, "paths": paths, "definitions": named, "components": {"schemas": named}},
    VERSIONS, PATHS, st.dictionaries(NAMES, SCHEMAS, max_size=4),
    st.fixed_dictionaries({}, optional={"info": JUNK, "servers": JUNK, "host": JUNK, "schemes": JUNK, "security": JUNK,
                                        "securityDefinitions": JUNK, "basePath": JUNK}),
)  # fmt: skip


def schemas_of(api: Api) -> Iterator[Schema]:
    """Every schema that a stage after this one compiles."""
    for operation in api.operations:
        yield from (parameter.schema for parameter in operation.parameters)
        yield from (media.schema for media in operation.bodies.values())
        for answer in operation.answers.values():
            yield from (schema for schema in answer.content.values() if schema is not None)
            yield from (header.schema for header in answer.headers.values())
    yield from ({"$ref": f"#/$defs/{name}"} for name in api.definitions)


@settings(max_examples=200, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(DOCUMENTS)
def test_random_documents(document: dict[str, Any]) -> None:
    api = load(document)
    assert len(api.operations) == sum(len(item) for item in document["paths"].values())
    for schema in schemas_of(api):
        jsonschema_rs.Draft202012Validator(closed(schema, api.definitions)).is_valid({"A": [1, "a"]})
    assert len(set(api.repairs)) == len(api.repairs)


@pytest.mark.slow
def test_httpbin_as_flasgger_describes_it() -> None:
    if importlib.util.find_spec("httpbin") is None:
        pytest.skip("httpbin is not installed here")
    from httpbin import app  # type: ignore[import-not-found]

    document = json.loads(app.test_client().get("/spec.json").data)
    api = load(document)
    assert len(api.operations) == sum(map(len, document["paths"].values())) == 78
    assert sum(repair.found == "'int' for a type" for repair in api.repairs) >= 17


@pytest.mark.slow
def test_kinto_as_it_describes_itself() -> None:
    if importlib.util.find_spec("kinto") is None:
        pytest.skip("kinto is not installed here")
    import kinto  # type: ignore[import-not-found]

    stores = {f"kinto.{part}_backend": f"kinto.core.{part}.memory" for part in ("storage", "cache", "permission")}
    app = kinto.main({}, **stores, **{"kinto.userid_hmac_secret": "made up", "multiauth.policies": "basicauth"})
    document = _asked(app, "/v1/__api__")
    api = load(document)
    methods = sum(len(set(item) - {"parameters"}) for item in document["paths"].values())
    assert len(api.operations) == methods >= 36
    assert (api.base_path, api.repairs) == ("/v1", ())


def _asked(app: Any, path: str) -> Any:
    import io

    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": "", "SERVER_NAME": "127.0.0.1",
               "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.input": io.BytesIO(),
               "wsgi.errors": io.StringIO(), "wsgi.url_scheme": "http"}  # fmt: skip
    return json.loads(b"".join(app(environ, lambda *_: None)))
