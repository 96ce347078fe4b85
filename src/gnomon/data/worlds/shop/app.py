"""The shop as an ASGI application: routes, credentials, errors, crashes that become 500 at the very outside."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any, NamedTuple

from gnomon.data.worlds.shop.base import TOKENS, Answer, Call, Handler, Log, Refused, State
from gnomon.data.worlds.shop.documents import Dialect, document
from gnomon.data.worlds.shop.files import FILES, JOBS
from gnomon.data.worlds.shop.items import ITEMS
from gnomon.data.worlds.shop.operations import OPERATIONS, Operation
from gnomon.data.worlds.shop.orders import ORDERS
from gnomon.data.worlds.shop.reading import Reader, unquoted
from gnomon.data.worlds.shop.users import USERS

__all__ = ["Shop", "make_app"]

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
MOST_BYTES = 2**20
_HANDLERS: Mapping[str, Handler] = {**ITEMS, **USERS, **ORDERS, **FILES, **JOBS}
_CALLERS = {token: name for name, token in TOKENS.items()}
# Planted: one asks for nothing, the other for any token.
_ANYBODY, _ANY_TOKEN = "set_stock", "report_stock"
_DOCUMENTS: Mapping[str, Dialect] = {
    "/openapi.json": "openapi-3.1",
    "/openapi-3.0.json": "openapi-3.0",
    "/swagger.json": "openapi-2.0",
}
_PROMISED = {("PATCH", "/jobs/{job_id}")}


class _Route(NamedTuple):
    operation: Operation
    handler: Handler
    reader: Reader


class Shop:
    """The shop; `log` knows what was triggered.

    Args:
        seed: where identifiers come from.
        log_file: file that a line is added to when a defect is triggered for the first time.
        propagate: let crashes out of the application instead of answering 500.
    """

    def __init__(self, *, seed: int = 0, log_file: Path | None = None, propagate: bool = False) -> None:
        self.log = Log(log_file)
        self.state = State(seed)
        self._propagate = propagate
        self._routes: dict[str, dict[str, _Route]] = {}
        for operation in OPERATIONS:
            route = _Route(operation, _HANDLERS[operation.name], Reader(operation))
            self._routes.setdefault(operation.path, {})[operation.method] = route
        self._fixed = {path for path in self._routes if "{" not in path}
        self._templates: dict[int, list[tuple[str, list[str]]]] = {}
        for path in self._routes:
            self._templates.setdefault(path.count("/") + 1, []).append((path, path.split("/")))
        self._graph: Callable[[bytes], Awaitable[Answer]] | None = None

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """One request (or the lifespan) by ASGI 3."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        self.log.requests += 1
        try:
            answer = await self._answer(scope, receive)
        except Refused as refused:
            answer = Answer(refused.status, {"detail": refused.detail}, refused.headers)
        except Exception as error:
            self.log.crashed(error)
            if self._propagate:
                raise
            answer = Answer(500, {"detail": "Internal Server Error"})
        await _send(answer, send, head=scope["method"] == "HEAD")

    async def _answer(self, scope: Mapping[str, Any], receive: Receive) -> Answer:
        raw_path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1").partition("?")[0]
        raw = await _body(receive)
        if raw_path == "/graphql" and scope["method"] == "POST":
            return await self._ask_graph(raw)
        if raw_path in _DOCUMENTS and scope["method"] == "GET":
            return Answer(body=document(_DOCUMENTS[raw_path]))
        template, path = self._find(raw_path)
        methods = self._routes[template]
        method = scope["method"]
        if method == "HEAD" and "GET" in methods:
            self.log.decoy("head")
            method = "GET"
        if method not in methods:
            return self._other(method, template)
        return await self._call(methods[method], path, scope, raw)

    def _find(self, raw_path: str) -> tuple[str, dict[str, str]]:
        """Template and path parameters as text; `Refused` with 404."""
        if raw_path in self._fixed:
            return raw_path, {}
        parts = raw_path.split("/")
        for template, words in self._templates.get(len(parts), ()):
            pairs = list(zip(words, parts, strict=True))
            if all(part if word[:1] == "{" else word == part for word, part in pairs):
                return template, {word[1:-1]: unquoted(part) for word, part in pairs if word[:1] == "{"}
        raise Refused(404, "Not found")

    def _other(self, method: str, template: str) -> Answer:
        if (method, template) in _PROMISED:
            self.log.decoy("not-implemented")
            raise Refused(501, "Not implemented")
        allowed = sorted({*self._routes[template], "OPTIONS", *({"HEAD"} if "GET" in self._routes[template] else ())})
        if method == "OPTIONS":
            return Answer(204, headers={"Allow": ", ".join(allowed)})
        raise Refused(405, "Method not allowed", {"Allow": ", ".join(allowed)})

    async def _call(self, route: _Route, path: dict[str, str], scope: Mapping[str, Any], raw: bytes) -> Answer:
        lines: dict[bytes, bytes] = dict(scope["headers"])
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in lines.items()}
        caller, token = _who(headers.get("authorization"), route.operation)
        query = scope["query_string"].decode("latin-1")
        values = route.reader.parameters(path, query, headers)
        body: Any = None
        holes: tuple[str, ...] = ()
        if route.operation.body:
            try:
                body, holes = route.reader.body(raw, headers.get("content-type", ""))
            except Refused as refused:
                if refused.status == 415:
                    self.log.decoy("media-type")
                raise
        call = Call(
            state=self.state,
            log=self.log,
            caller=caller,
            token=token,
            path=values["path"],
            query=values["query"],
            headers=values["header"],
            body=body,
            raw=raw,
            holes=holes,
            loose_header=lines.get(b"x-trace"),
        )
        answer = await route.handler(call)
        for hole in holes:
            self.log.add(hole)
        if route.reader.ignores(query):
            self.log.decoy("extra-query")
        return answer

    async def _ask_graph(self, raw: bytes) -> Answer:
        if self._graph is None:
            from gnomon.data.worlds.shop.graph import graph

            self._graph = graph(self.state, self.log)
        return await self._graph(raw)


