"""A server of plain bytes, strict or careless, for requests that are no HTTP."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["raw_server"]

DOCUMENT = b'{"openapi":"3.1.0","info":{"title":"R","version":"1"},"paths":{"/a":{"post":{"requestBody":{"content":'
DOCUMENT += b'{"application/json":{"schema":{"type":"object"}}}},"responses":{"200":{"description":""}}}}}}'
_LINE = re.compile(rb"[A-Z]+ /[!-~]* HTTP/1\.[01]")
_HEADER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~]*")


def answered(head: bytes, careless: bool) -> tuple[int, bytes]:
    """Status and body for the head of a request."""
    line, *headers = head.split(b"\r\n")
    lengths = [each.partition(b":")[2].strip() for each in headers if each.lower().startswith(b"content-length:")]
    hosts = [each for each in headers if each.lower().startswith(b"host:")]
    if careless:
        if any(b"\x00" in each for each in headers):
            return 500, b"ValueError: NUL"  # planted
        if b"\xff" in line:
            raise UnicodeError  # planted: the connection ends, and so does the server
    elif not (
        _is_http(line, headers) and len(hosts) == 1 and len(set(lengths)) < 2 and all(map(bytes.isdigit, lengths))
    ):
        return 400, b""
    elif any(each.lower().startswith(b"transfer-encoding:") for each in headers):
        return 501, b""
    return 200, DOCUMENT if b"/openapi.json" in line else b""


def _is_http(line: bytes, headers: list[bytes]) -> bool:
    return bool(_LINE.fullmatch(line)) and all(map(_HEADER.fullmatch, headers)) and len(headers) < 100


@contextmanager
def raw_server(*, careless: bool) -> Iterator[str]:
    """The address of a server while it runs; a careless one ends at a target that is no UTF-8."""
    loop, ready, port = asyncio.new_event_loop(), threading.Event(), [0]

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).removesuffix(b"\r\n\r\n")
            status, body = answered(head, careless)
            said = b"HTTP/1.1 %d X\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % (status, len(body))
            writer.write(said + body)
            await writer.drain()
        except UnicodeError:
            loop.stop()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass
        finally:
            writer.close()

    def run() -> None:
        asyncio.set_event_loop(loop)
        server = loop.run_until_complete(asyncio.start_server(handle, "127.0.0.1", 0))
        port[0] = server.sockets[0].getsockname()[1]
        ready.set()
        loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait()
    try:
        yield f"http://127.0.0.1:{port[0]}"
    finally:
        if thread.is_alive():
            loop.call_soon_threadsafe(loop.stop)
        thread.join()
