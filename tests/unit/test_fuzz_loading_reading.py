"""Text, files, URLs and applications; references between documents; sizes."""

import http.server
import json
import threading
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, ClassVar

import pytest

from gnomon.core.errors import DataError
from gnomon.fuzz.loading import closed, load
from gnomon.fuzz.loading.parsing import parsed
from gnomon.fuzz.loading.patterns import readable
from gnomon.fuzz.loading.repairs import Ledger
from tests.pace import within

DOCUMENT = {"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "paths": {}}


def one(schema: object, **more: Any) -> dict[str, Any]:
    content = {"application/json": {"schema": schema}}
    operation = {"requestBody": {"content": content}, "responses": {"200": {"description": "d"}}}
    return {**DOCUMENT, "paths": {"/a": {"post": operation}}, **more}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 2020-01-01", {"a": "2020-01-01"}),
        ("on: yes", {"on": "yes"}),
        ("200: {true: 1e3}", {"200": {"true": 1000.0}}),
        ("a: 12:30:45", {"a": "12:30:45"}),
        ("a: [~, null, True, 0x10, 0o10, 010, .5, '1', !!str 1, 1_000]",
         {"a": [None, None, True, 16, 8, 10, 0.5, "1", "1", "1_000"]}),
        ("a: &x {b: 1}\nc: {<<: *x, d: 2}\ne: *x", {"a": {"b": 1}, "c": {"b": 1, "d": 2}, "e": {"b": 1}}),
        ("a: {<<: [{b: 1}, {b: 2, c: 3}], c: 4}", {"a": {"b": 1, "c": 4}}),
        ('{"a": 1, // said twice\n "b": 2}', None),
        ("{'a': 1, b: [1, 2,],}", {"a": 1, "b": [1, 2]}),
        ('\ufeff{"a": "\\ud83d\\ude00"}', {"a": "😀"}),
        ("? [1, 2]\n: 3", {"[1, 2]": 3}),
        ("", None),
    ],
)  # fmt: skip
def test_text(text: str, value: object) -> None:
    if value is None and text:
        with pytest.raises(DataError, match="is neither JSON nor YAML"):
            parsed(text, "x", Ledger())
    else:
        assert parsed(text, "x", Ledger()) == value


def test_repairs_of_text() -> None:
    ledger = Ledger()
    assert parsed('{"a": {"x": 1}, "a": {"y": 2}}', "x", ledger) == {"a": {"x": 1, "y": 2}}
    assert parsed('{"a": "\\ud800"}', "x", ledger) == {"a": "\ufffd"}
    assert parsed("a: &x [*x]", "x", ledger) == {"a": [None]}
    assert parsed("{200: 1, null: 2}", "x", ledger) == {"200": 1, "null": 2}
    assert [repair.found.split()[0] for repair in ledger.repairs] == ["the", "lone", "the", "2"]


def test_a_mapping_of_a_program() -> None:
    api = load({"openapi": "3.0.0", "info": {"title": date(2020, 1, 2), "version": 1}, "paths": {"/a": {"get": {
        "responses": {200: {"description": "d"}}}}}})  # fmt: skip
    assert (api.title, api.version) == ("2020-01-02", "1")
    assert list(api.operations[0].answers) == ["200"]
    assert [repair.found for repair in api.repairs] == ["1 keys that are not text (200 first)"]
    endless: dict[str, Any] = {"paths": {}}
    endless["paths"]["/a"] = endless
    for document in (endless, {"paths": {"/a": object()}}):
        with pytest.raises(DataError, match="no JSON value"):
            load(document)


def test_references_between_files(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "book.yaml").write_text("Book: {properties: {author: {$ref: 'author.json'}}, type: object}")
    (tmp_path / "parts" / "author.json").write_text(
        '{"type": "object", "properties": {"b": {"$ref": "book.yaml#/Book"}}}'
    )
    main = tmp_path / "main.json"
    main.write_text(json.dumps(one({"$ref": "parts/book.yaml#/Book"})))
    api = load(main)
    assert api.operations[0].bodies["application/json"].schema == {"$ref": "#/$defs/book.Book"}
    assert api.definitions == {
        "book.Book": {"properties": {"author": {"$ref": "#/$defs/author"}}, "type": "object"},
        "author": {"type": "object", "properties": {"b": {"$ref": "#/$defs/book.Book"}}},
    }
    assert api.repairs == ()


