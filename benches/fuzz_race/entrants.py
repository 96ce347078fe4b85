"""Who takes part in the race: services with their documents, and fuzzers with their command lines."""

from __future__ import annotations

import base64
import json
import sys
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gnomon.data.worlds.shop import TOKENS

__all__ = ["FOUND", "FUZZERS", "TARGETS", "Target", "command", "document"]


@dataclass(frozen=True)
class Target:
    """A service.

    Attributes:
        document: path of its OpenAPI document; of its GraphQL endpoint where `graphql`.
        headers: credentials that every fuzzer is given.
        other: bearer token of a second user, for fuzzers whose command line takes one.
    """

    document: str
    graphql: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    other: str = ""


_ANY = "Basic " + base64.b64encode(b"ada:secret").decode()
TARGETS = {
    "httpbin": Target("/spec.json"),
    "kinto": Target("/v1/__api__", headers={"Authorization": _ANY}),
    "dagster": Target("/graphql", graphql=True),
    "shop": Target("/openapi.json", headers={"Authorization": f"Bearer {TOKENS['alice']}"}, other=TOKENS["bob"]),
    "shop-graphql": Target("/graphql", graphql=True),
}
FOUND = "found.json"
"Where our own fuzzer writes its findings, in the folder that it runs in."
FUZZERS = ("gnomon", "schemathesis", "schemathesis-w4")


def document(target: Target, base: str, folder: Path) -> Path:
    """The document of a service that runs, as a file: the same for every fuzzer."""
    if target.graphql:
        from graphql import build_client_schema, get_introspection_query, print_schema

        asked = json.dumps({"query": get_introspection_query()}).encode()
        said = _read(urllib.request.Request(base + target.document, asked, {"content-type": "application/json"}))
        file = folder / "schema.graphql"
        file.write_text(print_schema(build_client_schema(said["data"])), encoding="utf-8")
        return file
    file = folder / "openapi.json"
    file.write_text(json.dumps(_read(urllib.request.Request(base + target.document))), encoding="utf-8")
    return file


def command(fuzzer: str, target: Target, schema: Path, base: str, seconds: int, seed: int, peer: str) -> list[str]:
    """The command line of a fuzzer; `peer` is the interpreter that has schemathesis."""
    url = base + (target.document if target.graphql else _base_path(schema))
    flag = "--header" if fuzzer == "gnomon" else "-H"
    headers = [word for name, value in target.headers.items() for word in (flag, f"{name}: {value}")]
    if fuzzer == "gnomon":
        words = [str(Path(sys.executable).with_name("gnomon")), "fuzz", str(schema), "--url", url]
        second = ["--other-bearer", target.other] if target.other else []
        return [*words, "--max-time", str(seconds), "--seed", str(seed), *headers, *second, "--json", FOUND]
    workers = "4" if fuzzer.endswith("-w4") else "1"
    words = [str(Path(peer).with_name("schemathesis")), "run", str(schema), "--url", url, "-w", workers]
    limits = ["--max-time", str(seconds), "--seed", str(seed), "--continue-on-failure", "--no-color"]
    return [*words, *limits, *headers]


def _base_path(schema: Path) -> str:
    said: dict[str, Any] = json.loads(schema.read_text(encoding="utf-8"))
    return str(said.get("basePath", "")).rstrip("/")


def _read(request: urllib.request.Request) -> Any:
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)
