"""GraphQL schemas from files, applications and servers, and what is said where there is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from graphql import build_schema, graphql_sync, introspection_from_schema

from gnomon.core.errors import DataError
from gnomon.data.worlds.shop import make_app
from gnomon.data.worlds.shop.graph import SDL
from gnomon.fuzz.config import Fuzzing
from gnomon.fuzz.loading import load
from gnomon.fuzz.targets import opened
from tests.unit._fuzz_served import Echo, served

FIELDS = ["QUERY items", "QUERY item", "QUERY dearest", "QUERY customer", "QUERY purchase"]
REFUSED = {"errors": [{"message": "GraphQL introspection has been disabled"}]}


class Graph:
    """Answers GraphQL at one path, and 404 elsewhere."""

    def __init__(self, path: str, *, told: bool = True) -> None:
        self._path, self._told, self._schema = path, told, build_schema(SDL)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        raw, status, said = (await receive()).get("body", b""), 404, {"detail": "nothing is here"}
        if scope["path"] == self._path and scope["method"] == "POST":
            query = json.loads(raw)["query"]
            result = graphql_sync(self._schema, query).formatted if self._told else REFUSED
            status, said = 200 if self._told else 400, dict(result)
        elif scope["path"] == self._path:
            status, said = 400, {"detail": "ask by POST"}
        body = json.dumps(said).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def keys(api: Any) -> list[str]:
    return [each.key for each in api.operations[:5]]


def test_introspection_is_read_with_and_without_data(tmp_path: Path) -> None:
    said = introspection_from_schema(build_schema(SDL))
    (tmp_path / "schema.json").write_text(json.dumps({"data": said}))
    (tmp_path / "schema.graphql").write_text(SDL)
    for source in (dict(said), {"data": said}, tmp_path / "schema.json", tmp_path / "schema.graphql"):
        assert keys(load(source)) == FIELDS


@pytest.mark.parametrize("path", ["/graphql", "/api/graphql"])
def test_an_application_tells_its_schema(path: str) -> None:
    api = load(Graph(path))
    assert keys(api) == FIELDS and api.base_path == path


def test_a_path_of_an_application_is_asked() -> None:
    assert load(make_app()).dialect == "openapi-3.1"
    assert load(make_app(), at="/graphql").dialect == "graphql"
    with pytest.raises(DataError, match="serves no document; tried /nowhere"):
        load(make_app(), at="/nowhere")
    target = opened("/odd", Fuzzing(app="tests.unit.test_fuzz_graphql_loading:APP"))
    assert (target.api.dialect, target.api.base_path, target.origin) == ("graphql", "/odd", "")


APP = Graph("/odd")


def test_a_server_is_asked_at_its_url_or_the_common_ones() -> None:
    with served(Graph("/graphql")) as address:
        for url in (address + "/graphql", address):
            target = opened(url, Fuzzing())
            assert keys(target.api) == FIELDS
            assert (target.origin, target.api.base_path) == (address, "/graphql")


def test_introspection_that_is_off_is_said() -> None:
    with pytest.raises(DataError, match="does not tell its schema: 'GraphQL introspection has been disabled'; turn"):
        load(Graph("/graphql", told=False))
    with (
        served(Graph("/graphql", told=False)) as address,
        pytest.raises(DataError, match=r"or give a file .* and --url"),
    ):
        load(address + "/graphql")


def test_a_file_and_the_url_of_its_server(tmp_path: Path) -> None:
    file = tmp_path / "schema.graphql"
    file.write_text(SDL)
    target = opened(str(file), Fuzzing(url="http://127.0.0.1:9/api/v2/graph"))
    assert (target.origin, target.api.base_path) == ("http://127.0.0.1:9", "/api/v2/graph")
    assert opened(str(file), Fuzzing(url="http://127.0.0.1:9")).api.base_path == "/graphql"


def test_a_server_of_something_else_is_no_graphql() -> None:
    page = (200, [(b"content-type", b"text/html")], b"<html>")
    with served(Echo(*[page] * 20)) as address, pytest.raises(DataError, match="holds no document"):
        load(address + "/page")
