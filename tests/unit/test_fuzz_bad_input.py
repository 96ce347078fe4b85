"""Servers, documents and flags that will not do: what is said of them, what the exit code is, and what goes on."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import gnomon
from gnomon.cli import main
from gnomon.core.errors import UsageError
from gnomon.fuzz.campaign import Campaign
from gnomon.fuzz.checks import CHECKS, Promises
from gnomon.fuzz.config import Fuzzing
from gnomon.fuzz.loading import load
from gnomon.fuzz.targets import mounted
from tests.pace import within
from tests.unit._fuzz_served import served

DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "t", "version": "1"},
    "paths": {
        "/users": {"get": {"responses": {"200": {"description": ""}}}},
        "/users/{id}": {
            "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
            "get": {"responses": {"200": {"description": ""}}},
        },
    },
}


class App:
    """Answers 200 below a base path, 404 elsewhere; or what it is told to answer there."""

    def __init__(self, base: str = "", status: int = 200, document: Mapping[str, Any] = DOCUMENT) -> None:
        self.base, self.status, self.document, self.asked = base, status, document, list[str]()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        status, body = 404, b"no such page"
        if path == "/openapi.json":
            status, body = 200, json.dumps(self.document).encode()
        elif path.startswith(f"{self.base}/users") and scope["method"] == "GET":
            status, body = self.status, b"{}"
        self.asked.append(path)
        headers = [(b"content-length", str(len(body)).encode()), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


app, broken, closed = App(), App(status=500), App(status=401)
HERE = __name__
FEW = ["--max-requests", "40", "--connections", "1"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([f"{HERE}:app", *FEW], 0, ""),
        ([f"{HERE}:broken", *FEW], 1, ""),
        ([], 2, "no document is named"),
        (["{folder}/none.json"], 2, "cannot be read (No such file"),
        (["{folder}/page.html", "--url", "http://127.0.0.1:9"], 2, "is neither an API description nor GraphQL"),
        (["{folder}/openapi.json"], 2, "no server is named, and the document names none; give http://HOST:PORT"),
        (["{folder}/openapi.json", "--url", "http://127.0.0.1:9"], 2, "nobody listens there; start the service"),
        (["http://127.0.0.1:9/openapi.json"], 2, "cannot be reached"),
        (["{folder}/openapi.json", "--url", "http://192.0.43.8"], 2, "--i-own-this-host"),
        ([f"{HERE}:app", "--checks", "servererror"], 2, "did you mean"),
        ([f"{HERE}:app", "--no-such-flag"], 2, "gnomon fuzz --help"),
        (["--replay", "{folder}/openapi.json"], 2, "no replay file of this version"),
    ],
)
def test_the_exit_code(
    words: list[str], code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "openapi.json").write_text(json.dumps(DOCUMENT))
    (tmp_path / "page.html").write_text("<!doctype html>")
    assert main(["fuzz", *(word.format(folder=tmp_path) for word in words)]) == code
    assert said in capsys.readouterr().err


def test_a_mistake_of_ours_ends_with_3_and_leaves_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def mistaken(self: Campaign) -> None:
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr(Campaign, "__post_init__", mistaken)
    assert main(["fuzz", f"{HERE}:app", "--bearer", "hidden-token", "--out", str(tmp_path)]) == 3
    (file,) = tmp_path.glob("bug-*.txt")
    assert str(file) in capsys.readouterr().err
    text = file.read_text()
    assert "ZeroDivisionError: a mistake" in text and "in mistaken" in text and "hidden-token" not in text


def test_what_was_found_is_kept_where_the_user_ends_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = len(broken.asked)

    class Ended(App):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await broken(scope, receive, send)
            if len(broken.asked) == before + 60:
                os.kill(os.getpid(), signal.SIGINT)

    globals()["ended"] = Ended()
    assert main(["fuzz", f"{HERE}:ended", "--connections", "1", "--out", str(tmp_path)]) == 130
    assert len(broken.asked) < before + 80 and list(tmp_path.rglob("report.html"))
    assert "GET /users answers 500" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("server", "document", "url", "base"),
    [
        ("/api/v1", "/api/v1", "", "/api/v1"),
        ("/api/v1", "", "/api/v1", "/api/v1"),
        ("", "/api/v1", "", ""),
        ("", "", "/api/v1", ""),
        ("/api/v1", "/api/v1", "/v2", "/api/v1"),
        ("/inner/v1", "/v1", "/inner", "/inner/v1"),
    ],
)
def test_paths_begin_where_the_server_knows_them(
    server: str, document: str, url: str, base: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, one = tmp_path / "openapi.json", App(server)
    file.write_text(json.dumps({**DOCUMENT, "servers": [{"url": document or "/"}]}))
    with served(one) as origin:
        main(["fuzz", str(file), "--url", origin + url, *FEW])
    assert one.asked[-1].startswith(f"{base}/users")
    told = f"the server knows no path below {url or document}, but does below {base or '/'}: that is asked"
    assert (told in " ".join(capsys.readouterr().out.split())) is ((url or document) != base)


def test_a_server_that_answers_everything_or_nothing_moves_no_path() -> None:
    class Same(App):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            self.asked.append(scope["path"])
            await send({"type": "http.response.start", "status": self.status, "headers": []})
            await send({"type": "http.response.body", "body": b"{}"})

    for status in (200, 401, 404):
        one = Same(status=status)
        found = gnomon.fuzz(one, {**DOCUMENT, "servers": [{"url": "/v1"}]}, max_requests=40, connections=1)
        assert one.asked[-1].startswith("/v1/users") and not found.notes


def test_of_graphql_the_endpoint_is_looked_for() -> None:
    from tests.unit.test_fuzz_graphql_kept import SDL, Notes

    class Below(Notes):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if scope["path"] == "/api/graphql":
                return await super().__call__(scope, receive, send)
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b"no such page"})

    found = gnomon.fuzz(Below(), SDL, max_requests=30, connections=1)
    assert found.api.base_path == "/api/graphql" and "but does below /api/graphql" in found.notes[0]


def test_a_server_that_lets_nobody_in_is_left_after_twenty_refusals_of_each_operation(
    capsys: pytest.CaptureFixture[str],
) -> None:
    began = len(closed.asked)
    main(["fuzz", f"{HERE}:closed", "--connections", "1"])
    assert len(closed.asked) - began < 70
    assert "nobody is let in; give credentials (none is declared)" in " ".join(capsys.readouterr().out.split())


def test_a_503_that_does_not_come_back_is_advice_and_one_that_does_is_none() -> None:
    class Busy(App):
        refused = False

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            # By the thirteenth request the search has begun; the next plain read is refused, once.
            once = len(self.asked) >= 12 and (scope["method"], scope["path"]) == ("GET", "/users") and not self.refused
            self.refused = self.refused or once
            self.status = 503 if self.base or once else 200
            await super().__call__(scope, receive, send)

    for base, certain in (("", False), ("/v1", True)):
        found = gnomon.fuzz(Busy(base), {**DOCUMENT, "servers": [{"url": base or "/"}]}, max_requests=60, connections=1)
        defects = [each for each in found.defects if each.violation.check == "server_error"]
        assert defects and {each.violation.certain for each in defects} == {certain}
        assert {each.violation.severity for each in defects} == {"high" if certain else "low"}


def test_words_of_a_refusal_are_read_once_a_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    real = CHECKS["undocumented_status"].__globals__["fingerprint"]
    monkeypatch.setitem(
        CHECKS["undocumented_status"].__globals__, "fingerprint", lambda *given: read.append(1) or real(*given)
    )
    refusing = App(status=418)
    found = gnomon.fuzz(refusing, DOCUMENT, max_requests=60, connections=1, checks=("undocumented_status",))
    assert len(refusing.asked) >= 40 and len(read) == 2
    assert {each.violation.root[:2] for each in found.certain} == {("undocumented_status", "418")}
    assert Promises(load(DOCUMENT)).roots == {}


def test_what_is_too_much_is_tested_with_less_and_in_time() -> None:
    wide = {f"p{i}": {"type": "string", "minLength": i % 9} for i in range(500)}
    cycle = {"type": "object", "required": ["next"], "properties": {"next": {"$ref": "#/components/schemas/Cycle"}}}
    bodies = {
        "/long": {"type": "string", "minLength": 10**9},
        "/wide": {"type": "object", "properties": wide, "required": ["p0"]},
        "/java": {"type": "string", "pattern": "^\\p{Alpha}(?<name>x)$"},
        "/never": {"type": "integer", "minimum": 5, "maximum": 3},
        "/cycle": {"$ref": "#/components/schemas/Cycle"},
        "/remote": {"$ref": "http://127.0.0.1:9/schemas.json#/Thing"},
    }
    paths = {
        path: {"post": {"requestBody": {"content": {"application/json": {"schema": schema}}}, "responses": {}}}
        for path, schema in bodies.items()
    }
    document = {**DOCUMENT, "paths": paths, "components": {"schemas": {"Cycle": cycle}}}
    one = App(document=document)
    with within(2 * len(paths)):
        found = gnomon.fuzz(one, document, max_requests=200, connections=1)
    assert {each for each in one.asked if each in paths} == set(paths)
    assert any("127.0.0.1:9" in each.found for each in found.api.repairs)


def test_bytes_are_no_matter_of_an_application() -> None:
    with pytest.raises(UsageError, match="an application has no bytes"):
        mounted(app, DOCUMENT, Fuzzing(raw=True))


def test_a_mistake_of_ours_in_one_play_ends_that_play_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real, plays = Campaign._play, []

    async def mistaken(self: Campaign, play: Any) -> None:
        plays.append(play)
        if len(plays) % 10 == 5:
            raise IndexError("a mistake")
        await real(self, play)

    monkeypatch.setattr(Campaign, "_play", mistaken)
    assert main(["fuzz", f"{HERE}:broken", *FEW, "--out", str(tmp_path)]) == 3
    said = capsys.readouterr()
    assert "GET /users answers 500" in said.out and "plays were ended by mistakes of ours, IndexError" in said.out
    assert list(tmp_path.rglob("report.html")) and "in mistaken" in next(tmp_path.glob("bug-*.txt")).read_text()
