"""An HTTP/1.1 server for one ASGI application, on loopback only: keep-alive, chunked bodies, strict reading."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

__all__ = ["HOST", "serve"]

HOST = "127.0.0.1"
Application = Callable[
    [Mapping[str, Any], Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]
]
_MOST_HEAD_BYTES, _MOST_BODY_BYTES = 2**16, 2**21
_START = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e\x80-\xff]+) HTTP/1\.([01])")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00\r\n]*?)[ \t]*")
_LINES = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode() for s in HTTPStatus}


async def serve(app: Application, port: int) -> asyncio.Server:
    """A server that accepts already; port 0 takes a free one. It lives until it is closed."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: _Connection(app), HOST, port)


class _Malformed(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class _Head(NamedTuple):
    method: bytes
    target: bytes
    headers: list[tuple[bytes, bytes]]
    keep: bool
    length: int
    chunked: bool
    expects: bool


class _Connection(asyncio.Protocol):
    """One client: its requests are answered one after the other, however fast they come."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._buffer = bytearray()
        self._head: _Head | None = None
        self._task: asyncio.Task[None] | None = None
        self._ended = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > _MOST_HEAD_BYTES + 2 * _MOST_BODY_BYTES:
            self._transport.abort()
        elif self._task is None:
            self._next()

    def eof_received(self) -> bool:
        # A client may close its half and still wait for the answer.
        self._ended = True
        return self._task is not None

    def _next(self) -> None:
        """Starts on the next request, if all of it is here."""
        try:
            if self._head is None:
                self._head = self._read_head()
            body = self._read_body(self._head) if self._head else None
        except _Malformed as error:
            self._transport.write(_LINES[error.status] + b"content-length: 0\r\nconnection: close\r\n\r\n")
            self._transport.close()
            return
        if self._head and body is not None:
            head, self._head = self._head, None
            self._task = asyncio.get_running_loop().create_task(self._answer(head, body))

    def _read_head(self) -> _Head | None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _MOST_HEAD_BYTES:
                raise _Malformed(431)
            return None
        lines = bytes(self._buffer[:end]).lstrip(b"\r\n").split(b"\r\n")
        del self._buffer[: end + 4]
        head = _parsed(lines)
        if head.expects:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return head

    def _read_body(self, head: _Head) -> bytes | None:
        if head.chunked:
            return _chunks(self._buffer)
        if len(self._buffer) < head.length:
            return None
        body = bytes(self._buffer[: head.length])
        del self._buffer[: head.length]
        return body

    async def _answer(self, head: _Head, body: bytes) -> None:
        path, _, query = head.target.partition(b"?")
        scope = {
            "type": "http",
            "method": head.method.decode(),
            "path": path.decode("latin-1"),
            "raw_path": path,
            "query_string": query,
            "headers": head.headers,
        }
        started: dict[str, Any] = {}
        keep = head.keep

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        async def send(message: dict[str, Any]) -> None:
            nonlocal keep
            if message["type"] == "http.response.start":
                started.update(message)
                return
            payload = message["body"]
            # No client expects a body here, so what follows on this connection would be misread.
            keep = keep and not (started["status"] == 204 and payload)
            lines = [b"%b: %b\r\n" % pair for pair in started["headers"]]
            close = b"\r\n" if keep else b"connection: close\r\n\r\n"
            self._transport.write(b"".join((_LINES[started["status"]], *lines, close, payload)))

        try:
            await self._app(scope, receive, send)
        except Exception:
            # An application that lets its crashes out has nothing left to say.
            keep = False
        self._task = None
        if not keep:
            self._transport.close()
        elif self._buffer and not self._transport.is_closing():
            self._next()
        if self._ended and self._task is None:
            self._transport.close()


def _parsed(lines: list[bytes]) -> _Head:
    start = _START.fullmatch(lines[0])
    fields = [_FIELD.fullmatch(line) for line in lines[1:]]
    if start is None or None in fields:
        raise _Malformed(400)
    headers = [(f[1].lower(), f[2]) for f in fields if f]
    one = dict(headers)
    length = one.get(b"content-length", b"0")
    coding = one.get(b"transfer-encoding", b"").lower()
    if not length.isdigit() or coding not in (b"", b"chunked"):
        raise _Malformed(400)
    if len(length) > 12 or int(length) > _MOST_BODY_BYTES:
        raise _Malformed(413)
    connection = one.get(b"connection", b"").lower()
    keep = connection != b"close" if start[3] == b"1" else connection == b"keep-alive"
    expects = one.get(b"expect", b"").lower() == b"100-continue"
    return _Head(start[1], start[2], headers, keep, int(length), bool(coding), expects)


def _chunks(buffer: bytearray) -> bytes | None:
    """A whole chunked body, taken out of the buffer; None while it is not all there."""
    at, parts, total = 0, [], 0
    while True:
        end = buffer.find(b"\r\n", at)
        if end < 0:
            return None
        digits = bytes(buffer[at:end]).partition(b";")[0].strip()
        if not re.fullmatch(rb"[0-9a-fA-F]{1,8}", digits):
            raise _Malformed(400)
        size = int(digits, 16)
        at = end + 2
        if size == 0:
            break
        total += size
        if total > _MOST_BODY_BYTES:
            raise _Malformed(413)
        if len(buffer) < at + size + 2:
            return None
        if buffer[at + size : at + size + 2] != b"\r\n":
            raise _Malformed(400)
        parts.append(bytes(buffer[at : at + size]))
        at += size + 2
    while (end := buffer.find(b"\r\n", at)) > at:
        at = end + 2
    if end < 0:
        return None
    del buffer[: end + 2]
    return b"".join(parts)
