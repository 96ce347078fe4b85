"""Sockets and applications in this process answer alike; faults are replies."""

import asyncio
import contextlib
import gzip
import json

import pytest

from gnomon.fuzz.base import Request
from gnomon.fuzz.transport import AsgiTransport, WsgiTransport
from gnomon.fuzz.transport.http import HttpTransport
from gnomon.fuzz.transport.traces import trace_in_text


async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        assert (await receive())["type"] == "lifespan.startup"
        return await send({"type": "lifespan.startup.complete"})
    body = (await receive())["body"]
    if scope["path"] == "/boom":
        return {}["absent"]
    said = {
        "path": scope["path"],
        "query": scope["query_string"].decode(),
        "body": body.decode(),
        "method": scope["method"],
    }
    await send({"type": "http.response.start", "status": 201, "headers": [(b"X-A", b"1")]})
    await send({"type": "http.response.body", "body": json.dumps(said).encode()})


def wsgi(environ, start_response):
    if environ["PATH_INFO"] == "/boom":
        return {}["absent"]
    said = {
        "path": environ["PATH_INFO"],
        "query": environ["QUERY_STRING"],
        "body": environ["wsgi.input"].read().decode(),
        "method": environ["REQUEST_METHOD"],
    }
    start_response("201 Created", [("X-A", "1")])
    return [json.dumps(said).encode()]


def _send(transport, *requests, timeout=5):
    async def sent():
        try:
            return [await transport.send(request, timeout=timeout) for request in requests]
        finally:
            await transport.close()

    return asyncio.run(sent())


@pytest.mark.parametrize("transport", [AsgiTransport(asgi), WsgiTransport(wsgi)], ids=["asgi", "wsgi"])
def test_an_application_in_this_process_is_sent_what_a_socket_would_carry(transport):
    asked = Request(method="QUERY", target="/a%20b?c=%2F", headers=(("content-type", "text/plain"),), body=b"hi")
    reply, boom = _send(transport, asked, Request(method="GET", target="/boom"))
    assert (reply.status, reply.header("x-a")) == (201, "1")
    assert json.loads(reply.body) == {"path": "/a b", "query": "c=%2F", "body": "hi", "method": "QUERY"}
    assert boom.status == 500 and boom.trace.type == "KeyError"
    assert [name for _, name in boom.trace.frames][-1] in ("asgi", "wsgi")


@contextlib.asynccontextmanager
async def _server(answer):
    async def serve(reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            await answer(head, reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def _over_socket(answer, request, timeout=5.0):
    async def sent():
        async with _server(answer) as origin:
            transport = HttpTransport(origin)
            try:
                return await transport.send(request, timeout=timeout)
            finally:
                await transport.close()

    return asyncio.run(sent())


async def _echo(head, reader, writer):
    writer.write(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: %d\r\n\r\n" % len(head) + head)


def test_a_socket_carries_the_target_as_it_stands_and_follows_nothing():
    reply = _over_socket(_echo, Request(method="TRACE", target="/a/%2E%2E//b?x=%5B&y", headers=(("x-b", "é"),)))
    assert reply.status == 302 and reply.header("location") == "/x"
    first, *rest = reply.body.decode().split("\r\n")
    assert first == "TRACE /a/%2E%2E//b?x=%5B&y HTTP/1.1"
    assert any(line.lower() == "x-b: é" for line in rest) and not any("user-agent" in line.lower() for line in rest)


async def _close(head, reader, writer):
    pass


async def _sleep(head, reader, writer):
    await asyncio.sleep(30)


async def _garbage(head, reader, writer):
    writer.write(b"nonsense\r\n\r\n")


async def _forever(head, reader, writer):
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"x" * 1000)
        await writer.drain()
        await asyncio.sleep(0.001)


@pytest.mark.parametrize(("answer", "fault"), [(_close, "dropped"), (_sleep, "timeout"), (_garbage, "malformed")])
def test_a_fault_of_the_connection_is_a_reply(answer, fault):
    reply = _over_socket(answer, Request(method="GET", target="/"), timeout=0.3)
    assert (reply.status, reply.fault) == (0, fault)


def test_a_body_without_end_is_cut():
    reply = _over_socket(_forever, Request(method="GET", target="/"))
    assert reply.status == 200 and reply.cut and reply.body


def test_a_port_where_nobody_listens_refuses():
    (reply,) = _send(HttpTransport("http://127.0.0.1:9"), Request(method="GET", target="/"))
    assert reply.fault == "refused"


def test_a_traceback_in_a_body_is_read_even_as_html():
    page = "<pre>Traceback (most recent call last):\n  File &quot;/app/a.py&quot;, line 3, in view\nValueError: no"
    trace = trace_in_text(page)
    assert (trace.type, trace.frames) == ("ValueError", (("/app/a.py", "view"),))
    assert trace_in_text("all is well") is None


async def _zipped(head, reader, writer):
    body = gzip.compress(b"plain")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


async def _brotli(head, reader, writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 3\r\n\r\nabc")


@pytest.mark.parametrize(("answer", "body"), [(_zipped, b"plain"), (_brotli, b"abc")])
def test_gzip_is_read_and_other_encodings_stay(answer, body):
    assert _over_socket(answer, Request(method="GET", target="/")).body == body