def make_app(*, seed: int = 0, log_file: Path | None = None, propagate: bool = False) -> Shop:
    """A fresh shop, whose arguments are those of `Shop`."""
    return Shop(seed=seed, log_file=log_file, propagate=propagate)


def _who(authorization: str | None, operation: Operation) -> tuple[str, str | None]:
    """The caller and the token that was given; `Refused` with 401 where the operation wants a better one."""
    kind, _, token = (authorization or "").partition(" ")
    given = token if kind.lower() == "bearer" and token else None
    caller = _CALLERS.get(given, "") if given else ""
    enough = caller or operation.public or operation.name == _ANYBODY or (given and operation.name == _ANY_TOKEN)
    if not enough:
        raise Refused(401, "Not authenticated", {"WWW-Authenticate": "Bearer"})
    return caller, given


async def _body(receive: Receive) -> bytes:
    whole = b""
    while True:
        message = await receive()
        part: bytes = message.get("body", b"")
        whole += part
        if len(whole) > MOST_BYTES:
            raise Refused(413, "The body is too large")
        if not message.get("more_body"):
            return whole


async def _send(answer: Answer, send: Send, *, head: bool) -> None:
    body, payload = answer.body, _payload(answer)
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in answer.headers.items()]
    if body is not None:
        headers.append((b"content-type", answer.media.encode()))
    if answer.status != 204 or payload:
        headers.append((b"content-length", str(len(payload)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else payload})


def _payload(answer: Answer) -> bytes:
    if answer.body is None:
        return b""
    if answer.media.startswith("application/json"):
        return json.dumps(answer.body).encode()
    text: str | bytes = answer.body
    return text if isinstance(text, bytes) else text.encode()


async def _live(receive: Receive, send: Send) -> None:
    while True:
        kind = (await receive())["type"].removeprefix("lifespan.")
        await send({"type": f"lifespan.{kind}.complete"})
        if kind == "shutdown":
            return
