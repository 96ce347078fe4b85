"""Tokens that a login answers: fetched when first needed, fetched again when they expire, in no report."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

import gnomon
from gnomon.cli import main
from gnomon.core.errors import UsageError
from gnomon.fuzz.base import Api, Case, SecurityScheme
from gnomon.fuzz.identities import Credentials, Identity
from gnomon.fuzz.loading import load
from gnomon.fuzz.logins import Login
from gnomon.fuzz.sending import Sender
from gnomon.fuzz.transport import AsgiTransport
from tests.unit._fuzz_served import served

PASSWORD = "very-secret"
LOGIN = json.dumps({"user": "al", "password": PASSWORD})
SCHEMES: dict[str, dict[str, str]] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-Key"},
    "query": {"type": "apiKey", "in": "query", "name": "key"},
    "cookie": {"type": "apiKey", "in": "cookie", "name": "session"},
}


class Guarded:
    """Answers whom it knows, and echoes what they said; a token is good for some requests."""

    def __init__(self, scheme: str = "bearer", uses: int = 5, answer: str = "access_token") -> None:
        self.scheme, self.uses, self.answer = scheme, uses, answer
        self.tokens: list[str] = []
        self.left, self.refused, self.gives = 0, 0, True

    @property
    def document(self) -> dict[str, Any]:
        """What it promises; /crash it does not keep."""
        answers = {"200": {"description": ""}, "401": {"description": ""}}
        number = {"name": "n", "in": "query", "schema": {"type": "integer"}}
        operation = {"parameters": [number], "responses": answers, "security": [{"s": []}]}
        schemes = {"securitySchemes": {"s": SCHEMES[self.scheme]}}
        paths = {"/a": {"get": operation}, "/crash": {"get": operation}}
        return {"openapi": "3.1.0", "info": {"title": "G", "version": "1"}, "paths": paths, "components": schemes}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = (await receive()).get("body", b"")
        status, answer = self.answered(scope, body)
        said = json.dumps(answer).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(said)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": said})

    def answered(self, scope: Any, body: bytes) -> tuple[int, Any]:
        if scope["path"] == "/openapi.json":
            return 200, self.document
        if scope["path"] == "/login":
            if not self.gives or PASSWORD not in body.decode():
                return 403, {}
            self.tokens.append(f"token-number-{len(self.tokens)}")
            self.left = self.uses
            return 200, {"data": {"inner": {"deep": self.tokens[-1]}}, self.answer: self.tokens[-1]}
        token = self.said(scope)
        if token not in self.tokens[-1:] or self.left <= 0 or scope["path"] == "/closed":
            self.refused += 1
            return 401, {}
        self.left -= 1
        return (500 if scope["path"] == "/crash" else 200), {"you": f"{token} {PASSWORD}"}

    def said(self, scope: Any) -> str:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        query = parse_qs(scope["query_string"].decode())
        return {
            "bearer": headers.get("authorization", "").removeprefix("Bearer "),
            "header": headers.get("x-key", ""),
            "query": query.get("key", [""])[0],
            "cookie": headers.get("cookie", "").removeprefix("session="),
        }[self.scheme]


def api_of(kinds: list[str]) -> Api:
    """An API with these schemes."""
    schemes = {
        kind: SecurityScheme(
            kind=SCHEMES[kind]["type"], name=SCHEMES[kind].get("name", ""), location=SCHEMES[kind].get("in", "")
        )
        for kind in kinds
    }
    return Api(title="", version="", dialect="openapi-3.1", operations=(), security=schemes)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_token_goes_where_the_document_says_and_is_fetched_again(scheme: str) -> None:
    server = Guarded(scheme)
    settings = {"max_requests": 60, "connections": 1, "checks": ("server_error",)}
    found = gnomon.fuzz(server, server.document, login=f"POST /login {LOGIN}", **settings)
    assert {each.violation.steps[-1].case.operation.path for each in found.certain} == {"/crash"}
    assert len(server.tokens) > 3
    shown = "".join(found.curl(each) + each.violation.detail for each in found.defects)
    assert "${TOKEN}" in shown and "token-number" not in shown and PASSWORD not in shown


def sender_of(server: Guarded, **credentials: str) -> tuple[Sender, list[Case]]:
    """A sender, and a case an operation."""
    api = load(server.document)
    callers = Credentials(**{"login": f"POST /login {LOGIN}", **credentials}).callers(api)
    return Sender(api, AsgiTransport(server), callers), [Case(operation=each) for each in api.operations]


def test_requests_under_way_share_one_login() -> None:
    server = Guarded(uses=1000)
    sender, (case, _) = sender_of(server)

    async def together() -> list[int]:
        sent = await asyncio.gather(*(sender.send(case, again=True) for _ in range(8)))
        return [each.exchange.reply.status for each in sent if each]

    assert asyncio.run(together()) == [200] * 8 and len(server.tokens) == 1
    server.left = 0
    assert asyncio.run(together()) == [200] * 8 and len(server.tokens) == 2


def test_a_wrong_caller_has_the_form_of_the_first_and_is_refused() -> None:
    sender, (case, _) = sender_of(Guarded(uses=1000))
    sent = asyncio.run(sender.send(case, caller="wrong"))
    assert sent is not None and sent.exchange.reply.status == 401
    assert dict(sent.exchange.request.headers)["authorization"].startswith("Bearer ")


def test_what_a_new_token_does_not_open_is_asked_with_one_no_more() -> None:
    server = Guarded(uses=0)
    sender, (case, _) = sender_of(server)
    for _ in range(5):
        sent = asyncio.run(sender.send(case, again=True))
        assert sent is not None and sent.exchange.reply.status == 401
    assert len(server.tokens) == 2


def test_a_server_that_gives_no_more_tokens_is_asked_on() -> None:
    server = Guarded(uses=1)
    sender, (case, _) = sender_of(server)
    asyncio.run(sender.send(case, again=True))
    server.gives = False
    sent = asyncio.run(sender.send(case, again=True))
    assert sent is not None and sent.exchange.reply.status == 401


def test_from_a_toml_file_over_a_socket_and_no_secret_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PASSWORD_OF_AL", PASSWORD)
    login = 'POST /login {"user": "al", "password": "${PASSWORD_OF_AL}"}'
    settings = f"max-requests = 80\nconnections = 2\nlogin = '{login}'\nlogin-token = '/data/inner/deep'\n"
    (tmp_path / "fuzz.toml").write_text(settings, encoding="utf-8")
    server = Guarded(answer="other", uses=15)  # so many that two requests at once do not use one up unseen
    with served(server) as url:
        reports = [each for name in ("har", "vcr", "junit", "ndjson", "sarif") for each in ("--report", name)]
        flags = ["--config", str(tmp_path / "fuzz.toml"), *reports]
        assert main(["fuzz", f"{url}/openapi.json", *flags, "--out", str(tmp_path / "runs")]) == 1
    assert len(server.tokens) > 2
    files = [path for path in (tmp_path / "runs").rglob("*") if path.is_file()]
    assert len(files) > 8
    said = capsys.readouterr()
    whole = said.out + said.err + "".join(path.read_bytes().decode("latin-1") for path in files)
    assert "token-number" not in whole and PASSWORD not in whole and "${TOKEN}" in whole


@pytest.mark.parametrize(
    ("kinds", "place"),
    [(["bearer", "query"], "headers"), (["query"], "query"), (["cookie"], "cookies"), ([], "headers")],
)
def test_a_token_is_a_bearers_unless_keys_are_all_that_is_known(kinds: list[str], place: str) -> None:
    caller = Credentials(login="POST /login").callers(api_of(kinds))["first"].with_token("abcdef")
    assert "abcdef" in str(getattr(caller, place))


@pytest.mark.parametrize(
    ("flag", "given"),
    [
        ("--auth", {"auth": "al"}),
        ("--bearer", {"bearer": "abc\n"}),
        ("--api-key", {"api_key": "a\rb"}),
        ("--header", {"header": ("X-A: b\nc: d",)}),
        ("--header", {"header": ("X A: b",)}),
    ],
)
def test_credentials_that_no_request_can_carry_are_refused(flag: str, given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"^{flag}: "):
        Credentials(**given).callers(api_of([]))


def test_users_of_basic_and_of_keys() -> None:
    basic = Credentials(auth="al:pass").callers(api_of([]))["first"]
    assert basic.headers == {"authorization": "Basic YWw6cGFzcw=="}
    keyed: Identity = Credentials(api_key="key-1").callers(api_of(["cookie"]))["first"]
    assert keyed.cookies == {"session": "key-1"} and "key-1" in keyed.secrets
    assert Credentials(api_key="key-1").callers(api_of([]))["first"].headers == {"x-api-key": "key-1"}
    assert Credentials(api_key="key-1").callers(api_of(["query"]))["first"].query == {"key": "key-1"}


def test_a_form_is_a_body_too() -> None:
    login = Login.of("post /token username=al&password=very-secret")
    assert (login.request.method, login.secrets) == ("POST", frozenset({"very-secret"}))
    assert login.request.headers == (("content-type", "application/x-www-form-urlencoded"),)


@pytest.mark.parametrize(
    ("login", "pointer", "said"),
    [
        ("", "", "begins no request"),
        ("/login", "", "begins no request"),
        ("POST http://elsewhere/login", "", "begins no request"),
        ('POST /login {"password": "${NOT_SET_ANYWHERE}"}', "", "the environment has no NOT_SET_ANYWHERE"),
        ("POST /login", "data.token", "is no JSON pointer"),
    ],
)
def test_logins_that_are_none(login: str, pointer: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Login.of(login, pointer)


@pytest.mark.parametrize(
    ("login", "token", "said"),
    [
        ("POST /login {}", "", "answers 403"),
        ("GET /openapi.json", "", "answers no token"),
        (f"POST /login {LOGIN}", "/nowhere", "answers no token at /nowhere"),
    ],
)
def test_a_server_that_gives_no_token_is_told_of(login: str, token: str, said: str) -> None:
    server = Guarded()
    with pytest.raises(UsageError, match=said):
        gnomon.fuzz(server, server.document, max_requests=50, login=login, login_token=token)