def test_references_into_schemas() -> None:
    """Deep pointers, escapes, anchors, identifiers, and pointers from the root of the schema that they stand in."""
    api = load(one(
        {"properties": {"a": {"$ref": "#/components/schemas/A~1B%5B%5D/properties/c"}, "d": {"$ref": "#near"},
                        "e": {"$ref": "urn:e"}, "f": {"$ref": "#/$defs/F"}, "g": {"$dynamicRef": "#near"}},
         "$defs": {"F": {"const": "f"}}, "type": "object"},
        components={"schemas": {"A/B[]": {"type": "object", "properties": {"c": {"const": "c"}}},
                                "N": {"$anchor": "near", "const": "n"}, "E": {"$id": "urn:e", "const": "e"}}},
    ))  # fmt: skip
    schema = api.operations[0].bodies["application/json"].schema
    meant = {k: api.definitions[v["$ref"].removeprefix("#/$defs/")] for k, v in schema["properties"].items()}
    assert {name: each["const"] for name, each in meant.items()} == {"a": "c", "d": "n", "e": "e", "f": "f", "g": "n"}
    assert set(api.definitions) >= {"A_B__", "A_B__.properties.c", "N", "E"}
    assert api.repairs == ()


def test_siblings_of_a_reference_count_since_3_1() -> None:
    schema = {"$ref": "#/components/schemas/A", "maxLength": 3}
    more = {"components": {"schemas": {"A": {"type": "string"}}}}
    for version, read in (("3.1.0", {"$ref": "#/$defs/A", "maxLength": 3}), ("3.0.0", {"$ref": "#/$defs/A"})):
        assert load(one(schema, openapi=version, **more)).operations[0].bodies["application/json"].schema == read


def test_references_that_lead_back_to_themselves() -> None:
    reference = {name: {"$ref": f"#/components/schemas/{name}"} for name in "ABCD"}
    schemas = {"A": reference["B"], "B": reference["A"], "C": {"anyOf": [reference["C"], {"type": "string"}]},
               "D": {"type": "object", "properties": {"d": reference["D"]}}}  # fmt: skip
    api = load(one(reference["A"], components={"schemas": schemas}))
    assert api.definitions["A"] == {"$ref": "#/$defs/B"} and api.definitions["B"] == {}
    assert api.definitions["C"] == {"anyOf": [{"not": {}}, {"type": "string"}]}
    assert api.definitions["D"]["properties"] == {"d": {"$ref": "#/$defs/D"}}
    assert len(api.repairs) == 2


@pytest.mark.parametrize(
    ("pattern", "read"),
    [
        (r"^\d{3}$", r"^\d{3}$"),
        (r"[\w-.]+", r"[\w\-.]+"),
        (r"(?<y>\d)\k<y>", r"(\d)\1"),
        (r"(?P<y>\d)(?P=y)", r"(\d)\1"),
        ("/^a+$/i", "^a+$"),
        ("a{,3}", "a{0,3}"),
        ("{id}", r"\{id}"),
        ("[^]", r"[\s\S]"),
        (r"\cJ", r"\x0a"),
        (r"^\p{L}+$", r"^[^\W\d_]+$"),
        (r"\p{Greek}", r"\p{Greek}"),
        ("[z-a]", None),
        (".{1000000000}", None),
    ],
)
def test_patterns(pattern: str, read: str | None) -> None:
    assert readable(pattern) == read


class Server(http.server.BaseHTTPRequestHandler):
    """Serves what `pages` holds: status, content type, body."""

    pages: ClassVar[dict[str, tuple[int, str, str]]] = {}

    def do_GET(self) -> None:
        status, kind, body = self.pages.get(self.path, (404, "text/plain", "no such page"))
        self.send_response(status)
        self.send_header("location" if status == 302 else "content-type", kind)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def origin() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_urls(origin: str) -> None:
    part = {"type": "string"}
    remote = {"$ref": "http://localhost:1/x.json"}
    document = one({"anyOf": [{"$ref": "part.json"}, remote]}, servers=[{"url": "/v1"}])
    Server.pages = {
        "/docs/main.json": (200, "application/json", json.dumps(document)),
        "/docs/part.json": (200, "application/json", json.dumps(part)),
        "/moved": (302, "/docs/main.json", ""),
    }
    api = load(f"{origin}/docs/main.json")
    assert api.servers == (f"{origin}/v1",)
    assert api.definitions == {"part": part}
    assert ["cannot be opened" in repair.found for repair in api.repairs] == [True]
    assert load(f"{origin}/moved").servers == (f"{origin}/v1",)


