"""An ASGI application in this process: no socket, and an exception that it lets out is seen as it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import suppress
from time import perf_counter
from types import coroutine
from typing import Any
from urllib.parse import unquote_to_bytes

from gnomon.fuzz.base import Reply, Request, Trace
from gnomon.fuzz.transport.traces import trace_of

__all__ = ["AsgiTransport"]

App = Callable[[dict[str, Any], Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]


class AsgiTransport:
    """Calls `app` once a request; starts and ends its lifespan where it has one.

    Args:
        app: an ASGI 3 application.
        host: what it is told that it is called by.
    """

    def __init__(self, app: App, *, host: str = "testserver") -> None:
        self._app, self._host = app, host
        self._lifespan: _Lifespan | None = None

    async def send(self, request: Request, *, timeout: float) -> Reply:
        """What the application answers; status 500 with `trace` where it raises."""
        if self._lifespan is None:
            self._lifespan = _Lifespan(self._app)
            await self._lifespan.start()
        call, began = _Call(request), perf_counter()
        try:
            await _within(timeout, self._app(_scope(request, self._host), call.receive, call.send))
        except TimeoutError:
            return Reply(status=0, seconds=perf_counter() - began, fault="timeout")
        except Exception as error:
            # A middleware of the application may have answered before it raised on.
            return call.reply(began, trace_of(error))
        if not call.status:
            return Reply(status=0, seconds=perf_counter() - began, fault="dropped")
        return call.reply(began)

    async def close(self) -> None:
        """Ends the lifespan."""
        if self._lifespan:
            await self._lifespan.stop()


@coroutine
def _within(seconds: float, answering: Awaitable[None]) -> Generator[Any, Any, None]:
    """Awaits the application, and raises TimeoutError where it takes longer.

    Most answer without a wait, and those need no timer: it starts where the application first waits for something.
    """
    steps = answering.__await__()
    try:
        waited_for = next(steps)
    except StopIteration:
        return
    yield from _rest(seconds, steps, waited_for).__await__()


async def _rest(seconds: float, steps: Generator[Any, Any, None], waited_for: Any) -> None:
    async with asyncio.timeout(seconds):
        await _going_on(steps, waited_for)


@coroutine
def _going_on(steps: Generator[Any, Any, None], waited_for: Any) -> Generator[Any, Any, None]:
    """What is left of a generator that was begun and has given something to wait for."""
    while True:
        thrown: BaseException | None = None
        try:
            yield waited_for
        except BaseException as error:
            thrown = error
        try:
            waited_for = steps.throw(thrown) if thrown else next(steps)
        except StopIteration:
            return


class _Call:
    """One request as the application sees it."""

    def __init__(self, request: Request) -> None:
        self._request, self._asked = request, False
        self.status = 0
        self.headers: tuple[tuple[str, str], ...] = ()
        self.body: list[bytes] = []

    def reply(self, began: float, trace: Trace | None = None) -> Reply:
        return Reply(
            status=self.status or 500,
            headers=self.headers,
            body=b"".join(self.body),
            seconds=perf_counter() - began,
            trace=trace,
        )

    async def receive(self) -> dict[str, Any]:
        if self._asked:
            await asyncio.sleep(0)
            return {"type": "http.disconnect"}
        self._asked = True
        return {"type": "http.request", "body": self._request.body, "more_body": False}

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = tuple(
                (k.decode("latin-1").lower(), v.decode("latin-1")) for k, v in message.get("headers", ())
            )
        elif message["type"] == "http.response.body":
            self.body.append(message.get("body", b""))


class _Lifespan:
    """Start-up and shutdown; applications without them raise, and are let be."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._in: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._out: asyncio.Queue[str] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run())
        await self._in.put({"type": "lifespan.startup"})
        await self._out.get()

    async def stop(self) -> None:
        if self._task and not self._task.done():
            await self._in.put({"type": "lifespan.shutdown"})
            await self._out.get()
            self._task.cancel()

    async def _run(self) -> None:
        async def said(message: dict[str, Any]) -> None:
            await self._out.put(message["type"])

        with suppress(Exception):  # the protocol's way to say that there is no lifespan
            await self._app({"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}}, self._in.get, said)
        await self._out.put("gone")


def _scope(request: Request, host: str) -> dict[str, Any]:
    path, _, query = request.target.partition("?")
    headers = [(name.encode("latin-1", "replace"), value.encode("utf-8")) for name, value in request.headers]
    if not any(name == b"host" for name, _ in headers):
        headers.insert(0, (b"host", host.encode()))
    if request.body or request.method in ("POST", "PUT", "PATCH"):
        headers.append((b"content-length", str(len(request.body)).encode()))
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": unquote_to_bytes(path).decode("utf-8", "replace"),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 0),
        "server": (host, 80),
    }