def test_a_bare_host_is_searched(origin: str) -> None:
    Server.pages = {"/": (200, "text/html", "<html>"), "/swagger.json": (200, "application/json", json.dumps(DOCUMENT))}
    assert load(origin).title == "t"
    told = r"status 404, content type text/plain, which begins 'no such page'; .*there is one at http:.*/swagger.json"
    with pytest.raises(DataError, match=told):
        load(f"{origin}/api")


def test_what_came_instead_of_a_document(origin: str) -> None:
    Server.pages = {"/docs": (200, "text/html", "\n<!doctype html>\n<p>"), "/far": (302, "http://localhost/x", "")}
    tried = r"/openapi.json \(404\), /swagger.json \(404\), /v3/api-docs \(404\), /openapi.yaml \(404\), /api/schema/"
    with pytest.raises(DataError, match=rf"/docs: .*200, content type text/html, .*'<!doctype html>'.*tried {tried}"):
        load(f"{origin}/docs")
    with pytest.raises(DataError, match="redirects to another host, http://localhost/x"):
        load(f"{origin}/far")
    with pytest.raises(DataError, match="cannot be reached"):
        load("http://127.0.0.1:9/openapi.json")


def test_files_and_other_things(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be read \(No such file"):
        load(tmp_path / "none.json")
    bad = tmp_path / "bad.json"
    bad.write_text('{"paths": ')
    with pytest.raises(DataError, match=r"bad.json: is neither JSON nor YAML .*line 1 column 11"):
        load(str(bad))
    with pytest.raises(DataError, match="a int is no schema"):
        load(5)


def test_applications() -> None:
    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        found = scope["type"] == "http" and scope["path"] == "/swagger.json"
        await send({"type": "http.response.start", "status": 200 if found else 404, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(DOCUMENT).encode()})

    def wsgi(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK" if environ["PATH_INFO"] == "/openapi.json" else "404 Not Found", [])
        return [json.dumps(DOCUMENT).encode()]

    assert load(asgi).title == load(wsgi).title == "t"
    with pytest.raises(DataError, match=r"the application serves no document; tried /openapi.json \(404\)"):
        load(lambda environ, start_response: start_response("404 Not Found", []) and [])


def nested(levels: int) -> str:
    schema = '{"type": "object", "properties": {"a": ' * levels + "{}" + "}}" * levels
    return json.dumps(one("HERE")).replace('"HERE"', schema)


def test_deep_nesting_is_cut_into_definitions() -> None:
    api = load(nested(1000))
    assert len(api.definitions) == 33
    assert len(json.dumps(closed(api.operations[0].bodies["application/json"].schema, api.definitions))) > 20_000
    with pytest.raises(DataError, match="is nested more than 5,000 levels deep"):
        load(nested(20_000))


def test_aliases_do_not_grow_without_bound() -> None:
    laughs = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40))
    with pytest.raises(DataError, match="holds more than 5,000,000 values once its aliases are written out"):
        load(laughs + "paths: {}\n")


def large(num_operations: int, num_schemas: int, num_properties: int) -> dict[str, Any]:
    text = {"type": "string", "description": "Words.", "pattern": "^a", "maxLength": 10**9}
    schemas = {}
    for i in range(num_schemas):
        following = {"$ref": f"#/components/schemas/S{(7 * i + 1) % num_schemas}"}
        schemas[f"S{i}"] = {
            "type": "object",
            "properties": {**{f"p{k}": text for k in range(num_properties)}, "n": following},
        }
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/S0"}}}
    many = [{"name": f"q{i}", "in": "query", "schema": {"type": "integer"}} for i in range(500)]
    operation = {"responses": {"200": {"description": "d", "content": content}}}
    paths = {f"/a{i}": {"get": operation | ({} if i else {"parameters": many})} for i in range(num_operations)}
    return {**DOCUMENT, "paths": paths, "components": {"schemas": schemas}}


def test_a_document_of_100_000_lines() -> None:
    text = json.dumps(large(200, 701, 21), indent=1)
    assert text.count("\n") > 100_000
    with within(2):
        api = load(text)
        schemas = [operation.answers["200"].content["application/json"] for operation in api.operations]
        whole = [closed(schema, api.definitions) for schema in schemas if schema is not None]
    assert len(api.operations[0].parameters) == 500
    assert len(whole) == 200 and isinstance(whole[0], dict) and len(whole[0]["$defs"]) > 100
